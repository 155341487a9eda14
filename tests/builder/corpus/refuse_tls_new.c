/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new thread-local variable. */
// also: .*
// finding: TLS_NEW
#include <stdio.h>
#ifdef AFTER
static __thread int mine;
#endif
__attribute__((noinline)) int f(int n)
{
#ifdef AFTER
	return mine += n;
#else
	return n;
#endif
}
void probe(int n) { printf("%d\n", f(n)); }
