/* SPDX-License-Identifier: GPL-2.0-or-later */
/* __func__ and assert: copies of their own. */
// expect: changed f
// run: 1 | 1 2
#include <assert.h>
#include <stdio.h>
__attribute__((noinline)) void f(int n)
{
	assert(n < 100);
#ifdef AFTER
	printf("%s says %d\n", __func__, n + 1);
#else
	printf("%s says %d\n", __func__, n);
#endif
}
__attribute__((noinline)) void g(int n) { assert(n > -100); printf("%s\n", __func__); }
void probe(int n) { f(n); g(n); }
