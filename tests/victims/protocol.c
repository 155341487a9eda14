/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * protocol THREADS
 *
 * Two functions with a protocol: f calls g, and both must be of one version, or the call
 * counts as mixed. Threads call f as fast as they can; some can be parked inside f before it
 * calls g. Commands on standard input, one answer line each:
 *
 *	stat		threads=N calls=N old=N new=N mixed=N parked=N
 *	park N		let N threads park in f; answers when they are
 *	release		let them go on; answers when they have left f
 *	quit
 *
 * tests/scenarios/protocol_fix.c replaces f and g.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "protocol_calls.h"

struct worker {
	atomic_ulong calls[3];
	char pad[104];		/* a cache line of its own */
};

static struct worker *workers;
static unsigned int nworkers;
static atomic_int want_parked, parked;
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;

/* Waits while threads are wanted to be parked. Called by every version of f. */
__attribute__((noipa)) void park_here(void)
{
	pthread_mutex_lock(&gate_lock);
	atomic_fetch_add(&parked, 1);
	while (atomic_load(&want_parked))
		pthread_cond_wait(&gate_cond, &gate_lock);
	atomic_fetch_sub(&parked, 1);
	pthread_mutex_unlock(&gate_lock);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned int index = (unsigned int)(w - workers);
	int (*volatile call)(int) = f;
	int park, version;

	for (;;) {
		/* Some time outside, as a real program has it: a thread that is never outside the
		 * functions cannot be switched by anybody. */
		for (volatile int i = 0; i < 40; i++)
			;
		park = (int)index < atomic_load_explicit(&want_parked, memory_order_relaxed);
		version = call(park);

		atomic_fetch_add_explicit(&w->calls[version == NEW ? NEW : OLD], 1,
					  memory_order_relaxed);
	}
	return NULL;
}

static void nap(void)
{
	struct timespec ts = { .tv_nsec = 1000000 };

	nanosleep(&ts, NULL);
}

static void stat_line(void)
{
	unsigned long old = 0, new = 0;

	for (unsigned int i = 0; i < nworkers; i++) {
		old += atomic_load(&workers[i].calls[OLD]);
		new += atomic_load(&workers[i].calls[NEW]);
	}
	printf("threads=%u calls=%lu old=%lu new=%lu mixed=%lu parked=%d\n", nworkers, old + new,
	       old, new, atomic_load(&mixed), atomic_load(&parked));
}

static void park(int n)
{
	atomic_store(&want_parked, n);
	while (atomic_load(&parked) < n)
		nap();
	printf("parked\n");
}

static void release(void)
{
	pthread_mutex_lock(&gate_lock);
	atomic_store(&want_parked, 0);
	pthread_cond_broadcast(&gate_cond);
	pthread_mutex_unlock(&gate_lock);
	while (atomic_load(&parked))
		nap();
	printf("released\n");
}

int main(int argc, char **argv)
{
	char line[64];

	nworkers = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;
	workers = aligned_alloc(64, nworkers * sizeof(*workers));
	memset(workers, 0, nworkers * sizeof(*workers));
	for (unsigned int i = 0; i < nworkers; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, work, &workers[i]) != 0)
			return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "stat", 4) == 0)
			stat_line();
		else if (strncmp(line, "park ", 5) == 0)
			park(atoi(line + 5));
		else if (strncmp(line, "release", 7) == 0)
			release();
		else if (strncmp(line, "quit", 4) == 0)
			break;
	}
	return 0;
}
