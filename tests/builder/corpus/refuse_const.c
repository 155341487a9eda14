/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A constant becomes writable. */
// also: .*
// finding: SECTION_KIND
#include <stdio.h>
#ifdef AFTER
int table[4] = { 1, 2, 3, 4 };
#else
const int table[4] = { 1, 2, 3, 4 };
#endif
__attribute__((noinline)) int f(volatile int n) { return table[n & 3]; }
void probe(int n) { printf("%d\n", f(n)); }
