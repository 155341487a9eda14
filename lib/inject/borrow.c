// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which thread makes our calls? The one that notices least: see enum rank. Candidates are
 * judged from /proc first, without stopping anything; only then one after the other is
 * stopped and examined, and let go at once when it is not fit.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "inject/inject.h"

#define DEFAULT_TIMEOUT_US 1000000
#define STOP_TIMEOUT_US 20000	/* for one candidate: there may be better ones */
#define WATCHDOG_BASE_US 250000	/* a session is cut off after 20 times that: 5 s */
#define PAUSE_MIN_US 500
#define PAUSE_MAX_US 16000

enum rank {
	RANK_ASLEEP,		/* in a call the kernel resumes by itself, with its timeout */
	RANK_RUNNING,		/* loses some time */
	RANK_PARENT,		/* as the first, but SIGCHLD may be meant for it: docs/stopping.md */
	RANK_CLASS_E,		/* restarted after the cure; has no timeout that could grow */
	RANK_RESTARTED,		/* its number is guessed (needed only if we die) */
	RANK_TRANSFER,		/* may return short */
	RANK_CLASS_E_TIMEOUT,	/* starts again with its full timeout */
	RANK_NEVER,		/* cannot be stopped at the moment */
};

struct candidate {
	pid_t tid;
	enum rank rank;
	uint64_t wait_ns;	/* not before that long after the start of the search */
};

struct candidates {
	struct candidate *v;
	size_t n;
	size_t cap;
};

struct search {
	struct ug_proc *p;
	const struct ug_maps *maps;
	struct ug_maps fresh;
	const struct ug_gadgets *g;
	unsigned int flags;
	uint64_t start_ns, timeout_ns;
	struct ug_borrowed *b;
	unsigned int soft;	/* candidates of this pass that may be fit later */
	struct ug_error hard;	/* a refusal that time will not heal */
	struct ug_error last;
};

/*
 * A class-E sleeper with a finite timeout is left alone until it has left the call or the
 * timeout has passed twice: stopped again and again it would never return (measured:
 * epoll_wait(300) stopped each 100 ms). Half of our own time is the most it is given.
 */
static void judge_class_e(struct search *s, const struct ug_task_syscall *sc, struct candidate *c)
{
	uint64_t ms;

	c->rank = RANK_CLASS_E;
	if (!ug_syscall_timeout(s->p, sc, &ms))
		return;
	c->rank = RANK_CLASS_E_TIMEOUT;
	c->wait_ns = s->timeout_ns / 2;
	if (ms < c->wait_ns / 2000000)
		c->wait_ns = ms * 2000000;
}

static void judge(struct search *s, const struct ug_task *task, struct candidate *c)
{
	struct ug_task_syscall sc;

	*c = (struct candidate){ .tid = task->tid, .rank = RANK_NEVER };
	if (task->state == 'D' || ug_task_syscall(s->p, task->tid, &sc, NULL))
		return;
	/* -1: in user space, when group-stopped; else it waits in a page fault. */
	if (sc.running || (sc.nr < 0 && task->state == 'T'))
		c->rank = RANK_RUNNING;
	else if (sc.nr < 0)
		c->rank = RANK_NEVER;
	else if (ug_syscall_class_e(sc.nr, sc.args[1]))
		judge_class_e(s, &sc, c);
	else if (sc.nr == SYS_restart_syscall)
		c->rank = RANK_RESTARTED;
	else if (sc.nr == SYS_wait4 || sc.nr == SYS_waitid)
		c->rank = RANK_PARENT;
	else
		c->rank = RANK_ASLEEP;
	if (c->rank < RANK_TRANSFER && ug_syscall_may_shorten(&sc))
		c->rank = RANK_TRANSFER;
}

/* Stop one and look. 0: it is ours; 1: try another; negative: no use to go on. */
static int try(struct search *s, pid_t tid, struct ug_error *err)
{
	long restart_nr;
	int ret;

	ug_log_debug("thread %d of process %d: can it be borrowed?", tid, s->p->pid);
	ret = ug_stop_thread(s->b->stop, tid, &s->b->t, &s->last);
	if (ret == -UG_E_TRACED || ret == -UG_E_GONE || ret == -EPERM || ret == -EACCES) {
		if (err)
			*err = s->last;
		return ret;
	}
	if (ret == -ESRCH)
		return 1;
	if (ret) {
		s->soft++;
		return 1;
	}
	ret = ug_examine(s->p, s->maps, s->g, s->flags, s->b, &restart_nr, &s->last);
	if (!ret)
		ret = ug_frame_write(s->p, &s->b->ctx, &s->b->frame, s->g, restart_nr, &s->last);
	if (!ret)
		return 0;
	if (ret == -UG_E_SECCOMP || ret == -UG_E_SHADOW_STACK)
		s->hard = s->last;
	else
		s->soft++;
	ug_stop_release(s->b->stop, s->b->t);
	s->b->t = NULL;
	return 1;
}

static int by_rank(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->rank != y->rank ? (int)x->rank - (int)y->rank : x->tid - y->tid;
}

/* The less good ones, best first. */
static int try_rest(struct search *s, struct candidates *rest, struct ug_error *err)
{
	if (rest->n)
		qsort(rest->v, rest->n, sizeof(*rest->v), by_rank);
	ug_vec_for_each(rest, c) {
		int ret;

		if (c->rank == RANK_NEVER || ug_now_ns() - s->start_ns < c->wait_ns) {
			s->soft++;
			continue;
		}
		ret = try(s, c->tid, err);
		if (ret <= 0)
			return ret;
	}
	return 1;
}

/* All threads once. A sleeper of the best rank is tried at sight: there may be thousands. */
static int pass(struct search *s, struct ug_error *err)
{
	struct ug_tasks tasks = UG_VEC_INIT;
	struct candidates rest = UG_VEC_INIT;
	int ret;

	s->soft = 0;
	ret = ug_tasks_list(s->p, &tasks, err);
	if (ret)
		return ret;
	ret = 1;
	ug_vec_for_each(&tasks, task) {
		struct candidate c, *slot;

		if (ug_task_skipped(task))
			continue;
		judge(s, task, &c);
		if (c.rank == RANK_ASLEEP) {
			ret = try(s, c.tid, err);
			if (ret <= 0)
				break;
			continue;
		}
		slot = ug_vec_add(&rest);
		if (!slot) {
			ret = ug_err(err, -ENOMEM, "out of memory");
			break;
		}
		*slot = c;
	}
	if (ret > 0)
		ret = try_rest(s, &rest, err);
	ug_vec_free(&rest);
	ug_tasks_free(&tasks);
	return ret;
}

/* Stacks grow: later passes look at a fresh map. */
static int refresh(struct search *s, struct ug_error *err)
{
	struct ug_maps maps = UG_VEC_INIT;
	int ret = ug_maps_read(s->p, &maps, err);

	if (ret)
		return ret;
	ug_maps_free(&s->fresh);
	s->fresh = maps;
	s->maps = &s->fresh;
	return 0;
}

static int give_up(const struct search *s, struct ug_error *err)
{
	if (s->hard.code) {
		if (err)
			*err = s->hard;
		return s->hard.code;
	}
	return ug_err(err, -UG_E_NO_THREAD,
		      "no thread of process %d can be borrowed at the moment%s%s", s->p->pid,
		      s->last.code ? "; the last one: " : "", s->last.message);
}

static int search(struct search *s, struct ug_error *err)
{
	uint64_t pause_us = PAUSE_MIN_US;

	for (;;) {
		struct timespec ts;
		int ret = pass(s, err);

		if (ret <= 0)
			return ret;
		ret = ug_proc_check(s->p, err);
		if (ret)
			return ret;
		if ((s->hard.code && !s->soft) || ug_now_ns() - s->start_ns >= s->timeout_ns)
			return give_up(s, err);
		ts = (struct timespec){ .tv_nsec = (long)pause_us * 1000 };
		nanosleep(&ts, NULL);
		pause_us = pause_us * 2 > PAUSE_MAX_US ? PAUSE_MAX_US : pause_us * 2;
		ret = refresh(s, err);
		if (ret)
			return ret;
	}
}

int ug_borrow(struct ug_proc *p, const struct ug_maps *maps, const struct ug_gadgets *g,
	      unsigned int flags, uint64_t timeout_us, struct ug_borrowed *b,
	      struct ug_error *err)
{
	const struct ug_stop_opts opts = {
		.budget_us = WATCHDOG_BASE_US,
		.timeout_us = STOP_TIMEOUT_US,
	};
	struct search s = {
		.p = p, .maps = maps, .g = g, .flags = flags, .b = b,
		.start_ns = ug_now_ns(),
		.timeout_ns = (timeout_us ? timeout_us : DEFAULT_TIMEOUT_US) * 1000,
	};
	int ret;

	b->t = NULL;
	ret = ug_stop_create(p, &opts, &b->stop, err);
	if (ret)
		return ret;
	ret = search(&s, err);
	ug_maps_free(&s.fresh);
	if (ret) {
		ug_stop_destroy(b->stop);
		b->stop = NULL;
	}
	return ret;
}
