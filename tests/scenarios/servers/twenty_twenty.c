/* SPDX-License-Identifier: GPL-2.0-or-later */
/* all() and its nineteen steps, which must not be mixed. */
#include <ugraft/patch.h>

#include "../../victims/twenty.h"

int new_all(int x)
{
#define CALL(i_) x = step_##i_(x);
	STEPS(CALL)
	return x;
}

UG_PATCH(twenty-twenty, .description = "all() and its steps");
UG_FUNC(UG_EXE, all, new_all);

#define NEW_STEP(i_)                                                                               \
	int new_step_##i_(int x)                                                                   \
	{                                                                                          \
		return x + NEW * (i_);                                                             \
	}                                                                                          \
	UG_FUNC(UG_EXE, step_##i_, new_step_##i_);
STEPS(NEW_STEP)
