/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Code that stays throws, new code catches. */
// expect: changed _Z4safei
// also: _Z4safei.cold|DW.ref._ZTI.*|probe
// run: 1 200 | 1 200 -5 3
#include <stdexcept>
#include <stdio.h>
__attribute__((noinline, noipa)) int risky(int n)
{
	if (n > 100)
		throw std::out_of_range("out of range");
	if (n < 0)
		throw n;
	return n;
}
__attribute__((noinline, noipa)) int safe(int n)
{
	volatile int copy[4] = { n, n, n, n };
#ifdef AFTER
	try {
		return risky(copy[n & 3]);
	} catch (const std::logic_error &e) {
		printf("logic: %s\n", e.what());
		return -1;
	}
#else
	return risky(copy[n & 3]) + 0 * copy[0];
#endif
}
extern "C" __attribute__((noinline)) void probe(int n)
{
	try {
		printf("%d\n", safe(n));
	} catch (int i) {
		printf("outside %d\n", i);
	} catch (...) {
		puts("outside");
	}
}
