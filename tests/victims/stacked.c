/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stacked [THREADS]
 *
 * Functions that many patches replace one above the other. f calls g; each version of each
 * function answers with a number, the original's is 0 (tests/lib/stacked.c makes the
 * others). Seats are threads that do what they are told, and can be put to sleep inside a
 * function; THREADS more call f all the time. Commands on standard input, one answer line
 * each:
 *
 *	call SEAT FUNC		a call that does not sleep: version=N below=N
 *	enter SEAT FUNC		the seat calls FUNC and sleeps in it: asleep version=N
 *	swap SEAT FUNC		the same, on a stack that it has mapped for that
 *	nest SEAT FUNC		a seat that sleeps calls FUNC from there: version=N below=N
 *	leave SEAT		it returns: version=N below=N
 *	again SEAT		it returns and calls the same again, asleep: version=N
 *	spawn SEAT FUNC		it starts a thread (where it is: idle or asleep) that calls FUNC
 *	exit SEAT		its thread ends from where it sleeps
 *	fork SEAT		the process forks there: pid=N
 *	child X			the child does X and answers as above: n nest f, l leave, c call f
 *	storm N			N threads start threads that call f, from now on
 *	strange 1		a thread gives up its thread pointer, for good
 *	reached N		how many of THREADS have last run version N: reached=N
 *	where X FUNC		not=N: the complement of its address (as a word on a stack it would
 *				count as a thread that is in it)
 *	stat			calls=N mixed=N interrupted=N: of THREADS and of the storm
 *
 * `version` is the function's, `below` that of the g it called last (of f; else the same).
 * A call is mixed when these two differ. A sleep is interrupted when it ends too early.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include "stacked.h"

#define SEATS 8
#define THREADS_MAX 128
#define ORIGINAL 0
#define STACK_SIZE (256u << 10)

#define KEEP __attribute__((noipa, used))

static struct seat seats[SEATS];
static atomic_ulong calls, mixed, interrupted;
static atomic_int newest[THREADS_MAX];
static int hot, to_child[2], from_child[2], in_child;
static int (*volatile const table[])(struct seat *) = { f, g, h, m, t };

static int (*find(char func))(struct seat *)
{
	const char *at = strchr("fghmt", func);

	return table[at ? at - "fghmt" : 0];
}

static void await(sem_t *sem)
{
	while (sem_wait(sem) != 0)
		atomic_fetch_add(&interrupted, 1);
}

static void count_call(const struct seat *seat)
{
	atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
	if (seat->version != seat->below)
		atomic_fetch_add(&mixed, 1);
}

/* ---- what a seat does besides calling ---- */

static void call_from(struct seat *seat)
{
	struct seat nested = { 0 };

	find(seat->func)(&nested);
	seat->version = nested.version;
	seat->below = nested.below;
}

static void *spawned(void *arg)
{
	call_from(arg);
	return NULL;
}

static void spawn(struct seat *seat)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, spawned, seat) == 0)
		pthread_join(thread, NULL);
}

static char child_told(void)
{
	char what;

	if (read(to_child[0], &what, 1) != 1)
		_exit(0);
	return what;
}

static void child_answers(const struct seat *seat)
{
	dprintf(from_child[1], "version=%d below=%d\n", seat->version, seat->below);
}

/* True in the child that is to leave. */
static int fork_here(struct seat *seat)
{
	pid_t pid = fork();

	if (pid) {
		seat->version = pid;
		return 0;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	in_child = 1;
	while (child_told() == 'n') {
		seat->func = 'f';
		call_from(seat);
		child_answers(seat);
	}
	return 1;
}

static void child_serve(struct seat *seat)
{
	for (;;) {
		child_answers(seat);
		(void)child_told();
		seat->func = 'f';
		call_from(seat);
	}
}

/* Done what it was told where it sleeps; true: it is to return. */
static int obey(struct seat *seat)
{
	switch (seat->act) {
	case ACT_NEST:
		call_from(seat);
		return 0;
	case ACT_SPAWN:
		spawn(seat);
		return 0;
	case ACT_FORK:
		return fork_here(seat);
	case ACT_EXIT:
		sem_post(&seat->done);
		pthread_exit(NULL);
	default:
		return 1;
	}
}

KEEP void seat_sleep(struct seat *seat, int version)
{
	seat->version = version;
	if (!seat->sleeps)
		return;
	do {
		sem_post(&seat->done);
		await(&seat->wake);
	} while (!obey(seat));
}

KEEP STACKED_LEAF(h, ORIGINAL)
KEEP STACKED_LEAF(g, ORIGINAL)
KEEP STACKED_CALLER(f, ORIGINAL)

KEEP int t(struct seat *seat)
{
	seat->below = ORIGINAL;
	return g(seat);
}

/* ---- threads ---- */

/* Call it with the stack pointer somewhere else. */
static void call_on(char *top, int (*func)(struct seat *), struct seat *seat)
{
	register char *sp __asm__("r12") = top;
	register int (*fn)(struct seat *) __asm__("r13") = func;

	__asm__ volatile("mov %%rsp, %%rbx\n\tmov %1, %%rsp\n\tcall *%2\n\tmov %%rbx, %%rsp"
			 : "+D"(seat)
			 : "r"(sp), "r"(fn)
			 : "rbx", "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "xmm0",
			   "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "memory", "cc");
}

static void call_swapped(struct seat *seat)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* A hole on either side, so that nothing adjoins it. */
	if (stack == MAP_FAILED || mprotect(stack + 4096, STACK_SIZE - 8192, PROT_READ | PROT_WRITE))
		abort();
	call_on(stack + STACK_SIZE - 4096 - 64, find(seat->func), seat);
	munmap(stack, STACK_SIZE);
}

static void *sit(void *arg)
{
	struct seat *seat = arg;

	for (;;) {
		await(&seat->go);
		if (seat->act == ACT_SPAWN)
			spawn(seat);
		else if (seat->act == ACT_SWAP)
			call_swapped(seat);
		else
			do
				find(seat->func)(seat);
			while (seat->act == ACT_AGAIN);
		if (in_child)
			child_serve(seat);
		sem_post(&seat->done);
	}
	return NULL;
}

static void *work(void *arg)
{
	atomic_int *mine = arg;
	struct seat none = { 0 };

	for (;;) {
		/* A thread that is never outside cannot be switched by anybody. */
		for (volatile int i = 0; i < 40; i++)
			;
		find('f')(&none);
		count_call(&none);
		atomic_store_explicit(mine, none.version, memory_order_relaxed);
	}
	return NULL;
}

static void *briefly(void *arg)
{
	struct seat none = { 0 };

	find('f')(&none);
	count_call(&none);
	return arg;
}

static void *storm(void *arg)
{
	pthread_t thread;

	for (;;)
		if (pthread_create(&thread, NULL, briefly, NULL) == 0)
			pthread_join(thread, NULL);
	return arg;
}

/* arch_prctl(ARCH_SET_FS, 0), then pause for ever: nothing here may use the pointer any more. */
static void *strange(void *arg)
{
	sem_post(arg);
	__asm__ volatile("mov $158, %%eax\n\tmov $0x1002, %%edi\n\txor %%esi, %%esi\n\tsyscall\n"
			 "1:\tmov $34, %%eax\n\tsyscall\n\tjmp 1b"
			 ::: "rax", "rdi", "rsi", "rcx", "r11", "memory");
	return NULL;
}

/* ---- commands ---- */

static void start(struct seat *seat, enum act act, char func, int sleeps)
{
	seat->act = act;
	seat->func = func;
	seat->sleeps = sleeps;
	sem_post(&seat->go);
	await(&seat->done);
}

static void wake(struct seat *seat, enum act act, char func)
{
	seat->act = act;
	if (func)
		seat->func = func;
	sem_post(&seat->wake);
	await(&seat->done);
}

static void print_seat(const char *verb, const struct seat *seat)
{
	printf("%s version=%d below=%d\n", verb, seat->version, seat->below);
}

static void seat_command(const char *verb, struct seat *seat, char func)
{
	static const struct {
		const char *verb;
		enum act act;
	} where_it_sleeps[] = {
		{ "nest", ACT_NEST }, { "leave", ACT_LEAVE }, { "again", ACT_AGAIN },
		{ "exit", ACT_EXIT },
	};

	if (strcmp(verb, "call") == 0 || strcmp(verb, "enter") == 0)
		start(seat, ACT_CALL, func, verb[0] == 'e');
	else if (strcmp(verb, "swap") == 0)
		start(seat, ACT_SWAP, func, 1);
	else if (strcmp(verb, "spawn") == 0 && !seat->sleeps)
		start(seat, ACT_SPAWN, func, 0);
	else if (strcmp(verb, "spawn") == 0)
		wake(seat, ACT_SPAWN, func);
	for (size_t i = 0; i < sizeof(where_it_sleeps) / sizeof(where_it_sleeps[0]); i++) {
		char kept = seat->func;

		if (strcmp(verb, where_it_sleeps[i].verb) != 0)
			continue;
		wake(seat, where_it_sleeps[i].act, func);
		/* What it sleeps in, for `again`. */
		seat->func = kept;
		seat->sleeps = strcmp(verb, "leave") != 0;
	}
	print_seat(verb, seat);
}

static void fork_command(struct seat *seat)
{
	wake(seat, ACT_FORK, 0);
	printf("pid=%d\n", seat->version);
}

static void child_command(char what)
{
	char line[64];
	ssize_t n = write(to_child[1], &what, 1) == 1 ? read(from_child[0], line, sizeof(line)) : -1;

	printf("%.*s", n > 0 ? (int)n : 5, n > 0 ? line : "dead\n");
}

static void storm_command(unsigned int n)
{
	pthread_t thread;

	while (n-- && pthread_create(&thread, NULL, storm, NULL) == 0)
		;
	printf("storm\n");
}

static void strange_command(void)
{
	pthread_t thread;
	sem_t begun;

	sem_init(&begun, 0, 0);
	if (pthread_create(&thread, NULL, strange, &begun) == 0)
		await(&begun);
	usleep(20000);
	printf("strange\n");
}

static void reached_command(int version)
{
	int n = 0;

	for (int i = 0; i < hot; i++)
		n += atomic_load(&newest[i]) == version;
	printf("reached=%d\n", n);
}

static void command(const char *line)
{
	char verb[16] = "", func = 0;
	unsigned int n = 0;
	int got = sscanf(line, "%15s %u %c", verb, &n, &func);

	if (strcmp(verb, "stat") == 0)
		printf("calls=%lu mixed=%lu interrupted=%lu\n", atomic_load(&calls),
		       atomic_load(&mixed), atomic_load(&interrupted));
	else if (strcmp(verb, "child") == 0)
		child_command(line[6]);
	else if (strcmp(verb, "storm") == 0)
		storm_command(n);
	else if (strcmp(verb, "strange") == 0)
		strange_command();
	else if (strcmp(verb, "reached") == 0)
		reached_command((int)n);
	else if (strcmp(verb, "where") == 0)
		printf("not=%lu\n", ~(unsigned long)find(func));
	else if (got < 2 || n >= SEATS)
		printf("unknown\n");
	else if (strcmp(verb, "fork") == 0)
		fork_command(&seats[n]);
	else
		seat_command(verb, &seats[n], func);
}

static void *ended(void *arg)
{
	pthread_exit(arg);
}

static int start_threads(void)
{
	pthread_t thread;

	/* The first pthread_exit maps libgcc_s; it is there before the first snapshot. */
	if (pthread_create(&thread, NULL, ended, NULL) != 0 || pthread_join(thread, NULL) != 0)
		return -1;

	for (int i = 0; i < SEATS; i++) {
		sem_init(&seats[i].go, 0, 0);
		sem_init(&seats[i].done, 0, 0);
		sem_init(&seats[i].wake, 0, 0);
		if (pthread_create(&seats[i].thread, NULL, sit, &seats[i]) != 0)
			return -1;
	}
	for (int i = 0; i < hot; i++)
		if (pthread_create(&thread, NULL, work, &newest[i]) != 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	char line[64];

	hot = argc > 1 ? atoi(argv[1]) : 0;
	if (hot > THREADS_MAX || pipe(to_child) || pipe(from_child) || start_threads() < 0)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin))
		command(line);
	return 0;
}
