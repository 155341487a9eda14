/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An indirect function: its resolver has run. */
// also: .*
// finding: IFUNC
#include <stdio.h>
static int one(int n) { return n; }
static int two(int n) { return n + 1; }
static int (*choose(void))(int)
{
#ifdef AFTER
	return two;
#else
	return one;
#endif
}
int which(int n) __attribute__((ifunc("choose")));
int (*volatile keep[])(int) = { one, two };
void probe(int n) { printf("%d\n", which(n)); }
