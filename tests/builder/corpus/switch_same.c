/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The entries of one table change places: nothing but the table differs. */
// expect[gcc,O2,O3]: changed pick
// also: pick
// run: 0 1 2 | 0 1 2 3 4 5 6
// may-refuse[O0]: an indirect jump that is not understood
#include <stdio.h>
__attribute__((noinline)) void pick(int n)
{
	switch (n) {
#ifdef AFTER
	case 1: puts("a"); break;
	case 0: puts("b"); break;
#else
	case 0: puts("a"); break;
	case 1: puts("b"); break;
#endif
	case 2: puts("c"); break;
	case 3: puts("d"); break;
	case 4: puts("e"); break;
	case 5: puts("f"); break;
	default: puts("?"); break;
	}
}
void probe(int n) { pick(n); }
