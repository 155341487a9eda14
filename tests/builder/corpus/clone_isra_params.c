/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gcc passes the fields in place of the structure; after the change another one: the clone has other parameters. */
// expect: changed (use|use.isra.0|one|two)
// also: use|use.isra.0|one|two|probe
// run: 1 2 | 3 4
#include <stdio.h>
struct pair { int a, b, c; };
static volatile int seen;
__attribute__((noinline)) static int use(const struct pair *p, int n)
{
#ifdef AFTER
	int a = p->a + p->b;
#else
	int a = p->a;
#endif
	int sum = 0;

	for (int i = 0; i < n; i++)
		sum += a ^ seen;
	return sum * 3;
}
__attribute__((noinline)) int one(struct pair *p, int n) { p->c++; return use(p, n); }
__attribute__((noinline)) int two(struct pair *p, int n) { return use(p, n + 1) - p->c; }
void probe(int n)
{
	struct pair p = { n, n * 2, 3 };

	printf("%d %d\n", one(&p, n), two(&p, n));
}
