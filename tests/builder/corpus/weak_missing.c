/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A weak function that is not there stays so. */
// expect: changed f
// run: 1 | 1 2
#include <stdio.h>
__attribute__((weak)) int not_there(int n);
__attribute__((noinline)) int f(int n)
{
	int r = not_there ? not_there(n) : 5;
#ifdef AFTER
	return r + 1;
#else
	return r;
#endif
}
void probe(int n) { printf("%d %d\n", f(n), n); }
