/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A changed constructor. */
// also: .*
// finding: STARTUP
#include <stdio.h>
static volatile int ready;
__attribute__((constructor)) static void start(void)
{
#ifdef AFTER
	ready = 2;
#else
	ready = 1;
#endif
}
void probe(int n) { printf("%d\n", ready + n); }
