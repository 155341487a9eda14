/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other version of answer() of tests/victims/quiet.c. */
#include <ugraft/patch.h>

int new_answer(int x);

int new_answer(int x)
{
	return x + 1041;
}

UG_PATCH(quiet-fix, .description = "another answer");
UG_FUNC(UG_EXE, answer, new_answer);
