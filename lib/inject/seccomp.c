// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Asking before calling. PTRACE_O_SUSPEND_SECCOMP would let anything pass, but only as long as
 * we live: killed in the wrong moment, the target makes the forbidden call unprotected and
 * dies of SIGSYS. So every call a session can make, and the two by which a thread comes back
 * from an interruption, must be allowed by every filter of the thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "inject/inject.h"

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define FILTERS_MAX 1024	/* the kernel allows 32768 instructions in all */

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define EXACT MAP_FIXED_NOREPLACE
#define SOME_ADDR 0x7f0000000000u
#define SOME_FD 9

/* As mmap.c and the engine make them; addresses and descriptors are only examples. */
static const struct call {
	const char *name;
	int nr;
	bool named;	/* only where anonymous memory can have a name */
	uint64_t args[6];
} calls[] = {
	{ "memfd_create", SYS_memfd_create, false, { SOME_ADDR, MFD_CLOEXEC | MFD_NOEXEC_SEAL } },
	{ "memfd_create", SYS_memfd_create, false, { SOME_ADDR, MFD_CLOEXEC } },
	{ "ftruncate", SYS_ftruncate, false, { SOME_FD, 4096 } },
	{ "mmap(r-x)", SYS_mmap, false,
	  { SOME_ADDR, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | EXACT, SOME_FD, 0 } },
	{ "mmap(rw-)", SYS_mmap, false,
	  { SOME_ADDR, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | EXACT, SOME_FD, 0 } },
	{ "mmap(r--)", SYS_mmap, false,
	  { SOME_ADDR, 4096, PROT_READ, MAP_PRIVATE | EXACT, SOME_FD, 0 } },
	{ "mmap(r-x)", SYS_mmap, false,
	  { SOME_ADDR, 4096, PROT_READ | PROT_EXEC, ANON | EXACT, -1UL, 0 } },
	{ "mmap(rw-)", SYS_mmap, false,
	  { SOME_ADDR, 4096, PROT_READ | PROT_WRITE, ANON | EXACT, -1UL, 0 } },
	{ "mmap(rw-)", SYS_mmap, false, { 0, 4096, PROT_READ | PROT_WRITE, ANON, -1UL, 0 } },
	{ "mmap(r--)", SYS_mmap, false, { SOME_ADDR, 4096, PROT_READ, ANON | EXACT, -1UL, 0 } },
	{ "munmap", SYS_munmap, false, { SOME_ADDR, 4096 } },
	{ "close", SYS_close, false, { SOME_FD } },
	{ "prctl(PR_SET_VMA)", SYS_prctl, true,
	  { PR_SET_VMA, PR_SET_VMA_ANON_NAME, SOME_ADDR, 4096, SOME_ADDR } },
	{ "rt_sigreturn", SYS_rt_sigreturn, false, { 0 } },
	{ "restart_syscall", SYS_restart_syscall, false, { 0 } },
};

static const struct call restart = { "restart_syscall", SYS_restart_syscall, false, { 0 } };

/* What is asked of each filter of a thread. */
struct question {
	const struct call *calls;
	size_t n;
	const struct ug_gadgets *g;	/* may be NULL */
	uint64_t pc;			/* of the thread */
	bool anon_names;
};

bool ug_anon_names_known(void)
{
	void *m = mmap(NULL, UG_PAGE_SIZE, PROT_NONE, ANON, -1, 0);
	bool known;

	if (m == MAP_FAILED)
		return false;
	known = !prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, m, UG_PAGE_SIZE, "ugraft");
	munmap(m, UG_PAGE_SIZE);
	return known;
}

/* Behind the instruction from which the call would be made. */
static uint64_t call_site(const struct question *q, int nr)
{
	if (nr == SYS_restart_syscall)
		return q->pc;
	if (!q->g)
		return 0;
	return nr == SYS_rt_sigreturn ? ug_gadgets_sigreturn_ip(q->g) :
					q->g->syscall_ret + UG_SYSCALL_INSN_LEN;
}

/* The first of the calls that the filter does not let pass, or NULL. Logging is harmless. */
static const struct call *forbidden(const struct sock_filter *prog, size_t len,
				    const struct question *q)
{
	for (size_t i = 0; i < q->n; i++) {
		const struct call *call = &q->calls[i];
		struct seccomp_data d = { .nr = call->nr, .arch = AUDIT_ARCH_X86_64 };
		uint32_t action;

		if (call->named && !q->anon_names)
			continue;
		d.instruction_pointer = call_site(q, call->nr);
		for (unsigned int k = 0; k < 6; k++)
			d.args[k] = call->args[k];
		action = ug_seccomp_run(prog, len, &d) & SECCOMP_RET_ACTION_FULL;
		if (action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG)
			return call;
	}
	return NULL;
}

/* 0, 2 (filters) or 1 (strict) of /proc/PID/task/TID/status; 0 when built without. */
static int seccomp_mode(struct ug_proc *p, pid_t tid, int *ret_mode, struct ug_error *err)
{
	char path[64], line[256];
	ug_autofclose FILE *f = NULL;
	int fd;

	snprintf(path, sizeof(path), "task/%d/status", tid);
	fd = openat(p->dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		f = fdopen(fd, "r");
	if (!f) {
		if (fd >= 0)
			close(fd);
		return ug_err(err, -UG_E_GONE, "thread %d is gone", tid);
	}
	*ret_mode = 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Seccomp: %d", ret_mode) == 1)
			break;
	return 0;
}

static int refuse(struct ug_error *err, pid_t pid, pid_t tid, const char *what)
{
	ug_err(err, -UG_E_SECCOMP,
	       "a seccomp filter of process %d forbids %s, which is needed; allow it, or use "
	       "--suspend-seccomp (not safe against a kill of ugraft)", pid, what);
	return ug_err_thread(err, pid, tid), -UG_E_SECCOMP;
}

/* No exception from this one: it is not our call, and comes when we are gone. */
int ug_seccomp_refuse_restart(struct ug_error *err, pid_t pid, pid_t tid)
{
	ug_err(err, -UG_E_SECCOMP,
	       "a seccomp filter of process %d forbids restart_syscall, which the kernel makes for a "
	       "thread that was stopped in poll, nanosleep or futex: allow it", pid);
	return ug_err_thread(err, pid, tid), -UG_E_SECCOMP;
}

/* The filter number i. 1: there is none. */
static int check_one(pid_t pid, pid_t tid, unsigned long i, const struct question *q,
		     struct ug_error *err)
{
	long n = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, i, NULL);
	ug_autofree struct sock_filter *prog = NULL;
	const struct call *call;

	if (n < 0 && errno == ENOENT)
		return 1;
	if (n < 0)
		return ug_err(err, -UG_E_SECCOMP, "the seccomp filters of thread %d cannot be read "
			      "(%s): CAP_SYS_ADMIN, and no filter of our own, are needed", tid,
			      strerror(errno));
	prog = calloc((size_t)n + 1, sizeof(*prog));
	if (!prog)
		return ug_err(err, -ENOMEM, "out of memory");
	/* Filters of a stopped thread can grow (SECCOMP_FILTER_FLAG_TSYNC of another): the
	 * newest is number 0, so that the numbers shift; a different length is noticed. */
	if (n > BPF_MAXINSNS || ptrace(PTRACE_SECCOMP_GET_FILTER, tid, i, prog) != n)
		return ug_err(err, -UG_E_SECCOMP, "the seccomp filters of thread %d are changing",
			      tid);
	call = forbidden(prog, (size_t)n, q);
	if (call && call->nr == SYS_restart_syscall)
		return ug_seccomp_refuse_restart(err, pid, tid);
	return call ? refuse(err, pid, tid, call->name) : 0;
}

static int check_thread(struct ug_proc *p, pid_t tid, const struct question *q,
			struct ug_error *err)
{
	int mode, ret;

	ret = seccomp_mode(p, tid, &mode, err);
	if (ret || mode == SECCOMP_MODE_DISABLED)
		return ret;
	if (mode == SECCOMP_MODE_STRICT)
		return refuse(err, p->pid, tid, "everything but read and write (strict mode)");
	for (unsigned long i = 0; i < FILTERS_MAX; i++) {
		ret = check_one(p->pid, tid, i, q, err);
		if (ret)
			return ret > 0 ? 0 : ret;
	}
	return refuse(err, p->pid, tid, "something in more filters than can be examined");
}

int ug_seccomp_check_at(struct ug_proc *p, pid_t tid, const struct ug_gadgets *g,
			struct ug_error *err)
{
	const struct question q = { .calls = calls, .n = UG_ARRAY_SIZE(calls), .g = g,
				    .anon_names = ug_anon_names_known() };

	return check_thread(p, tid, &q, err);
}

int ug_seccomp_check(struct ug_proc *p, pid_t tid, struct ug_error *err)
{
	return ug_seccomp_check_at(p, tid, NULL, err);
}

int ug_seccomp_check_userfault(struct ug_proc *p, pid_t tid, uint64_t flags, struct ug_error *err)
{
	const struct call call = { "userfaultfd", SYS_userfaultfd, false, { flags } };
	const struct question q = { .calls = &call, .n = 1 };

	return check_thread(p, tid, &q, err);
}

/* Without the privilege to read filters: the worst is assumed of them. */
static bool has_filters(pid_t tid)
{
	char path[32], line[256];
	ug_autofclose FILE *f = NULL;
	int mode = SECCOMP_MODE_DISABLED;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	return mode != SECCOMP_MODE_DISABLED;
}

/* In stops, for each thread in poll, nanosleep, futex: one request when it has no filters. */
static bool may_restart(pid_t tid, uint64_t pc)
{
	const struct question q = { .calls = &restart, .n = 1, .pc = pc };
	int ret = 0;

	if (ptrace(PTRACE_SECCOMP_GET_FILTER, tid, 0, NULL) < 0)
		return errno == EACCES ? !has_filters(tid) : true;
	for (unsigned long i = 0; i < FILTERS_MAX && !ret; i++)
		ret = check_one(tid, tid, i, &q, NULL);
	return ret > 0;
}

void ug_seccomp_spare_restarts(void)
{
	ug_tracer_ask_restart(may_restart);
}
