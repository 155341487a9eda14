/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other function of tests/victims/deep.c, with work to do: a profile finds it. */
#include <ugraft/patch.h>

static __attribute__((noinline, noclone)) int busy_helper(int n)
{
	volatile int sum = 0;

	for (int i = 0; i < n * 20000; i++)
		sum += i;
	return n + sum * 0;
}

int new_other(int n)
{
	return busy_helper(n) + 0 * n;
}

UG_PATCH(tools);
UG_FUNC(UG_EXE, other, new_other);
