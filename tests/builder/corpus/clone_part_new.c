/* SPDX-License-Identifier: GPL-2.0-or-later */
/* work.part.0 comes with the change. */
// expect: changed (work|first|second)
// also: work|work.part.0|first|second
// run: 1 2 | 3 4 0
#include <stdio.h>
static int seen;
__attribute__((noinline, noipa)) static int step(int n) { return n + ++seen; }
#ifndef AFTER
__attribute__((noinline, noclone, noipa))
#endif
static int work(const int *p)
{
	int sum = 0;

	if (!p)
		return 0;
	for (int i = 0; i < *p; i++)
		sum += step(i) * step(i + 1) - step(i + 2) + step(step(i)) * step(*p - i) + step(i * 3);
#ifdef AFTER
	sum += 100;
#endif
	return sum + step(*p) + step(*p + 1) * step(*p + 2) + step(7) + step(12) + step(13) + step(14);
}
__attribute__((noinline)) int first(const int *p) { return work(p); }
__attribute__((noinline)) int second(const int *p) { seen++; return work(p); }
void probe(int n) { printf("%d %d %d\n", first(&n), second(&n), first(n ? &n : NULL)); }
