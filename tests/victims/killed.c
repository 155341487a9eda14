/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * killed KIND THREADS
 *
 * The protocol of protocol.c in a process of one of the kinds for which controllers are killed:
 *
 *	computing	calls f, with some time outside
 *	blocked		sleeps in calls that a stop ends with EINTR unless it is cured, and in others
 *	signals		calls f in handlers of queued signals with running numbers
 *	forking		calls f, forks a child that calls f, and waits for it
 *	storm		creates a thread that calls f, and waits for it
 *	unwinding	calls f, which unwinds its stack, as exceptions and backtraces do
 *
 * With one thread it takes commands in between; with more, the first one does nothing else:
 *
 *	stat	calls=N old=N new=N mixed=N rounds=N class_e=N worst=N other=N wrong=N
 *	reset	stat, and class_e and worst begin with 0 again
 *
 * rounds: of what the kind does. class_e: EINTR of calls of class E (docs/stopping.md), worst: of
 * the thread that had most. other: EINTR where there must not be any. wrong: signals lost,
 * invented or out of order; stacks that could not be unwound. tests/scenarios/protocol_fix.c fits.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#include <linux/aio_abi.h>
#include <linux/futex.h>

#include "protocol_calls.h"

#define THREADS_MAX 128
#define SIG_NUMBER (SIGRTMIN + 1)
#define SIG_NEVER (SIGRTMIN + 2)

/* Seen by the process that sends signals, and by children. */
static struct shared {
	_Atomic int tids[THREADS_MAX];
	atomic_uint got[THREADS_MAX], sent[THREADS_MAX];
	atomic_ulong child_mixed;
} *sh;

static atomic_ulong calls[3], rounds, other, wrong;
static atomic_ulong class_e[THREADS_MAX];
static __thread unsigned int me;
static int nthreads, ep;
static __thread bool in_round;

static void round_unwinding(void);

/* ---- the protocol ---- */

static _Unwind_Reason_Code visit(struct _Unwind_Context *frame, void *found)
{
	void *function = _Unwind_FindEnclosingFunction((void *)_Unwind_GetIP(frame));

	*(bool *)found |= function == (void *)(uintptr_t)round_unwinding;
	return _URC_NO_REASON;
}

/* Out of f, old or new, to whoever called it. */
static void unwind(void)
{
	bool found = false;

	(void)_Unwind_Backtrace(visit, &found);
	wrong += !found;
}

__attribute__((noipa)) void park_here(void)
{
	if (in_round)
		unwind();
}

static void call_once(void)
{
	int (*volatile call)(int) = f;

	atomic_fetch_add(&calls[call(1) == NEW ? NEW : OLD], 1);
}

static void must(bool ok)
{
	if (!ok)
		_exit(9);
}

static void nap_ns(long ns)
{
	struct timespec ts = { .tv_nsec = ns };

	nanosleep(&ts, NULL);
}

/* ---- what a thread does, once ---- */

static void compute(void)
{
	call_once();
	for (volatile int i = 0; i < 200; i++)
		;
	/* Many threads would leave the controller nothing of two processors. */
	if (nthreads > 8)
		nap_ns(5000000);
}

/* What the stack of each call has to lead back to. */
__attribute__((noipa)) static void round_unwinding(void)
{
	in_round = true;
	compute();
	in_round = false;
	if (nthreads > 1)
		nap_ns(1000000);
}

static void fork_child(void)
{
	int status = 0;
	pid_t pid;

	call_once();
	pid = fork();
	if (pid == 0) {
		unsigned long before = mixed;

		for (int i = 0; i < 20; i++)
			call_once();
		_exit(mixed != before);
	}
	must(pid > 0 && waitpid(pid, &status, 0) == pid);
	must(WIFEXITED(status));
	sh->child_mixed += WEXITSTATUS(status) != 0;
	nap_ns(nthreads * 1000000L);
}

static void *run_short(void *arg)
{
	call_once();
	return arg;
}

static void create_thread(void)
{
	pthread_t t;

	must(pthread_create(&t, NULL, run_short, NULL) == 0 && pthread_join(t, NULL) == 0);
	if (nthreads > 8)
		nap_ns(5000000);
}

/* ---- blocked ---- */

static int no_events(void)
{
	return epoll_create1(EPOLL_CLOEXEC);
}

static long in_epoll(int fd)
{
	struct epoll_event ev;

	return epoll_wait(fd, &ev, 1, -1);
}

static long in_sigwait(int fd)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG_NEVER);
	return sigwaitinfo(&set, NULL);
}

static int lasting_socket(void)
{
	struct timeval tv = { .tv_sec = 100000 };
	int fds[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	must(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	return fds[0];
}

static long in_recv(int fd)
{
	char c;

	return recv(fd, &c, 1, 0);
}

static long in_events(int fd)
{
	static __thread aio_context_t aio;
	struct io_event ev;

	must(aio || syscall(SYS_io_setup, 1, &aio) == 0);
	return syscall(SYS_io_getevents, aio, 1L, 1L, &ev, NULL);
}

static int empty_pipe(void)
{
	int fds[2];

	must(pipe(fds) == 0);
	return fds[0];
}

static long in_read(int fd)
{
	char c;

	return read(fd, &c, 1);
}

static long in_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 100000000);
}

static long in_futex(int fd)
{
	static uint32_t word;
	struct timespec ts = { .tv_sec = 100000 };

	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts);
}

static long in_nanosleep(int fd)
{
	struct timespec ts = { .tv_sec = 100000 };

	return nanosleep(&ts, NULL);
}

static const struct {
	int (*prepare)(void);
	long (*call)(int fd);
	bool class_e;
} sleepers[] = {
	{ no_events, in_epoll, true }, { NULL, in_sigwait, true }, { lasting_socket, in_recv, true },
	{ NULL, in_events, true },     { empty_pipe, in_read },	   { empty_pipe, in_poll },
	{ NULL, in_futex },	       { NULL, in_nanosleep },
};

static void *sleep_on(void *arg)
{
	unsigned int kind = (unsigned int)(uintptr_t)arg % 8;
	int fd = sleepers[kind].prepare ? sleepers[kind].prepare() : -1;

	me = (unsigned int)(uintptr_t)arg;
	for (;;) {
		long r = sleepers[kind].call(fd);

		if (r < 0 && errno == EINTR && sleepers[kind].class_e)
			class_e[me]++;
		else
			other++;
	}
	return arg;
}

/* ---- signals ---- */

static void handle(int sig, siginfo_t *si, void *context)
{
	unsigned int number = (unsigned int)si->si_value.sival_int;
	int error = errno;

	call_once();
	wrong += number != sh->got[me] + 1 || si->si_code != SI_QUEUE;
	sh->got[me] = number;
	rounds++;
	errno = error;
}

static void be_receiver(unsigned int index)
{
	me = index;
	sh->tids[index] = gettid();
}

static void *receive(void *arg)
{
	be_receiver((unsigned int)(uintptr_t)arg);
	for (;;)
		nap_ns(50000000);
	return arg;
}

/* Round and round, a number more each; not more than a few on their way. */
static __attribute__((noreturn)) void send_signals(pid_t pid)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int i = 0;; i = (i + 1) % (unsigned int)nthreads) {
		siginfo_t si = { .si_code = SI_QUEUE };
		unsigned int next = sh->sent[i] + 1;

		nap_ns(500000);
		if (getppid() != pid)
			_exit(0);
		si.si_pid = getpid();
		si.si_value.sival_int = (int)next;
		if (sh->tids[i] && next - sh->got[i] < 16 &&
		    syscall(SYS_rt_tgsigqueueinfo, pid, sh->tids[i], SIG_NUMBER, &si) == 0)
			sh->sent[i] = next;
	}
}

static void start_signals(void)
{
	struct sigaction sa = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART };
	pid_t pid = getpid();

	sigaction(SIG_NUMBER, &sa, NULL);
	if (fork() == 0)
		send_signals(pid);
}

/* ---- commands ---- */

static void stat_line(bool reset)
{
	unsigned long old, new, all = 0, worst = 0;

	call_once();
	old = calls[OLD];
	new = calls[NEW];
	for (int i = 0; i < THREADS_MAX; i++) {
		unsigned long n = reset ? atomic_exchange(&class_e[i], 0) : class_e[i];

		all += n;
		worst = n > worst ? n : worst;
	}
	printf("calls=%lu old=%lu new=%lu mixed=%lu rounds=%lu class_e=%lu worst=%lu other=%lu "
	       "wrong=%lu\n", old + new, old, new, atomic_load(&mixed) + sh->child_mixed,
	       atomic_load(&rounds), all, worst, atomic_load(&other), atomic_load(&wrong));
}

/* One line at a time, without stdio, which would hide lines from epoll. */
static void obey(void)
{
	char line[16];
	size_t n = 0;

	while (n < sizeof(line) && read(0, &line[n], 1) == 1 && line[n] != '\n')
		n++;
	must(n > 0);
	stat_line(line[0] == 'r');
}

/* Between two rounds of work, or (-1) with nothing else to do. */
static void take_commands(int timeout_ms)
{
	struct epoll_event ev;
	int n = epoll_wait(ep, &ev, 1, timeout_ms);

	if (n > 0)
		obey();
	else if (n < 0 && errno == EINTR)
		class_e[THREADS_MAX - 1]++;
}

static void (*kind_of(const char *name))(void)
{
	return strcmp(name, "computing") == 0 ? compute :
	       strcmp(name, "forking") == 0 ? fork_child :
	       strcmp(name, "storm") == 0 ? create_thread :
	       strcmp(name, "unwinding") == 0 ? round_unwinding : NULL;
}

static void *work(void *arg)
{
	void (*act)(void) = (void (*)(void))(uintptr_t)arg;

	for (;;) {
		act();
		rounds++;
	}
	return arg;
}

static void start(void *(*function)(void *), uintptr_t arg)
{
	pthread_t t;

	must(pthread_create(&t, NULL, function, (void *)arg) == 0);
}

static void set_up(void)
{
	struct epoll_event ev = { .events = EPOLLIN };

	setvbuf(stdout, NULL, _IOLBF, 0);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ep = no_events();
	must(sh != MAP_FAILED && epoll_ctl(ep, EPOLL_CTL_ADD, 0, &ev) == 0);
}

/* Signals reach the first thread only when it is the only one: EINTR of epoll is ours then. */
static void block_here(bool block)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG_NEVER);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaddset(&set, SIG_NUMBER);
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
	void (*act)(void);
	bool signals;

	must(argc == 3);
	set_up();
	nthreads = atoi(argv[2]);
	must(nthreads > 0 && nthreads < THREADS_MAX - 1);
	act = kind_of(argv[1]);
	signals = strcmp(argv[1], "signals") == 0;
	block_here(false);
	if (signals)
		start_signals();
	for (int i = 0; nthreads > 1 && i < nthreads - 1; i++)
		start(act ? work : signals ? receive : sleep_on,
		      act ? (uintptr_t)act : (uintptr_t)i);
	block_here(nthreads > 1);
	if (signals && nthreads == 1)
		be_receiver(0);
	puts("ready");
	for (;;) {
		bool alone = nthreads == 1 && act;

		take_commands(alone ? 0 : signals && nthreads == 1 ? 50 : -1);
		if (alone) {
			act();
			rounds++;
		}
	}
}
