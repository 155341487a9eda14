/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The address of a replaced function is that of the original: pointers stored before compare. */
// expect: changed cb; changed check
// also: probe
// run: 1 | 1 2
#include <stdio.h>
typedef int (*fn)(int);
static fn stored;
__attribute__((noinline)) int cb(int n)
{
#ifdef AFTER
	return n + 100;
#else
	return n;
#endif
}
__attribute__((noinline)) int check(void)
{
	if (!stored)
		stored = cb;
#ifdef AFTER
	return (stored == cb) + 10;
#else
	return stored == cb;
#endif
}
void probe(int n) { int c = check(); printf("%d %d\n", c, stored(n)); }
