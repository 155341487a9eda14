/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A constant of the floating point unit, by value. */
// expect: changed scale
// also[gcc,O0]: same
// run: 1 | 1 2
#include <stdio.h>
#ifdef AFTER
#define FACTOR 2.75
#else
#define FACTOR 1.75
#endif
__attribute__((noinline)) double scale(double x) { return x * FACTOR + 0.5; }
__attribute__((noinline)) double same(double x) { return x * 1.25 + 0.5; }
void probe(int n) { printf("%.3f %.3f\n", scale(n), same(n)); }
