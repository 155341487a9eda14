/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parent FILE
 *
 * Three threads, in the order of their ids: one in epoll_wait without a timeout; one that forks
 * a child, waits for it, and forks the next; one in pause. SIGCHLD is not handled, so nothing may
 * ever end the epoll_wait. FILE is struct parent_shared. tests/scenarios/protocol_fix.c fits; what
 * it replaces is never called.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/victims/parent.h"
#include "protocol_calls.h"

static struct parent_shared *sh;

__attribute__((noipa)) void park_here(void)
{
}

static void live_as_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static void *fork_and_wait(void *arg)
{
	for (;;) {
		pid_t pid = fork();

		if (!pid)
			live_as_child();
		sh->child = pid;
		sh->tids[PARENT_FORKER] = gettid();
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			_exit(3);
		sh->reaped++;
	}
	return arg;
}

static void *sleep_only(void *arg)
{
	sh->tids[PARENT_OTHER] = gettid();
	for (;;)
		pause();
	return arg;
}

static void start(void *(*body)(void *), int which)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	pthread_t t;

	if (pthread_create(&t, NULL, body, NULL) != 0)
		_exit(2);
	while (!sh->tids[which])
		nanosleep(&ms, NULL);
}

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1, epoll = epoll_create1(0);
	struct epoll_event ev;

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || epoll < 0 || sh == MAP_FAILED)
		return 2;
	sh->tids[PARENT_SLEEPER] = gettid();
	start(fork_and_wait, PARENT_FORKER);
	start(sleep_only, PARENT_OTHER);
	printf("ready\n");
	fflush(stdout);
	for (;;)
		if (epoll_wait(epoll, &ev, 1, -1) < 0 && errno == EINTR)
			sh->eintr++;
}
