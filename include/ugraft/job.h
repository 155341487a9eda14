/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many processes as one job: a server with its workers, a unit of systemd, a container.
 *
 * A *scope* says which processes are meant. A job finds them, does to each what the call of
 * ugraft.h of the same name does, and looks again until a look finds nobody that has to be
 * changed: processes that are born meanwhile belong to it (a forked child inherits patches, in
 * mid-transition also the transition, which is completed there, too), and so do programs that
 * a process of the job executes. Each process has one *result*; the results add up to the
 * number of processes found.
 *
 * Transitions of the processes run side by side: each is begun without waiting for its last
 * threads, then all are driven in turns. Nobody is stopped longer than by a call for one
 * process, and one process that does not get ready delays nobody else.
 */
#ifndef UGRAFT_JOB_H
#define UGRAFT_JOB_H

#include "ugraft/ugraft.h"

#ifdef __cplusplus
extern "C" {
#endif

enum ug_scope_kind {
	UG_SCOPE_PROCESS,	/* one process */
	UG_SCOPE_TREE,		/* a process and all its descendants; who was seen as one stays in
				 * the job, with its own descendants, when its parent has died */
	UG_SCOPE_CGROUP,	/* all processes in a control group or below it */
	UG_SCOPE_UNIT,		/* the same for a systemd unit */
};

struct ug_scope {
	enum ug_scope_kind kind;
	pid_t pid;		/* PROCESS, TREE */
	const char *name;	/* CGROUP: path as in /proc/PID/cgroup, from any hierarchy, v1 or v2;
				 * UNIT: name of the unit, without a suffix that of a service */
};

struct ug_found {
	pid_t pid;
	pid_t parent;
	uint64_t start_time;	/* clock ticks since boot: with pid, the process */
	uint64_t image;		/* differs when it runs another program (execve) */
	bool by_tree;		/* its descendants belong to the scope */
	bool ended;		/* a zombie; or named, and there is no such process */
	char comm[16];
};

/*
 * The processes of the scopes at this moment, each once, parents before those that were found
 * as their descendants. The calling process and threads of the kernel are not among them unless
 * they are named by pid. *ret is to be freed by free(3); none: 0, and *ret_n is 0.
 */
UG_API int ug_scope_find(const struct ug_scope *scopes, size_t n, struct ug_found **ret,
			 size_t *ret_n, struct ug_error *err);

enum ug_result {
	UG_RESULT_APPLIED,		/* done now */
	UG_RESULT_ALREADY,		/* it was so */
	UG_RESULT_NOT_APPLICABLE,	/* the process has nothing this is for */
	UG_RESULT_PENDING,		/* its transition goes on; ug_wait, or a job, completes it */
	UG_RESULT_REFUSED,		/* by a safety rule */
	UG_RESULT_FAILED,		/* anything else, also: not in time, and reversed */
	UG_RESULT_GONE,			/* the process has ended */
	UG_RESULTS
};

/* What a call of ugraft.h has returned, sorted. */
UG_API enum ug_result ug_result_of(int r, const struct ug_report *report);
/* "applied", ..., "not-applicable", ... */
UG_API const char *ug_result_name(enum ug_result result);

struct ug_member {
	pid_t pid;
	char comm[16];
	enum ug_result result;
	unsigned int round;		/* the look that found it, from 1 */
	struct ug_report report;	/* of everything that was done to it */
	struct ug_error err;		/* code 0 when it did not fail */
	struct ug_progress blockers;	/* last seen; nblockers 0 when it did not have to wait */
};

struct ug_members {
	size_t n;
	struct ug_member *v;
	unsigned int count[UG_RESULTS];	/* add up to n */
	unsigned int rounds;
	/* A last look found nobody left to be changed. False: time was up, or it was cancelled. */
	bool settled;
};

enum ug_job_verb {
	UG_JOB_LOAD,
	UG_JOB_UNLOAD,
	UG_JOB_WAIT,
	UG_JOB_REVERSE,
	UG_JOB_FORCE,
	UG_JOB_RECOVER,
};

struct ug_job {
	size_t sz;			/* sizeof(struct ug_job): what the caller knows of it */
	enum ug_job_verb verb;
	const char *what;		/* load: file; unload: patch; wait, reverse, force: patch or NULL */
	const struct ug_scope *scopes;
	size_t nscopes;
	/* May be NULL. timeout_ms is each transition's; when it is over, a process that is not ready
	 * goes back alone (or goes on: UG_OPT_KEEP_ON_TIMEOUT), the others stay as they are. */
	const struct ug_opts *opts;
	/* May be NULL; called with opts->ctx whenever a member has a result, or another one. */
	void (*told)(const struct ug_member *member, void *ctx);
	/*
	 * Load and unload: the processes must agree, because they share memory. All are changed in
	 * one moment in which all are stopped, or none is. Refused or not ready in time: one that
	 * was named by its pid and has nothing this is for, too; those which could have been
	 * changed then have -UG_E_GROUP. opts->max_pause_us is for the stop of all of them; 0: as
	 * long as each might be stopped alone, together. See docs/groups.md for what is not promised.
	 */
	bool atomic;
};

/*
 * Do it. 0: *ret says what became of each, also when all have failed; to be freed by
 * ug_members_free. Negative: nothing was done, to nobody (-ESRCH: the scopes are empty); of an
 * atomic one also -UG_E_WORKER: then it may have been done, to all or to nobody, and err says so.
 */
UG_API int ug_job_run(const struct ug_job *job, struct ug_members **ret, struct ug_error *err);
UG_API void ug_members_free(struct ug_members *members);

#ifdef __cplusplus
}
#endif

#endif
