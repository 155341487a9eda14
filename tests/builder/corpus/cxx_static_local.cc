/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A static local variable of an inline function, made at its first use: it stays the one there is. */
// expect: changed _Z4nexti
// run: 1 2 | 3 4
#include <stdio.h>
struct Counter {
	int n;
	Counter() : n(100) { puts("made"); }
};
__attribute__((noinline)) inline int next(int by)
{
	static Counter counter;
	static int calls;
	calls++;
	counter.n += by;
#ifdef AFTER
	return counter.n * 2 + calls;
#else
	return counter.n + calls;
#endif
}
extern "C" __attribute__((noinline)) void probe(int n) { printf("%d\n", next(n)); }
