/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtual method more: objects that live have the old table. */
// expect: changed _ZN1A1fEv; changed _ZTV1A
// also: _ZN1A1gEv|probe|_Z.*
// finding: DATA_SIZE _ZTV1A
#include <stdio.h>
struct A {
	virtual int f();
#ifdef AFTER
	virtual int g();
#endif
};
__attribute__((noinline)) int A::f()
{
#ifdef AFTER
	return g() + 1;
#else
	return 1;
#endif
}
#ifdef AFTER
__attribute__((noinline)) int A::g() { return 2; }
#endif
A a;
extern "C" void probe(int n) { A *volatile p = &a; printf("%d\n", p->f() + n); }
