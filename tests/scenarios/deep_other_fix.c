/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other function of tests/victims/deep.c. */
#include <ugraft/patch.h>

int new_other(int n)
{
	return n;
}

UG_PATCH(deep-other);
UG_FUNC(UG_EXE, other, new_other);
