/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other version of f of tests/victims/family.c. */
#include <ugraft/patch.h>

#define NEW 2
#define PARK 1

void park_here(void);
int f(int how);

int new_f(int how)
{
	if (how == PARK)
		park_here();
	return NEW;
}

UG_PATCH(family-fix, .description = "f says 2");
UG_FUNC(UG_EXE, f, new_f);
