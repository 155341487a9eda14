/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parked_coroutine, parked_sigaltstack, parked_switch
 *
 * A coroutine suspended inside a function: on no thread's stack. The functions are those of
 * parked.c. Commands on standard input, one answer line each:
 *
 *	suspend		start a coroutine, which leaves by swapcontext in the middle of target
 *	resume		let it end; its stack goes with it: version=N
 *	hold		park a thread in target
 *	drop		let it return: version=N
 *	stat		call target: version=N mixed=N
 *	grow		have 256 MiB of memory in use, and a thread that writes to parts of it
 *
 * Three ways to have one: ucontext; SIGALTSTACK: a handler on an alternate stack that is jumped
 * back into, as QEMU does; and SWITCH: a few instructions, which no symbol tells of. There all
 * commands are read by another coroutine: the main thread is never on its own stack. So it is
 * never borrowed (docs/borrowing.md), and a second thread does nothing but be there for that.
 */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define OLD 1
#define STACK_SIZE 65536

#define KEEP __attribute__((noinline, noclone, noipa, used))

typedef void (*fn_t)(void);

int version(void);
int target(fn_t next);

unsigned long mixed;
static volatile int sink;
static int result;
static int (*volatile call_target)(fn_t) = target;

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
		__atomic_fetch_add(&mixed, 1, __ATOMIC_SEQ_CST);
	return OLD;
}

static KEEP void bystander(void)
{
	sink++;
}

/*
 * ---- three ways to switch ----
 *
 * enter_new: run func on a new stack until it leaves or returns. leave: from in there, back to
 * who entered it. reenter: go on behind leave, until it leaves again or func returns.
 */

static void *new_stack(void)
{
	void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);

	return stack == MAP_FAILED ? NULL : stack;
}

#if defined(SIGALTSTACK)

static sigjmp_buf home, inside;
static void (*entered)(void);

static void on_signal(int sig)
{
	if (sigsetjmp(inside, 0) == 0)
		return;
	/* The signal has long been returned from; this is its frame all the same. */
	entered();
	siglongjmp(home, sig);
}

static KEEP void reenter(void)
{
	if (sigsetjmp(home, 0) == 0)
		siglongjmp(inside, 1);
}

static KEEP void leave(void)
{
	if (sigsetjmp(inside, 0) == 0)
		siglongjmp(home, 1);
}

static void enter_new(void *stack, void (*func)(void))
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	stack_t alternate = { .ss_sp = stack, .ss_size = STACK_SIZE };

	entered = func;
	sigaction(SIGUSR2, &act, NULL);
	sigaltstack(&alternate, NULL);
	raise(SIGUSR2);
	alternate.ss_flags = SS_DISABLE;
	sigaltstack(&alternate, NULL);
	reenter();
}

#elif defined(SWITCH)

static void *home, *inside;

/* Save the callee's registers on this stack, and it in *save; go on where `to` was saved. */
void switch_stack(void **save, void *to);
__asm__(".text\n"
	".globl switch_stack\n"
	".type switch_stack, @function\n"
	"switch_stack:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n"
	"	ret\n"
	".size switch_stack, . - switch_stack\n");

static void (*entered)(void);

static KEEP void begin(void)
{
	entered();
	switch_stack(&inside, home);
}

static KEEP void reenter(void)
{
	switch_stack(&home, inside);
}

static KEEP void leave(void)
{
	switch_stack(&inside, home);
}

static void enter_new(void *stack, void (*func)(void))
{
	void **top = (void **)((char *)stack + STACK_SIZE);

	entered = func;
	memset(top - 16, 0, 16 * sizeof(*top));
	top[-2] = (void *)begin;	/* where the first switch returns to; aligned as by a call */
	inside = top - 8;
	reenter();
}

#else

static ucontext_t home, inside;

static void enter_new(void *stack, void (*func)(void))
{
	getcontext(&inside);
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = STACK_SIZE;
	inside.uc_link = &home;
	makecontext(&inside, func, 0);
	swapcontext(&home, &inside);
}

static KEEP void leave(void)
{
	swapcontext(&inside, &home);
}

static KEEP void reenter(void)
{
	swapcontext(&home, &inside);
}

#endif

/* ---- the coroutine ---- */

static void *stack;

static KEEP void suspend(void)
{
	leave();
	sink++;
}

static void body(void)
{
	result = call_target(suspend);
}

static int start(void)
{
	stack = new_stack();
	if (!stack)
		return -1;
	enter_new(stack, body);
	return 0;
}

/* Dead frames would be taken for live ones. */
static int finish(void)
{
	reenter();
	return munmap(stack, STACK_SIZE) < 0 ? -1 : result;
}

/* So would those below a stack pointer that is not on the thread's own stack. */
static KEEP void wipe(void)
{
	volatile char dead[8192];

	for (size_t i = 0; i < sizeof(dead); i++)
		dead[i] = 0;
}

/* ---- a thread of its own ---- */

static pthread_t holder;
static sem_t held, dropped;
static int held_version;

static KEEP void hold(void)
{
	sem_post(&held);
	while (sem_wait(&dropped) != 0)
		;
	sink++;
}

static void *hold_thread(void *arg)
{
	held_version = call_target(hold);
	return arg;
}

static void start_holder(void)
{
	if (pthread_create(&holder, NULL, hold_thread, NULL) != 0)
		return;
	while (sem_wait(&held) != 0)
		;
	printf("held\n");
}

static void end_holder(void)
{
	sem_post(&dropped);
	pthread_join(holder, NULL);
	printf("dropped version=%d\n", held_version);
}

/* ---- much memory ---- */

#define MUCH ((size_t)256 << 20)
#define WRITTEN ((size_t)4 << 20)	/* of it, again and again */
#define PAGE 4096

static void *write_thread(void *arg)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	volatile char *memory = arg;

	for (unsigned int n = 0;; n++) {
		for (size_t at = 0; at < WRITTEN; at += PAGE)
			memory[at] = (char)n;
		nanosleep(&ms, NULL);
	}
	return NULL;
}

static int grow(void)
{
	char *memory = mmap(NULL, MUCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t writer;

	if (memory == MAP_FAILED)
		return -1;
	memset(memory, 0x5a, MUCH);
	return pthread_create(&writer, NULL, write_thread, memory);
}

static _Noreturn void loop(void)
{
	char line[64];

	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "suspend", 7) == 0)
			printf("%s\n", start() < 0 ? "failed" : "suspended");
		else if (strncmp(line, "hold", 4) == 0)
			start_holder();
		else if (strncmp(line, "drop", 4) == 0)
			end_holder();
		else if (strncmp(line, "grow", 4) == 0)
			printf("%s\n", grow() == 0 ? "grown" : "failed");
		else if (strncmp(line, "resume", 6) == 0)
			printf("resumed version=%d\n", finish());
		else
			printf("stat version=%d mixed=%lu\n", call_target(bystander), mixed);
		wipe();
	}
	exit(0);
}

#ifdef SWITCH
static void *idle(void *arg)
{
	for (;;)
		pause();
	return arg;
}
#endif

int main(void)
{
#ifdef SWITCH
	pthread_t thread;
#endif

	setvbuf(stdout, NULL, _IOLBF, 0);
	sem_init(&held, 0, 0);
	sem_init(&dropped, 0, 0);
#ifdef SWITCH
	stack = new_stack();
	if (!stack || pthread_create(&thread, NULL, idle, NULL) != 0)
		return 1;
	enter_new(stack, loop);
#else
	loop();
#endif
}
