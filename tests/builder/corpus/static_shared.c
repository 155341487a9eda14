/* SPDX-License-Identifier: GPL-2.0-or-later */
/* File-scope statics, constant tables and a new one: the live ones are used, the new comes along. */
// expect: changed f; new added; new fresh
// also: probe
// run: 1 2 3 | 4 5
#include <stdio.h>
static int total;
static int seen[4];
static const int weight[4] = { 3, 5, 7, 11 };
#ifdef AFTER
static int fresh = 40;
__attribute__((noinline)) static int added(int n) { return fresh += n; }
#endif
__attribute__((noinline)) void f(int n)
{
	seen[n & 3]++;
	total += n * weight[n & 3];
#ifdef AFTER
	printf("added %d\n", added(n) > 40);
#endif
}
void probe(int n) { f(n); printf("%d %d\n", total, seen[n & 3]); }
