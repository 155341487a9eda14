/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * restless FILE KIND: does one thing all the time that is awkward for who stops its threads.
 *
 *	threads-exec	50 threads execute the program again, all at once, again and again
 *	processes-exec	50 processes do
 *	vfork		threads vfork, or posix_spawn, and execute
 *	share		processes that share the memory come and go
 *	storm		threads come and go
 *	leaderless	the same, and the first thread has ended
 *	identity	all threads change their user back and forth
 *	children	threads fork children that end, and wait; another one is in epoll_wait
 *
 * It shows in FILE (restless.h) that it lives. tests/scenarios/blocked_fix.c replaces answer().
 */
#include "tests/victims/restless.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIZE 65536
#define NOBODY 65534

/* Not static: a patch must find them, and callers must not see through them. */
int answer(int wait);
void hold_here(void);

static struct restless_shared *sh;
static char **own_argv;

__attribute__((noipa)) void hold_here(void)
{
}

__attribute__((noipa)) int answer(int wait)
{
	if (wait)
		hold_here();
	return 41;
}

static void must(bool ok)
{
	if (!ok)
		_exit(9);
}

static void nap_ms(long ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000 };

	nanosleep(&ts, NULL);
}

static void beat(void)
{
	int (*volatile call)(int) = answer;

	sh->value = call(0);
	sh->beats++;
}

/* Nothing more until calm; then only this. */
static bool is_restless(void)
{
	while (sh->calm)
		nap_ms(5);
	return true;
}

static void start(void *(*function)(void *))
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	must(pthread_create(&t, &attr, function, NULL) == 0);
}

/* A change of the user makes the kernel forget that it is to die with its parent. */
static __attribute__((noreturn)) void live(void)
{
	pid_t parent = getppid();

	while (getppid() == parent) {
		beat();
		nap_ms(1);
	}
	_exit(0);
}

/* ---- exec ---- */

static void execute(void)
{
	sh->rounds++;
	execv("/proc/self/exe", own_argv);
	_exit(9);
}

static atomic_bool all_there;

/* Not before: a clone fails while an exec of another thread is about to kill its caller. */
static void *exec_soon(void *arg)
{
	while (!all_there)
		nap_ms(1);
	nap_ms(4);
	if (is_restless())
		execute();
	return arg;
}

static void be_threads_exec(void)
{
	for (int i = 0; i < RESTLESS_THREADS; i++)
		start(exec_soon);
	all_there = true;
}

/* The first execution makes 50 of it, which know by their place what they are. */
static void be_processes_exec(int place)
{
	pid_t parent = getpid();

	for (int i = 0; place < 0 && i < RESTLESS_PROCESSES; i++) {
		char number[16];

		if (fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		must(getppid() == parent);
		snprintf(number, sizeof(number), "%d", i);
		sh->pids[i] = getpid();
		execl("/proc/self/exe", own_argv[0], own_argv[1], own_argv[2], number, NULL);
		_exit(9);
	}
	if (place < 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 5; i++) {
		beat();
		nap_ms(100);
	}
	if (is_restless())
		execute();
}

/* ---- children ---- */

static pid_t by_spawn(void)
{
	char name[] = "true", *argv[] = { name, NULL };
	pid_t pid;

	must(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL) == 0);
	return pid;
}

static __attribute__((noinline)) pid_t by_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	return pid;
}

static void *vfork_on(void *arg)
{
	for (; is_restless(); sh->rounds++) {
		pid_t pid = sh->rounds % 2 ? by_spawn() : by_vfork();
		int status = -1;

		sh->wrong += waitpid(pid, &status, 0) != pid || status != 0;
		nap_ms(3);
	}
	return arg;
}

static int share_for_a_while(void *arg)
{
	struct timespec ts = { .tv_nsec = 2000000 };

	nanosleep(&ts, NULL);
	return 7;
}

static void *share_on(void *arg)
{
	char *stack = malloc(STACK_SIZE);

	must(stack != NULL);
	for (; is_restless(); sh->rounds++) {
		int status = -1;
		pid_t pid = clone(share_for_a_while, stack + STACK_SIZE, CLONE_VM | SIGCHLD, NULL);

		sh->wrong += waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
			     WEXITSTATUS(status) != 7;
		nap_ms(8);
	}
	return arg;
}

static void *fork_on(void *arg)
{
	for (; is_restless(); sh->rounds++) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0)
			_exit(7);
		sh->wrong += waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
			     WEXITSTATUS(status) != 7;
		nap_ms(2);
	}
	return arg;
}

/* SIGCHLD is ignored, so nothing ends this call. */
static __attribute__((noreturn)) void wait_for_nothing(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev;

	for (;;)
		sh->wrong += epoll_wait(ep, &ev, 1, -1) != -2;
}

/* ---- threads ---- */

static void *come_and_go(void *arg)
{
	beat();
	return arg;
}

static void *storm_on(void *arg)
{
	for (; is_restless(); sh->rounds++) {
		pthread_t t;

		must(pthread_create(&t, NULL, come_and_go, NULL) == 0);
		must(pthread_join(t, NULL) == 0);
	}
	return arg;
}

static void *live_on(void *arg)
{
	live();
	return arg;
}

/* The library makes every thread do it, by a signal, and waits until all have. */
static void *change_identity(void *arg)
{
	for (; is_restless(); sh->rounds++) {
		sh->wrong += seteuid(NOBODY) < 0;
		sh->wrong += seteuid(0) < 0;
		nap_ms(1);
	}
	return arg;
}

static void begin(const char *kind, int place)
{
	if (strcmp(kind, "threads-exec") == 0)
		be_threads_exec();
	else if (strcmp(kind, "processes-exec") == 0)
		be_processes_exec(place);
	else if (strcmp(kind, "vfork") == 0)
		start(vfork_on), start(vfork_on);
	else if (strcmp(kind, "share") == 0)
		start(share_on);
	else if (strcmp(kind, "storm") == 0)
		start(storm_on), start(storm_on), start(storm_on);
	else if (strcmp(kind, "leaderless") == 0) {
		start(storm_on), start(live_on);
		pthread_exit(NULL);
	} else if (strcmp(kind, "children") == 0) {
		start(live_on);
		for (int i = 0; i < 8; i++)
			start(fork_on);
		wait_for_nothing();
	} else {
		for (int i = 0; i < 8; i++)
			start(live_on);
		start(change_identity);
	}
}

int main(int argc, char **argv)
{
	int fd;

	must(argc >= 3);
	own_argv = argv;
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(sh != MAP_FAILED);
	close(fd);
	if (!sh->beats) {
		/* It must not take the processors from who is to stop it. */
		must(nice(10) != -1);
		puts("ready");
		fflush(stdout);
	}
	beat();
	begin(argv[2], argc > 3 ? atoi(argv[3]) : -1);
	live();
}
