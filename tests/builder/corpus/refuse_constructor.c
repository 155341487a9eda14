/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new constructor. */
// also: .*
// finding: CONSTRUCTOR
#include <stdio.h>
static volatile int ready;
#ifdef AFTER
__attribute__((constructor)) static void start(void) { ready = 1; }
#endif
void probe(int n) { printf("%d\n", ready + n); }
