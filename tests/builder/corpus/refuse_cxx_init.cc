/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The constructor of a variable has run. */
// expect: changed .*
// also: .*
// finding: STARTUP
#include <stdio.h>
struct A {
	int n;
	__attribute__((noinline)) explicit A(int m) : n(m) { puts("made"); }
};
#ifdef AFTER
static A a(7);
#else
static A a(6);
#endif
extern "C" void probe(int n) { printf("%d\n", a.n + n); }
