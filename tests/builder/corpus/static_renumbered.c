/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new function with a static of the same name renumbers the old one: cnt of f stays that of f. */
// expect[gcc]: changed f; new g; new cnt.*
// expect[clang]: changed f; new g; new g.cnt
// run: 1 1 1 | 1 1
#include <stdio.h>
__attribute__((noinline)) int f(int n)
{
	static int cnt = 5;
	cnt += n;
#ifdef AFTER
	return cnt * 10;
#else
	return cnt;
#endif
}
#ifdef AFTER
__attribute__((noinline)) int g(int n) { static int cnt = 70; return cnt += n; }
#endif
__attribute__((noinline)) int h(int n) { static int cnt = 900; return cnt += n; }
void probe(int n) { printf("%d %d\n", f(n), h(n)); }
