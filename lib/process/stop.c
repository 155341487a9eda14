// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stopping a process:
 *
 *  1. list the threads and seize them, the group leader first; nothing is interrupted yet;
 *  2. interrupt those that sleep, wait for them, show each to the visitor: the running ones
 *     still run, so whatever this takes is not felt;
 *  3. interrupt the running ones, wait for them, show them;
 *  4. list again: who was born meanwhile is stopped like the rest, until nobody is new.
 */
#include "process/stop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#include "base/clock.h"
#include "process/internal.h"

#define WATCHDOG_FACTOR 20
#define WATCHDOG_LEAST_NS 10000000	/* however small the budget: 20 times that */
#define WINDOW 16		/* interrupts sent ahead of the first look at an answer */
#define SWEEP_NS 1000000
#define NAP_NS 100000
#define SEIZE_ROUNDS 64
#define VFORK_TICK_NS 500000
/* A SEIZE can block on an exec in progress. Nothing is stopped yet, and on a busy machine
 * thousands of them take their time. */
#define SEIZE_LIMIT_NS 5000000000ULL

/*
 * TRACEFORK, for a raw clone(CLONE_VM | SIGCHLD) is a fork to the kernel; not TRACEVFORK: its
 * parent would stop before it waits, and the child would share memory in the midst of a stop.
 */
#define WHOLE_OPTIONS (PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC)
#define SINGLE_OPTIONS PTRACE_O_TRACEEXEC

/* Of one call of ug_stop_all. */
struct pass {
	struct ug_stop *s;
	ug_stop_visit_t visit;
	void *ctx;
	struct ug_error *err;
	size_t from;		/* all[from...] belong to the present phase */
	uint64_t deadline;
	bool running;		/* the phase of the running threads: every microsecond counts */
};

int ug_stop_create(struct ug_proc *p, const struct ug_stop_opts *opts, struct ug_stop **ret,
		   struct ug_error *err)
{
	struct ug_stop *s = calloc(1, sizeof(*s));

	if (!s)
		return ug_err(err, -ENOMEM, "out of memory");
	s->p = p;
	if (opts)
		s->opts = *opts;
	(void)ug_tracer_strays();
	*ret = s;
	return 0;
}

void ug_stop_destroy(struct ug_stop *s)
{
	if (!s)
		return;
	ug_stop_resume(s);
	free(s);
}

static uint64_t budget_ns(const struct ug_stop *s)
{
	uint64_t us = s->opts.budget_us;

	return (us ? us : 10000 + 10 * (uint64_t)s->all.n) * 1000;
}

/* In all, when it is held until others are stopped, too. */
static uint64_t hold_ns(const struct ug_stop *s)
{
	uint64_t ns = s->opts.hold_us * 1000;

	return ns > budget_ns(s) ? ns : budget_ns(s);
}

/* What is right for a stop that nobody wants to last would kill one that is merely late. */
static void arm_watchdog(struct ug_stop *s, uint64_t least_ns)
{
	uint64_t ns = hold_ns(s) > least_ns ? hold_ns(s) : least_ns;

	ug_tracer_watchdog(&s->watchdog, ns * WATCHDOG_FACTOR);
}

static uint64_t timeout_ns(const struct ug_stop *s)
{
	return (s->opts.timeout_us ? s->opts.timeout_us : 100000) * 1000;
}

static int gone(struct ug_stop *s, const char *how, struct ug_error *err)
{
	(void)ug_err(err, -UG_E_GONE, "process %d %s", s->p->pid, how);
	if (err)
		err->pid = s->p->pid;
	return -UG_E_GONE;
}

static int bad_thread(struct ug_stop *s, struct ug_tracee *t, int code, const char *what,
		      struct ug_error *err)
{
	(void)ug_err(err, code, "thread %d of process %d %s", t->t.tid, s->p->pid, what);
	ug_err_thread(err, s->p->pid, t->t.tid);
	return code;
}

/* A thread has just stopped: keep it, unless what it shows ends the stop. */
static int accept_stop(struct ug_stop *s, struct ug_tracee *t, struct ug_error *err)
{
	struct ug_tracee **slot;
	int r = 0;

	if (t->event == PTRACE_EVENT_EXEC)
		return gone(s, "executes another program", err);
	if (t->event == PTRACE_EVENT_CLONE || t->event == PTRACE_EVENT_FORK)
		r = ug_stop_adopt_child(s, t, err);
	if (r < 0 || t->stranger)
		return r;
	if (t->t.regs.cs != 0x33)
		return bad_thread(s, t, -UG_E_FOREIGN_CODE, "runs 32-bit code", err);
	slot = ug_vec_add(&s->held);
	if (!slot)
		return ug_err(err, -ENOMEM, "out of memory");
	*slot = t;
	s->stats.threads++;
	s->stats.cured += t->t.cured;
	/* A count in rax: the call was cut short (or had just been done). */
	s->stats.transfers += t->t.was_asleep && (long)t->t.regs.rax > 0 &&
			      ug_syscall_transfer((long)t->t.regs.orig_rax);
	return 0;
}

/* 1: it has stopped or is gone; 0: not yet. */
static int check_one(struct pass *ps, struct ug_tracee *t)
{
	int r;

	if (t->state != UG_TRACEE_WAITING)
		return 0;
	r = ug_tracee_look(t);
	if (r <= 0)
		return r < 0;
	r = accept_stop(ps->s, t, ps->err);
	if (!r && !t->stranger && ps->visit)
		r = ps->visit(ps->s, &t->t, ps->ctx, ps->err);
	return r < 0 ? r : 1;
}

/* An exited leader neither stops nor can be reaped while other threads live. */
static void drop_dead(struct ug_stop *s, struct ug_tracee *t)
{
	struct ug_task task;
	pid_t *slot;

	if (t->state != UG_TRACEE_WAITING || t->t.tid != s->p->pid)
		return;
	if (ug_task_read(s->p, t->t.tid, &task, NULL) < 0 || !ug_task_skipped(&task))
		return;
	t->state = UG_TRACEE_GONE;
	slot = ug_vec_add(&s->skipped);
	if (slot)
		*slot = t->t.tid;
}

static int sweep(struct pass *ps)
{
	for (size_t i = ps->from; i < ps->s->all.n; i++) {
		int r = check_one(ps, ps->s->all.v[i]);

		if (r < 0)
			return r;
		if (r == 0)
			drop_dead(ps->s, ps->s->all.v[i]);
	}
	return 0;
}

static bool is_awaited(const struct ug_tracee *t)
{
	return t->state == UG_TRACEE_WAITING && !t->stranger;
}

static int too_late(struct pass *ps, struct ug_tracee *t)
{
	if (ug_task_in_vfork(ps->s->p, t->t.tid))
		return bad_thread(ps->s, t, -UG_E_VFORK, "waits for its vfork child", ps->err);
	return bad_thread(ps->s, t, -UG_E_UNSTOPPABLE, "did not stop within the pause budget",
			  ps->err);
}

/*
 * A runner's stop is awaited at once. Sleepers are given time instead: to be woken by the stop
 * of each would cost two switches of context for every thread.
 */
static void nap(struct pass *ps, size_t head, uint64_t until_ns)
{
	const struct timespec pause = { 0, NAP_NS };

	if (!ps->running && ps->s->all.n - head > WINDOW)
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	else
		ug_tracer_sleep(until_ns);
}

/*
 * Wait for all that are interrupted, in that order: when the first has stopped the next has,
 * mostly. Asking all of them at each wake-up would be quadratic; they are all asked once in a
 * millisecond, lest one slow thread hides the others. Of thousands that takes longer than a
 * millisecond itself: then it is done for a fifth of the time.
 */
static int wait_phase(struct pass *ps)
{
	struct ug_stop *s = ps->s;
	uint64_t next_sweep = ug_now_ns() + SWEEP_NS;
	size_t head = ps->from;

	while (head < s->all.n) {
		struct ug_tracee *t = s->all.v[head];
		uint64_t now, spent;
		int r = check_one(ps, t);

		if (r < 0)
			return r;
		if (!is_awaited(t)) {
			head++;
			continue;
		}
		now = ug_now_ns();
		if (now < next_sweep && now < ps->deadline) {
			nap(ps, head, next_sweep < ps->deadline ? next_sweep : ps->deadline);
			continue;
		}
		r = sweep(ps);
		if (r < 0)
			return r;
		if (now >= ps->deadline && is_awaited(t))
			return too_late(ps, t);
		spent = ug_now_ns() - now;
		next_sweep = now + spent + (4 * spent > SWEEP_NS ? 4 * spent : SWEEP_NS);
	}
	return 0;
}

/* Interrupt the seized ones of a kind, looking at the answers WINDOW behind. */
static int interrupt_phase(struct pass *ps, bool running)
{
	struct ug_stop *s = ps->s;
	struct ug_tracee *window[WINDOW] = { NULL };
	size_t sent = 0;

	for (size_t i = ps->from; i < s->all.n; i++) {
		struct ug_tracee *t = s->all.v[i];
		int r;

		if (t->state != UG_TRACEE_SEIZED || t->running != running)
			continue;
		if (running && !s->pause_ns)
			s->pause_ns = ug_now_ns();
		if (ug_tracee_interrupt(t) < 0) {
			t->state = UG_TRACEE_GONE;
			continue;
		}
		r = window[sent % WINDOW] ? check_one(ps, window[sent % WINDOW]) : 0;
		if (r < 0)
			return r;
		window[sent++ % WINDOW] = t;
	}
	return 0;
}

/*
 * The process waits from the first interrupt of a runner on. A sleeper holds nobody up, and to
 * interrupt a thousand takes longer than the budget: it begins when that is done.
 */
static int stop_phase(struct pass *ps, bool running)
{
	uint64_t began = ug_now_ns();
	int r;

	ps->running = running;
	r = interrupt_phase(ps, running);
	ps->deadline = (running ? began : ug_now_ns()) + budget_ns(ps->s);
	return r < 0 ? r : wait_phase(ps);
}

/*
 * Does the kernel count as many threads as are known, and an exited leader? Once all are
 * stopped none can leave task/, so equal numbers mean equal sets. Before, it only saves a
 * second listing. With other skipped threads (kernel workers come and go): look.
 */
static bool is_complete(struct ug_stop *s)
{
	size_t dead_leader = s->skipped.n == 1 && s->skipped.v[0] == s->p->pid;
	size_t known = 0;

	if (s->skipped.n && !dead_leader)
		return false;
	for (size_t i = 0; i < s->all.n; i++)
		known += s->all.v[i]->state != UG_TRACEE_GONE && !s->all.v[i]->stranger;
	return ug_tasks_count(s->p) == known + dead_leader;
}

/*
 * The first listing. A vfork parent cannot be let go any more once it is interrupted, until
 * its child is done; so it is waited for within the budget, with nothing seized.
 */
static int seize_first(struct ug_stop *s, size_t *ret_new, struct ug_error *err)
{
	uint64_t deadline = ug_now_ns() + budget_ns(s);

	for (;;) {
		int r = ug_stop_seize_new(s, WHOLE_OPTIONS, ret_new, err);

		if (r != -UG_E_VFORK || ug_now_ns() >= deadline)
			return r;
		ug_tracer_sleep(ug_now_ns() + VFORK_TICK_NS);
	}
}

static int seize_until_stable(struct ug_stop *s, struct ug_error *err)
{
	size_t fresh = 1;
	int r = seize_first(s, &fresh, err);

	if (r < 0)
		return r;
	ug_tracer_hurry(s->p->rt_priority);
	for (int i = 0; fresh && i < SEIZE_ROUNDS && !r && !is_complete(s); i++)
		r = ug_stop_seize_new(s, WHOLE_OPTIONS, &fresh, err);
	if (!r && !s->all.n)
		r = gone(s, "has no thread left", err);
	return r;
}

/* Threads born while the others were being stopped. */
static int stop_newborn(struct pass *ps)
{
	struct ug_stop *s = ps->s;

	while (!is_complete(s)) {
		size_t fresh;
		int r;

		ps->from = s->all.n;
		r = ug_stop_seize_new(s, WHOLE_OPTIONS, &fresh, ps->err);
		if (r < 0)
			return r;
		if (!fresh)
			break;
		r = interrupt_phase(ps, false);
		if (!r)
			r = interrupt_phase(ps, true);
		if (!r)
			r = wait_phase(ps);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Threads held already by ug_stop_thread: the visitor has not seen them. */
static int visit_held(struct pass *ps)
{
	size_t n = ps->s->held.n;
	int r = 0;

	for (size_t i = 0; i < n && !r && ps->visit; i++)
		r = ps->visit(ps->s, &ps->s->held.v[i]->t, ps->ctx, ps->err);
	return r < 0 ? r : 0;
}

static int stop_all(struct pass *ps)
{
	struct ug_stop *s = ps->s;
	int r;

	ug_tracer_watchdog(&s->watchdog, SEIZE_LIMIT_NS);
	r = seize_until_stable(s, ps->err);
	if (r < 0)
		return r;
	arm_watchdog(s, WATCHDOG_LEAST_NS);
	s->first_ns = ug_now_ns();
	r = visit_held(ps);
	if (!r)
		r = stop_phase(ps, false);
	s->asleep_ns = ug_now_ns();
	if (!r)
		r = stop_phase(ps, true);
	if (!r)
		r = stop_newborn(ps);
	if (r < 0)
		return r;
	if (!s->held.n)
		return gone(s, "has no thread left", ps->err);
	/* An exec that was over before the first SEIZE. */
	return ug_proc_check(s->p, ps->err);
}

int ug_stop_all(struct ug_stop *s, ug_stop_visit_t visit, void *ctx, struct ug_error *err)
{
	struct pass ps = { .s = s, .visit = visit, .ctx = ctx, .err = err };
	int r = ug_proc_check(s->p, err);

	memset(&s->stats, 0, sizeof(s->stats));
	s->stats.threads = (unsigned int)s->held.n;
	if (!r)
		r = stop_all(&ps);
	if (r < 0)
		ug_stop_let_go(s);
	return r;
}

static int wait_thread(struct ug_stop *s, struct ug_tracee *t, struct ug_error *err)
{
	uint64_t deadline = ug_now_ns() + timeout_ns(s);

	for (;;) {
		int r = ug_tracee_look(t);

		if (r == 1)
			return accept_stop(s, t, err);
		if (r == 0)
			drop_dead(s, t);
		if (t->state == UG_TRACEE_GONE)
			return ug_err(err, -ESRCH, "thread %d is gone", t->t.tid);
		if (ug_now_ns() >= deadline)
			return bad_thread(s, t, -UG_E_UNSTOPPABLE, "did not stop in time", err);
		ug_tracer_sleep(deadline);
	}
}

static int seize_single(struct ug_stop *s, pid_t tid, struct ug_tracee **ret,
			struct ug_error *err)
{
	struct ug_task task;
	struct ug_tracee *t;
	int r = ug_task_read(s->p, tid, &task, err);

	if (r < 0)
		return r;
	if (ug_task_skipped(&task))
		return ug_err(err, -ESRCH, "thread %d runs no code", tid);
	if (task.state == 'D' && ug_task_in_vfork(s->p, tid))
		return ug_err(err, -UG_E_VFORK, "thread %d waits for its vfork child", tid);
	t = ug_stop_add(s, &task, UG_TRACEE_GONE);
	if (!t)
		return ug_err(err, -ENOMEM, "out of memory");
	arm_watchdog(s, timeout_ns(s));
	r = ug_tracee_seize(s->p, tid, SINGLE_OPTIONS, err);
	if (r == -EALREADY)
		return ug_err(err, -EBUSY, "thread %d is held by another stop of ours", tid);
	if (r < 0)
		return r == -ESRCH ? ug_err(err, r, "thread %d is gone", tid) : r;
	t->state = UG_TRACEE_SEIZED;
	*ret = t;
	return 0;
}

/*
 * A thread of real-time priority may spin until the one we hold goes on, on our processor. There are
 * few such processes; in the others a single thread is no reason to hurry.
 */
static void hurry_for(struct ug_stop *s)
{
	if (s->p->rt_priority)
		ug_tracer_hurry(s->p->rt_priority);
}

int ug_stop_thread(struct ug_stop *s, pid_t tid, struct ug_thread **ret, struct ug_error *err)
{
	struct ug_tracee *t = ug_stop_find(s, tid);
	int r;

	if (t && t->state == UG_TRACEE_STOPPED) {
		*ret = &t->t;
		return 0;
	}
	r = seize_single(s, tid, &t, err);
	if (!r) {
		if (!s->first_ns)
			s->first_ns = ug_now_ns();
		if (t->running && !s->pause_ns)
			s->pause_ns = ug_now_ns();
		hurry_for(s);
		r = ug_tracee_interrupt(t);
		if (r < 0) {
			t->state = UG_TRACEE_GONE;
			r = ug_err(err, -ESRCH, "thread %d is gone", tid);
		} else {
			r = wait_thread(s, t, err);
		}
		if (r < 0)
			ug_stop_let_go_one(s, t);
	}
	if (r < 0 && !s->held.n) {
		ug_tracer_watchdog(&s->watchdog, 0);
		ug_tracer_relax();
	}
	if (r < 0)
		return r;
	*ret = &t->t;
	return 0;
}

void ug_stop_release(struct ug_stop *s, struct ug_thread *thread)
{
	struct ug_tracee *t = (struct ug_tracee *)thread;

	for (size_t i = 0; i < s->held.n; i++) {
		if (s->held.v[i] != t)
			continue;
		memmove(&s->held.v[i], &s->held.v[i + 1],
			(s->held.n - i - 1) * sizeof(s->held.v[0]));
		s->held.n--;
		break;
	}
	ug_stop_let_go_one(s, t);
	/* The last one: also ends watchdog and clocks, and frees the records. */
	if (!s->held.n)
		ug_stop_let_go(s);
}

void ug_stop_resume(struct ug_stop *s)
{
	ug_stop_let_go(s);
}

const struct ug_stop_stats *ug_stop_stats(const struct ug_stop *s)
{
	return &s->stats;
}

bool ug_stop_is_overdue(const struct ug_stop *s)
{
	uint64_t since = s->pause_ns ? s->pause_ns : s->asleep_ns;

	return since && ug_now_ns() - since > hold_ns(s);
}

size_t ug_stop_count(const struct ug_stop *s)
{
	return s->held.n;
}

struct ug_thread *ug_stop_at(const struct ug_stop *s, size_t i)
{
	return i < s->held.n ? &s->held.v[i]->t : NULL;
}

struct ug_proc *ug_stop_proc(const struct ug_stop *s)
{
	return s->p;
}
