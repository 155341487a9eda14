/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests against servers have in common: a server under load, cycles of a patch,
 * and what must hold afterwards.
 */
#ifndef UG_TESTS_CAMPAIGN_H
#define UG_TESTS_CAMPAIGN_H

#include "lib/cycle.h"
#include "lib/load.h"
#include "lib/server.h"

#define CAMPAIGN_CYCLES 80	/* $UG_TEST_CYCLES: another number */

struct campaign {
	const char *name;			/* in the output */
	pid_t pid;				/* of the process to patch */
	int port;				/* where to ask */
	const char *patch;
	unsigned int flags;			/* enum ug_opt_flags */
	const struct load_request *probe;	/* answered differently by old and new code;
						 * NULL: this process shows no difference */
	const struct load *load;
};

/*
 * Run it; fails the cmocka test in progress unless every cycle left the process as it was,
 * every probe was answered by the code that should have, no request of the load failed, and
 * the process has not grown since the first cycle.
 */
void campaign_run(const struct campaign *c);

#endif
