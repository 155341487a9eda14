/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A function that calls itself, and two that call each other. */
// expect: changed fact; changed even
// run: 3 | 3 4 5
#include <stdio.h>
int odd(int n);
__attribute__((noinline)) int fact(int n)
{
#ifdef AFTER
	return n < 2 ? 2 : n * fact(n - 1) + 1;
#else
	return n < 2 ? 1 : n * fact(n - 1) + 1;
#endif
}
__attribute__((noinline)) int even(int n)
{
#ifdef AFTER
	return n <= 0 ? 10 : odd(n - 1) + 1;
#else
	return n <= 0 ? 1 : odd(n - 1) + 1;
#endif
}
__attribute__((noinline)) int odd(int n) { return n <= 0 ? 0 : even(n - 1) + 2; }
void probe(int n) { printf("%d %d\n", fact(n), even(n)); }
