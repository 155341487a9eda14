/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One change for several processes that must agree (they share memory, and speak a protocol
 * through it): all of them are changed in one moment in which all are stopped, or none is.
 *
 *	lock	all members, in the order of their pids
 *	record	each member's transition is recorded, and carries the intent: the group, its members
 *	hold	all are stopped at once; no thread of any is inside the old functions
 *	arm	all entries go to the gates, word ALL: nothing has changed yet
 *	commit	one store of the word in each. The first one decides.
 *	finish	in the same stop
 *	forget	when all are at their end the intents go
 *
 * A controller that dies leaves intents behind. Whoever begins a session with any member settles
 * the group first, holding the locks of all that live: forward when one of them has committed,
 * else back. (model/group.pml; docs/groups.md)
 *
 * group.c does it, group_settle.c is for what was left.
 */
#ifndef UG_ENGINE_GROUP_H
#define UG_ENGINE_GROUP_H

#include "engine/operation.h"

/* Each is open with a dozen files, and all are stopped at once. */
#define UG_GROUP_MAX 512

/* Recorded with a transition (struct ug_target.intent). */
struct ug_intent {
	uint64_t group;			/* a number of its own */
	uint64_t pid_ns;		/* the pid namespace in which the pids mean something */
	struct ug_reg_member *v;
	uint32_t n;
};

struct ug_group_member {
	pid_t pid;
	uint64_t start_time;	/* of the process that is meant; 0: whoever has the pid */
	bool optional;		/* found, not named: it may have gone, or have nothing this is for */
	int r;			/* as of the call for it alone; -UG_E_GROUP: because of another one */
	struct ug_report report;
	struct ug_error err;
};

struct ug_group_change {
	bool loading;
	const char *what;		/* file; unload: name of the patch */
	struct ug_group_member *v;	/* in memory that a forked child shares (MAP_SHARED) */
	size_t n;
	/* Called in the worker, all members stopped: is nobody missing? May be NULL. */
	bool (*complete)(void *ctx);
	void *ctx;
};

/*
 * Do it, in a worker. 0: each member has its result. -ERESTART: somebody was missing; nothing
 * was changed. -UG_E_WORKER: the worker died, and what it left has been settled, as far as that
 * could be done (err says so). Another negative: nothing was changed. Members have no results then.
 */
int ug_group_run(struct ug_group_change *change, const struct ug_opts *opts,
		 struct ug_error *err) ug_must_check;

/*
 * Bring the group to its end whose intent t carries. Closes t: the locks of all members that live
 * are taken in the order of their pids, so that of several who try one gets them. Adds to *ret_n
 * what was finished or rolled back. -UG_E_LOCKED when somebody is at work on a member.
 */
int ug_group_settle(struct ug_target *t, const struct ug_operation *op, unsigned int *ret_n,
		    struct ug_error *err) ug_must_check;

/*
 * The steps of it for one member: complete or take back its transition (1: there was something to
 * be done), and, when all members are at their end, take its intent away.
 */
int ug_group_end(struct ug_target *t, uint64_t group, bool forward, struct ug_error *err) ug_must_check;
int ug_group_forget(struct ug_target *t, uint64_t group, struct ug_error *err) ug_must_check;

/* Of the pid namespace that we see; 0 when that cannot be known. */
uint64_t ug_group_pid_ns(void);

#endif
