/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/contexts.h"
#include "engine/hook.h"
#include "engine/run.h"
#include "engine/session.h"
#include "engine/transition.h"
#include "engine/worker.h"
#include "rt/gate_abi.h"

/* What a member adds to the pause that is allowed when the caller names none: as a process alone;
 * and for a search of its memory. */
#define MEMBER_PAUSE_US 10000
#define THREAD_PAUSE_US 10
#define SEARCH_PAUSE_US 10000

/* A vfork child shares the memory until its execve; another controller is a matter of its own. */
#define SHARER_NS UINT64_C(2000000000)
#define NAP_NS 5000000

struct member {
	struct ug_group_member *out;
	struct ug_operation op;
	struct ug_target t;
	struct ug_run run;
	struct ug_stop *stop;
	uint32_t trans;			/* id; 0: nothing is recorded */
	bool open;			/* the session */
	bool in;			/* takes part; others have their result */
	bool running;			/* `run` is valid */
};

struct group {
	struct ug_group_change *change;
	struct ug_operation op;		/* of each, but for the pid */
	struct ug_patch *patch;		/* loading */
	const struct ug_notify *notify;
	struct member *v;		/* by pid: the order of their locks */
	size_t n;
	struct ug_intent intent;
	uint64_t deadline_ns;
	bool committed;
};

#define for_each(g, m) for (struct member *m = (g)->v; m < (g)->v + (g)->n; m++)
#define for_each_in(g, m) for_each(g, m) if (m->in)

/* ---- who takes part ---- */

static void leave(struct member *m, int r, const struct ug_error *err)
{
	m->in = false;
	m->out->r = r;
	if (r < 0)
		m->out->err = *err;
}

/* Is it in everybody's way? Not who has gone; nor who was found and has nothing this is for. */
static bool hinders(const struct member *m)
{
	int r = m->out->r;

	if (r >= 0 || r == -UG_E_GONE)
		return false;
	return !m->out->optional || (r != -UG_E_NO_OBJECT && r != -UG_E_NO_PATCH);
}

/* Its answer stands. 0: the others can do without it. */
static int answered(struct member *m, int r, const struct ug_error *err)
{
	leave(m, r, err);
	return hinders(m) ? r : 0;
}

/* The same for an error that may only mean that the process has gone. */
static int failed(struct member *m, int r, struct ug_error *err)
{
	return answered(m, ug_target_reason(&m->t, r, err), err);
}

static void close_member(struct member *m)
{
	struct ug_error err;

	if (m->open)
		(void)ug_session_end(&m->t, &m->op, 0, &err);
	m->open = false;
}

static bool is_another(const struct member *m)
{
	return m->out->start_time && m->t.proc.start_time != m->out->start_time;
}

static int open_one(struct group *g, struct member *m, struct ug_error *err)
{
	int r = ug_session_open(&m->t, &m->op, g->notify, &m->out->report, err);

	if (r < 0) {
		if (err)
			err->pid = m->op.pid;
		return r;
	}
	m->open = true;
	m->t.deadline_ns = g->deadline_ns;
	if (!is_another(m))
		return 0;
	close_member(m);
	return ug_err(err, -UG_E_GONE, "process %d has gone, and another one has its pid", m->op.pid);
}

/* -EAGAIN: the intent of a former group is in *ret_left. */
static int open_all(struct group *g, struct member **ret_left, struct ug_error *err)
{
	for_each_in(g, m) {
		int r = open_one(g, m, err);

		*ret_left = m;
		if (r == -UG_E_SHARED_MM)
			return r;
		if (r < 0 && answered(m, r, err) < 0)
			return r;
		if (r == 0 && ug_registry_intent(&m->t.reg))
			return -EAGAIN;
	}
	return 0;
}

/* Alone, for that may need the locks of processes which are members now. */
static int settle_group_of(struct group *g, struct member *m, struct ug_error *err)
{
	int r = ug_session_begin(&m->t, &m->op, g->notify, &m->out->report, err);

	if (r == 0)
		r = ug_session_end(&m->t, &m->op, 0, err);
	return r == -UG_E_GONE ? 0 : r;
}

static bool cancelled(const struct group *g)
{
	return g->notify->cancelled && g->notify->cancelled(g->notify->ctx);
}

static bool out_of_time(const struct group *g)
{
	return ug_now_ns() >= g->deadline_ns || cancelled(g);
}

/* All sessions, or none. What no controller holds any more is brought to its end before. */
static int open_sessions(struct group *g, struct ug_error *err)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	uint64_t patience_ns = ug_now_ns() + SHARER_NS;

	for (;;) {
		struct member *left = NULL;
		int r = open_all(g, &left, err);

		if (r == 0)
			return 0;
		for_each(g, m)
			close_member(m);
		if (r == -UG_E_SHARED_MM && ug_now_ns() < patience_ns && !out_of_time(g)) {
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
			continue;
		}
		if (r == -EAGAIN) {
			r = settle_group_of(g, left, err);
			if (r == 0)
				continue;
		}
		/* With its answer, as the one who is in the way. */
		if (left->in)
			leave(left, r, err);
		return r;
	}
}

/* 1: it is to be changed; 0: it is as wanted. */
static int examine(struct group *g, struct member *m, struct ug_error *err)
{
	struct ug_seg *patch;
	struct ug_match match;
	int r = ug_session_settle_all(&m->t, NULL, err);

	if (r < 0)
		return r;
	patch = ug_registry_patch(&m->t.reg, g->patch ? g->patch->name : g->change->what);
	if (!g->patch)
		return patch ? 1 : ug_err(err, -UG_E_NO_PATCH, "patch '%s' is not loaded in process %d",
					  g->change->what, m->op.pid);
	if (patch)
		return 0;
	r = ug_match_init(&match, &m->t, g->patch, err);
	if (r < 0)
		return r;
	ug_match_deinit(&match);
	return 1;
}

static int choose(struct group *g, struct ug_error *err)
{
	int r = open_sessions(g, err);

	if (r < 0)
		return r;
	for_each_in(g, m) {
		r = examine(g, m, err);
		if (r == 1) {
			g->intent.v[g->intent.n++] = (struct ug_reg_member){
				.pid = m->op.pid, .start_time = m->t.proc.start_time,
			};
			continue;
		}
		if (r == 0)
			m->out->report.outcome = UG_ALREADY;
		r = failed(m, r, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- recording ---- */

static int prepare_one(struct group *g, struct member *m, struct ug_error *err)
{
	struct ug_report *report = &m->out->report;
	int r;

	m->t.intent = &g->intent;
	if (g->patch) {
		report->functions = (unsigned int)g->patch->nfuncs;
		r = ug_operation_prepare_load(&m->t, g->patch, &m->trans, err);
	} else {
		r = ug_operation_prepare_unload(&m->t, g->change->what, &m->trans, err);
	}
	m->t.intent = NULL;
	if (r < 0)
		m->trans = 0;
	return r;
}

static int record_one(struct group *g, struct member *m, struct ug_error *err)
{
	int r = prepare_one(g, m, err);

	if (r == 0)
		r = ug_run_init(&m->run, &m->t, m->trans, err);
	m->running = r == 0;
	if (r < 0)
		return r;
	m->run.untouched = m->run.together = true;
	r = ug_contexts_possible(&m->t, err);
	m->run.at_once = r > 0;
	return r < 0 ? r : 0;
}

static int record(struct group *g, struct ug_error *err)
{
	for_each_in(g, m) {
		int r = record_one(g, m, err);

		if (r < 0 && (r = failed(m, r, err)) < 0)
			return r;
	}
	return 0;
}

/* ---- the stop of all ---- */

/* How long a member may be held while the others are stopped, checked and changed, too. */
static uint64_t pause_of_all(const struct group *g)
{
	uint64_t us = 0;

	if (g->op.max_pause_us)
		return g->op.max_pause_us;
	for_each_in(g, m) {
		struct ug_tasks tasks;

		us += MEMBER_PAUSE_US + (m->run.at_once ? SEARCH_PAUSE_US : 0);
		if (ug_tasks_list(&m->t.proc, &tasks, NULL) < 0)
			continue;
		us += THREAD_PAUSE_US * tasks.n;
		ug_tasks_free(&tasks);
	}
	return us;
}

static void resume(struct group *g)
{
	for (size_t i = g->n; i-- > 0; ) {
		struct member *m = &g->v[i];

		if (m->stop)
			ug_run_resume(&m->run, m->stop);
		m->stop = NULL;
	}
}

/* A member's part of a step that can be tried again. Who has gone is left out the next time. */
static int retried(struct member *m, int r, struct ug_error *err)
{
	if (r == 0 || ug_run_worth_retrying(r))
		return r;
	return failed(m, r, err) < 0 ? m->out->r : -EAGAIN;
}

/* All that takes time, before anybody is stopped. */
static int get_ready(struct group *g, unsigned int round, struct member **ret_culprit,
		     struct ug_error *err)
{
	for_each_in(g, m) {
		int r;

		*ret_culprit = m;
		r = retried(m, ug_run_ready(&m->run, round, err), err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int hold(struct group *g, struct member **ret_culprit, struct ug_error *err)
{
	uint64_t hold_us = pause_of_all(g);
	int r = 0;

	for_each_in(g, m) {
		*ret_culprit = m;
		m->run.hold_us = hold_us;
		r = retried(m, ug_run_hold(&m->run, &m->stop, err), err);
		if (r < 0)
			return r;
	}
	if (g->change->complete && !g->change->complete(g->change->ctx))
		return -ERESTART;
	for_each_in(g, m) {
		*ret_culprit = m;
		r = ug_run_check_pause(&m->run, m->stop, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void disarm(struct group *g)
{
	for_each_in(g, m)
		ug_run_disarm(&m->run);
}

/* All entries to the gates; the word is ALL, so nothing changes. All, or none. */
static int arm(struct group *g, struct member **ret_culprit, struct ug_error *err)
{
	for_each_in(g, m) {
		int r;

		*ret_culprit = m;
		r = retried(m, ug_run_arm(&m->run, err), err);
		if (r < 0) {
			disarm(g);
			return r;
		}
	}
	return 0;
}

/*
 * The words. From the first store on there is only forward: a member in which it fails then (it has
 * been killed, or the kernel fails us) is brought there like one that a dead controller has left.
 */
static int commit(struct group *g, struct member **ret_culprit, struct ug_error *err)
{
	for_each_in(g, m) {
		int r;

		*ret_culprit = m;
		r = ug_run_set_word(&m->run, UG_WORD_NULL, err);
		if (r < 0)
			r = failed(m, r, err);
		else
			g->committed = true;
		if (r < 0 && !g->committed) {
			disarm(g);
			return r;
		}
	}
	for_each_in(g, m) {
		int r = ug_run_finish(&m->run, err);

		m->out->report.threads = (unsigned int)m->run.threads.n;
		m->out->report.switched_at_once = m->out->report.threads;
		if (r < 0)
			(void)failed(m, r, err);
	}
	return 0;
}

static int try_once(struct group *g, unsigned int round, struct member **ret_culprit,
		    struct ug_error *err)
{
	int r = get_ready(g, round, ret_culprit, err);

	if (r == 0)
		r = hold(g, ret_culprit, err);
	if (r == 0)
		r = arm(g, ret_culprit, err);
	if (r == 0)
		r = commit(g, ret_culprit, err);
	resume(g);
	return r;
}

static bool any_in(const struct group *g)
{
	for_each_in(g, m)
		return true;
	return false;
}

static int give_up(const struct group *g, const struct member *culprit, int r, struct ug_error *err)
{
	if (cancelled(g))
		return ug_err(err, -UG_E_INTERRUPTED, "interrupted before any process was changed");
	return r == -EAGAIN ? ug_run_explain(&culprit->run, err) : r;
}

static int change_all(struct group *g, struct ug_error *err)
{
	struct member *culprit = NULL;
	int r = 0;

	for (unsigned int round = 0; any_in(g); round++) {
		r = try_once(g, round, &culprit, err);
		if (!ug_run_worth_retrying(r))
			break;
		if (!culprit->in)	/* it has gone: the others alone, at once */
			continue;
		if (out_of_time(g)) {
			r = give_up(g, culprit, r, err);
			break;
		}
		ug_run_progress(&culprit->run);
		ug_run_back_off(&culprit->run, round);
	}
	if (r < 0 && r != -ERESTART && r != -UG_E_INTERRUPTED && culprit->in)
		leave(culprit, r, err);
	return r;
}

/* ---- the end ---- */

/* Nothing was committed: every record is taken back. False: one could not be. */
static bool take_back(struct group *g)
{
	struct ug_error err;
	bool all = true;

	for_each(g, m) {
		int r = 0;

		if (m->running)
			r = ug_run_cancel(&m->run);
		else if (m->trans)
			r = ug_group_end(&m->t, g->intent.group, false, &err);
		all &= r >= 0 || ug_target_reason(&m->t, r, &err) == -UG_E_GONE;
	}
	return all;
}

/* Whom a store has failed in is brought to the end the others are at. False: not yet. */
static bool go_forward(struct group *g)
{
	struct ug_error err = { 0 };
	bool all = true;

	for_each(g, m) {
		int r = m->trans ? ug_group_end(&m->t, g->intent.group, true, &err) : 0;

		if (r > 0)
			leave(m, 0, NULL);
		else if (r < 0)
			leave(m, r, &err);
		all &= r >= 0 || r == -UG_E_GONE;
	}
	return all;
}

/* Only when all members are at their end: one that is not asks the others by their intents. */
static void forget(struct group *g)
{
	struct ug_error err;

	for_each(g, m) {
		int r = m->trans ? ug_group_forget(&m->t, g->intent.group, &err) : 0;

		if (r < 0 && r != -UG_E_GONE)
			ug_log_warn("process %d keeps the intent of its group: %s", m->op.pid,
				    err.message);
	}
}

static void end_member(struct group *g, struct member *m)
{
	if (m->running && g->committed && m->in)
		ug_run_log_whole(&m->run);
	if (m->running)
		ug_run_deinit(&m->run);
	if (m->open)
		ug_session_tidy(&m->t);
	close_member(m);
}

static const struct member *find_culprit(const struct group *g)
{
	for_each(g, m)
		if (!m->in && hinders(m))
			return m;
	return NULL;
}

/* Those who were ready, but for somebody else. */
static void blame(struct group *g, int r)
{
	const struct member *culprit = find_culprit(g);

	for_each_in(g, m) {
		if (r == -UG_E_INTERRUPTED)
			m->out->r = ug_err(&m->out->err, r, "interrupted: process %d is as before",
					   m->op.pid);
		else
			m->out->r = ug_err(&m->out->err, -UG_E_GROUP, "process %d was not changed, because "
					   "process %d could not be", m->op.pid,
					   culprit ? culprit->op.pid : 0);
		m->out->err.pid = m->op.pid;
	}
}

static int run_group(struct group *g, struct ug_error *err)
{
	int r = choose(g, err);

	if (r == 0)
		r = record(g, err);
	if (r == 0)
		r = change_all(g, err);
	if (g->committed ? go_forward(g) : take_back(g))
		forget(g);
	if (r < 0)
		blame(g, r);
	for_each(g, m)
		end_member(g, m);
	return r == -ERESTART ? r : 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return (x->op.pid > y->op.pid) - (x->op.pid < y->op.pid);
}

static int set_up(struct group *g, struct ug_error *err)
{
	g->intent.pid_ns = ug_group_pid_ns();
	g->v = calloc(g->n, sizeof(*g->v));
	g->intent.v = calloc(g->n, sizeof(*g->intent.v));
	if (!g->v || !g->intent.v)
		return ug_err(err, -ENOMEM, "out of memory");
	if (getrandom(&g->intent.group, sizeof(g->intent.group), 0) < 0)
		return ug_err_errno(err, "getrandom");
	for (size_t i = 0; i < g->n; i++) {
		g->v[i].out = &g->change->v[i];
		g->v[i].op = g->op;
		g->v[i].op.pid = g->change->v[i].pid;
		g->v[i].in = true;
	}
	qsort(g->v, g->n, sizeof(*g->v), by_pid);
	return 0;
}

/* In the worker, which ends with it: nothing is freed. */
static int group_job(void *arg, const struct ug_notify *notify, struct ug_report *report,
		     struct ug_error *err)
{
	struct group *g = arg;
	int r = g->change->loading ? ug_patch_open(g->change->what, &g->patch, err) : 0;

	if (r == 0)
		r = set_up(g, err);
	if (r < 0)
		return r;
	for_each(g, m)
		(void)snprintf(m->out->report.patch, sizeof(m->out->report.patch), "%s",
			       g->patch ? g->patch->name : g->change->what);
	g->notify = notify;
	g->deadline_ns = ug_now_ns() + g->op.timeout_ms * UINT64_C(1000000);
	return run_group(g, err);
}

/* ---- the worker died ---- */

/* Each is asked: one whose record had not been published knows of no others. */
static int settle_members(const struct ug_group_change *change, const struct ug_opts *opts,
			  const struct ug_operation *op, struct ug_error *err)
{
	int r = 0;

	for (size_t i = 0; i < change->n; i++) {
		struct ug_operation one = *op;
		struct ug_report report = { 0 };
		struct ug_error why;
		int ri;

		one.pid = change->v[i].pid;
		ri = ug_worker_run(ug_operation_recover, &one, opts, &report, NULL, &why);
		if (ri >= 0 || ri == -UG_E_GONE || r < 0)
			continue;
		r = ri;
		*err = why;
	}
	return r;
}

/* Members may run on different sides until somebody settles it: not left to the next call. */
static int after_death(const struct ug_group_change *change, const struct ug_opts *opts,
		       const struct ug_operation *op, struct ug_error *err)
{
	struct ug_error why;

	if (settle_members(change, opts, op, &why) < 0)
		return ug_err(err, -UG_E_WORKER, "the helper process died, and what it left could not be "
			      "settled: 'ugraft recover' all of the processes (%s)", why.message);
	return ug_err(err, -UG_E_WORKER, "the helper process died; what it left was settled: the "
		      "processes agree, and 'ugraft status' says on what");
}

int ug_group_run(struct ug_group_change *change, const struct ug_opts *opts, struct ug_error *err)
{
	struct ug_report report = { 0 };
	struct group g = {
		.change = change,
		.n = change->n,
		.op = {
			.what = change->what,
			.flags = opts->flags,
			.timeout_ms = opts->timeout_ms,
			.max_pause_us = opts->max_pause_us,
		},
	};
	int r;

	if (change->n > UG_GROUP_MAX)
		return ug_err(err, -E2BIG, "%zu processes are too many for one atomic change (%d)",
			      change->n, UG_GROUP_MAX);
	r = ug_worker_run(group_job, &g, opts, &report, NULL, err);
	return r == -UG_E_WORKER ? after_death(change, opts, &g.op, err) : r;
}
