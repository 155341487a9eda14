// SPDX-License-Identifier: GPL-2.0-or-later
#include <ugraft/patch.h>

#define FUNC(n)                                                                                    \
	int new_func_##n(int x)                                                                    \
	{                                                                                          \
		return x > n ? new_func_##n(x - 1) + n + 1 : x * (n + 5);                          \
	}                                                                                          \
	UG_FUNC(UG_EXE, func_##n, new_func_##n);

UG_PATCH(bench-load-20, .description = "twenty functions");
FUNC(0) FUNC(1) FUNC(2) FUNC(3) FUNC(4) FUNC(5) FUNC(6) FUNC(7) FUNC(8) FUNC(9)
FUNC(10) FUNC(11) FUNC(12) FUNC(13) FUNC(14) FUNC(15) FUNC(16) FUNC(17) FUNC(18) FUNC(19)
