/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A field in what was padding: old objects have no value there. */
// also: .*
// finding: LAYOUT struct conn: field flags is new
#include <stdio.h>
struct conn {
	char kind;
#ifdef AFTER
	char flags;
#endif
	const char *name;
};
__attribute__((noinline)) int f(struct conn *c)
{
#ifdef AFTER
	return c->kind + c->flags;
#else
	return c->kind;
#endif
}
void probe(int n) { static struct conn c; c.kind = (char)n; printf("%d\n", f(&c)); }
