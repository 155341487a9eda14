// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A session: one borrowed thread makes calls for us. See docs/borrowing.md for the rules and
 * why they are so; frame.c for what happens when we die in the middle.
 *
 *	state      registers           signals    if the controller dies now
 *	HELD       the thread's own    its own    the thread goes on, nothing was changed
 *	ARMED      of a call           blocked    the call is made (again), returns into
 *	                                          sigreturn, all is as before
 *	LOST       of a call           blocked    the same; it did not stop for us in time
 *	DEAD       -                   -          -
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "inject/inject.h"

#define CALL_TIMEOUT_US 1000000
#define STOP_EVENT_TIMEOUT_US 1000000
#define SYSCALL_STOP (SIGTRAP | 0x80)	/* PTRACE_O_TRACESYSGOOD */
#define EFLAGS_PLAIN 0x202		/* interrupts on, no single step, direction up */
#define MASK_ALL (~0ULL)
/* Stops that are not ours (SIGSTOP, SIGCONT) before a call is given up. */
#define FOREIGN_STOPS_MAX 1000

enum state { HELD, ARMED, LOST, DEAD };

struct ug_remote {
	struct ug_proc *p;
	struct ug_gadgets g;
	struct ug_borrowed b;
	pid_t tid;
	enum state state;
	size_t pushed;
};

int ug_remote_open(struct ug_proc *p, const struct ug_maps *maps, const struct ug_remote_opts *opts,
		   struct ug_remote **ret_remote, struct ug_error *err)
{
	static const struct ug_remote_opts defaults;
	struct ug_remote *r = NULL;
	int ret;

	if (!opts)
		opts = &defaults;
	/* The XSAVE area inside wants its alignment. */
	if (posix_memalign((void **)&r, _Alignof(struct ug_remote), sizeof(*r)))
		return ug_err(err, -ENOMEM, "out of memory");
	memset(r, 0, sizeof(*r));
	r->p = p;
	ret = ug_gadgets_find(p, maps, &r->g, err);
	if (!ret)
		ret = ug_borrow(p, maps, &r->g, opts->flags, opts->timeout_us, &r->b, err);
	if (ret) {
		free(r);
		return ret;
	}
	r->tid = r->b.t->tid;
	*ret_remote = r;
	return 0;
}

/* The thread disappeared under a ptrace request: by SIGKILL, exit_group or exec. */
static int gone(struct ug_remote *r, struct ug_error *err)
{
	r->state = DEAD;
	return ug_err(err, -UG_E_GONE, "thread %d of process %d died while it was borrowed",
		      r->tid, r->p->pid);
}

static int failed(struct ug_remote *r, const char *what, struct ug_error *err)
{
	if (errno == ESRCH)
		return gone(r, err);
	return ug_err_errno(err, "cannot %s of thread %d", what, r->tid);
}

static int wait_stop(struct ug_remote *r, uint64_t timeout_us, int *ret_status,
		     struct ug_error *err)
{
	int ret = ug_tracer_wait(r->tid, timeout_us, ret_status, err);

	if (ret == -ESRCH)
		return gone(r, err);
	if (ret == -ETIMEDOUT) {
		r->state = LOST;
		return ug_err(err, -UG_E_REMOTE_CALL,
			      "thread %d of process %d did not finish a system call in time",
			      r->tid, r->p->pid);
	}
	return ret;
}

/*
 * Let the thread run to its next system call stop. Signals are blocked; what still arrives:
 *  - SIGSTOP: passed on. The thread takes part in the group stop, reports that as an event
 *    stop, and runs on for us; the kernel stops it again when we let go of it, or die.
 *  - event stops (the group stop, SIGCONT's notification, a late interrupt): go on.
 *  - a fault of the thread's own: something is wrong with the call.
 */
static int run_to_syscall_stop(struct ug_remote *r, struct ug_error *err)
{
	int status = 0;

	for (int i = 0; i < FOREIGN_STOPS_MAX; i++) {
		long sig = status == SIGSTOP ? SIGSTOP : 0;
		int ret;

		if (ptrace(PTRACE_SYSCALL, r->tid, 0, sig))
			return failed(r, "resume the call", err);
		ret = wait_stop(r, CALL_TIMEOUT_US, &status, err);
		if (ret)
			return ret;
		if (status == SYSCALL_STOP)
			return 0;
		if (status >> 8 == PTRACE_EVENT_EXEC)
			return gone(r, err);
		if (!(status >> 8) && status != SIGSTOP)
			return ug_err(err, -UG_E_REMOTE_CALL,
				      "thread %d of process %d got signal %d in a borrowed call",
				      r->tid, r->p->pid, status);
	}
	return ug_err(err, -UG_E_REMOTE_CALL, "thread %d of process %d is stopped all the time",
		      r->tid, r->p->pid);
}

static void fill_call(const struct ug_remote *r, long nr, const uint64_t args[6],
		      struct user_regs_struct *regs)
{
	*regs = r->b.ctx.regs;
	regs->rip = r->g.syscall_ret;
	regs->rsp = r->b.frame.addr;
	regs->eflags = EFLAGS_PLAIN;
	regs->rax = (uint64_t)nr;
	/* Not in a system call: nothing for the kernel to restart. */
	regs->orig_rax = -1ULL;
	regs->rdi = args[0];
	regs->rsi = args[1];
	regs->rdx = args[2];
	regs->r10 = args[3];
	regs->r8 = args[4];
	regs->r9 = args[5];
	if (r->g.chain)
		regs->rbx = regs->rbp = regs->r12 = regs->r13 = regs->r14 = regs->r15 =
			SYS_rt_sigreturn;
}

/*
 * Registers first, then the mask: dead in between, the thread still runs into sigreturn,
 * which sets the mask. The other way round it would go on with all signals blocked.
 */
static int arm(struct ug_remote *r, long nr, const uint64_t args[6], struct ug_error *err)
{
	struct user_regs_struct regs;
	uint64_t all = MASK_ALL;

	fill_call(r, nr, args, &regs);
	if (ptrace(PTRACE_SETREGS, r->tid, 0, &regs))
		return failed(r, "set the registers", err);
	if (r->state == ARMED)
		return 0;
	r->state = ARMED;
	if (ptrace(PTRACE_SETSIGMASK, r->tid, sizeof(all), &all))
		return failed(r, "block the signals", err);
	return 0;
}

int ug_remote_syscall(struct ug_remote *r, long nr, const uint64_t args[6], int64_t *ret_value,
		      struct ug_error *err)
{
	struct user_regs_struct regs;
	int ret;

	if (r->state >= LOST)
		return ug_err(err, -UG_E_GONE, "thread %d of process %d cannot be used any more",
			      r->tid, r->p->pid);
	ret = arm(r, nr, args, err);
	if (!ret)
		ret = run_to_syscall_stop(r, err);	/* entry */
	if (!ret)
		ret = run_to_syscall_stop(r, err);	/* exit */
	if (ret)
		return ret;
	if (ptrace(PTRACE_GETREGS, r->tid, 0, &regs))
		return failed(r, "read the registers", err);
	if (regs.orig_rax != (uint64_t)nr || regs.rip != r->g.syscall_ret + UG_SYSCALL_INSN_LEN)
		return ug_err(err, -UG_E_REMOTE_CALL, "thread %d of process %d was diverted from "
			      "a borrowed call", r->tid, r->p->pid);
	*ret_value = (int64_t)regs.rax;
	return 0;
}

/*
 * To an event stop, in which alone the thread's own registers may be written back: at a
 * system call stop followed by a plain resume the raw restart codes (512, 516) would reach
 * the program, because the kernel handles them on the signal path only. No instruction of
 * the program is executed on the way. Any other stop swallows a pending interrupt
 * (ptrace_stop in kernel/signal.c), so each resume needs one of its own.
 */
static int to_event_stop(struct ug_remote *r, enum ug_stop_kind *ret_kind, struct ug_error *err)
{
	uint64_t end = ug_now_ns() + (uint64_t)STOP_EVENT_TIMEOUT_US * 1000;
	bool running = r->state == LOST;
	int status = 0;

	while (ug_now_ns() < end) {
		long sig = status == SIGSTOP ? SIGSTOP : 0;
		int ret;

		if (ptrace(PTRACE_INTERRUPT, r->tid, 0, 0))
			return failed(r, "interrupt the call", err);
		if (!running && ptrace(PTRACE_CONT, r->tid, 0, sig))
			return failed(r, "resume the call", err);
		running = false;
		ret = wait_stop(r, STOP_EVENT_TIMEOUT_US, &status, err);
		if (ret)
			return ret;
		if (status >> 8 == PTRACE_EVENT_EXEC)
			return gone(r, err);
		if (status >> 8 == PTRACE_EVENT_STOP) {
			*ret_kind = (status & 0x7f) == SIGTRAP ? UG_STOP_EVENT : UG_STOP_GROUP;
			return 0;
		}
	}
	return ug_err(err, -UG_E_REMOTE_CALL, "thread %d of process %d does not stop", r->tid,
		      r->p->pid);
}

/*
 * Give the thread its own state back. Mask first, for the same reason as in arm().
 * When the event stop cannot be had, the thread is let go as it is: it returns into
 * sigreturn and restores itself.
 */
static int give_back(struct ug_remote *r, struct ug_error *err)
{
	enum ug_stop_kind kind = UG_STOP_EVENT;
	int ret = to_event_stop(r, &kind, err);

	if (ret)
		return ret;
	if (ptrace(PTRACE_SETSIGMASK, r->tid, sizeof(r->b.ctx.sigmask), &r->b.ctx.sigmask))
		return failed(r, "restore the signal mask", err);
	/* orig_rax and the restart code in rax go back too: the kernel restarts the call. */
	if (ptrace(PTRACE_SETREGS, r->tid, 0, &r->b.ctx.regs))
		return failed(r, "restore the registers", err);
	r->b.t->kind = kind;
	r->b.t->signo = 0;
	r->state = HELD;
	return 0;
}

int ug_remote_close(struct ug_remote *r, struct ug_error *err)
{
	int ret = 0;

	if (!r)
		return 0;
	if (r->state == ARMED || r->state == LOST)
		ret = give_back(r, err);
	else if (r->state == DEAD)
		ret = ug_err(err, -UG_E_GONE, "thread %d of process %d died while it was borrowed",
			     r->tid, r->p->pid);
	ug_stop_destroy(r->b.stop);
	free(r);
	return ret;
}

int ug_remote_push(struct ug_remote *r, const void *data, size_t len, ug_raddr_t *ret_addr,
		   struct ug_error *err)
{
	ug_raddr_t addr = r->b.frame.scratch + UG_PUSH_SIZE + r->pushed;
	int ret;

	if (len > UG_PUSH_SIZE - r->pushed)
		return ug_err(err, -ENOSPC, "too much data for remote system calls");
	ret = ug_proc_write(r->p, addr, data, len, err);
	if (ret)
		return ret;
	/* The next datum may be a struct: keep the kernel's alignment. */
	r->pushed += ug_align_up(len, 8);
	if (r->pushed > UG_PUSH_SIZE)
		r->pushed = UG_PUSH_SIZE;
	*ret_addr = addr;
	return 0;
}

int ug_remote_name(struct ug_remote *r, const char *name, ug_raddr_t *ret_addr,
		   struct ug_error *err)
{
	size_t len = strlen(name) + 1;
	int ret;

	if (len > UG_PUSH_SIZE)
		return ug_err(err, -ENAMETOOLONG, "the name of a mapping is too long");
	ret = ug_proc_write(r->p, r->b.frame.scratch, name, len, err);
	if (!ret)
		*ret_addr = r->b.frame.scratch;
	return ret;
}

bool ug_remote_uses(const struct ug_remote *r, ug_raddr_t addr, size_t len)
{
	const struct { ug_raddr_t lo, hi; } used[] = {
		{ r->g.syscall_ret, r->g.syscall_ret + 3 },
		{ r->g.sigreturn, r->g.sigreturn + r->g.len },
		{ r->b.frame.addr, r->b.ctx.regs.rsp + 1 },
	};

	for (size_t i = 0; i < UG_ARRAY_SIZE(used); i++)
		if (addr < used[i].hi && (addr >= used[i].lo || used[i].lo - addr < len))
			return true;
	return false;
}

struct ug_proc *ug_remote_proc(struct ug_remote *r)
{
	return r->p;
}

pid_t ug_remote_tid(const struct ug_remote *r)
{
	return r->tid;
}
