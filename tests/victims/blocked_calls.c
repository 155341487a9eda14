/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The calls in which the threads of blocked.c sleep. */
#include "tests/victims/blocked_seat.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Newer than some headers. */
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

#define BIG (1 << 20)	/* bytes: far more than a pipe holds */

static struct timespec span(const struct seat *s)
{
	return (struct timespec){ .tv_sec = s->kind->ms / 1000,
				  .tv_nsec = s->kind->ms % 1000 * 1000000L };
}

static struct timespec deadline(const struct seat *s)
{
	struct timespec at, more = span(s);

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += more.tv_sec;
	at.tv_nsec += more.tv_nsec;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

static void add_byte(struct seat *s)
{
	uint64_t one = 1;

	MUST(write(s->peer, &one, sizeof(one)));
}

/* ---- descriptors that become readable ---- */

static void make_event(struct seat *s)
{
	s->fd = s->peer = (int)MUST(eventfd(0, EFD_CLOEXEC));
}

static void make_pipe(struct seat *s)
{
	int fds[2];

	MUST(pipe(fds));
	s->fd = fds[0];
	s->peer = fds[1];
}

static void make_epoll(struct seat *s)
{
	struct epoll_event ev = { .events = EPOLLIN };

	make_event(s);
	s->fd = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
	MUST(epoll_ctl(s->fd, EPOLL_CTL_ADD, s->peer, &ev));
}

static int ms_of(const struct seat *s)
{
	return s->kind->ms ? (int)s->kind->ms : -1;
}

static long call_epoll_wait(struct seat *s)
{
	struct epoll_event ev;

	return syscall(SYS_epoll_wait, s->fd, &ev, 1, ms_of(s));
}

static long call_epoll_pwait(struct seat *s)
{
	struct epoll_event ev;

	return syscall(SYS_epoll_pwait, s->fd, &ev, 1, ms_of(s), NULL, 8);
}

static long call_epoll_pwait2(struct seat *s)
{
	struct timespec ts = span(s);
	struct epoll_event ev;

	return syscall(SYS_epoll_pwait2, s->fd, &ev, 1, s->kind->ms ? &ts : NULL, NULL, 8);
}

static long call_poll(struct seat *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	return syscall(SYS_poll, &p, 1, ms_of(s));
}

static long call_ppoll(struct seat *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	struct timespec ts = span(s);

	return syscall(SYS_ppoll, &p, 1, s->kind->ms ? &ts : NULL, NULL, 8);
}

static long call_select(struct seat *s)
{
	struct timeval tv = { .tv_usec = s->kind->ms * 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(s->fd, &set);
	return syscall(SYS_select, s->fd + 1, &set, NULL, NULL, s->kind->ms ? &tv : NULL);
}

static long call_read(struct seat *s)
{
	char c;

	return read(s->fd, &c, 1);
}

/* ---- sleep and locks ---- */

static long call_nanosleep(struct seat *s)
{
	struct timespec ts = span(s);

	return syscall(SYS_nanosleep, &ts, NULL);
}

static long call_clock_nanosleep(struct seat *s)
{
	struct timespec ts = span(s);

	return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
}

static long call_clock_nanosleep_abs(struct seat *s)
{
	struct timespec ts = deadline(s);

	return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static long call_futex(struct seat *s)
{
	struct timespec ts = span(s);

	return syscall(SYS_futex, &s->word, FUTEX_WAIT_PRIVATE, 0, s->kind->ms ? &ts : NULL);
}

static long call_futex_abs(struct seat *s)
{
	struct timespec ts = deadline(s);

	return syscall(SYS_futex, &s->word, FUTEX_WAIT_BITSET_PRIVATE, 0, &ts, NULL,
		       FUTEX_BITSET_MATCH_ANY);
}

static void wake_futex(struct seat *s)
{
	__atomic_store_n(&s->word, 1, __ATOMIC_SEQ_CST);
	MUST(syscall(SYS_futex, &s->word, FUTEX_WAKE_PRIVATE, 1));
}

/* ---- signals ---- */

static sigset_t set_of(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return set;
}

static long call_sigtimedwait(struct seat *s)
{
	sigset_t set = set_of(s->kind->ms ? SIG_NEVER : SIG_GOT);
	struct timespec ts = span(s);

	return syscall(SYS_rt_sigtimedwait, &set, NULL, s->kind->ms ? &ts : NULL, 8);
}

static void wake_sigwait(struct seat *s)
{
	pthread_kill(s->thread, SIG_GOT);
}

static void unblock_wake(struct seat *s)
{
	sigset_t set = set_of(SIG_WAKE);

	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static long call_pause(struct seat *s)
{
	unblock_wake(s);
	return syscall(SYS_pause);
}

static long call_sigsuspend(struct seat *s)
{
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	sigdelset(&set, SIG_WAKE);
	return syscall(SYS_rt_sigsuspend, &set, 8);
}

static void wake_by_handler(struct seat *s)
{
	pthread_kill(s->thread, SIG_WAKE);
}

/* ---- System V ---- */

static void make_sem(struct seat *s)
{
	s->id = (int)MUST(semget(IPC_PRIVATE, 1, 0600));
}

static void remove_sem(struct seat *s)
{
	semctl(s->id, 0, IPC_RMID);
}

static long call_semop(struct seat *s)
{
	struct sembuf down = { .sem_op = -1 };
	struct timespec ts = span(s);

	return s->kind->ms ? syscall(SYS_semtimedop, s->id, &down, 1, &ts) :
			     syscall(SYS_semop, s->id, &down, 1);
}

static void wake_sem(struct seat *s)
{
	struct sembuf up = { .sem_op = 1 };

	MUST(semop(s->id, &up, 1));
}

static void make_queue(struct seat *s)
{
	s->id = (int)MUST(msgget(IPC_PRIVATE, 0600));
}

static void remove_queue(struct seat *s)
{
	msgctl(s->id, IPC_RMID, NULL);
}

static long call_msgrcv(struct seat *s)
{
	struct { long type; char text[8]; } m;

	return syscall(SYS_msgrcv, s->id, &m, sizeof(m.text), 0L, 0);
}

static void wake_queue(struct seat *s)
{
	struct { long type; char text[8]; } m = { .type = 1 };

	MUST(msgsnd(s->id, &m, sizeof(m.text), 0));
}

/* ---- asynchronous input and output ---- */

static void make_aio(struct seat *s)
{
	MUST(syscall(SYS_io_setup, 4, &s->aio));
	s->fd = (int)MUST(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

static long call_io_getevents(struct seat *s)
{
	struct timespec ts = span(s);
	struct io_event ev;

	return syscall(SYS_io_getevents, s->aio, 1L, 1L, &ev, s->kind->ms ? &ts : NULL);
}

static void wake_aio(struct seat *s)
{
	static char buf[512];
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (uint32_t)s->fd,
			   .aio_buf = (uintptr_t)buf, .aio_nbytes = sizeof(buf) };
	struct iocb *cbs[] = { &cb };

	MUST(syscall(SYS_io_submit, s->aio, 1L, cbs));
}

static void make_ring(struct seat *s)
{
	s->fd = (int)syscall(SYS_io_uring_setup, 4, &s->ring);
	if (s->fd < 0)
		return;
	s->submission = mmap(NULL, s->ring.sq_off.array + s->ring.sq_entries * sizeof(uint32_t),
			     PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, IORING_OFF_SQ_RING);
	MUST(s->submission == MAP_FAILED ? -1 : 0);
}

static long call_ring(struct seat *s)
{
	struct timespec ts = span(s);
	struct io_uring_getevents_arg arg = { .ts = (uintptr_t)&ts };

	return s->kind->ms ? syscall(SYS_io_uring_enter, s->fd, 0, 1,
				     IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg,
				     sizeof(arg)) :
			     syscall(SYS_io_uring_enter, s->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
}

static void wake_ring(struct seat *s)
{
	struct io_uring_sqe *sqes = mmap(NULL, s->ring.sq_entries * sizeof(*sqes),
					 PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, IORING_OFF_SQES);
	uint32_t *array = (uint32_t *)(void *)(s->submission + s->ring.sq_off.array);
	uint32_t *tail = (uint32_t *)(void *)(s->submission + s->ring.sq_off.tail);

	MUST(sqes == MAP_FAILED ? -1 : 0);
	memset(sqes, 0, sizeof(*sqes));
	sqes[0].opcode = IORING_OP_NOP;
	array[0] = 0;
	__atomic_store_n(tail, 1, __ATOMIC_RELEASE);
	MUST(syscall(SYS_io_uring_enter, s->fd, 1, 0, 0, NULL, 0));
}

/* ---- sockets ---- */

static void set_timeout(const struct seat *s, int fd, int option)
{
	struct timeval tv = { .tv_usec = s->kind->ms * 1000 };

	if (s->kind->ms)
		MUST(setsockopt(fd, SOL_SOCKET, option, &tv, sizeof(tv)));
}

static void make_pair(struct seat *s)
{
	int fds[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	s->fd = fds[0];
	s->peer = fds[1];
	set_timeout(s, s->fd, SO_RCVTIMEO);
	set_timeout(s, s->fd, SO_SNDTIMEO);
}

static socklen_t name_of(const struct seat *s, struct sockaddr_un *name)
{
	*name = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(name->sun_path + 1, sizeof(name->sun_path) - 1,
					    "ugraft-blocked-%d-%u", getpid(), s->index));
}

static void make_listener(struct seat *s)
{
	struct sockaddr_un name;
	socklen_t len = name_of(s, &name);

	s->fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST(bind(s->fd, (struct sockaddr *)&name, len));
	MUST(listen(s->fd, 0));
	set_timeout(s, s->fd, SO_RCVTIMEO);
}

static long connect_to(struct seat *s, int fd)
{
	struct sockaddr_un name;
	socklen_t len = name_of(s, &name);

	return connect(fd, (struct sockaddr *)&name, len);
}

static void wake_listener(struct seat *s)
{
	MUST(connect_to(s, (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))));
}

/* The queue of the listener is full. */
static void make_crowd(struct seat *s)
{
	make_listener(s);
	wake_listener(s);
	s->peer = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	set_timeout(s, s->peer, SO_SNDTIMEO);
}

static void make_full(struct seat *s)
{
	static const char junk[4096];

	make_pair(s);
	while (send(s->fd, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
}

static void make_full_pipe(struct seat *s)
{
	static const char junk[4096];

	make_pipe(s);
	MUST(fcntl(s->peer, F_SETFL, O_NONBLOCK));
	while (write(s->peer, junk, sizeof(junk)) > 0)
		;
	MUST(fcntl(s->peer, F_SETFL, 0));
}

static long call_recv(struct seat *s)
{
	char c;

	return recv(s->fd, &c, 1, 0);
}

static long call_recvmsg(struct seat *s)
{
	char c;
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	return recvmsg(s->fd, &m, 0);
}

static long call_accept(struct seat *s)
{
	return accept(s->fd, NULL, NULL);
}

static long call_send(struct seat *s)
{
	return send(s->fd, "", 1, 0);
}

static long call_connect(struct seat *s)
{
	return connect_to(s, s->peer);
}

static long call_write(struct seat *s)
{
	return write(s->peer, "", 1);
}

static void empty(struct seat *s)
{
	static char junk[BIG];

	MUST(read(s->fd, junk, sizeof(junk)));
}

/* ---- children ---- */

static void make_child(struct seat *s)
{
	s->id = (int)MUST(fork());
	if (s->id)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static long call_wait4(struct seat *s)
{
	return syscall(SYS_wait4, s->id, NULL, 0, NULL);
}

static long call_waitid(struct seat *s)
{
	siginfo_t si;

	return syscall(SYS_waitid, P_PID, s->id, &si, WEXITED, NULL);
}

static void end_child(struct seat *s)
{
	MUST(kill(s->id, SIGKILL));
}

/* ---- transfers that are half done ---- */

static void make_half(struct seat *s)
{
	make_pair(s);
	MUST(send(s->peer, "0123456789", 10, 0));
}

static long call_recv_all(struct seat *s)
{
	char buf[100];

	return recv(s->fd, buf, sizeof(buf), MSG_WAITALL);
}

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

/* What was not written is written next, as a program does that knows its trade. */
static long call_write_big(struct seat *s)
{
	static uint8_t *bytes;
	long n;

	if (!bytes) {
		bytes = malloc(BIG);
		for (size_t i = 0; i < BIG; i++)
			bytes[i] = byte_at(i);
	}
	n = write(s->peer, bytes + s->word, BIG - s->word);
	if (n > 0)
		s->word += (uint32_t)n;
	return n;
}

static bool is_whole(struct seat *s)
{
	static uint8_t buf[65536];
	size_t at = 0;

	while (at < BIG) {
		ssize_t n = read(s->fd, buf, sizeof(buf));

		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != byte_at(at++))
				return false;
	}
	return at == BIG;
}

/* ---- the seats ---- */

#define NAP 400		/* of what the kernel resumes */
#define TICK 60		/* of class E: shorter than the time between two loads */
#define LONG 300	/* longer than that between two retries */

const struct kind blocked_kinds[] = {
	{ "poll", NAP, .prepare = make_event, .call = call_poll },
	{ "ppoll", NAP, .prepare = make_event, .call = call_ppoll },
	{ "select", NAP, .prepare = make_event, .call = call_select },
	{ "futex", NAP, .call = call_futex },
	{ "futex until", NAP, .call = call_futex_abs },
	{ "nanosleep", NAP, .call = call_nanosleep },
	{ "clock_nanosleep", NAP, .call = call_clock_nanosleep },
	{ "clock_nanosleep until", NAP, .call = call_clock_nanosleep_abs },

	{ "poll", .prepare = make_event, .call = call_poll, .wake = add_byte },
	{ "ppoll", .prepare = make_event, .call = call_ppoll, .wake = add_byte },
	{ "select", .prepare = make_event, .call = call_select, .wake = add_byte },
	{ "futex", .call = call_futex, .wake = wake_futex },
	{ "msgrcv", .prepare = make_queue, .call = call_msgrcv, .wake = wake_queue,
	  .remove = remove_queue },
	{ "accept", .prepare = make_listener, .call = call_accept, .wake = wake_listener },
	{ "recv", .prepare = make_pair, .call = call_recv, .wake = add_byte },
	{ "read", .prepare = make_pipe, .call = call_read, .wake = add_byte },
	{ "write", .prepare = make_full_pipe, .call = call_write, .wake = empty },
	{ "wait4", .prepare = make_child, .call = call_wait4, .wake = end_child },
	{ "waitid", .prepare = make_child, .call = call_waitid, .wake = end_child },
	{ "pause", .handled = true, .call = call_pause, .wake = wake_by_handler },
	{ "sigsuspend", .handled = true, .call = call_sigsuspend, .wake = wake_by_handler },

	{ "epoll_wait", TICK, true, .prepare = make_epoll, .call = call_epoll_wait },
	{ "epoll_wait long", LONG, true, .prepare = make_epoll, .call = call_epoll_wait },
	{ "epoll_pwait", TICK, true, .prepare = make_epoll, .call = call_epoll_pwait },
	{ "epoll_pwait2", TICK, true, .prepare = make_epoll, .call = call_epoll_pwait2 },
	{ "sigtimedwait", TICK, true, .call = call_sigtimedwait },
	{ "semtimedop", TICK, true, .jiffies = true, .prepare = make_sem, .call = call_semop,
	  .remove = remove_sem },
	{ "io_getevents", TICK, true, .prepare = make_aio, .call = call_io_getevents },
	{ "io_uring_enter", TICK, true, .optional = true, .prepare = make_ring, .call = call_ring },
	{ "recv timeout", TICK, true, .jiffies = true, .prepare = make_pair, .call = call_recv },
	{ "recv timeout long", LONG, true, .jiffies = true, .prepare = make_pair,
	  .call = call_recv },
	{ "recvmsg timeout", TICK, true, .jiffies = true, .prepare = make_pair,
	  .call = call_recvmsg },
	{ "accept timeout", TICK, true, .jiffies = true, .prepare = make_listener,
	  .call = call_accept },
	{ "send timeout", TICK, true, .jiffies = true, .prepare = make_full, .call = call_send },
	{ "connect timeout", TICK, true, .jiffies = true, .prepare = make_crowd,
	  .call = call_connect },

	{ "epoll_wait", 0, true, .prepare = make_epoll, .call = call_epoll_wait,
	  .wake = add_byte },
	{ "epoll_pwait2", 0, true, .prepare = make_epoll, .call = call_epoll_pwait2,
	  .wake = add_byte },
	{ "sigwaitinfo", 0, true, .call = call_sigtimedwait, .wake = wake_sigwait },
	{ "semop", 0, true, .prepare = make_sem, .call = call_semop, .wake = wake_sem,
	  .remove = remove_sem },
	{ "io_getevents", 0, true, .prepare = make_aio, .call = call_io_getevents,
	  .wake = wake_aio },
	{ "io_uring_enter", 0, true, .optional = true, .prepare = make_ring, .call = call_ring,
	  .wake = wake_ring },
	{ NULL },
};

const struct kind blocked_transfers[] = {
	{ "recv all", .prepare = make_half, .call = call_recv_all },
	{ "write big", .goes_on = true, .prepare = make_pipe, .call = call_write_big,
	  .drain = is_whole },
	{ "read", .prepare = make_pipe, .call = call_read },
	{ NULL },
};
