/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The initial value of a thread-local variable. */
// also: .*
// finding: TLS_CHANGED
#include <stdio.h>
#ifdef AFTER
__thread int mine = 2;
#else
__thread int mine = 1;
#endif
__attribute__((noinline)) int f(int n) { return mine += n; }
void probe(int n) { printf("%d\n", f(n)); }
