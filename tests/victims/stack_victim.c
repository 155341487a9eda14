/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parks a thread in a known place: stack_victim MODE. Prints the tid of the parked thread
 * once it is (about to be) asleep. The functions looked for are `target` and its like; all
 * calls go through volatile pointers, so that nothing is inlined, cloned or tail-called.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __GLIBC__	/* musl has no contexts */
#include <ucontext.h>
#endif

#define KEEP __attribute__((noinline, noclone, noipa, used))

typedef void (*fn_t)(void);

void stack_nocfi_call(fn_t fn);
void stack_spin(void);
void stack_call_on(fn_t fn, void *top);

static volatile int sink;
static volatile int never;

static KEEP void park(void)
{
	printf("%d\n", (int)syscall(SYS_gettid));
	fflush(stdout);
	for (;;)
		pause();
}

static KEEP void bystander(void)
{
	sink++;
}

/* The function patched. */
static KEEP void target(fn_t next)
{
	sink++;
	next();
	sink++;
}

static KEEP void outer(fn_t next)
{
	volatile char pad[200];

	pad[0] = 1;
	target(next);
	sink += pad[0];
}

static KEEP __attribute__((cold)) void park_cold(void)
{
	park();
}

static KEEP void split(int x)
{
	sink++;
	if (__builtin_expect(x, 0)) {
		park_cold();
		sink += 2;
	}
	sink++;
}

static void on_signal(int sig)
{
	sink += sig;
	park();
	sink++;
}

static void install(int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	sigaction(SIGUSR1, &sa, NULL);
}

static KEEP void raise_usr1(void)
{
	raise(SIGUSR1);
}

static void mode_signal(void)
{
	install(0);
	outer(raise_usr1);
}

static void use_altstack(void *mem, size_t size)
{
	stack_t ss = { .ss_sp = mem, .ss_size = size };

	sigaltstack(&ss, NULL);
	install(SA_ONSTACK);
}

static void mode_altstack(void)
{
	use_altstack(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		     65536);
	outer(raise_usr1);
}

static KEEP void deep_target(void)
{
	volatile char pad[8192];

	pad[0] = 1;
	target(bystander);
	sink += pad[0];
}

/* Stale words of target far below the frames that the signal interrupts. */
static void mode_altstale(void)
{
	use_altstack(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		     65536);
	deep_target();
	raise_usr1();
}

/* The alternate stack lies on the home stack, above the frames that are interrupted. */
static void mode_localalt(void)
{
	char mem[32768];

	use_altstack(mem, sizeof(mem));
	outer(raise_usr1);
	sink += mem[0];
}

static KEEP void split_stack(void)
{
	char big[16 * 4096];
	uintptr_t page = ((uintptr_t)big + 8 * 4096) & ~4095ul;

	memset(big, 1, sizeof(big));
	if (mlock((void *)page, 4096) != 0)
		perror("mlock");
	park();
	sink += big[5];
}

static void mode_mlock(void)
{
	outer(split_stack);
}

static KEEP void through_asm(void)
{
	stack_nocfi_call(park);
	sink++;
}

static void mode_asm(void)
{
	outer(through_asm);
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

static void mode_deep(void)
{
	outer(deep_all);
}

/* Leaves the return address into target on the stack, then covers it with a big frame. */
static KEEP void cover(void)
{
	volatile char hole[4096];

	hole[sizeof(hole) - 1] = 0;
	park();
	sink += hole[4095];
}

static void mode_stale(void)
{
	outer(bystander);
	cover();
}

#ifdef __GLIBC__
static ucontext_t main_ctx, co_ctx;

static KEEP void enter_coroutine(void)
{
	swapcontext(&main_ctx, &co_ctx);
}

static void make_coroutine(void (*fn)(void))
{
	getcontext(&co_ctx);
	co_ctx.uc_stack.ss_sp = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	co_ctx.uc_stack.ss_size = 65536;
	makecontext(&co_ctx, fn, 0);
}

static KEEP void target_then_park(void)
{
	outer(park);
}

/* In target on the coroutine's stack. */
static void mode_coroutine(void)
{
	make_coroutine(target_then_park);
	enter_coroutine();
}

/* In target on the home stack, while a coroutine is parked on its own. */
static void mode_coroutine_home(void)
{
	make_coroutine(park);
	outer(enter_coroutine);
}

#else

static void mode_coroutine(void)
{
}

static void mode_coroutine_home(void)
{
}
#endif

static KEEP void leave_stack(void)
{
	char *mem = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	stack_call_on(park, mem + 65536);
	sink++;
}

/* In target on the home stack, below code that claims to be outermost on another. */
static void mode_false_end(void)
{
	outer(leave_stack);
}

/* Interrupted at the first instruction of a function. */
static void *signal_main(void *arg)
{
	usleep(50000);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void mode_first(void)
{
	pthread_t self = pthread_self(), other;

	install(0);
	pthread_create(&other, NULL, signal_main, &self);
	stack_spin();
}

static void mode_plain(void)
{
	outer(park);
}

static void mode_cold(void)
{
	split(!never);
}

static void mode_bystander(void)
{
	bystander();
	park();
}

static KEEP void busy_leaf(unsigned int *seed)
{
	for (int i = 0; i < 200; i++)
		*seed = *seed * 1103515245u + 12345u;
}

static KEEP void busy_a(unsigned int *seed, int depth);
static KEEP void busy_b(unsigned int *seed, int depth);
static KEEP void busy_c(unsigned int *seed, int depth);

static void busy_next(unsigned int *seed, int depth)
{
	static void (*volatile const fn[])(unsigned int *, int) = { busy_a, busy_b, busy_c };

	busy_leaf(seed);
	if (depth)
		fn[*seed / 65536 % 3](seed, depth - 1);
}

static KEEP void busy_a(unsigned int *seed, int depth)
{
	volatile char pad[64];

	pad[0] = (char)depth;
	busy_next(seed, depth);
	sink += pad[0];
}

static KEEP void busy_b(unsigned int *seed, int depth)
{
	busy_next(seed, depth);
	if (*seed % 7 == 0)
		usleep(1);
	sink++;
}

static KEEP void busy_c(unsigned int *seed, int depth)
{
	char text[80];

	snprintf(text, sizeof(text), "%u %d", *seed, depth);
	*seed += (unsigned char)text[0];
	free(malloc(*seed % 3000));
	busy_next(seed, depth);
	sink++;
}

static void *busy_thread(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	for (;;)
		busy_a(&seed, (int)(seed / 4096 % 12));
	return NULL;
}

static void mode_busy(void)
{
	pthread_t t;

	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&t, NULL, busy_thread, (void *)(i + 1));
	park();
}

static const struct {
	const char *name;
	fn_t fn;
} modes[] = {
	{ "plain", mode_plain },	 { "cold", mode_cold },
	{ "signal", mode_signal },	 { "altstack", mode_altstack },
	{ "localalt", mode_localalt },	 { "mlock", mode_mlock },
	{ "asm", mode_asm },		 { "deep", mode_deep },
	{ "stale", mode_stale },	 { "coroutine", mode_coroutine },
	{ "coroutine-home", mode_coroutine_home }, { "first", mode_first },
	{ "false-end", mode_false_end },	 { "altstale", mode_altstale },
	{ "bystander", mode_bystander }, { "busy", mode_busy },
};

static void *run(void *mode)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(modes[i].name, mode))
			modes[i].fn();
	return NULL;
}

/* "thread-MODE" does it in a second thread. */
int main(int argc, char **argv)
{
	pthread_t t;

	if (argc < 2)
		return 2;
	alarm(60);
	if (strncmp(argv[1], "thread-", 7) != 0) {
		run(argv[1]);
		return 1;
	}
	pthread_create(&t, NULL, run, argv[1] + 7);
	pthread_join(t, NULL);
	return 1;
}
