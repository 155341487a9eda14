/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two names for one function. */
// expect: changed f
// run: 1 | 1 2
#include <stdio.h>
__attribute__((noinline, noipa)) int f(int n)
{
#ifdef AFTER
	return n * 9;
#else
	return n * 8;
#endif
}
int f_too(int n) __attribute__((alias("f")));
void probe(int n) { printf("%d %d\n", f(n), f_too(n)); }
