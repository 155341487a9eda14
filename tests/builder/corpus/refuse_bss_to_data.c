/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Zero before, something else now: from .bss to .data. */
// also: .*
// finding: DATA_CHANGED
#include <stdio.h>
#ifdef AFTER
int start = 7;
#else
int start;
#endif
__attribute__((noinline)) int f(int n) { return start += n; }
void probe(int n) { printf("%d\n", f(n)); }
