/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A function changes its binding, not its code. */
// expect: nothing
#include <stdio.h>
#ifdef AFTER
__attribute__((noinline)) int f(int n);
#define BIND __attribute__((visibility("hidden")))
#else
#define BIND
#endif
BIND __attribute__((noinline, noipa)) int f(int n) { return n * 3; }
void probe(int n) { printf("%d\n", n); }
