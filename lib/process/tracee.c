// SPDX-License-Identifier: LGPL-2.1-or-later
/* One traced thread: seize, interrupt, classify its stop, cure, detach. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <unistd.h>

#include "process/internal.h"

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

#define USER_CS 0x33		/* __USER_CS, 64-bit */
#define RESTART_NO_HANDLER 514	/* ERESTARTNOHAND, include/linux/errno.h */
#define RESTART_BLOCK 516	/* ERESTART_RESTARTBLOCK */

bool ug_cure_enabled = true;
static ug_may_restart_t may_restart;

void ug_tracer_ask_restart(ug_may_restart_t may)
{
	may_restart = may;
}

static int refuse(struct ug_proc *p, pid_t tid, int code, pid_t tracer, struct ug_error *err)
{
	if (tracer > 0)
		(void)ug_err(err, code, "process %d is traced by process %d: end that debugger first",
			     p->pid, tracer);
	else
		(void)ug_err(err, code, "cannot trace thread %d of process %d: %s", tid, p->pid,
			     strerror(-code));
	ug_err_thread(err, p->pid, tid);
	return code;
}

/* EPERM has many reasons: no permission, a tracer, an exiting thread, a kernel worker. */
static int explain_eperm(struct ug_proc *p, pid_t tid, struct ug_error *err)
{
	pid_t tracer = ug_task_tracer(p, tid);
	struct ug_task task;

	if (tracer == gettid())
		return -EALREADY;
	if (tracer > 0)
		return refuse(p, tid, -UG_E_TRACED, tracer, err);
	if (tracer < 0 || ug_task_read(p, tid, &task, NULL) < 0 || ug_task_skipped(&task) ||
	    (task.flags & UG_PF_EXITING))
		return -ESRCH;
	return refuse(p, tid, -EPERM, 0, err);
}

int ug_tracee_seize(struct ug_proc *p, pid_t tid, unsigned int options, struct ug_error *err)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)(uintptr_t)options) == 0) {
		ug_tracer_added(tid);
		return 0;
	}
	if (errno == ESRCH)
		return -ESRCH;
	if (errno == EPERM)
		return explain_eperm(p, tid, err);
	return refuse(p, tid, -errno, 0, err);
}

int ug_tracee_interrupt(struct ug_tracee *t)
{
	if (ptrace(PTRACE_INTERRUPT, t->t.tid, NULL, NULL) < 0)
		return -errno;
	t->state = UG_TRACEE_WAITING;
	return 0;
}

/*
 * Does the program counter stand behind a `syscall` instruction? The word that ends at it is
 * read, or when the text begins less than 8 bytes before it, the one that begins at it - 2.
 */
static bool after_syscall(pid_t tid, uint64_t rip)
{
	unsigned long word;

	errno = 0;
	word = (unsigned long)ptrace(PTRACE_PEEKTEXT, tid, (void *)(rip - 8), NULL);
	if (!errno)
		return word >> 48 == 0x050f;
	errno = 0;
	word = (unsigned long)ptrace(PTRACE_PEEKTEXT, tid, (void *)(rip - 2), NULL);
	return !errno && (word & 0xffff) == 0x050f;
}

static bool restart_itself(struct ug_tracee *t)
{
	if (ptrace(PTRACE_POKEUSER, t->t.tid, offsetof(struct user, regs.rax),
		   (void *)(intptr_t)-RESTART_NO_HANDLER) < 0)
		return false;
	t->t.regs.rax = (unsigned long long)-RESTART_NO_HANDLER;
	return true;
}

/*
 * Class E: our interrupt has made the call fail with EINTR. With -ERESTARTNOHAND in its place
 * the kernel decides when the thread goes on: without a handler the call is restarted, with
 * one it fails with EINTR as it should. That holds also when we are dead by then. The cure is
 * due in a signal-delivery stop too: a traced thread is woken even by signals it ignores.
 * A group stop is not ours: what it does to the call it does without us.
 */
static void cure(struct ug_tracee *t)
{
	struct user_regs_struct *r = &t->t.regs;

	if (!ug_cure_enabled || (long)r->rax != -EINTR || r->cs != USER_CS ||
	    !ug_syscall_class_e((long)r->orig_rax, r->rsi) || !after_syscall(t->t.tid, r->rip))
		return;
	t->t.cured = restart_itself(t);
}

/*
 * The kernel lets poll, nanosleep and futex go on by restart_syscall(2), which the program never
 * calls itself; a seccomp filter without it would kill the thread when we let it go. Its own
 * call it may make: that starts anew, with its full timeout.
 */
static void spare_restart(struct ug_tracee *t)
{
	struct user_regs_struct *r = &t->t.regs;

	if ((long)r->rax == -RESTART_BLOCK && (long)r->orig_rax >= 0 && may_restart &&
	    !may_restart(t->t.tid, r->rip))
		t->t.no_restart = restart_itself(t);
}

static bool is_stop_signal(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

static void classify(struct ug_tracee *t, int status)
{
	int sig = status & 0x7f;

	t->event = status >> 8;
	t->t.signo = 0;
	if (t->event == PTRACE_EVENT_STOP) {
		t->t.kind = is_stop_signal(sig) ? UG_STOP_GROUP : UG_STOP_EVENT;
	} else if (t->event || status & 0x80) {	/* 0x80: a call of inject/ (TRACESYSGOOD) */
		t->t.kind = UG_STOP_OTHER;
	} else {
		t->t.kind = UG_STOP_SIGNAL;
		t->t.signo = sig;
	}
}

int ug_tracee_look(struct ug_tracee *t)
{
	int status = 0, r = ug_tracer_poll(t->t.tid, &status);

	if (r == 1 && ptrace(PTRACE_GETREGS, t->t.tid, NULL, &t->t.regs) < 0)
		r = errno == ESRCH ? 0 : -ESRCH;	/* killed: its exit is seen next */
	if (r < 0)
		t->state = UG_TRACEE_GONE;
	if (r <= 0)
		return r;
	classify(t, status);
	if (t->t.kind == UG_STOP_EVENT || t->t.kind == UG_STOP_SIGNAL) {
		cure(t);
		spare_restart(t);
	}
	t->state = UG_TRACEE_STOPPED;
	return 1;
}

/*
 * Detaching clears all options before the thread runs, so a child it makes is not ours.
 * A group-stopped thread stays stopped: the kernel reinstates the stop.
 */
int ug_tracee_detach(struct ug_tracee *t)
{
	intptr_t sig = t->t.kind == UG_STOP_SIGNAL ? t->t.signo : 0;

	if (ptrace(PTRACE_DETACH, t->t.tid, NULL, (void *)sig) < 0)
		return -ESRCH;
	t->state = UG_TRACEE_GONE;
	return 0;
}
