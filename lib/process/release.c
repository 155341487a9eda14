// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Letting go. Nothing of it can fail: what cannot be let go has died, or will stop later.
 *
 * An interrupt cannot be taken back from a thread that has not stopped yet, and a thread that
 * runs under our options may make children which the kernel attaches to us. So after the
 * stopped ones are detached the rest is waited for, each let go as soon as it stops, and the
 * end is reached only when the kernel says that we trace nothing, or task/ shows no tracer id
 * of ours.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/internal.h"

#define LINGER_NS 1000000000ULL		/* how long to wait for threads that do not stop */
#define ROUNDS 16

static UG_VEC(struct ug_tracee) strays = UG_VEC_INIT;

size_t ug_tracer_strays(void)
{
	size_t left = 0;

	for (size_t i = 0; i < strays.n; i++) {
		struct ug_tracee *t = &strays.v[i];
		int r = ug_tracee_look(t);

		if (r == 1)
			r = ug_tracee_detach(t);
		if (r == 0 && t->state != UG_TRACEE_GONE)
			strays.v[left++] = *t;
	}
	strays.n = left;
	return left;
}

static void make_stray(struct ug_tracee *t)
{
	struct ug_tracee *slot = ug_vec_add(&strays);

	/* Without memory it stays attached until we exit, which is near then. */
	if (slot)
		*slot = *t;
	t->state = UG_TRACEE_GONE;
}

/* Detach a stopped tracee; one that has gone on unnoticed (exec, kill) is interrupted again. */
static void detach(struct ug_stop *s, struct ug_tracee *t)
{
	if (t->event == PTRACE_EVENT_CLONE || t->event == PTRACE_EVENT_FORK)
		(void)ug_stop_adopt_child(s, t, NULL);
	if (ug_tracee_detach(t) == 0)
		return;
	if (ug_tracee_interrupt(t) < 0)
		t->state = UG_TRACEE_GONE;
}

/* Look at each that is still ours; true when none is left. */
static bool let_go_stopped(struct ug_stop *s)
{
	bool done = true;

	/* `all` may grow: a stop can announce a child. */
	for (size_t i = 0; i < s->all.n; i++) {
		struct ug_tracee *t = s->all.v[i];

		if (t->state == UG_TRACEE_SEIZED && ug_tracee_interrupt(t) < 0)
			t->state = UG_TRACEE_GONE;
		if (t->state == UG_TRACEE_WAITING)
			(void)ug_tracee_look(t);
		if (t->state == UG_TRACEE_STOPPED)
			detach(s, t);
		done = done && t->state == UG_TRACEE_GONE;
	}
	return done;
}

static bool is_dead_leader(struct ug_stop *s, const struct ug_tracee *t)
{
	struct ug_task task;

	/* It stays our tracee, a zombie, until the last thread exits; nothing to let go. */
	return t->t.tid == s->p->pid && ug_task_read(s->p, t->t.tid, &task, NULL) == 0 &&
	       ug_task_skipped(&task);
}

static void wait_and_let_go(struct ug_stop *s)
{
	uint64_t deadline = ug_now_ns() + LINGER_NS;

	if (let_go_stopped(s))
		return;
	/* Whatever stops now is frozen until we look at it: the watchdog stays on. */
	ug_tracer_watchdog(&s->watchdog, 3 * LINGER_NS);
	while (!let_go_stopped(s) && ug_now_ns() < deadline)
		ug_tracer_sleep(deadline);
	for (size_t i = 0; i < s->all.n; i++) {
		struct ug_tracee *t = s->all.v[i];

		if (t->state != UG_TRACEE_GONE && !is_dead_leader(s, t))
			make_stray(t);
		t->state = UG_TRACEE_GONE;
	}
	ug_tracer_watchdog(&s->watchdog, 0);
}

static bool is_stray(pid_t tid)
{
	for (size_t i = 0; i < strays.n; i++)
		if (strays.v[i].t.tid == tid)
			return true;
	return false;
}

/* Threads in task/ whose tracer we are and which no record shows. */
static size_t find_unknown(struct ug_stop *s)
{
	struct ug_tasks tasks;
	size_t found = 0;
	int status;

	if (ug_tasks_list(s->p, &tasks, NULL) < 0)
		return 0;
	for (size_t i = 0; i < tasks.n; i++) {
		const struct ug_task *task = &tasks.v[i];

		/* A zombie of ours that nobody knew: an exec would wait for it for ever. */
		if (task->state == 'Z')
			(void)ug_tracer_poll(task->tid, &status);
		if (ug_task_skipped(task) || is_stray(task->tid) ||
		    ug_task_tracer(s->p, task->tid) != gettid())
			continue;
		if (ug_stop_add(s, task, UG_TRACEE_SEIZED))
			found++;
	}
	ug_tasks_free(&tasks);
	return found;
}

/* The stopped ones of one kind, in the order they stopped. */
static void resume_held(struct ug_stop *s, bool running, bool cured)
{
	for (size_t i = 0; i < s->held.n; i++) {
		struct ug_tracee *t = s->held.v[i];

		if (t->running == running && t->t.cured == cured && t->state == UG_TRACEE_STOPPED)
			detach(s, t);
	}
}

/*
 * Sleepers of class E last. A signal that the program ignores is not ignored while the thread it
 * is meant for is traced (SIGCHLD: the one that has forked): stopped as that is, another one is
 * woken for it, and finds EINTR. Traced, that one would be cured; it must not be free already.
 */
static void resume_sleepers(struct ug_stop *s)
{
	resume_held(s, false, false);
	resume_held(s, false, true);
}

static void note_times(struct ug_stop *s, uint64_t runners_ns)
{
	uint64_t now = ug_now_ns();

	if (!s->first_ns)
		return;
	s->stats.total_ns = now - s->first_ns;
	if (s->pause_ns)
		s->stats.pause_ns = runners_ns - s->pause_ns;
	else
		s->stats.pause_ns = s->stats.total_ns;
	s->first_ns = s->pause_ns = s->asleep_ns = 0;
}

static void forget(struct ug_stop *s)
{
	for (size_t i = 0; i < s->all.n; i++)
		free(s->all.v[i]);
	ug_vec_free(&s->all);
	ug_vec_free(&s->held);
	ug_vec_free(&s->skipped);
	s->hint = 0;
}

void ug_stop_let_go(struct ug_stop *s)
{
	uint64_t runners_ns;

	resume_held(s, true, false);
	resume_held(s, true, true);
	runners_ns = ug_now_ns();
	resume_sleepers(s);
	note_times(s, runners_ns);
	ug_tracer_watchdog(&s->watchdog, 0);
	ug_tracer_relax();
	if (!s->all.n)
		return;
	wait_and_let_go(s);
	for (int i = 0; i < ROUNDS && !ug_tracer_alone() && find_unknown(s); i++)
		wait_and_let_go(s);
	forget(s);
}

void ug_stop_let_go_one(struct ug_stop *s, struct ug_tracee *t)
{
	uint64_t deadline = ug_now_ns() + LINGER_NS;

	if (t->state == UG_TRACEE_STOPPED)
		detach(s, t);
	while (t->state != UG_TRACEE_GONE && ug_now_ns() < deadline) {
		if (ug_tracee_look(t) == 1)
			detach(s, t);
		else if (t->state != UG_TRACEE_GONE)
			ug_tracer_sleep(deadline);
	}
	if (t->state != UG_TRACEE_GONE)
		make_stray(t);
}
