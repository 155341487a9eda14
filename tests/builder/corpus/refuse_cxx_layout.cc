/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A class in a namespace gets a field, by way of its base. */
// expect: changed _ZN3net3useERNS_4ConnEi
// also: .*
// finding: LAYOUT net::Base
// finding: DATA_SIZE _ZZ5probeE1c
// finding: LAYOUT net::Conn
#include <stdio.h>
namespace net {
struct Base {
	int a;
#ifdef AFTER
	int more;
#endif
};
struct Conn : Base {
	int b;
};
__attribute__((noinline, noipa)) int use(Conn &c, int n)
{
	c.b += n;
#ifdef AFTER
	c.more = n;
#endif
	return c.a + c.b;
}
}
extern "C" void probe(int n)
{
	static net::Conn c;

	printf("%d\n", net::use(c, n));
}
