/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A function and its callers change their contract together. */
// expect: changed skip; changed use_a; changed use_b
// also: probe
// run: 1 | 1 2
#include <stdio.h>
#ifdef AFTER
__attribute__((noinline)) int skip(int n, int *rest) { *rest = n / 2; return n & 1; }
__attribute__((noinline)) int use_a(int n) { int r; return skip(n, &r) + r * 10; }
__attribute__((noinline)) int use_b(int n) { int r; return skip(n + 1, &r) - r; }
#else
__attribute__((noinline)) int skip(int n) { return n / 2; }
__attribute__((noinline)) int use_a(int n) { return skip(n) * 10; }
__attribute__((noinline)) int use_b(int n) { return skip(n + 1); }
#endif
void probe(int n) { printf("%d %d\n", use_a(n), use_b(n)); }
