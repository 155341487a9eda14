/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nothing but the type that is caught is another: the same instructions, another table. */
// expect: changed _Z4safei
// also: _Z4safei.cold
// run: 1 2 | 1 2 3
#include <stdio.h>
struct A { int n; };
struct B { int n; };
__attribute__((noinline, noipa)) int risky(int n)
{
	if (n == 1)
		throw A{ n };
	if (n == 2)
		throw B{ n };
	return n;
}
#ifdef AFTER
typedef B Caught;
#else
typedef A Caught;
#endif
__attribute__((noinline, noipa)) int safe(int n)
{
	try {
		return risky(n);
	} catch (const Caught &c) {
		return c.n * 100;
	}
}
extern "C" __attribute__((noinline)) void probe(int n)
{
	try {
		printf("%d\n", safe(n));
	} catch (const A &a) {
		printf("outside A %d\n", a.n);
	} catch (const B &b) {
		printf("outside B %d\n", b.n);
	}
}
