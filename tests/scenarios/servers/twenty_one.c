/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ugraft/patch.h>

#include "../../victims/twenty.h"

int new_extra(int x)
{
	return x + EXTRA_NEW;
}

UG_PATCH(twenty-one, .description = "extra() only");
UG_FUNC(UG_EXE, extra, new_extra);
