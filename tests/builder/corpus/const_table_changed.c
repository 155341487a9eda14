/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A constant table without pointers, read by the function that is changed with it. */
// expect: changed look
// also: table
// note[gcc]: CONST_COPIED
// run: 0 1 | 0 1 2
#include <stdio.h>
#ifdef AFTER
static const int table[8] = { 1, 2, 3, 4, 50, 6, 7, 8 };
#else
static const int table[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
#endif
__attribute__((noinline)) int look(volatile int n) { return table[(n + 4) & 7]; }
void probe(int n) { printf("%d\n", look(n)); }
