/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The initial value of a variable. */
// also: .*
// finding: DATA_CHANGED
#include <stdio.h>
#ifdef AFTER
int limit = 20;
#else
int limit = 10;
#endif
void probe(int n) { printf("%d\n", limit + n); }
