/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An anonymous namespace: a method, a variable and a class of it. */
// expect: changed _ZN12_GLOBAL__N_15Local3addEi
// run: 1 2 | 3 4
#include <stdio.h>
#include <typeinfo>
namespace {
int total;
struct Base {
	virtual ~Base() { }
};
struct Local : Base {
	__attribute__((noinline, noipa)) int add(int n);
};
int Local::add(int n)
{
	Base *volatile self = this;

	total += n;
#ifdef AFTER
	return total + (dynamic_cast<Local *>(self) == this ? 1000 : 1);
#else
	return total;
#endif
}
}
extern "C" __attribute__((noinline)) void probe(int n)
{
	Local l;
	Base *volatile b = &l;

	printf("%d %d\n", l.add(n), typeid(*b) == typeid(Local));
}
