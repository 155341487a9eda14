/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two statics of one name in one function, a third function changes. */
// expect: changed change
// run: 1 2 | 1 2
#include <stdio.h>
__attribute__((noinline)) int two(int n)
{
	if (n > 1) { static int state = 10; return state += n; }
	{ static int state = 20; return state += n; }
}
__attribute__((noinline)) int change(int n)
{
#ifdef AFTER
	return n + 2;
#else
	return n + 1;
#endif
}
void probe(int n) { printf("%d %d\n", two(n), change(n)); }
