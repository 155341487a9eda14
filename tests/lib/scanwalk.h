/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two tiers of the stack check against each other, on a program that nobody here wrote:
 * every frame that strict unwinding finds must be a hit of the conservative scan for the
 * function it is in. A miss would be a thread called safe in a function it returns to.
 */
#ifndef UG_TESTS_SCANWALK_H
#define UG_TESTS_SCANWALK_H

#include <sys/types.h>

struct scanwalk {
	unsigned long samples;		/* stopped threads that were looked at */
	unsigned long frames;		/* of those that could be unwound */
	unsigned long unreliable;	/* samples that could not; no verdict, so nothing to miss */
	unsigned long missed;		/* frames that the scan did not see */
	char why[160];			/* of the first that could not be unwound */
	char what[160];			/* the first that was missed, or what went wrong */
};

/*
 * Stop the whole process again and again until that many threads have been looked at, in a child
 * of ours. -1: it could not go on, `what` says why.
 */
int scanwalk_run(pid_t pid, unsigned long samples, struct scanwalk *ret);

#endif
