/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New code throws, code that stays catches; what is between is destroyed. */
// expect: changed _Z5checki
// also: _Z5checki.cold|_Z7betweeni|probe|DW.ref._ZTI.*|_ZN?K?St.*
// run: 1 | 1 200 -5 3
#include <stdexcept>
#include <stdio.h>
struct Guard {
	const char *name;
	explicit Guard(const char *n) : name(n) { }
	~Guard() { printf("end of %s\n", name); }
};
__attribute__((noinline, noipa)) int check(int n)
{
	volatile int copy[4] = { n, n, n, n };
	Guard inside("check");
#ifdef AFTER
	if (n > 100)
		throw std::runtime_error("too large");
	if (n < 0)
		throw n;
#endif
	return copy[n & 3] + 1;
}
__attribute__((noinline, noipa)) int between(int n)
{
	Guard here("between");
	return check(n) * 2;
}
extern "C" __attribute__((noinline)) void probe(int n)
{
	try {
		printf("%d\n", between(n));
	} catch (const std::exception &e) {
		printf("caught %s\n", e.what());
	} catch (int i) {
		printf("caught %d\n", i);
	}
}
