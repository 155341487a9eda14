/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new string before all others moves their offsets: no other function differs. */
// expect: changed first
// run: 1 | 1 2
#include <stdio.h>
__attribute__((noinline)) void first(int n)
{
#ifdef AFTER
	puts("a line that was not there");
#endif
	printf("first %d\n", n);
}
__attribute__((noinline)) void second(int n) { printf("second %d\n", n); }
__attribute__((noinline)) void third(int n) { printf("third %d\n", n + 1); }
void probe(int n) { first(n); second(n); third(n); }
