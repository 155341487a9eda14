/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A template is changed: so is each of its instances. */
// expect: changed _ZN3BoxIiE5twiceEv; changed _ZN3BoxIlE5twiceEv
// run: 1 2 | 3 4
#include <stdio.h>
template <typename T> struct Box {
	T value;
	__attribute__((noinline, noipa)) T twice()
	{
#ifdef AFTER
		return value * 2;
#else
		return value + 2;
#endif
	}
};
extern "C" __attribute__((noinline)) void probe(int n)
{
	Box<int> a = { n };
	Box<long> b = { n + 1 };

	printf("%d %ld\n", a.twice(), b.twice());
}
