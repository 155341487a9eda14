// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls that a dead controller has left to be made. Its thread is let go in front of one when
 * the controller dies, makes it as soon as it is scheduled, and restores itself. On a busy
 * machine that is later than the next controller comes, in a stopped process after SIGCONT. By
 * then the descriptor or the address the call is about may be given back, and be the
 * program's own: its file would be closed or resized, its memory unmapped.
 *
 * So before anything is given back that may be such a controller's, its threads are made to
 * skip the call: behind it is the return into sigreturn.
 */
#include <errno.h>
#include <sys/ptrace.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "inject/inject.h"

#define PATIENCE_NS UINT64_C(3000000000)
#define NAP_NS 1000000

static int skip_call(struct ug_proc *p, struct ug_thread *t, struct ug_error *err)
{
	struct user_regs_struct regs = t->regs;

	if (!ug_frame_skip_call(p, &regs))
		return 0;
	ug_log_debug("thread %d of process %d: a call of a dead controller is not made", t->tid, p->pid);
	if (ptrace(PTRACE_SETREGS, t->tid, 0, &regs) < 0 && errno != ESRCH)
		return ug_err_errno(err, "cannot set the registers of thread %d", t->tid);
	return 0;
}

/* 1: it has to be asked again. */
static int stop_and_skip(struct ug_proc *p, struct ug_stop *s, pid_t tid, struct ug_error *err)
{
	struct ug_thread *t;
	int r = ug_stop_thread(s, tid, &t, err);

	if (r == -ESRCH)
		return 0;
	/* It does not stop yet; or who traced it is still dying. */
	if (r == -UG_E_UNSTOPPABLE || r == -UG_E_VFORK || r == -UG_E_TRACED)
		return 1;
	if (r < 0)
		return r;
	r = skip_call(p, t, err);
	ug_stop_release(s, t);
	return r;
}

/* The same of a thread that need not be stopped to see that it has nothing to do with it. */
static int settle(struct ug_proc *p, struct ug_stop *s, pid_t tid, struct ug_error *err)
{
	struct ug_task_syscall sc;
	struct ug_task task;

	if (ug_task_syscall(p, tid, &sc, NULL) < 0 || ug_task_read(p, tid, &task, NULL) < 0)
		return 0;
	if (sc.running)
		return stop_and_skip(p, s, tid, err);
	if (sc.nr < 0)
		return ug_frame_is_armed(p, sc.pc, sc.sp) ? stop_and_skip(p, s, tid, err) : 0;
	/* In the call, which ends by itself; or, when stopped by a signal, behind it. */
	return task.state == 'D' && ug_frame_is_armed(p, sc.pc - UG_SYSCALL_INSN_LEN, sc.sp);
}

static int settle_until(struct ug_proc *p, struct ug_stop *s, pid_t tid, uint64_t deadline_ns,
			struct ug_error *err)
{
	const struct timespec nap = { 0, NAP_NS };

	for (;;) {
		int r = settle(p, s, tid, err);

		if (r <= 0)
			return r;
		if (ug_now_ns() >= deadline_ns)
			return ug_err(err, -UG_E_UNSTOPPABLE, "thread %d of process %d may be about to "
				      "make a call of a controller that has died, and cannot be stopped",
				      tid, p->pid);
		nanosleep(&nap, NULL);
	}
}

int ug_remote_disarm(struct ug_proc *p, struct ug_error *err)
{
	uint64_t deadline_ns = ug_now_ns() + PATIENCE_NS;
	struct ug_tasks tasks = UG_VEC_INIT;
	struct ug_stop *stop;
	int r = ug_tasks_list(p, &tasks, err);

	if (r < 0)
		return r;
	r = ug_stop_create(p, NULL, &stop, err);
	if (r < 0) {
		ug_tasks_free(&tasks);
		return r;
	}
	/* Whoever sleeps has been scheduled since: it made its call, and none of ours sleeps. */
	ug_vec_for_each(&tasks, task) {
		if (r == 0 && !ug_task_skipped(task) && task->state != 'S')
			r = settle_until(p, stop, task->tid, deadline_ns, err);
	}
	ug_stop_destroy(stop);
	ug_tasks_free(&tasks);
	return r;
}
