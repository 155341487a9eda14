// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Is this stopped thread fit to be borrowed? Everything is checked before anything is
 * changed; what cannot be read in a stop without blocking counts against the thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <linux/ptrace.h>

#include "base/cleanup.h"
#include "inject/inject.h"

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f	/* since 5.13 */
#endif
#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211	/* since 6.4 */
#endif
#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

#define RSEQ_CS_OFF 8	/* of struct rseq: cpu_id_start, cpu_id, rseq_cs (linux/rseq.h) */

struct rseq_cs64 {
	uint32_t version, flags;
	uint64_t start_ip, post_commit_offset, abort_ip;
};

struct sud_config {
	uint64_t mode, selector, offset, len;
};

static int unfit(struct ug_error *err, pid_t tid, const char *why)
{
	return ug_err(err, -UG_E_NO_THREAD, "thread %d cannot be borrowed: %s", tid, why);
}

/*
 * In an rseq critical section? Moved out of it and put back, the thread would finish the
 * section with the kernel's protection gone. A pointer to a section that was left counts not.
 */
static bool in_rseq(struct ug_proc *p, pid_t tid, ug_raddr_t pc)
{
	struct ptrace_rseq_configuration conf = { 0 };
	struct rseq_cs64 cs;
	uint64_t ptr;

	/* No such request: before 5.13, when glibc did not use rseq either. */
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(conf), &conf) < 0 ||
	    !conf.rseq_abi_pointer)
		return false;
	if (ug_proc_read_present(p, conf.rseq_abi_pointer + RSEQ_CS_OFF, &ptr, sizeof(ptr), false,
				 NULL))
		return true;
	if (!ptr)
		return false;
	if (ug_proc_read_present(p, ptr, &cs, sizeof(cs), false, NULL))
		return true;
	return pc - cs.start_ip < cs.post_commit_offset;
}

/* Does the program emulate its own system calls (Wine)? Ours would be diverted too. */
static bool has_user_dispatch(pid_t tid)
{
	struct sud_config conf = { 0 };

	return !ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof(conf), &conf) &&
	       conf.mode;
}

/* 1: the thread runs with a user shadow stack; `ret` into sigreturn would fault. */
static int has_shadow_stack(struct ug_proc *p, pid_t tid)
{
	char path[64], line[256];
	ug_autofclose FILE *f = NULL;
	int fd;

	snprintf(path, sizeof(path), "task/%d/status", tid);
	fd = openat(p->dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -ESRCH;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "x86_Thread_features:", 20))
			return strstr(line, "shstk") != NULL;
	return 0;
}

/* The first thread, and no other thread has forked the process. */
static bool began_program(struct ug_proc *p, pid_t tid)
{
	struct ug_task task;

	return tid == p->pid &&
	       (ug_task_read(p, tid, &task, NULL) || !(task.flags & UG_PF_FORKNOEXEC));
}

/*
 * Is rsp on the stack the thread started with? Only there is enough room below it known to
 * be stack: a coroutine's or goroutine's stack, or an alternate one, may end within the
 * length of the frame, with other data below in the same mapping. glibc and musl keep the
 * thread control block above the stack, and its first word points to itself (x86-64 ABI).
 * That of the first thread has no stack: what adjoins it from below was mapped for something
 * else. (In a forked process it is taken for one: the thread that forked it had its there.)
 */
static bool on_home_stack(struct ug_proc *p, const struct ug_maps *maps, pid_t tid,
			  const struct user_regs_struct *r)
{
	const struct ug_map *m = ug_maps_find(maps, r->rsp);
	uint64_t self;

	if (!m)
		return false;
	if (!strcmp(m->name, "[stack]"))
		return true;
	if (began_program(p, tid))
		return false;
	if (r->fs_base <= r->rsp || r->fs_base >= ug_maps_readable_end(maps, r->rsp))
		return false;
	return !ug_proc_read_present(p, r->fs_base, &self, sizeof(self), true, NULL) &&
	       self == r->fs_base;
}

/* Is all of [lo, hi) mapped, private and writable? Writes from outside do not grow a stack. */
static bool writable(const struct ug_maps *maps, ug_raddr_t lo, ug_raddr_t hi)
{
	while (lo < hi) {
		const struct ug_map *m = ug_maps_find(maps, lo);

		if (!m || !(m->prot & PROT_WRITE) || m->shared)
			return false;
		lo = m->end;
	}
	return true;
}

static bool interrupted(const struct user_regs_struct *r)
{
	switch (-(int64_t)r->rax) {
	case UG_ERESTARTSYS:
	case UG_ERESTARTNOINTR:
	case UG_ERESTARTNOHAND:
	case UG_ERESTART_RESTARTBLOCK:
		return (int64_t)r->orig_rax >= 0;
	}
	return false;
}

long ug_restarted_nr(struct ug_proc *p, ug_raddr_t pc)
{
	uint8_t code[7];	/* mov $nr,%eax; syscall */
	uint32_t nr;

	if (ug_proc_read_present(p, pc - sizeof(code), code, sizeof(code), false, NULL) ||
	    code[0] != 0xb8 || code[5] != 0x0f || code[6] != 0x05)
		return -1;
	memcpy(&nr, code + 1, sizeof(nr));
	/* The only calls with a restart block (kernel 6.18: users of set_restart_fn). */
	if (nr == SYS_poll || nr == SYS_nanosleep || nr == SYS_clock_nanosleep || nr == SYS_futex)
		return nr;
	return -1;
}

/* The call that sigreturn would have to make again, -1 for none. */
static int restart_number(struct ug_proc *p, pid_t tid, const struct user_regs_struct *r,
			  long *ret_nr, struct ug_error *err)
{
	uint8_t insn[UG_SYSCALL_INSN_LEN];

	*ret_nr = -1;
	if (!interrupted(r))
		return 0;
	if (ug_proc_read_present(p, r->rip - sizeof(insn), insn, sizeof(insn), false, NULL) ||
	    insn[0] != 0x0f || insn[1] != 0x05)
		return unfit(err, tid, "its system call was not made by `syscall`");
	*ret_nr = (long)r->orig_rax;
	/* Already restarted once: the number is gone, unless the code still tells it. */
	if (*ret_nr == SYS_restart_syscall)
		*ret_nr = ug_restarted_nr(p, r->rip);
	if (*ret_nr < 0)
		return unfit(err, tid, "it sleeps in restart_syscall(2)");
	return 0;
}

/* What the registers alone tell. */
static int examine_regs(struct ug_proc *p, const struct ug_thread *t, struct ug_error *err)
{
	const struct user_regs_struct *r = &t->regs;

	/* In a signal-delivery stop the signal is already dequeued, on its way. */
	if (t->kind != UG_STOP_EVENT && t->kind != UG_STOP_GROUP)
		return unfit(err, t->tid, "it is about to handle a signal or an event");
	if (r->cs != UG_USER_CS)
		return unfit(err, t->tid, "it executes 32-bit code");
	if (in_rseq(p, t->tid, r->rip))
		return unfit(err, t->tid, "it is in a restartable sequence");
	if (has_user_dispatch(t->tid))
		return unfit(err, t->tid, "it uses syscall user dispatch");
	return 0;
}

static int examine_stack(struct ug_proc *p, const struct ug_maps *maps, const struct ug_gadgets *g,
			 struct ug_borrowed *b, struct ug_error *err)
{
	const struct user_regs_struct *r = &b->t->regs;

	if (r->rsp < (uint64_t)UG_XSTATE_MAX * 2)
		return unfit(err, b->t->tid, "it has no stack");
	if (!on_home_stack(p, maps, b->t->tid, r))
		return unfit(err, b->t->tid, "it is not on its own stack");
	ug_frame_place(&b->ctx, g, &b->frame);
	if (!writable(maps, b->frame.addr, r->rsp))
		return unfit(err, b->t->tid, "its mapped stack has no room for a frame");
	return 0;
}

static int set_options(pid_t tid, unsigned int flags, struct ug_error *err)
{
	/* EXEC as the layer below has it: an exec must not add a SIGTRAP. */
	unsigned long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;

	if (flags & UG_REMOTE_SUSPEND_SECCOMP)
		options |= PTRACE_O_SUSPEND_SECCOMP;
	if (ptrace(PTRACE_SETOPTIONS, tid, 0, options))
		return ug_err_errno(err, "cannot set ptrace options of thread %d", tid);
	return 0;
}

int ug_examine(struct ug_proc *p, const struct ug_maps *maps, const struct ug_gadgets *g,
	       unsigned int flags, struct ug_borrowed *b, long *ret_restart,
	       struct ug_error *err)
{
	pid_t tid = b->t->tid;
	int ret;

	if (!ug_gadgets_verify(p, g))
		return unfit(err, tid, "the borrowed instructions are not in memory");
	ret = examine_regs(p, b->t, err);
	if (ret)
		return ret;
	ret = has_shadow_stack(p, tid);
	if (ret)
		return ret < 0 ? unfit(err, tid, "its status cannot be read") :
				 ug_err(err, -UG_E_SHADOW_STACK,
					"thread %d of process %d uses a user shadow stack", tid,
					p->pid);
	/* Left by a dead controller in front of a call (disarm.c), it is given back behind that. */
	(void)ug_frame_skip_call(p, &b->t->regs);
	ret = restart_number(p, tid, &b->t->regs, ret_restart, err);
	if (!ret && !(flags & UG_REMOTE_SUSPEND_SECCOMP))
		ret = ug_seccomp_check_at(p, tid, g, err);
	if (!ret)
		ret = ug_context_read(&b->ctx, tid, &b->t->regs, err);
	if (!ret)
		ret = examine_stack(p, maps, g, b, err);
	return ret ? ret : set_options(tid, flags, err);
}
