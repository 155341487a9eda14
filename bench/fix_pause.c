// SPDX-License-Identifier: GPL-2.0-or-later
#include <ugraft/patch.h>

int new_patched(int x)
{
	return (x ^ 0x12345678) * 5;
}

UG_PATCH(bench-pause, .description = "one function nobody executes");
UG_FUNC(UG_EXE, patched, new_patched);
