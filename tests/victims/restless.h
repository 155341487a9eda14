/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tests/victims/restless.c and its test share, in a file mapped by both. */
#ifndef UG_TESTS_RESTLESS_H
#define UG_TESTS_RESTLESS_H

#include <stdatomic.h>

#define RESTLESS_PROCESSES 50
#define RESTLESS_THREADS 50

struct restless_shared {
	_Atomic int calm;		/* set by the test: stop it, and only show that you live */
	atomic_ulong beats, rounds;	/* signs of life; what the kind does */
	atomic_ulong wrong;		/* something failed that should not */
	_Atomic int value;		/* what answer() says */
	_Atomic int pids[RESTLESS_PROCESSES];
};

#endif
