/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table of labels belongs to its function. */
// expect: changed run
// run: 0 1 | 0 1 2
// may-refuse: an indirect jump that is not understood
#include <stdio.h>
__attribute__((noinline)) int run(int n)
{
	static const void *const labels[] = { &&zero, &&one, &&two };

	goto *labels[n % 3];
zero:
	puts("zero");
	return 1;
one:
#ifdef AFTER
	puts("ONE");
#else
	puts("one");
#endif
	return 2;
two:
	puts("two");
	return 3;
}
void probe(int n) { printf("%d\n", run(n)); }
