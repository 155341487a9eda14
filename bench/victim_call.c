// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bench-victim-call PARKED
 *
 * Measures calls of `leaf` in itself. Commands, one answer line each:
 *
 *	time	nanoseconds per call of `leaf`, by the main thread
 *	control	the same of a function that is never patched
 *	inside	the same by a thread that is inside `outer`, which calls back for it
 *	park	let PARKED threads (at least one) enter `outer` and stay there
 *	release	let them leave
 *
 * A load that replaces `outer` and `leaf` finds the parked threads in the way, so that its
 * transition stays open: the main thread is switched, the parked ones are not.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CALLS 10000000u

int leaf(int x);
int outer(int first);
void stay(int first);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned int inside;
static int leave, measure;
static double result;

/* Calls are measured, not the loop: this much is the same before and after. */
__attribute__((noipa, aligned(64))) int leaf(int x)
{
	return (x ^ 0x12345678) + 1;
}

/* Of the same work and never patched. */
__attribute__((noipa, aligned(64))) static int leaf_control(int x)
{
	return (x ^ 0x12345678) + 1;
}

__attribute__((noipa, aligned(64))) int outer(int first)
{
	stay(first);
	return 1;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Direct calls, as a program's own are; each depends on the one before. */
__attribute__((noipa, aligned(64))) static double time_leaf(void)
{
	double start = seconds();
	int x = 0;

	for (unsigned int i = 0; i < CALLS; i++)
		x = leaf(x);
	__asm__ volatile("" : : "r"(x));
	return (seconds() - start) * 1e9 / CALLS;
}

__attribute__((noipa, aligned(64))) static double time_control(void)
{
	double start = seconds();
	int x = 0;

	for (unsigned int i = 0; i < CALLS; i++)
		x = leaf_control(x);
	__asm__ volatile("" : : "r"(x));
	return (seconds() - start) * 1e9 / CALLS;
}

/* Called by every version of `outer`: waits to be let go; the first one measures on demand. */
__attribute__((noipa)) void stay(int first)
{
	pthread_mutex_lock(&lock);
	inside++;
	pthread_cond_broadcast(&changed);
	while (!leave) {
		pthread_cond_wait(&changed, &lock);
		if (first && measure) {
			result = time_leaf();
			measure = 0;
			pthread_cond_broadcast(&changed);
		}
	}
	inside--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void *park(void *arg)
{
	outer(arg != NULL);
	return NULL;
}

static int park_all(unsigned int n)
{
	pthread_attr_t attr;

	leave = 0;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (unsigned int i = 0; i < n; i++) {
		pthread_t t;

		if (pthread_create(&t, &attr, park, i ? NULL : &lock) != 0)
			return -1;
	}
	pthread_mutex_lock(&lock);
	while (inside < n)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return 0;
}

static int release_all(void)
{
	pthread_mutex_lock(&lock);
	leave = 1;
	pthread_cond_broadcast(&changed);
	while (inside)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return 0;
}

static double time_inside(void)
{
	pthread_mutex_lock(&lock);
	measure = 1;
	pthread_cond_broadcast(&changed);
	while (measure)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return result;
}

int main(int argc, char **argv)
{
	unsigned int parked = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;
	char line[32];

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "time\n") == 0)
			printf("%.4f\n", time_leaf());
		else if (strcmp(line, "control\n") == 0)
			printf("%.4f\n", time_control());
		else if (strcmp(line, "inside\n") == 0)
			printf("%.4f\n", time_inside());
		else if (strcmp(line, "park\n") == 0)
			printf("%d\n", park_all(parked));
		else if (strcmp(line, "release\n") == 0)
			printf("%d\n", release_all());
	}
	return 0;
}
