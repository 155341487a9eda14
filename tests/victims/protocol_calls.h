/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tests/scenarios/protocol_fix.c replaces, and may find here: f and g, of one version in each
 * call or the call is mixed; park_here is the victim's own. Included once in a program. Nothing is
 * static: a patch must find it, and callers must not see through it.
 */
#ifndef UG_TESTS_PROTOCOL_CALLS_H
#define UG_TESTS_PROTOCOL_CALLS_H

#include <stdatomic.h>

#define OLD 1
#define NEW 2

void park_here(void);
int g(int x);
int f(int park);

atomic_ulong mixed;

__attribute__((noipa)) int g(int x)
{
	return x + OLD;
}

__attribute__((noipa)) int f(int park)
{
	int before = g(0), after;

	if (park)
		park_here();
	after = g(0);
	if (before != OLD || after != OLD)
		atomic_fetch_add(&mixed, 1);
	return OLD;
}

#endif
