/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blocked FILE [transfers]
 *
 * One thread for each system call in which a program sleeps. Those with a timeout make the call
 * over and over, the others sleep in it until they are woken; each records in FILE (blocked.h)
 * what every call returned, and when. With "transfers": threads in the middle of a read or write.
 *
 * Commands on standard input:
 *
 *	value		value=N
 *	hold, release	a thread enters answer() and stays, or leaves it
 *	wake		ends every call without timeout as it should end
 *	drain		transfers: the rest is read; "whole" when nothing is missing or out of order
 *
 * tests/scenarios/blocked_fix.c replaces answer().
 */
#include "tests/victims/blocked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/victims/blocked_seat.h"

/* Not static: a patch must find it, and callers must not see through it. */
int answer(int wait);
void hold_here(void);

static struct blocked_shared *sh;
static struct seat seats[BLOCKED_SEATS];
static unsigned int nseats;
static int hold_pipe[2], held_pipe[2];

long blocked_must(long r, const char *what)
{
	if (r < 0) {
		perror(what);
		_exit(9);
	}
	return r;
}

__attribute__((noipa)) void hold_here(void)
{
	char c;

	MUST(write(held_pipe[1], "", 1));
	MUST(read(hold_pipe[0], &c, 1));
}

__attribute__((noipa)) int answer(int wait)
{
	if (wait)
		hold_here();
	return 41;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static long recorded_call(struct seat *s)
{
	uint64_t begin = now_ns();
	long ret = s->kind->call(s);
	int error = errno;
	uint32_t i = atomic_fetch_add(&sh->ncalls, 1);

	if (i < BLOCKED_CALLS) {
		struct blocked_call *c = &sh->calls[i];

		c->seat = s->index;
		c->ret = (int32_t)ret;
		c->error = ret < 0 ? error : 0;
		c->begin = begin;
		c->end = now_ns();
		atomic_store(&c->done, 1);
	}
	errno = error;
	return ret;
}

/* Who is woken rests: the end of a call without timeout is recorded once. */
static void *sit(void *arg)
{
	struct seat *s = arg;

	__atomic_store_n(&sh->seats[s->index].sleeps, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		long r = recorded_call(s);

		if (!s->kind->ms && (r >= 0 || errno != EINTR || s->kind->handled) &&
		    !s->kind->goes_on)
			break;
	}
	for (;;)
		pause();
	return NULL;
}

static void take_seat(const struct kind *k)
{
	struct seat *s = &seats[nseats];
	struct blocked_seat *shared = &sh->seats[nseats];

	s->kind = k;
	s->index = nseats;
	if (k->prepare)
		k->prepare(s);
	if (k->optional && s->fd < 0)
		return;
	snprintf(shared->name, sizeof(shared->name), "%s%s", k->name, k->ms ? "" : " for ever");
	shared->ms = k->ms;
	shared->class_e = k->class_e;
	shared->jiffies = k->jiffies;
	shared->handled = k->handled;
	nseats++;
	if (pthread_create(&s->thread, NULL, sit, s) != 0)
		MUST(-1);
}

/* ---- the flag of a handler ---- */

static volatile sig_atomic_t flag;

static void set_flag(int sig)
{
	flag = 1;
}

static void woken(int sig)
{
}

/* The signal is let in by the call only: between the test of the flag and it, none is lost. */
static void *wait_for_flag(void *arg)
{
	int ep = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event ev;
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	sigdelset(&mask, SIG_FLAG);
	for (;;) {
		while (!flag)
			if (epoll_pwait(ep, &ev, 1, -1, &mask) != -1 || errno != EINTR)
				MUST(-1);
		flag = 0;
		atomic_fetch_add(&sh->wakeups, 1);
	}
	return arg;
}

static void set_up_signals(void)
{
	struct sigaction sa = { .sa_handler = set_flag };
	sigset_t set;

	sigaction(SIG_FLAG, &sa, NULL);
	sa.sa_handler = woken;
	sigaction(SIG_WAKE, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIG_FLAG);
	sigaddset(&set, SIG_WAKE);
	sigaddset(&set, SIG_GOT);
	sigaddset(&set, SIG_NEVER);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* ---- commands ---- */

static void *enter(void *arg)
{
	int (*volatile call)(int) = answer;

	call(1);
	for (;;)
		pause();
	return arg;
}

static void hold(void)
{
	pthread_t t;
	char c;

	if (pthread_create(&t, NULL, enter, NULL) != 0)
		MUST(-1);
	MUST(read(held_pipe[0], &c, 1));
	puts("held");
}

static void release(void)
{
	MUST(write(hold_pipe[1], "", 1));
	puts("released");
}

static void wake(void)
{
	for (unsigned int i = 0; i < nseats; i++)
		if (seats[i].kind->wake)
			seats[i].kind->wake(&seats[i]);
	puts("woken");
}

static void drain(void)
{
	for (unsigned int i = 0; i < nseats; i++)
		if (seats[i].kind->drain)
			puts(seats[i].kind->drain(&seats[i]) ? "whole" : "torn");
}

static void obey(const char *line)
{
	int (*volatile call)(int) = answer;

	if (strncmp(line, "value", 5) == 0)
		printf("value=%d\n", call(0));
	else if (strncmp(line, "hold", 4) == 0)
		hold();
	else if (strncmp(line, "release", 7) == 0)
		release();
	else if (strncmp(line, "wake", 4) == 0)
		wake();
	else if (strncmp(line, "drain", 5) == 0)
		drain();
}

static void map_shared(const char *path)
{
	int fd = (int)MUST(open(path, O_RDWR | O_CLOEXEC));

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (sh == MAP_FAILED)
		MUST(-1);
	close(fd);
}

/* Queues and semaphores outlive their processes otherwise. */
static void remove_at_the_end(void)
{
	int fds[2];
	char c;

	MUST(pipe2(fds, O_CLOEXEC));
	if (fork()) {
		close(fds[0]);
		return;
	}
	close(fds[1]);
	setsid();
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	while (read(fds[0], &c, 1) < 0)
		;
	for (unsigned int i = 0; i < nseats; i++)
		if (seats[i].kind->remove)
			seats[i].kind->remove(&seats[i]);
	_exit(0);
}

int main(int argc, char **argv)
{
	const struct kind *k = argc > 2 ? blocked_transfers : blocked_kinds;
	char line[64];
	pthread_t t;

	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	map_shared(argv[1]);
	set_up_signals();
	MUST(pipe(hold_pipe));
	MUST(pipe(held_pipe));
	for (; k->name; k++)
		take_seat(k);
	sh->nseats = nseats;
	if (argc == 2 && pthread_create(&t, NULL, wait_for_flag, NULL) != 0)
		MUST(-1);
	remove_at_the_end();
	puts("ready");
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	return 0;
}
