/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A class with virtual methods comes with the change, and is thrown. */
// expect: changed _Z4makei; new _ZN3NewD[0-2]Ev; new _ZN3New5valueEv; new _ZT[VSI]3New
// also: .*
// run: 1 2 | 3 4 200
#include <stdio.h>
struct Base {
	virtual ~Base();
	virtual int value();
};
__attribute__((noinline)) Base::~Base() { }
__attribute__((noinline)) int Base::value() { return 1; }
#ifdef AFTER
struct New : Base {
	int n;
	explicit New(int m) : n(m) { }
	int value() override { return n; }
};
#endif
__attribute__((noinline, noipa)) int make(int n)
{
#ifdef AFTER
	New made(n);
	Base *volatile p = &made;
	if (n > 100)
		throw New(n);
	return p->value();
#else
	Base made;
	Base *volatile p = &made;
	if (n > 100)
		throw made;
	return p->value();
#endif
}
extern "C" __attribute__((noinline)) void probe(int n)
{
	try {
		printf("%d\n", make(n));
	} catch (Base &b) {
		printf("caught %d\n", b.value());
	}
}
