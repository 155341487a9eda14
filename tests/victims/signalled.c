/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signalled FILE
 *
 * One thread for each way to receive a signal (signalled.h). Between signals it computes, or
 * sleeps in a call; after each it looks at its signal mask and its alternate stack. Handlers
 * call answer(), which tests/scenarios/blocked_fix.c replaces. Commands on standard input:
 *
 *	value	value=N
 *	crash	answer() is called, and then memory that is not there
 */
#include "tests/victims/signalled.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ALT_SIZE 65536

/* Not static: a patch must find them. */
int answer(int wait);
void hold_here(void);

static struct signalled_shared *sh;
static pid_t sender;
static __thread struct signalled_counts *mine;
static __thread stack_t alt;
static __thread sigset_t mask;

__attribute__((noipa)) void hold_here(void)
{
}

__attribute__((noipa)) int answer(int wait)
{
	if (wait)
		hold_here();
	return 41;
}

static int ask(void)
{
	int (*volatile call)(int) = answer;

	return call(0);
}

static void must(bool ok)
{
	if (!ok)
		_exit(9);
}

static bool same_set(const sigset_t *a, const sigset_t *b)
{
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sigismember(a, sig) != sigismember(b, sig))
			return false;
	return true;
}

/* Everything is blocked but what ends or stops a process. */
static sigset_t ordinary(void)
{
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGSEGV);
	sigdelset(&set, SIGTSTP);
	sigdelset(&set, SIGCONT);
	return set;
}

/* Outside of handlers. */
static void check_surroundings(void)
{
	sigset_t now;
	stack_t st;

	pthread_sigmask(SIG_BLOCK, NULL, &now);
	mine->mask += !same_set(&now, &mask);
	sigaltstack(NULL, &st);
	mine->stack += st.ss_sp != alt.ss_sp || st.ss_size != alt.ss_size || st.ss_flags;
	mine->rounds++;
}

static void take(int code, pid_t from, int number)
{
	mine->sender += code != SI_QUEUE || from != sender;
	mine->wrong += (uint32_t)number != mine->got + 1;
	mine->got = (uint32_t)number;
}

static void handle(int sig, siginfo_t *si, void *context)
{
	const char *here = (const char *)&here;
	sigset_t now, wanted = mask;
	int error = errno, value;

	sigaddset(&wanted, sig);
	sigaddset(&wanted, SIGUSR1);		/* sa_mask */
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	mine->mask += !same_set(&now, &wanted);
	mine->stack += here < (const char *)alt.ss_sp || here >= (const char *)alt.ss_sp + alt.ss_size;
	value = ask();
	mine->error += value != 41 && value != 1041;
	take(si->si_code, si->si_pid, si->si_value.sival_int);
	errno = error;
}

/* Lets in the signal of one receiver. */
static void settle_down(enum signalled_receiver r, bool let_in)
{
	mine = &sh->counts[r];
	alt.ss_sp = mmap(NULL, ALT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	alt.ss_size = ALT_SIZE;
	must(alt.ss_sp != MAP_FAILED && sigaltstack(&alt, NULL) == 0);
	mask = ordinary();
	if (let_in)
		sigdelset(&mask, SIGNALLED_SIGNAL(r));
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	/* What the kernel and the library make of it. */
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	mine->tid = gettid();
}

static void *compute(void *arg)
{
	settle_down(SIGNALLED_COMPUTES, true);
	for (;;) {
		errno = 77;
		for (volatile int i = 0; i < 20000; i++)
			;
		mine->error += errno != 77;
		check_surroundings();
	}
	return arg;
}

static void *sleep_on(void *arg)
{
	struct timespec ts = { .tv_nsec = 3000000 };

	settle_down(SIGNALLED_SLEEPS, true);
	for (;;) {
		mine->error += nanosleep(&ts, NULL) < 0 && errno != EINTR;
		check_surroundings();
	}
	return arg;
}

static void *poll_on(void *arg)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev;

	settle_down(SIGNALLED_POLLS, true);
	for (;;) {
		mine->error += epoll_wait(ep, &ev, 1, 5) < 0 && errno != EINTR;
		check_surroundings();
	}
	return arg;
}

static void *wait_on(void *arg)
{
	struct timespec ts = { .tv_nsec = 4000000 };
	uint32_t word = 0;

	settle_down(SIGNALLED_FUTEX, true);
	for (;;) {
		mine->error += syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts) == 0;
		check_surroundings();
	}
	return arg;
}

static void *stand_for_process(void *arg)
{
	settle_down(SIGNALLED_PROCESS, true);
	for (;;) {
		mine->error += poll(NULL, 0, -1) != -1 || errno != EINTR;
		check_surroundings();
	}
	return arg;
}

static void *wait_for(void *arg)
{
	siginfo_t si;
	sigset_t set;

	settle_down(SIGNALLED_WAITS, false);
	sigemptyset(&set);
	sigaddset(&set, SIGNALLED_SIGNAL(SIGNALLED_WAITS));
	for (;;) {
		if (sigwaitinfo(&set, &si) < 0) {
			mine->error++;
			continue;
		}
		take(si.si_code, si.si_pid, si.si_value.sival_int);
		check_surroundings();
	}
	return arg;
}

static void *read_from(void *arg)
{
	struct signalfd_siginfo si;
	sigset_t set;
	int fd;

	settle_down(SIGNALLED_READS, false);
	sigemptyset(&set);
	sigaddset(&set, SIGNALLED_SIGNAL(SIGNALLED_READS));
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	for (;;) {
		if (read(fd, &si, sizeof(si)) != sizeof(si)) {
			mine->error++;
			continue;
		}
		take(si.ssi_code, (pid_t)si.ssi_pid, si.ssi_int);
		check_surroundings();
	}
	return arg;
}

static void set_up_handlers(void)
{
	struct sigaction sa = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigaddset(&sa.sa_mask, SIGUSR1);
	for (int r = 0; r < SIGNALLED_WAITS; r++)
		must(sigaction(SIGNALLED_SIGNAL(r), &sa, NULL) == 0);
}

static void start_receivers(void)
{
	void *(*const receivers[])(void *) = { compute, sleep_on, poll_on, wait_on,
					       stand_for_process, wait_for, read_from };
	sigset_t all = ordinary();
	pthread_t t;

	pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (int r = 0; r < SIGNALLED_RECEIVERS; r++) {
		must(pthread_create(&t, NULL, receivers[r], NULL) == 0);
		while (!sh->counts[r].tid)
			usleep(100);
	}
}

int main(int argc, char **argv)
{
	char line[64];
	int fd;

	must(argc == 2);
	/* As under a shell: the group of who starts us may be an orphan, where SIGTSTP is ignored. */
	must(setpgid(0, 0) == 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(sh != MAP_FAILED);
	close(fd);
	sender = getppid();
	set_up_handlers();
	start_receivers();
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "crash", 5) == 0)
			*(volatile int *)(intptr_t)(ask() & 8) = 0;
		printf("value=%d\n", ask());
	}
	return 0;
}
