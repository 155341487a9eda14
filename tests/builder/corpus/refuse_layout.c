/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A field in the middle of a structure. */
// also: .*
// finding: LAYOUT struct conn: field deadline is new
// finding: DATA_SIZE
#include <stdio.h>
struct conn {
	int fd;
#ifdef AFTER
	long deadline;
#endif
	const char *name;
};
static struct conn *last;
__attribute__((noinline)) const char *f(struct conn *c) { last = c; return c->name; }
void probe(int n) { static struct conn c = { .fd = 1, .name = "x" }; c.fd += n; printf("%s\n", f(&c)); }
