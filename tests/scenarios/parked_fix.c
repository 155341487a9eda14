/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other version of tests/victims/parked.c, and of parked_coroutine.c, which has no split. */
#include <ugraft/patch.h>

#define NEW 2

extern unsigned long mixed;
int version(void);

int new_version(void)
{
	return NEW;
}

int new_target(void (*next)(void))
{
	int before = version(), after;

	next();
	after = version();
	if (before != NEW || after != NEW)
		__atomic_fetch_add(&mixed, 1, __ATOMIC_SEQ_CST);
	return NEW;
}

#ifndef NO_SPLIT
__attribute__((cold)) void park_cold(void);

int new_split(int park)
{
	int before = version(), after;

	if (__builtin_expect(park, 0)) {
		park_cold();
		before += (int)(__atomic_load_n(&mixed, __ATOMIC_SEQ_CST) >> 31 >> 31);
	}
	after = version();
	if (before != NEW || after != NEW)
		__atomic_fetch_add(&mixed, 1, __ATOMIC_SEQ_CST);
	return NEW;
}

UG_FUNC(UG_EXE, split, new_split);
#endif

UG_PATCH(parked-fix, .description = "the functions threads are parked in");
UG_FUNC(UG_EXE, target, new_target);
UG_FUNC(UG_EXE, version, new_version);
