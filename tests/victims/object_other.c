// SPDX-License-Identifier: GPL-2.0-or-later
/* The second function of a name that object_victim.c has too. */
#include "object_victim.h"

static __attribute__((noinline)) int twice(int x)
{
	__asm__ volatile("" : "+r"(x));
	return 2 * x + 1;
}

int other_twice(int x)
{
	return twice(x) + 1;
}

unsigned long other_twice_addr(void)
{
	return (unsigned long)&twice;
}
