// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bench-victim-pause THREADS SPIN MAIN
 *
 * THREADS in all, of which SPIN spin (share.h) and the others sleep: in turn in a futex, in
 * poll and in nanosleep. MAIN is 1 when the main thread is one of those that spin.
 * Nobody calls `patched`, so that each load is one check of every thread and nothing more.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "share.h"

int patched(int x);

static struct share *share;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t started;

__attribute__((noipa)) int patched(int x)
{
	return (x ^ 0x12345678) * 3;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct account {
	int schedstat;
	uint64_t stops, waited;
};

/* What has been added to the kernel's account of this thread since the last time. */
static void read_account(struct account *acc, uint64_t *ret_stops, uint64_t *ret_waited)
{
	struct account old = *acc;
	struct rusage usage;
	char line[96] = "";

	if (getrusage(RUSAGE_THREAD, &usage) == 0)
		acc->stops = (uint64_t)usage.ru_nvcsw;
	/* time on a processor, time waiting for one, slices */
	if (acc->schedstat >= 0 && pread(acc->schedstat, line, sizeof(line) - 1, 0) > 0)
		sscanf(line, "%*u %lu", &acc->waited);
	*ret_stops = acc->stops - old.stops;
	*ret_waited = acc->waited - old.waited;
}

static _Noreturn void spin(struct share_spinner *s)
{
	struct account acc = { .schedstat = open("/proc/thread-self/schedstat", O_RDONLY) };
	uint64_t before, n = 0, stops, waited;

	read_account(&acc, &stops, &waited);
	before = now();
	for (;;) {
		uint64_t t = now();

		if (t - before > SHARE_GAP_NS) {
			read_account(&acc, &stops, &waited);
			s->ring[n++ % SHARE_GAPS] = (struct share_gap){ before, t, stops, waited };
			atomic_store_explicit(&s->n, n, memory_order_release);
			t = now();	/* the bookkeeping is no gap */
		}
		atomic_store_explicit(&s->now, t, memory_order_release);
		before = t;
	}
}

static void *spin_thread(void *arg)
{
	pthread_barrier_wait(&started);
	spin(arg);
}

static _Noreturn void sleep_as(unsigned int kind)
{
	for (;;) {
		struct timespec day = { .tv_sec = 86400 };

		if (kind == 0) {
			pthread_mutex_lock(&lock);
			pthread_cond_wait(&never, &lock);
			pthread_mutex_unlock(&lock);
		} else if (kind == 1) {
			poll(NULL, 0, 86400000);
		} else {
			nanosleep(&day, NULL);
		}
	}
}

static void *sleep_thread(void *arg)
{
	pthread_barrier_wait(&started);
	sleep_as((unsigned int)(uintptr_t)arg % 3);
}

static int start(void *(*func)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	return pthread_create(&t, &attr, func, arg);
}

int main(int argc, char **argv)
{
	unsigned int threads, spinners, main_spins, i;

	if (argc != 4)
		return 2;
	threads = (unsigned int)atoi(argv[1]);
	spinners = (unsigned int)atoi(argv[2]);
	main_spins = (unsigned int)atoi(argv[3]);
	if (spinners > SHARE_SPINNERS || spinners > threads)
		return 2;
	share = mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE, MAP_SHARED, SHARE_FD, 0);
	if (share == MAP_FAILED || pthread_barrier_init(&started, NULL, threads) != 0)
		return 1;
	for (i = main_spins; i < spinners; i++)
		if (start(spin_thread, &share->spinners[i]) != 0)
			return 1;
	for (i = spinners + !main_spins; i < threads; i++)
		if (start(sleep_thread, (void *)(uintptr_t)i) != 0)
			return 1;
	pthread_barrier_wait(&started);
	printf("ready\n");
	fflush(stdout);
	if (main_spins)
		spin(&share->spinners[0]);
	sleep_as(0);
}
