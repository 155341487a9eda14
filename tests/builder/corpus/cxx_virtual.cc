/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtual method is changed: the table of its class, and objects that live, stay as they are. */
// expect: changed _ZN6Square4areaEv
// run: 1 2 | 3 4
#include <stdio.h>
struct Shape {
	virtual ~Shape() { }
	virtual int area() = 0;
};
struct Square : Shape {
	int side;
	explicit Square(int n) : side(n) { }
	int area() override;
};
__attribute__((noinline, noipa)) int Square::area()
{
#ifdef AFTER
	return side * side;
#else
	return side * 4;
#endif
}
static Shape *kept;
extern "C" void probe(int n)
{
	if (!kept)
		kept = new Square(n);
	Square here(n);
	Shape *volatile p = &here;
	printf("%d %d\n", kept->area(), p->area());
}
