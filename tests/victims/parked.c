/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parked WORKERS
 *
 * Threads parked in a function in every way that makes it hard to see that they are in it.
 * `target` and `split` call `version`, before and after whatever they wait for: when the two
 * answers are not those of the caller's own version, the call counts as mixed. Workers call
 * both as fast as they can. Commands on standard input, one answer line each:
 *
 *	park KIND		park the thread of this kind: parked tid=N at=N
 *	park gate LO HI		interrupt worker 0 in [LO, HI) and park it in the signal handler
 *	release KIND		let it go on; answers when its call has returned: version=N
 *	stat			threads=N old=N new=N mixed=N
 *
 * `at` is the return address into the part of split that waits (cold), the interrupted PC
 * (gate), ~0 otherwise. Addresses are told as their complement, hexadecimal: the thread that
 * talks must not have them on its stack, where they would be taken for its own (musl has no
 * unwind tables to tell). tests/scenarios/parked_fix.c is the other version.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define OLD 1
#define NEW 2

#define KEEP __attribute__((noinline, noclone, noipa, used))
#define ALTSTACK_SIZE 65536

/* musl-gcc does not see linux/futex.h. */
#define WAIT_PRIVATE 128
#define WAKE_PRIVATE 129

#define GATE_TRIES 300000

typedef void (*fn_t)(void);

/* External, so that nothing is known about who calls them. */
int version(void);
int target(fn_t next);
int split(int park);
void park_cold(void);
void parked_nocfi_call(fn_t fn);	/* parked_nocfi.S */

struct place {
	const char *kind;
	fn_t next;			/* what target calls; NULL: split waits */
	atomic_int go_in, go_out;	/* both are waited for as futexes */
	atomic_int parked, done;
	atomic_ulong at;
	int tid, version;
};

struct worker {
	pthread_t thread;
	atomic_ulong calls[3];
};

atomic_ulong mixed;
static volatile int sink;
static _Thread_local struct place *me;
static struct worker *workers;
static unsigned int nworkers;
static atomic_ulong gate_lo, gate_hi;	/* complements */
static int (*volatile call_target)(fn_t) = target;
static int (*volatile call_split)(int) = split;

/* ---- what is patched ---- */

KEEP int version(void)
{
	return OLD;
}

KEEP int target(fn_t next)
{
	int before = version(), after;

	next();
	after = version();
	if (before != OLD || after != OLD)
		atomic_fetch_add(&mixed, 1);
	return OLD;
}

KEEP int split(int park)
{
	int before = version(), after;

	if (__builtin_expect(park, 0)) {
		park_cold();
		sink += 2;
	}
	after = version();
	if (before != OLD || after != OLD)
		atomic_fetch_add(&mixed, 1);
	return OLD;
}

/* ---- ways to be in it ---- */

static void wait_for(atomic_int *word)
{
	while (!atomic_load(word))
		syscall(SYS_futex, word, WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void wake(atomic_int *word)
{
	atomic_store(word, 1);
	syscall(SYS_futex, word, WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static KEEP void park(void)
{
	atomic_store(&me->parked, 1);
	wait_for(&me->go_out);
}

KEEP __attribute__((cold)) void park_cold(void)
{
	atomic_store(&me->at, ~(uintptr_t)__builtin_return_address(0));
	park();
	sink++;
}

static KEEP void bystander(void)
{
	sink++;
}

static void on_usr1(int sig)
{
	park();
	sink += sig;
}

static KEEP void raise_usr1(void)
{
	raise(SIGUSR1);
	sink++;
}

static uintptr_t middle_page(const char *big)
{
	return ((uintptr_t)big + 8 * 4096) & ~(uintptr_t)4095;
}

static KEEP void split_stack(void)
{
	char big[16 * 4096];

	memset(big, 1, sizeof(big));
	if (mlock((void *)middle_page(big), 4096) != 0)
		abort();
	park();
	munlock((void *)middle_page(big), 4096);
	sink += big[5];
}

static KEEP void through_asm(void)
{
	parked_nocfi_call(park);
	sink++;
}

static KEEP void deep(int n)
{
	volatile char pad[40];

	pad[0] = (char)n;
	if (n > 0)
		deep(n - 1);
	else
		park();
	sink += pad[0];
}

static KEEP void deep_all(void)
{
	deep(10000);
}

static struct place places[] = {
	{ .kind = "plain", .next = park },
	{ .kind = "cold" },
	{ .kind = "signal", .next = raise_usr1 },
	{ .kind = "altstack", .next = raise_usr1 },
	{ .kind = "mlock", .next = split_stack },
	{ .kind = "asm", .next = through_asm },
	{ .kind = "deep", .next = deep_all },
	{ .kind = "gate" },		/* the last one: worker 0 */
};

#define NPLACES (sizeof(places) / sizeof(places[0]))

static struct place *const gate = &places[NPLACES - 1];

static KEEP int call(const struct place *p)
{
	return p->next ? call_target(p->next) : call_split(1);
}

/* The frame of target is between this locked page and that of split_stack: in a mapping that
 * has neither the stack pointer nor the control block of the thread. */
static KEEP int call_below_split(const struct place *p)
{
	char big[16 * 4096];
	int version;

	memset(big, 1, sizeof(big));
	if (mlock((void *)middle_page(big), 4096) != 0)
		abort();
	version = call(p);
	munlock((void *)middle_page(big), 4096);
	sink += big[5];
	return version;
}

/* A thread of its own for each way, which stays: who exits would not be waited for. */
static void *stay(void *arg)
{
	struct place *p = arg;

	me = p;
	p->tid = (int)syscall(SYS_gettid);
	if (strcmp(p->kind, "altstack") == 0) {
		stack_t ss = { .ss_sp = malloc(ALTSTACK_SIZE), .ss_size = ALTSTACK_SIZE };

		sigaltstack(&ss, NULL);
	}
	for (;;) {
		wait_for(&p->go_in);
		atomic_store(&p->go_in, 0);
		p->version = strcmp(p->kind, "mlock") == 0 ? call_below_split(p) : call(p);
		atomic_store(&p->done, 1);
	}
	return NULL;
}

/* ---- workers ---- */

static void on_usr2(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	unsigned long at = ~(unsigned long)uc->uc_mcontext.gregs[REG_RIP];
	int saved = errno;

	if (me == gate && !atomic_load(&gate->parked) && !atomic_load(&gate->go_out) &&
	    at <= atomic_load(&gate_lo) && at > atomic_load(&gate_hi)) {
		atomic_store(&gate->at, at);
		park();
	}
	errno = saved;
}

static void count(struct worker *w, int version)
{
	atomic_fetch_add_explicit(&w->calls[version == NEW ? NEW : OLD], 1, memory_order_relaxed);
	if (me && atomic_load(&me->parked)) {
		me->version = version;
		atomic_store(&me->done, 1);
		atomic_store(&me->parked, 0);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	if (w == workers) {
		me = gate;
		me->tid = (int)syscall(SYS_gettid);
	}
	for (;;) {
		/* A thread that is never outside cannot be switched by anybody. */
		for (volatile int i = 0; i < 40; i++)
			;
		count(w, call_target(bystander));
		count(w, call_split(0));
	}
	return NULL;
}

/* ---- commands ---- */

static void nap(long us)
{
	struct timespec ts = { .tv_nsec = us * 1000 };

	nanosleep(&ts, NULL);
}

static void stat_line(void)
{
	unsigned long old = 0, new = 0;

	for (unsigned int i = 0; i < nworkers; i++) {
		old += atomic_load(&workers[i].calls[OLD]);
		new += atomic_load(&workers[i].calls[NEW]);
	}
	printf("threads=%u old=%lu new=%lu mixed=%lu\n", nworkers + (unsigned int)NPLACES, old,
	       new, atomic_load(&mixed));
}

static void catch_in_gate(const char *range)
{
	unsigned long lo, hi;

	if (sscanf(range, "%lx %lx", &lo, &hi) != 2)
		return;
	atomic_store(&gate_hi, hi);
	atomic_store(&gate_lo, lo);
	for (int i = 0; i < GATE_TRIES && !atomic_load(&gate->parked); i++) {
		pthread_kill(workers[0].thread, SIGUSR2);
		nap(20);
	}
	atomic_store(&gate_hi, ~0UL);
}

static void park_place(struct place *p, const char *rest)
{
	atomic_store(&p->parked, 0);
	atomic_store(&p->done, 0);
	atomic_store(&p->go_out, 0);
	atomic_store(&p->at, ~0UL);
	if (p == gate)
		catch_in_gate(rest);
	else
		wake(&p->go_in);
	while (p != gate && !atomic_load(&p->parked))
		nap(1000);
	if (atomic_load(&p->parked))
		printf("parked tid=%d at=%lx\n", p->tid, atomic_load(&p->at));
	else
		printf("missed\n");
}

static void release_place(struct place *p)
{
	wake(&p->go_out);
	while (!atomic_load(&p->done))
		nap(1000);
	printf("released version=%d\n", p->version);
}

static void command(const char *line)
{
	char verb[16], kind[16];
	int rest = 0;

	if (strncmp(line, "stat", 4) == 0) {
		stat_line();
		return;
	}
	if (sscanf(line, "%15s %15s%n", verb, kind, &rest) != 2)
		return;
	for (size_t i = 0; i < NPLACES; i++) {
		if (strcmp(places[i].kind, kind) != 0)
			continue;
		if (strcmp(verb, "park") == 0)
			park_place(&places[i], line + rest);
		else
			release_place(&places[i]);
		return;
	}
	printf("unknown\n");
}

static int start_threads(void)
{
	pthread_attr_t attr;
	pthread_t t;

	/* musl gives too little for the deep recursion. */
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 4 << 20);
	for (size_t i = 0; i < NPLACES - 1; i++)
		if (pthread_create(&t, &attr, stay, &places[i]) != 0)
			return -1;
	for (unsigned int i = 0; i < nworkers; i++)
		if (pthread_create(&workers[i].thread, &attr, work, &workers[i]) != 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction usr1 = { .sa_handler = on_usr1, .sa_flags = SA_ONSTACK };
	struct sigaction usr2 = { .sa_sigaction = on_usr2, .sa_flags = SA_SIGINFO | SA_RESTART };
	char line[128];

	nworkers = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;
	workers = calloc(nworkers, sizeof(*workers));
	sigaction(SIGUSR1, &usr1, NULL);
	sigaction(SIGUSR2, &usr2, NULL);
	if (!workers || start_threads() < 0)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin))
		command(line);
	return 0;
}
