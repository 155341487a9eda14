/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Version 2 of tests/victims/displaced.cc. */
#include <ugraft/patch.h>

int below(int what, int version);

int new_through(int what)
{
	volatile int copy = what;

	/* Not its last call by a jump: it is to stay on the stack. */
	copy = below(copy, 2);
	return copy;
}

UG_PATCH(displaced-fix, .unloadable = 1);
UG_FUNC(UG_EXE, through, new_through);
