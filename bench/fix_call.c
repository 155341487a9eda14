// SPDX-License-Identifier: GPL-2.0-or-later
#include <ugraft/patch.h>

void stay(int first);

/* The work of the old one, so that the difference is the way there. */
__attribute__((aligned(64))) int new_leaf(int x)
{
	return (x ^ 0x12345678) + 1;
}

int new_outer(int first)
{
	stay(first);
	return 2;
}

UG_PATCH(bench-call, .description = "the same leaf, and a function threads sit in");
UG_FUNC(UG_EXE, leaf, new_leaf);
UG_FUNC(UG_EXE, outer, new_outer);
