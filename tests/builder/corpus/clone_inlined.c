/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A static function with callers becomes part of them, and of one that jumped to it. */
// expect: changed (one|two)
// note[O2,O3,Os]: OLD_CODE
// also: small|probe
// run: 1 2 | 3 4
#include <stdio.h>
static volatile int seen;
#ifdef AFTER
__attribute__((always_inline)) static inline
#else
__attribute__((noinline)) static
#endif
int small(int n)
{
	seen += n;
#ifdef AFTER
	return seen * 3;
#else
	return seen * 2;
#endif
}
__attribute__((noinline)) int one(int n) { return small(n); }
__attribute__((noinline)) int two(int n) { return small(n) + small(n + 1); }
void probe(int n) { printf("%d %d\n", one(n), two(n)); }
