/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that computes in a function for a while, leaves it, and then sleeps for good.
 *
 * "run MS" starts one and is answered "running" once it is inside; "gone" is answered "yes"
 * or "no" (all that were started have left the function). tests/scenarios/leaver_fix.c fits.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Not static: a patch must find it. */
long work(long ms);

static atomic_int inside;

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* No system call in here: clock_gettime is answered by the vDSO. */
__attribute__((noipa)) long work(long ms)
{
	long until = now_ms() + ms, rounds = 0;

	atomic_fetch_add(&inside, 1);
	while (now_ms() < until)
		rounds++;
	atomic_fetch_sub(&inside, 1);
	return rounds;
}

static void *runner(void *arg)
{
	long (*volatile call)(long) = work;

	call(*(long *)arg);
	for (;;)
		pause();
	return NULL;
}

static void run(long *ms)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, runner, ms))
		abort();
	while (!atomic_load(&inside))
		usleep(100);
	puts("running");
}

int main(void)
{
	static long ms;
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "run %ld", &ms) == 1)
			run(&ms);
		else
			puts(atomic_load(&inside) ? "no" : "yes");
	}
	return 0;
}
