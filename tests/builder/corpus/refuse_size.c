/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An array grows. */
// also: .*
// finding: DATA_SIZE
#include <stdio.h>
#ifdef AFTER
int ring[20];
#else
int ring[10];
#endif
__attribute__((noinline)) int f(int n) { return ring[n % (int)(sizeof(ring) / sizeof(*ring))]++; }
void probe(int n) { printf("%d\n", f(n)); }
