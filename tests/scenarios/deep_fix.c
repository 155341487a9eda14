/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Versions of tests/victims/deep.c: target waits some frames deep in the patch. */
#include <stdint.h>
#include <ugraft/patch.h>

#define KEEP __attribute__((noinline, noclone, noipa))

void wait_inside(void);
void note(void);
void plant(uintptr_t *words, unsigned long n);

static KEEP int deep3(volatile int *sum)
{
	wait_inside();
	return *sum;
}

static KEEP int deep2(volatile int *sum, uintptr_t *words)
{
	volatile int more[20];

	plant(words, 40);
	more[3] = *sum;
	more[7] = deep3(&more[3]);
	return more[7];
}

static KEEP int deep1(int n)
{
	uintptr_t words[40];
	volatile int sum = n;

	return deep2(&sum, words);
}

int new_target(void)
{
	note();
	return deep1(VERSION);
}

#if VERSION == 1
UG_PATCH(deep-1);
#else
UG_PATCH(deep-2, .replace = 1);
#endif
UG_FUNC(UG_EXE, target, new_target);
