/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the verbs that change processes share: verb_change.c, and change_job.c for jobs. */
#ifndef UG_CLI_CHANGE_H
#define UG_CLI_CHANGE_H

#include "result.h"
#include "targets.h"

struct change {
	const char *operand;		/* patch file or patch name; NULL: none */
	const char *done;		/* "loaded", ... */
	bool things;			/* recover: it counts what it finished, not functions */
	const char *already;
	target_filter filter;		/* what `all` means */
	const char *none;		/* said when that is nobody; NULL: then there is nothing to do */
	enum ug_job_verb verb;		/* the same for many processes as one job */
	int (*call)(pid_t pid, const char *operand, const struct ug_opts *opts,
		    struct ug_report *report, struct ug_error *err);
};

/* Set by the handler, read by the library: back out, then return. A second signal kills. */
extern volatile int change_cancelled;

/* ug_log_fn; ctx is struct progress. */
void change_log(int level, const char *line, void *ctx);

/*
 * Do it to all processes of the targets' scopes as one job, and print the table of what became
 * of each (unless a document is wanted). 0, also when some or all failed; *ret_settled as
 * ug_members.settled. Negative: nothing was done, *err says why.
 */
int change_job(const struct cli *cli, const struct change *change, const struct targets *targets,
	       struct results *results, bool *ret_settled, struct ug_error *err);

#endif
