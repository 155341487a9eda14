/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parameters gcc has changed stay the same: only the clone is another. */
// expect: changed use.*
// run: 1 2 | 3 4
#include <stdio.h>
struct pair { int a, b, c; };
static volatile int seen;
__attribute__((noinline)) static int use(const struct pair *p, int n)
{
	int a = p->a;

	for (int i = 0; i < n; i++)
		seen += a;
#ifdef AFTER
	return seen * 5;
#else
	return seen + 3;
#endif
}
__attribute__((noinline)) int one(struct pair *p, int n) { p->c++; return use(p, n); }
__attribute__((noinline)) int two(struct pair *p, int n) { return use(p, n + 1) - p->c; }
void probe(int n)
{
	struct pair p = { n, n * 2, 3 };

	printf("%d %d\n", one(&p, n), two(&p, n));
}
