/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A job under work: what job.c (rounds) and work.c (one member) share. Private to these. */
#ifndef UG_JOB_JOB_H
#define UG_JOB_JOB_H

#include "base/vec.h"
#include "job/scope.h"

enum ug_todo {
	UG_TODO_NOTHING,
	UG_TODO_TRY,		/* not tried yet, or not successfully, and it may yet be */
	UG_TODO_DRIVE,		/* its transition runs */
};

/* Beside each member. */
struct ug_progress_of {
	struct ug_found found;
	enum ug_todo todo;
	bool begun;		/* a transition that we began, or drive: what is done is done by us */
	bool calm;		/* nothing was to be done: it brings no further round */
	uint64_t good_since;	/* ticks since boot: it is as wanted from then on; 0: it is not */
	uint64_t deadline_ns;	/* of its transition, from its first try on */
};

struct ug_work {
	const struct ug_job *job;
	struct ug_opts opts;		/* the caller's, with a timeout */
	UG_VEC(struct ug_progress_of) state;
	UG_VEC(struct ug_member) members;	/* the same indexes */
	unsigned int rounds;
	uint64_t until_ns;		/* no round begins later; 0: the first is not over */
};

/* Try, or drive, or give up member `i`; sets its result and what is to be done next. */
void ug_work_on(struct ug_work *w, size_t i);

/* All of it, of an atomic job: fills w->members. */
int ug_work_atomic(struct ug_work *w, struct ug_error *err) ug_must_check;

bool ug_work_cancelled(const struct ug_work *w);

/* Of the transition of one member, and how long new ones are looked for. */
uint64_t ug_work_timeout_ns(const struct ug_work *w);

#endif
