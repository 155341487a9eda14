/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other version of answer() of tests/victims/blocked.c. */
#include <ugraft/patch.h>

void hold_here(void);
int new_answer(int wait);

int new_answer(int wait)
{
	if (wait)
		hold_here();
	return 1041;
}

UG_PATCH(blocked-fix, .description = "another answer");
UG_FUNC(UG_EXE, answer, new_answer);
