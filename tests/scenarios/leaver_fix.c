/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests/victims/leaver.c. */
#include <ugraft/patch.h>

static long new_work(long ms)
{
	return ms;
}

UG_PATCH(leaver-fix, .description = "no work");
UG_FUNC(UG_EXE, work, new_work);
