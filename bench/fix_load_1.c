// SPDX-License-Identifier: GPL-2.0-or-later
#include <ugraft/patch.h>

#define FUNC(n)                                                                                    \
	int new_func_##n(int x)                                                                    \
	{                                                                                          \
		return x > n ? new_func_##n(x - 1) + n + 1 : x * (n + 5);                          \
	}                                                                                          \
	UG_FUNC(UG_EXE, func_##n, new_func_##n);

UG_PATCH(bench-load-1, .description = "one function");
FUNC(0)
