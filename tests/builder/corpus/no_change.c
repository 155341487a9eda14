/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Other words for the same code. */
// expect: nothing
#include <stdio.h>
#ifdef AFTER
#define DOUBLE(x) ((x) + (x))
#else
#define DOUBLE(x) ((x)+(x))
#endif
__attribute__((noinline)) int twice(int n) { return DOUBLE(n); }
void probe(int n) { printf("%d\n", twice(n)); }
