// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One member of a job, one step. A step is a call of the API for one process that does not
 * wait: the first begins the transition, the next drive it on for a moment each, so that all
 * members get their turns.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "job/job.h"

/* A turn: long enough to prepare a load on a busy machine, short for those who wait. */
#define TRY_MS 2000
#define DRIVE_MS 100

/*
 * Somebody who shares the memory is as a rule the child of a vfork, before its execve. One
 * that stays has no more to be waited for.
 */
#define SHARER_NS UINT64_C(2000000000)

bool ug_work_cancelled(const struct ug_work *w)
{
	return w->opts.cancel && *w->opts.cancel;
}

/* ---- calls ---- */

static int call(const struct ug_work *w, pid_t pid, const struct ug_opts *opts,
		struct ug_report *report, struct ug_error *err)
{
	const char *what = w->job->what;

	switch (w->job->verb) {
	case UG_JOB_LOAD:
		return ug_load(pid, what, opts, report, err);
	case UG_JOB_UNLOAD:
		return ug_unload(pid, what, opts, report, err);
	case UG_JOB_WAIT:
		return ug_wait(pid, what, opts, report, err);
	case UG_JOB_REVERSE:
		return ug_reverse(pid, what, opts, report, err);
	case UG_JOB_FORCE:
		return ug_force(pid, what, opts, report, err);
	case UG_JOB_RECOVER:
		return ug_recover(pid, opts, report, err);
	}
	return ug_err(err, -EINVAL, "there is no such kind of job");
}

/* A reversal that runs is driven by waiting: to reverse once more would turn it round again. */
static int drive_call(const struct ug_work *w, pid_t pid, const struct ug_opts *opts,
		      struct ug_report *report, struct ug_error *err)
{
	int r;

	if (w->job->verb != UG_JOB_REVERSE && w->job->verb != UG_JOB_FORCE)
		return call(w, pid, opts, report, err);
	r = ug_wait(pid, NULL, opts, report, err);
	if (r == 0 && report->outcome == UG_ALREADY)
		report->outcome = UG_DONE;
	return r;
}

struct teller {
	const struct ug_work *w;
	struct ug_member *member;
};

static void keep_progress(const struct ug_progress *progress, void *ctx)
{
	const struct teller *t = ctx;

	t->member->blockers = *progress;
	if (t->w->opts.progress)
		t->w->opts.progress(progress, t->w->opts.ctx);
}

static void pass_log(int level, const char *line, void *ctx)
{
	const struct teller *t = ctx;

	if (t->w->opts.log)
		t->w->opts.log(level, line, t->w->opts.ctx);
}

static struct ug_opts turn_opts(const struct ug_work *w, struct teller *t, unsigned int ms)
{
	struct ug_opts opts = w->opts;

	opts.timeout_ms = ms;
	opts.log = pass_log;
	opts.progress = keep_progress;
	opts.ctx = t;
	return opts;
}

/* ---- reports of several calls make one ---- */

static void add_report(struct ug_report *sum, const struct ug_report *r)
{
	sum->outcome = r->outcome;
	if (r->patch[0])
		memcpy(sum->patch, r->patch, sizeof(sum->patch));
	if (r->functions)
		sum->functions = r->functions;
	if (r->threads && !sum->threads) {
		sum->threads = r->threads;
		sum->switched_at_once = r->switched_at_once;
	}
	sum->stops += r->stops;
	sum->attempts += r->attempts;
	sum->cured += r->cured;
	sum->short_transfers += r->short_transfers;
	if (r->max_pause_ns > sum->max_pause_ns)
		sum->max_pause_ns = r->max_pause_ns;
	sum->total_pause_ns += r->total_pause_ns;
	sum->wall_ns += r->wall_ns;
	sum->pinned_bytes = r->pinned_bytes;
	sum->recovered += r->recovered;
	sum->forced += r->forced;
}

/* ---- what a result means for the next round ---- */

static bool may_pass(int code, uint64_t tried_ns)
{
	switch (-code) {
	case UG_E_SHARED_MM:
		return tried_ns < SHARER_NS;
	case UG_E_VFORK:
	case UG_E_LOCKED:
	case UG_E_TRANSITION:
	case UG_E_UNSTOPPABLE:
	case UG_E_NO_THREAD:
	case UG_E_STACK_BUSY:
	case UG_E_STACK_UNRELIABLE:
		return true;
	}
	return false;
}

uint64_t ug_work_timeout_ns(const struct ug_work *w)
{
	return w->opts.timeout_ms * UINT64_C(1000000);
}

/* In the unit of start times. */
static uint64_t ticks_now(void)
{
	struct timespec ts;
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * hz + (uint64_t)ts.tv_nsec * hz / 1000000000;
}

static bool is_good(const struct ug_work *w, const struct ug_member *m)
{
	return m->result == UG_RESULT_APPLIED || m->result == UG_RESULT_ALREADY ||
	       (w->job->verb == UG_JOB_UNLOAD && m->err.code == -UG_E_NO_PATCH);
}

/*
 * Was it born of one that was as wanted already? Then so was it, with all that it may have left
 * behind, and that it has gone brings no further round: in a server with a process for each
 * connection there would be no last one.
 */
static bool born_good(const struct ug_work *w, const struct ug_found *f)
{
	for (size_t i = w->state.n; i-- > 0; )
		if (w->state.v[i].found.pid == f->parent)
			return w->state.v[i].good_since && f->start_time > w->state.v[i].good_since;
	return false;
}

/* What we began was completed by somebody else, or by our own drive: it is applied. */
static void credit(const struct ug_work *w, const struct ug_progress_of *st, struct ug_member *m)
{
	bool gone_patch = w->job->verb == UG_JOB_UNLOAD && m->err.code == -UG_E_NO_PATCH;

	if (!st->begun || (m->result != UG_RESULT_ALREADY && !gone_patch))
		return;
	m->result = UG_RESULT_APPLIED;
	m->report.outcome = UG_DONE;
	m->err.code = 0;
}

static void conclude(struct ug_work *w, size_t i, int r, const struct ug_report *report,
		     const struct ug_error *err)
{
	struct ug_progress_of *st = &w->state.v[i];
	struct ug_member *m = &w->members.v[i];
	uint64_t now = ug_now_ns();

	add_report(&m->report, report);
	m->err = r < 0 ? *err : (struct ug_error){ 0 };
	m->result = ug_result_of(r, report);
	credit(w, st, m);
	if (!is_good(w, m))
		st->good_since = 0;
	else if (!st->good_since)
		st->good_since = ticks_now();
	st->calm = m->result == UG_RESULT_ALREADY || m->result == UG_RESULT_NOT_APPLICABLE ||
		   (m->result == UG_RESULT_GONE && born_good(w, &st->found));
	st->todo = UG_TODO_NOTHING;
	if (m->result == UG_RESULT_PENDING) {
		m->err.code = 0;
		st->begun = true;
		st->todo = w->opts.flags & UG_OPT_NO_WAIT ? UG_TODO_NOTHING : UG_TODO_DRIVE;
	} else if (r < 0 && now < st->deadline_ns &&
		   may_pass(r, now + ug_work_timeout_ns(w) - st->deadline_ns)) {
		st->todo = UG_TODO_TRY;
	}
	/* Who waited for nothing in the end need not be told of. */
	if (m->result == UG_RESULT_APPLIED || m->result == UG_RESULT_ALREADY)
		m->blockers.nblockers = 0;
}

/* ---- steps ---- */

static void try_once(struct ug_work *w, size_t i)
{
	struct teller t = { w, &w->members.v[i] };
	struct ug_opts opts = turn_opts(w, &t, TRY_MS);
	struct ug_report report = { 0 };
	struct ug_error err = { 0 };
	int r;

	/* Without patience, too, at least one honest try. */
	if (w->opts.timeout_ms < TRY_MS)
		opts.timeout_ms = w->opts.timeout_ms;
	if (w->job->verb == UG_JOB_WAIT || w->job->verb == UG_JOB_RECOVER)
		opts.timeout_ms = DRIVE_MS;
	opts.flags |= UG_OPT_NO_WAIT;
	r = call(w, t.member->pid, &opts, &report, &err);
	conclude(w, i, r, &report, &err);
}

static void drive(struct ug_work *w, size_t i)
{
	struct teller t = { w, &w->members.v[i] };
	struct ug_opts opts = turn_opts(w, &t, DRIVE_MS);
	struct ug_report report = { 0 };
	struct ug_error err = { 0 };
	int r;

	opts.flags = (opts.flags & ~(unsigned int)UG_OPT_NO_WAIT) | UG_OPT_KEEP_ON_TIMEOUT;
	r = drive_call(w, t.member->pid, &opts, &report, &err);
	conclude(w, i, r, &report, &err);
}

/* Time is up for this one. Loads and unloads are taken back, unless the caller wants otherwise;
 * who was asked to wait has waited. */
static void give_up(struct ug_work *w, size_t i)
{
	struct ug_member *m = &w->members.v[i];
	struct teller t = { w, m };
	struct ug_opts opts = turn_opts(w, &t, w->opts.timeout_ms);
	struct ug_report report = { 0 };
	struct ug_error err = { 0 };
	bool cancelled = ug_work_cancelled(w);
	int r;

	w->state.v[i].todo = UG_TODO_NOTHING;
	if ((w->job->verb != UG_JOB_LOAD && w->job->verb != UG_JOB_UNLOAD) ||
	    (w->opts.flags & UG_OPT_KEEP_ON_TIMEOUT && !cancelled))
		return;
	opts.flags &= ~(unsigned int)UG_OPT_NO_WAIT;
	opts.cancel = NULL;	/* this is its effect */
	r = ug_reverse(m->pid, m->report.patch, &opts, &report, &err);
	if (r == 0 && report.outcome == UG_DONE)
		r = ug_err(&err, cancelled ? -UG_E_INTERRUPTED : -UG_E_REVERSED,
			   cancelled ? "interrupted: the transition was reversed, process %d is as "
			   "before" : "not all threads of process %d left the functions in time; the "
			   "transition was reversed", m->pid);
	conclude(w, i, r, &report, &err);
	w->state.v[i].todo = UG_TODO_NOTHING;
}

void ug_work_on(struct ug_work *w, size_t i)
{
	struct ug_progress_of *st = &w->state.v[i];
	uint64_t now = ug_now_ns();

	if (!st->deadline_ns)
		st->deadline_ns = now + ug_work_timeout_ns(w);
	if (st->todo == UG_TODO_TRY)
		try_once(w, i);
	else if (now < st->deadline_ns && !ug_work_cancelled(w))
		drive(w, i);
	else
		give_up(w, i);
	if (w->job->told)
		w->job->told(&w->members.v[i], w->opts.ctx);
}
