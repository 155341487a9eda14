/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A jump table grows by one entry. */
// expect: changed pick
// run: 0 1 2 6 | 0 1 2 3 4 5 6 7
// may-refuse[O0]: an indirect jump that is not understood
#include <stdio.h>
int ext(int n);
__attribute__((noinline)) int pick(int n)
{
	switch (n) {
	case 0: return ext(3);
	case 1: puts("one"); return 1;
	case 2: return ext(n) * 5;
	case 3: puts("three"); return 9;
	case 4: return ext(7) - 1;
	case 5: puts("five"); return 2;
#ifdef AFTER
	case 6: puts("six"); return ext(6);
#endif
	default: return -1;
	}
}
__attribute__((noinline)) int ext(int n) { return n * 3; }
void probe(int n) { printf("%d\n", pick(n)); }
