/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other version of the protocol of tests/victims/protocol.c. */
#include <ugraft/patch.h>

#define NEW 2

extern unsigned long mixed;
void park_here(void);
int g(int x);

int new_g(int x)
{
	return x + NEW;
}

int new_f(int park)
{
	int before = g(0), after;

	if (park)
		park_here();
	after = g(0);
	if (before != NEW || after != NEW)
		__atomic_fetch_add(&mixed, 1, __ATOMIC_SEQ_CST);
	return NEW;
}

UG_PATCH(protocol-fix, .description = "f and g of the other version");
UG_FUNC(UG_EXE, f, new_f);
UG_FUNC(UG_EXE, g, new_g);
