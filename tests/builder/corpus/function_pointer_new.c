/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pointer to a new function goes into live data. */
// expect: changed install; new fancy
// also: probe|plain|handler
// run: 1 | 1 2
#include <stdio.h>
static int (*handler)(int);
__attribute__((noinline)) static int plain(int n) { return n; }
#ifdef AFTER
__attribute__((noinline)) static int fancy(int n) { return n + 1000; }
#endif
__attribute__((noinline)) void install(int n)
{
#ifdef AFTER
	handler = n & 1 ? fancy : plain;
#else
	handler = plain;
#endif
}
void probe(int n) { install(n); printf("%d\n", handler(n)); }
