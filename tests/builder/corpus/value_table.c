/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A switch that is a table of values (CSWTCH, switch.table): only a value differs. */
// expect: changed value
// run: 0 3 | 0 1 2 3 4 5
// may-refuse[O0]: an indirect jump that is not understood
#include <stdio.h>
__attribute__((noinline)) int value(int n)
{
	switch (n) {
	case 0: return 4;
	case 1: return 91;
	case 2: return 17;
#ifdef AFTER
	case 3: return 1000;
#else
	case 3: return 55;
#endif
	case 4: return 2;
	case 5: return 88;
	default: return 0;
	}
}
void probe(int n) { printf("%d\n", value(n)); }
