/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The change is in a function that is part of its caller only. */
// expect: changed outer
// reason: outer inlines helper
// run: 1 | 1 2
#include <stdio.h>
__attribute__((always_inline)) static inline int helper(int n)
{
#ifdef AFTER
	return n * 7 + 1;
#else
	return n * 5 + 1;
#endif
}
__attribute__((noinline)) int outer(int n) { return helper(n); }
void probe(int n) { printf("%d\n", outer(n)); }
