/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A constant in the middle of an enumeration. */
// also: .*
// finding: ENUM
#include <stdio.h>
#ifdef AFTER
enum state { IDLE, WAITING, BUSY, DONE };
#else
enum state { IDLE, BUSY, DONE };
#endif
static volatile enum state now;
__attribute__((noinline)) int f(int n) { now = n ? BUSY : DONE; return now == BUSY; }
void probe(int n) { printf("%d\n", f(n)); }
