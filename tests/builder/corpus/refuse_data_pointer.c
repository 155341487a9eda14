/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table of functions gets another one. */
// also: .*
// finding: DATA_CHANGED
#include <stdio.h>
__attribute__((noinline)) static int a(int n) { return n; }
__attribute__((noinline)) static int b(int n) { return n + 1; }
#ifdef AFTER
int (*table[])(int) = { a, b, b };
#else
int (*table[])(int) = { a, a, b };
#endif
void probe(int n) { printf("%d\n", table[n % 3](n)); }
