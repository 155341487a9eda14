/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Thread-local variables, global and static, that exist. */
// expect: changed f
// run: 1 2 | 3 4
#include <stdio.h>
__thread int visible = 3;
static __thread int hidden = 4;
__attribute__((noinline)) int f(int n)
{
	visible += n;
	hidden += visible;
#ifdef AFTER
	return hidden * 2;
#else
	return hidden;
#endif
}
void probe(int n) { printf("%d %d\n", f(n), visible); }
