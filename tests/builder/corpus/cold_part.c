/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The change is in the cold part of a function. */
// expect: changed f
// run: 1 | 1 200 3
#include <stdio.h>
__attribute__((noinline, cold)) void complain(int n) { printf("complain %d\n", n); }
__attribute__((noinline)) int f(int n)
{
	if (__builtin_expect(n > 100, 0)) {
		complain(n);
#ifdef AFTER
		complain(n + 1);
		puts("told");
#endif
		return -1;
	}
	return n + 1;
}
void probe(int n) { printf("%d\n", f(n)); }
