/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All callers pass the same constant, and another one after the change: no caller's code differs. */
// expect[gcc,O2,O3]: changed scale.constprop.0
// expect[gcc,O0]: changed one; changed two
// expect[gcc,Os]: changed scale.*
// expect[clang,O0]: changed one; changed two
// expect[clang,O2,O3,Os]: changed scale.*
// also[gcc,Os]: one|two
// run: 1 2 | 3 4
#include <stdio.h>
#ifdef AFTER
#define BY 7
#else
#define BY 5
#endif
static volatile int seen;
__attribute__((noinline)) static int scale(int n, int by)
{
	for (int i = 0; i < by; i++)
		n += (seen ^ i) * by;
	return n ^ by;
}
__attribute__((noinline)) int one(int n) { return scale(n, BY); }
__attribute__((noinline)) int two(int n) { return scale(n + 1, BY) * 2; }
void probe(int n) { printf("%d %d\n", one(n), two(n)); }
