/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pair [N]
 *
 * N processes (2 at least) that speak a protocol through memory they share: the first child produces
 * messages, the parent (a thread of it) and the other children consume each of them, one after the
 * other. A message carries the version of produce(), which consume() compares with its own: a mix
 * is counted. produce() ends when its message was consumed by all, so that none is on its way when
 * nobody is inside the functions. Commands on standard input, one answer line each:
 *
 *	stat		exchanges=N mixed=N version=N child0=PID child1=PID ...
 *	park, release	a thread of the first child sleeps inside produce; it goes on
 *	quiet, go	no message is produced, everybody is outside the functions; they are again
 *	replace I	reap child I, which was killed, and give its pid to another process
 *	quit
 *
 * A child that gets SIGUSR1 executes sleep(1). tests/scenarios/pair_fix.c replaces produce and
 * consume.
 */
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OLD 1
#define MAX 8

struct ring {
	atomic_ulong stage;		/* who is to consume: 1 to N - 1; N: all have */
	unsigned long version;		/* of the message */
	atomic_ulong exchanges, mixed, last;
	atomic_int hold, parked, wait, quiet;
	unsigned long processes;
};

struct ring *ring;
static pid_t children[MAX];

/* External, so that nothing is known about who calls them. */
void produce(void);
void consume(void);
void stay_here(void);

__attribute__((noipa)) void stay_here(void)
{
	struct timespec ts = { .tv_nsec = 1000000 };

	atomic_store(&ring->parked, 1);
	while (atomic_load(&ring->hold))
		nanosleep(&ts, NULL);
	atomic_store(&ring->parked, 0);
}

__attribute__((noipa)) void produce(void)
{
	if (atomic_load(&ring->hold))
		stay_here();
	ring->version = OLD;
	atomic_store(&ring->stage, 1);
	while (atomic_load(&ring->stage) != ring->processes)
		sched_yield();
}

__attribute__((noipa)) void consume(void)
{
	if (ring->version != OLD)
		atomic_fetch_add(&ring->mixed, 1);
	atomic_store(&ring->last, OLD);
}

static void nap(void)
{
	struct timespec ts = { .tv_nsec = 1000000 };

	nanosleep(&ts, NULL);
}

static void __attribute__((noreturn)) producer(void)
{
	void (*volatile call)(void) = produce;

	for (unsigned long n = 1;; n++) {
		call();
		atomic_store(&ring->exchanges, n);
		while (atomic_load(&ring->wait)) {
			atomic_store(&ring->quiet, 1);
			nap();
		}
		atomic_store(&ring->quiet, 0);
		/* Some time outside, as a real program has it, also on a busy machine. */
		if (n % 16 == 0)
			nap();
	}
}

/* A message comes at once, or not for a while. */
static void rest(unsigned int round)
{
	struct timespec ts = { .tv_nsec = 100000 };

	if (round < 100)
		sched_yield();
	else
		nanosleep(&ts, NULL);
}

static void __attribute__((noreturn)) consumer(unsigned long number)
{
	void (*volatile call)(void) = consume;

	for (;;) {
		for (unsigned int i = 0; atomic_load(&ring->stage) != number; i++)
			rest(i);
		call();
		atomic_store(&ring->stage, number + 1);
	}
}

static void *consumer_thread(void *arg)
{
	consumer(1);
	return arg;
}

static void become_another(int signo)
{
	execl("/bin/sleep", "sleep", "1000", NULL);
	_exit(signo);
}

static void start_child(unsigned long i)
{
	children[i] = fork();
	if (children[i] < 0)
		exit(1);
	if (children[i] > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGUSR1, become_another);
	if (i == 0)
		producer();
	consumer(i + 1);
}

static int replace(unsigned long i)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (unsigned long)&children[i],
		.set_tid_size = 1,
	};
	pid_t pid;

	if (i >= MAX || waitpid(children[i], NULL, 0) != children[i])
		return -1;
	/* Start times count in hundredths of a second. */
	for (int k = 0; k < 30; k++)
		nap();
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void wait_for(atomic_int *flag, int value)
{
	while (atomic_load(flag) != value)
		nap();
}

static void tell(void)
{
	printf("exchanges=%lu mixed=%lu version=%lu", atomic_load(&ring->exchanges),
	       atomic_load(&ring->mixed), atomic_load(&ring->last));
	for (unsigned long i = 0; i + 1 < ring->processes; i++)
		printf(" child%lu=%d", i, children[i]);
	printf("\n");
}

static void obey(const char *line)
{
	if (strncmp(line, "stat", 4) == 0) {
		tell();
	} else if (strncmp(line, "park", 4) == 0) {
		atomic_store(&ring->hold, 1);
		wait_for(&ring->parked, 1);
		printf("parked\n");
	} else if (strncmp(line, "release", 7) == 0) {
		atomic_store(&ring->hold, 0);
		wait_for(&ring->parked, 0);
		printf("released\n");
	} else if (strncmp(line, "quiet", 5) == 0) {
		atomic_store(&ring->wait, 1);
		wait_for(&ring->quiet, 1);
		printf("quiet\n");
	} else if (strncmp(line, "go", 2) == 0) {
		atomic_store(&ring->wait, 0);
		wait_for(&ring->quiet, 0);
		printf("going\n");
	} else if (strncmp(line, "replace ", 8) == 0) {
		printf("pid=%d\n", replace(strtoul(line + 8, NULL, 10)));
	} else {
		exit(0);
	}
}

int main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 2;
	char line[64];
	pthread_t t;

	ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ring == MAP_FAILED || n < 2 || n > MAX)
		return 1;
	ring->processes = n;
	/* The producer last: the others are there when it begins. */
	for (unsigned long i = n - 1; i-- > 0; )
		start_child(i);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (pthread_create(&t, NULL, consumer_thread, NULL) != 0)
		return 1;
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	return 0;
}
