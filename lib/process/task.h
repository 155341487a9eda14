/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc tells of a thread without stopping it. */
#ifndef UG_PROCESS_TASK_H
#define UG_PROCESS_TASK_H

#include "base/vec.h"
#include "process/proc.h"

/* Flags of /proc/PID/task/TID/stat, field 9 (include/linux/sched.h, stable for years). */
#define UG_PF_EXITING 0x00000004
#define UG_PF_IO_WORKER 0x00000010
#define UG_PF_FORKNOEXEC 0x00000040	/* set by fork, cleared by exec */
#define UG_PF_USER_WORKER 0x00004000	/* since 6.4; before, PF_IO_WORKER alone */
#define UG_PF_KTHREAD 0x00200000

struct ug_task {
	pid_t tid;
	uint64_t start_time;	/* clock ticks since boot: a recycled tid differs */
	char state;		/* R S D T t Z X I */
	unsigned int flags;	/* UG_PF_* */
	unsigned int rt_priority;	/* 1 to 99 of a real-time thread, else 0 */
	char comm[16];
};

/* A thread that can never be stopped nor run user code: zombie, dead, io_uring or vhost worker. */
bool ug_task_skipped(const struct ug_task *t);

struct ug_tasks {
	struct ug_task *v;
	size_t n;
	size_t cap;
};

int ug_task_read(struct ug_proc *p, pid_t tid, struct ug_task *ret, struct ug_error *err) ug_must_check;

/* One pass over /proc/PID/task; threads that vanish meanwhile are left out. */
int ug_tasks_list(struct ug_proc *p, struct ug_tasks *ret, struct ug_error *err) ug_must_check;
void ug_tasks_free(struct ug_tasks *tasks);

/*
 * The sum of voluntary and involuntary context switches of /proc/PID/task/TID/status.
 * Constant while the thread sleeps, +1 for each wake-up (measured on 6.18): a thread which
 * is asleep with an unchanged sum has not run.
 */
int ug_task_switches(struct ug_proc *p, pid_t tid, uint64_t *ret, struct ug_error *err) ug_must_check;

/* /proc/PID/task/TID/syscall. */
struct ug_task_syscall {
	bool running;		/* nothing else is known */
	long nr;		/* -1: blocked, but not in a system call */
	uint64_t args[6];
	ug_raddr_t sp, pc;
};

int ug_task_syscall(struct ug_proc *p, pid_t tid, struct ug_task_syscall *ret,
		    struct ug_error *err) ug_must_check;

/* Name of a system call in which a thread may sleep; NULL for others. */
const char *ug_syscall_name(long nr);

/*
 * Class E: system calls that return -EINTR at a ptrace stop (design, measured on 6.18):
 * epoll_wait, epoll_pwait, epoll_pwait2, rt_sigtimedwait, semop, semtimedop, io_getevents,
 * io_pgetevents, io_uring_enter (only when it submitted nothing: args[1] == 0), and
 * recv*, accept*, send*, connect (they return it on a socket with a timeout only).
 */
bool ug_syscall_class_e(long nr, uint64_t arg1);

/* Class E with a finite timeout in its arguments (epoll_wait >= 0, ...): *ret_ms, else false.
 * Timeouts that lie in memory are read through p (may be NULL: then unknown counts as none). */
bool ug_syscall_timeout(struct ug_proc *p, const struct ug_task_syscall *sc, uint64_t *ret_ms);

/* Blocking transfers that a stop may shorten: read/write on pipes and sockets, send/recv
 * families, sendfile, splice, tee, vmsplice, readv/writev, getrandom. */
bool ug_syscall_transfer(long nr);

/*
 * A sleeping call which may have moved a part already, so that a stop would make it return
 * short: writes of all kinds, and reads that wait for all they were asked for. The others
 * return what there is, and sleep only while that is nothing (but for SO_RCVLOWAT and VMIN).
 */
bool ug_syscall_may_shorten(const struct ug_task_syscall *sc);

/* 0, or -UG_E_TRANSFER naming a thread that sleeps in such a call. */
int ug_proc_check_transfers(struct ug_proc *p, struct ug_error *err) ug_must_check;

#endif
