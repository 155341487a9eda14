/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From PROC arguments (PID, name:GLOB, exe:PATH, unit:NAME, cgroup:PATH, all) to processes: those
 * that are there now, and the scopes by which a job finds those that come later.
 */
#ifndef UG_CLI_TARGETS_H
#define UG_CLI_TARGETS_H

#include "cli.h"
#include "ugraft/job.h"

struct target {
	pid_t pid;
	char comm[16];
	bool named;		/* by its PID: then "gone" and "does not apply" are answers, not noise */
};

struct targets {
	struct target *v;
	size_t n;
	struct ug_scope *scopes;
	size_t nscopes;
	bool tree;		/* set by the caller: --tree, descendants too */
	bool as_job;		/* set by the caller; or processes may come: --tree, unit: or cgroup: */
	size_t unreadable;	/* candidates of `all` that could not be looked at */
};

/* Does `all` mean this process? 1, 0, or negative: cannot tell. */
typedef int (*target_filter)(pid_t pid, const void *ctx);

/*
 * *ret zeroed, but for `tree`. Each process once, in the order of the arguments. No match at all is an error
 * (UG_EXIT_ABSENT) unless only `all` was asked for. Returns 0 or negative with *err set.
 */
int targets_resolve(struct targets *ret, char **args, int nargs, target_filter filter,
		    const void *ctx, struct ug_error *err);
/* "812 redis-server", to be freed; only the pid when the process had no name left. */
char *target_label(const struct cli *cli, const struct target *target);
void targets_free(struct targets *targets);

/* Filters: has the process a registry; a transition that runs; a patch named ctx; an object
 * the file ctx is for? */
int target_is_patched(pid_t pid, const void *ctx);
int target_in_transition(pid_t pid, const void *ctx);
int target_has_patch(pid_t pid, const void *ctx);
int target_is_applicable(pid_t pid, const void *ctx);

#endif
