/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * moments THREADS
 *
 * The protocol of protocol.c in a process to which things happen: it calls f all the time, in
 * THREADS threads beside the one that takes commands, and with 0 in that one. Commands on
 * standard input, without an answer unless one is given:
 *
 *	stat	calls=N old=N new=N mixed=N run=N child=PID ccalls=N cold=N cnew=N cmixed=N
 *	exit	exit_group
 *	leave	the first thread ends; another one takes the commands from then on
 *	exec	the first thread executes the program again
 *	texec	another thread does
 *	fork	a child calls f all the time, too, until the parent ends
 *	spawn	vfork and execute, as posix_spawn does, and wait for it
 *	thread	a thread more
 *
 * `run` is counted up by each execution. The address space is not randomised, so that one run
 * can be compared with the next. tests/scenarios/protocol_fix.c fits.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "protocol_calls.h"

#define NAP_NS 300000

static atomic_ulong calls[3];
static char **own_argv;
static int run_number, nthreads;
static atomic_int exec_now;
static pid_t child;

/* Of the child, seen by the parent. */
static struct child_counts {
	atomic_ulong calls[3], mixed;
} *of_child;

static void *serve(void *arg);

__attribute__((noipa)) void park_here(void)
{
}

static int call_once(void)
{
	int (*volatile call)(int) = f;
	struct timespec ts = { .tv_nsec = NAP_NS };
	int version = call(1) == NEW ? NEW : OLD;

	nanosleep(&ts, NULL);
	return version;
}

static void execute(void)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", run_number + 1);
	execl("/proc/self/exe", own_argv[0], own_argv[1], number, NULL);
	_exit(9);
}

static void *work(void *arg)
{
	for (;;) {
		atomic_fetch_add(&calls[call_once()], 1);
		if (atomic_exchange(&exec_now, 0))
			execute();
	}
	return arg;
}

static void add_thread(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, work, NULL) != 0)
		_exit(8);
}

static void live_as_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		atomic_fetch_add(&of_child->calls[call_once()], 1);
		atomic_store(&of_child->mixed, atomic_load(&mixed));
	}
}

static void fork_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		live_as_child();
	child = pid;
}

static void spawn(void)
{
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		_exit(7);
}

static void stat_line(void)
{
	unsigned long old = calls[OLD], new = calls[NEW];
	unsigned long cold = of_child->calls[OLD], cnew = of_child->calls[NEW];

	printf("calls=%lu old=%lu new=%lu mixed=%lu run=%d child=%d ccalls=%lu cold=%lu cnew=%lu "
	       "cmixed=%lu\n", old + new, old, new, atomic_load(&mixed), run_number, child,
	       cold + cnew, cold, cnew, atomic_load(&of_child->mixed));
}

static void leave(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, serve, NULL) != 0)
		_exit(8);
	pthread_exit(NULL);
}

static void obey(const char *line)
{
	if (strcmp(line, "stat") == 0)
		stat_line();
	else if (strcmp(line, "exit") == 0)
		_exit(0);
	else if (strcmp(line, "leave") == 0)
		leave();
	else if (strcmp(line, "exec") == 0)
		execute();
	else if (strcmp(line, "texec") == 0)
		atomic_store(&exec_now, 1);
	else if (strcmp(line, "fork") == 0)
		fork_child();
	else if (strcmp(line, "spawn") == 0)
		spawn();
	else if (strcmp(line, "thread") == 0)
		add_thread();
}

/* Byte by byte: what stands behind the line belongs to the next program, after an exec. */
static void take_command(void)
{
	char line[32];
	size_t n = 0;

	while (n < sizeof(line) - 1) {
		if (read(0, &line[n], 1) <= 0)
			_exit(0);
		if (line[n] == '\n')
			break;
		n++;
	}
	line[n] = 0;
	obey(line);
}

static void *serve(void *arg)
{
	struct pollfd pfd = { .fd = 0, .events = POLLIN };

	for (;;) {
		if (poll(&pfd, 1, nthreads ? -1 : 0) > 0)
			take_command();
		if (!nthreads)
			atomic_fetch_add(&calls[call_once()], 1);
	}
	return arg;
}

static void *end_thread(void *arg)
{
	pthread_exit(arg);
}

/* glibc loads libgcc_s at the first pthread_exit: now, not when mappings are compared. */
static void load_unwinder(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, end_thread, NULL) != 0 || pthread_join(t, NULL) != 0)
		_exit(8);
}

static void fix_addresses(char **argv)
{
	int now = personality(0xffffffff);

	if (now & ADDR_NO_RANDOMIZE || personality((unsigned long)now | ADDR_NO_RANDOMIZE) < 0)
		return;
	execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
	fix_addresses(argv);
	own_argv = argv;
	nthreads = argc > 1 ? atoi(argv[1]) : 0;
	run_number = argc > 2 ? atoi(argv[2]) : 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	of_child = mmap(NULL, sizeof(*of_child), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (of_child == MAP_FAILED)
		return 1;
	load_unwinder();
	for (int i = 0; i < nthreads; i++)
		add_thread();
	if (!run_number)
		printf("ready\n");
	serve(NULL);
	return 0;
}
