/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe-contexts [large]: coroutines that are suspended inside the functions of probe.h and go on in
 * another thread. Such a process is switched all at once, or not at all, when nobody is
 * inside: so every 90 ms everybody stays outside for 40. Large: more memory is in use than
 * can be searched in a stop.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "probe_check.h"

#define WORKERS 8
#define PLAIN 4
#define COROUTINES 24
#define SUSPENDED 6		/* inside; those with the lowest stacks */
#define STACK 65536
#define WIPED 16384

#define LARGE ((size_t)128 << 20)

#define PERIOD_MS 90
#define ACTIVE_MS 50

struct coroutine {
	ucontext_t context, *back;	/* `back`: of the thread it runs in */
	struct probe_slot *slot;
	int outside;
};

static struct coroutine coroutines[COROUTINES];
/* In one piece, so that the stack of one that runs adjoins those of suspended ones. */
static _Alignas(4096) char stacks[COROUTINES][STACK];
static struct coroutine *queue[COROUTINES];	/* those that do not run, oldest first */
static unsigned int queued;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;

static int quiet(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec * 1000 + now.tv_nsec / 1000000) % PERIOD_MS >= ACTIVE_MS;
}

static void leave(struct coroutine *co)
{
	swapcontext(&co->context, co->back);
}

static void leave_inside(struct probe_act *act)
{
	leave((struct coroutine *)act->param);
	probe_nested(act, act->slot);
}

/* Dead frames in the memory of a coroutine are taken for live ones: nobody can tell them. */
static __attribute__((noipa)) void wipe(void)
{
	volatile char dead[WIPED];

	for (size_t i = 0; i < sizeof(dead); i++)
		dead[i] = 0;
}

/* Its number comes as an int, as makecontext has it. */
static void run(int index)
{
	struct coroutine *co = &coroutines[index];

	for (;;) {
		wipe();
		/* Outside, on a stack that is not the thread's. */
		probe_nap_us(probe_random(co->slot) % 1000);
		co->outside = 1;
		leave(co);
		co->outside = 0;
		for (int i = 0; i < 100; i++)
			probe_call(co->slot, NULL, 0);
		if (index < SUSPENDED)
			probe_call(co->slot, leave_inside, (unsigned long)co);
	}
}

static struct coroutine *take(void)
{
	struct coroutine *co = NULL;

	pthread_mutex_lock(&queue_lock);
	if (queued) {
		co = queue[0];
		memmove(queue, queue + 1, --queued * sizeof(queue[0]));
	}
	pthread_mutex_unlock(&queue_lock);
	return co;
}

static void put(struct coroutine *co)
{
	pthread_mutex_lock(&queue_lock);
	queue[queued++] = co;
	pthread_mutex_unlock(&queue_lock);
}

static void *work(void *arg)
{
	ucontext_t here;

	for (;;) {
		struct coroutine *co = take();

		if (co && !(co->outside && quiet())) {
			co->back = &here;
			swapcontext(&here, &co->context);
		}
		if (co)
			put(co);
		probe_nap_us(500);
	}
	return NULL;
}

static void *plain(void *arg)
{
	struct probe_slot *slot = probe_slot(PROBE_PLAIN);

	for (;;) {
		for (int i = 0; i < 100 && !quiet(); i++)
			probe_call(slot, NULL, 0);
		probe_nap_us(probe_random(slot) % 3000);
	}
	return NULL;
}

static void create(int index)
{
	struct coroutine *co = &coroutines[index];

	co->slot = probe_slot(PROBE_COROUTINE);
	getcontext(&co->context);
	co->context.uc_stack.ss_sp = stacks[index];
	co->context.uc_stack.ss_size = STACK;
	makecontext(&co->context, (void (*)(void))run, 1, index);
	put(co);
}

static void use_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	memset(memory, 0x5a, size);
}

int main(int argc, char **argv)
{
	pthread_t t;

	if (argc > 1)
		use_memory(LARGE);

	for (int i = 0; i < COROUTINES; i++)
		create(i);
	for (int i = 0; i < WORKERS + PLAIN; i++)
		if (pthread_create(&t, NULL, i < WORKERS ? work : plain, NULL) != 0)
			abort();
	probe_serve();
	return 0;
}
