/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parked_coroutine
 *
 * A coroutine suspended inside a function: on no thread's stack. The functions are those of
 * parked.c. Commands on standard input, one answer line each:
 *
 *	suspend		start a coroutine, which leaves by swapcontext in the middle of target
 *	resume		let it end; its stack goes with it: version=N
 *	hold		park a thread in target
 *	drop		let it return: version=N
 *	stat		call target: version=N mixed=N
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define OLD 1
#define STACK_SIZE 65536

#define KEEP __attribute__((noinline, noclone, noipa, used))

typedef void (*fn_t)(void);

int version(void);
int target(fn_t next);

unsigned long mixed;
static volatile int sink;
static ucontext_t home, inside;
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

static KEEP void suspend(void)
{
	swapcontext(&inside, &home);
	sink++;
}

static void body(void)
{
	result = call_target(suspend);
}

static int start(void)
{
	getcontext(&inside);
	inside.uc_stack.ss_sp = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	inside.uc_stack.ss_size = STACK_SIZE;
	inside.uc_link = &home;
	if (inside.uc_stack.ss_sp == MAP_FAILED)
		return -1;
	makecontext(&inside, body, 0);
	return swapcontext(&home, &inside);
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

/* Dead frames would be taken for live ones. */
static int finish(void)
{
	if (swapcontext(&home, &inside) < 0 || munmap(inside.uc_stack.ss_sp, STACK_SIZE) < 0)
		return -1;
	return result;
}

int main(void)
{
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	sem_init(&held, 0, 0);
	sem_init(&dropped, 0, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "suspend", 7) == 0)
			printf("%s\n", start() < 0 ? "failed" : "suspended");
		else if (strncmp(line, "hold", 4) == 0)
			start_holder();
		else if (strncmp(line, "drop", 4) == 0)
			end_holder();
		else if (strncmp(line, "resume", 6) == 0)
			printf("resumed version=%d\n", finish());
		else
			printf("stat version=%d mixed=%lu\n", call_target(bystander), mixed);
	}
	return 0;
}
