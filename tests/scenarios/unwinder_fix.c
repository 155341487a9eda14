/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Version 2 of tests/victims/unwinder.cc: what it calls is unwound through two frames of it. */
#include <ugraft/patch.h>

int below(int what, int version);

static __attribute__((noinline, noclone)) int helper(volatile int *what)
{
	return below(*what, 2) + *what * 0;
}

int new_through(int what)
{
	volatile int copy = what;

	return helper(&copy) + copy * 0;
}

UG_PATCH(unwinder-2, .unloadable = 1);
UG_FUNC(UG_EXE, through, new_through);
