// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a ptrace stop does to which system call. */
#include <errno.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/internal.h"
#include "process/task.h"

/* Newer than the headers of the oldest supported distribution. */
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

bool ug_syscall_class_e(long nr, uint64_t arg1)
{
	switch (nr) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_rt_sigtimedwait:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_accept:
	case SYS_accept4:
	case SYS_connect:
		return true;
	case SYS_io_uring_enter:
		/* What was submitted must not be submitted twice. */
		return (unsigned int)arg1 == 0;
	default:
		return false;
	}
}

const char *ug_syscall_name(long nr)
{
#define NAME(call_) [SYS_##call_] = #call_
	static const char *const names[] = {
		NAME(read),
		NAME(write),
		NAME(poll),
		NAME(ppoll),
		NAME(select),
		NAME(pselect6),
		NAME(epoll_wait),
		NAME(epoll_pwait),
		NAME(futex),
		NAME(nanosleep),
		NAME(clock_nanosleep),
		NAME(pause),
		NAME(accept),
		NAME(accept4),
		NAME(connect),
		NAME(recvfrom),
		NAME(recvmsg),
		NAME(recvmmsg),
		NAME(sendto),
		NAME(sendmsg),
		NAME(sendmmsg),
		NAME(readv),
		NAME(writev),
		NAME(pread64),
		NAME(pwrite64),
		NAME(sendfile),
		NAME(splice),
		NAME(wait4),
		NAME(waitid),
		NAME(rt_sigsuspend),
		NAME(rt_sigtimedwait),
		NAME(semop),
		NAME(semtimedop),
		NAME(msgrcv),
		NAME(msgsnd),
		NAME(mq_timedreceive),
		NAME(mq_timedsend),
		NAME(io_getevents),
		NAME(io_pgetevents),
		NAME(flock),
		NAME(fcntl),
		NAME(fsync),
		NAME(fdatasync),
		NAME(openat),
		NAME(ioctl),
		NAME(close),
		NAME(vfork),
		NAME(fork),
		NAME(clone),
		NAME(restart_syscall),
		NAME(io_uring_enter),
		NAME(clone3),
		NAME(epoll_pwait2),
	};
#undef NAME

	return nr >= 0 && nr < (long)UG_ARRAY_SIZE(names) ? names[nr] : NULL;
}

bool ug_syscall_transfer(long nr)
{
	switch (nr) {
	case SYS_read:
	case SYS_write:
	case SYS_readv:
	case SYS_writev:
	case SYS_preadv2:
	case SYS_pwritev2:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_sendfile:
	case SYS_splice:
	case SYS_tee:
	case SYS_vmsplice:
	case SYS_getrandom:
		return true;
	default:
		return false;
	}
}

bool ug_syscall_may_shorten(const struct ug_task_syscall *sc)
{
	if (sc->running)
		return false;
	switch (sc->nr) {
	case SYS_read:
	case SYS_readv:
	case SYS_preadv2:
		return false;
	case SYS_recvfrom:
		return sc->args[3] & MSG_WAITALL;
	case SYS_recvmsg:
		return sc->args[2] & MSG_WAITALL;
	default:
		return ug_syscall_transfer(sc->nr);
	}
}

int ug_proc_check_transfers(struct ug_proc *p, struct ug_error *err)
{
	struct ug_tasks tasks = { 0 };
	int r = ug_tasks_list(p, &tasks, err);

	for (size_t i = 0; r == 0 && i < tasks.n; i++) {
		struct ug_task_syscall sc;
		const char *name;

		if (tasks.v[i].state != 'S' ||
		    ug_task_syscall(p, tasks.v[i].tid, &sc, NULL) < 0 || !ug_syscall_may_shorten(&sc))
			continue;
		name = ug_syscall_name(sc.nr);
		r = ug_err(err, -UG_E_TRANSFER, "thread %d is in the middle of %s, which a stop could "
			   "cut short: try again later, or without --no-short-transfers",
			   tasks.v[i].tid, name ? name : "a transfer");
		ug_err_thread(err, p->pid, tasks.v[i].tid);
	}
	ug_tasks_free(&tasks);
	return r;
}

static bool timespec_ms(const struct timespec *ts, uint64_t *ret_ms)
{
	if (ts->tv_sec < 0 || (uint64_t)ts->tv_sec > UINT64_MAX / 2000 || ts->tv_nsec < 0 ||
	    ts->tv_nsec >= 1000000000)
		return false;
	*ret_ms = (uint64_t)ts->tv_sec * 1000 + (uint64_t)(ts->tv_nsec + 999999) / 1000000;
	return true;
}

static bool remote_timespec(struct ug_proc *p, ug_raddr_t addr, uint64_t *ret_ms)
{
	struct timespec ts;

	if (!p || !addr || ug_proc_read(p, addr, &ts, sizeof(ts), NULL) < 0)
		return false;
	return timespec_ms(&ts, ret_ms);
}

/* SO_RCVTIMEO or SO_SNDTIMEO, asked of a duplicate of the target's own descriptor. */
static bool socket_timeout(struct ug_proc *p, uint64_t sock, int option, uint64_t *ret_ms)
{
	ug_autoclose int fd = p ? pidfd_getfd(p->pidfd, (int)sock, 0) : -1;
	struct timeval tv;
	socklen_t len = sizeof(tv);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, option, &tv, &len) < 0)
		return false;
	if (tv.tv_sec < 0 || (tv.tv_sec == 0 && tv.tv_usec == 0))
		return false;
	*ret_ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)(tv.tv_usec + 999) / 1000;
	return true;
}

static bool ring_timeout(struct ug_proc *p, const struct ug_task_syscall *sc, uint64_t *ret_ms)
{
	struct io_uring_getevents_arg arg;

	if (!p || !(sc->args[3] & IORING_ENTER_EXT_ARG) || sc->args[5] < sizeof(arg) ||
	    ug_proc_read(p, sc->args[4], &arg, sizeof(arg), NULL) < 0)
		return false;
	return remote_timespec(p, arg.ts, ret_ms);
}

static bool argument_ms(uint64_t arg, uint64_t *ret_ms)
{
	int ms = (int)arg;

	if (ms < 0)
		return false;
	*ret_ms = (uint64_t)ms;
	return true;
}

bool ug_syscall_timeout(struct ug_proc *p, const struct ug_task_syscall *sc, uint64_t *ret_ms)
{
	if (sc->running || sc->nr < 0)
		return false;
	switch (sc->nr) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return argument_ms(sc->args[3], ret_ms);
	case SYS_rt_sigtimedwait:
		return remote_timespec(p, sc->args[2], ret_ms);
	case SYS_epoll_pwait2:
	case SYS_semtimedop:
		return remote_timespec(p, sc->args[3], ret_ms);
	case SYS_io_getevents:
	case SYS_io_pgetevents:
		return remote_timespec(p, sc->args[4], ret_ms);
	case SYS_io_uring_enter:
		return ring_timeout(p, sc, ret_ms);
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_accept:
	case SYS_accept4:
		return socket_timeout(p, sc->args[0], SO_RCVTIMEO, ret_ms);
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_connect:
		return socket_timeout(p, sc->args[0], SO_SNDTIMEO, ret_ms);
	default:
		return false;
	}
}

bool ug_task_in_vfork(struct ug_proc *p, pid_t tid)
{
	struct ug_task_syscall sc;
	uint64_t flags;

	if (ug_task_syscall(p, tid, &sc, NULL) < 0 || sc.running)
		return false;
	switch (sc.nr) {
	case SYS_vfork:
		return true;
	case SYS_clone:
		return sc.args[0] & CLONE_VFORK;
	case SYS_clone3:
		/* The flags are the first member of struct clone_args. */
		return ug_proc_read(p, sc.args[0], &flags, sizeof(flags), NULL) == 0 &&
		       (flags & CLONE_VFORK);
	default:
		return false;
	}
}
