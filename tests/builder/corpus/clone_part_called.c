/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gcc splits work() and puts its test into the callers, which call work.part.0. */
// expect[clang]: changed work
// expect[gcc,O0]: changed work
// expect[gcc,O2,O3,Os]: changed work.part.0
// run: 1 2 | 3 4 0
#include <stdio.h>
static int seen;
__attribute__((noinline, noipa)) static int step(int n) { return n + ++seen; }
#ifdef AFTER
#define LAST 11
#else
#define LAST 7
#endif
static int work(const int *p)
{
	int sum = 0;

	if (!p)
		return 0;
	for (int i = 0; i < *p; i++)
		sum += step(i) * step(i + 1) - step(i + 2) + step(step(i)) * step(*p - i) + step(i * 3);
	return sum + step(*p) + step(*p + 1) * step(*p + 2) + step(LAST) + step(12) + step(13) + step(14);
}
__attribute__((noinline)) int first(const int *p) { return work(p) + 1; }
__attribute__((noinline)) int second(const int *p) { seen++; return work(p) * 3; }
void probe(int n) { printf("%d %d %d\n", first(&n), second(&n), first(n ? &n : NULL)); }
