/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A function of libc the program has not used before. */
// expect: changed f
// also: probe
// run: 1 | 7 12
#include <stdio.h>
#include <stdlib.h>
__attribute__((noinline)) int f(int n)
{
#ifdef AFTER
	return (int)labs(-(long)n) + abs(n) + (int)strtol("41", NULL, 10);
#else
	return n;
#endif
}
void probe(int n) { printf("%d\n", f(n)); fprintf(stderr, "%s", ""); }
