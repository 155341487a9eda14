/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The outcome of a verb for each of several targets, their summary, and the exit code.
 *
 *	state		exit	meaning
 *	applied		0	done now
 *	already		0	it was so
 *	not-applicable	3	the process has nothing this is for
 *	pending		4	goes on without us (--on-timeout=keep)
 *	refused		5	by a safety rule
 *	failed		1 4 6	anything else; "not in time, reversed" (4) and permission (6) too
 *	gone		3	the process ended meanwhile
 *
 * Of targets found by a pattern those that are gone or not applicable do not count against
 * success. Different exit codes among the others: UG_EXIT_PARTIAL.
 */
#ifndef UG_CLI_RESULT_H
#define UG_CLI_RESULT_H

#include <jansson.h>

#include "progress.h"
#include "targets.h"
#include "ugraft/job.h"

struct result {
	struct target target;
	enum ug_result state;
	int exit_code;
	unsigned int round;		/* of a job: the look that found it; else 0 */
	struct ug_report report;	/* when state is APPLIED, ALREADY or PENDING */
	struct ug_error err;		/* otherwise */
	struct ug_progress blockers;	/* the last ones seen, when not completed */
};

struct results {
	struct result *v;
	size_t n;
	unsigned int count[UG_RESULTS];
};

/* Sort a call's return value into a state and exit code; adds to the list. */
struct result *results_add(struct results *r, const struct target *target, int rc,
			   const struct ug_report *report, const struct ug_error *err,
			   const struct progress *progress);
/* The same for a member of a job, which was found, not named. */
void results_add_member(struct results *r, const struct ug_member *member);
void results_free(struct results *r);

int results_exit(const struct results *r);
json_t *results_json(const struct results *r);		/* the list */
json_t *results_summary_json(const struct results *r);

json_t *blockers_json(const struct ug_blocker *v, size_t n);

/* "3 targets: 2 applied, 1 gone"; to be freed. */
char *results_summary(const struct results *r);

#endif
