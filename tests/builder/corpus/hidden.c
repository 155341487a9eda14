/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hidden symbols are global in the object, but local ones of no file in the program. */
// expect: changed work
// run: 1 2 | 3 4
#include <stdio.h>
#define HIDDEN __attribute__((visibility("hidden"), noinline, noipa))
__attribute__((visibility("hidden"))) int total = 5;
HIDDEN int add(int n) { return total + n; }
#ifdef AFTER
HIDDEN int work(int n) { return add(n + 1000) * 3; }
#else
HIDDEN int work(int n) { return add(n) * 2; }
#endif
void probe(int n) { printf("%d %d\n", work(n), total); }
