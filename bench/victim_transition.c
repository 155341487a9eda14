// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bench-victim-transition THREADS DEPTH STALE
 *
 * Five hundred functions to be patched, and THREADS threads that sleep DEPTH frames deep. With
 * STALE each has, in its deepest frame, a word that looks like a return address into `parked`:
 * whoever asks whether it is in there has to unwind. Commands: "enter": all threads go into
 * `parked`, answered when they are there. "leave": they come out again, answered at once.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hundreds.h"

int parked(int x);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static bool inside;
static unsigned int depth, nthreads, nready, ninside;
static uintptr_t into_parked;

#define DEFINE(n)                                                                                  \
	int fn_##n(int x);                                                                         \
	__attribute__((noipa)) int fn_##n(int x)                                                   \
	{                                                                                          \
		return (x ^ 0x5a5a00) * 1##n;                                              \
	}
HUNDREDS(DEFINE)

static void wait_while(bool where)
{
	pthread_mutex_lock(&lock);
	while (inside == where)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void count(unsigned int *counter)
{
	pthread_mutex_lock(&lock);
	++*counter;
	pthread_cond_signal(&arrived);
	pthread_mutex_unlock(&lock);
}

__attribute__((noipa)) static void note_caller(void)
{
	into_parked = (uintptr_t)__builtin_return_address(0);
}

__attribute__((noipa)) int parked(int x)
{
	note_caller();
	count(&ninside);
	wait_while(true);
	return x + 1;
}

__attribute__((noipa)) static int stay(unsigned int left, uintptr_t stale)
{
	volatile uintptr_t word = stale;

	if (left)
		return stay(left - 1, 0) + (int)word;
	count(&nready);
	do {
		wait_while(false);
		parked((int)word);
	} while (nready);	/* for ever, which the compiler need not know */
	return 0;
}

static void *sleeper(void *stale)
{
	stay(depth, stale ? into_parked : 0);
	return NULL;
}

static void start(bool stale)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024 + depth * (size_t)96);
	for (unsigned int i = 0; i < nthreads; i++) {
		if (pthread_create(&t, &attr, sleeper, stale ? &into_parked : NULL) != 0)
			exit(1);
	}
}

static void wait_for(const unsigned int *counter)
{
	pthread_mutex_lock(&lock);
	while (*counter < nthreads)
		pthread_cond_wait(&arrived, &lock);
	pthread_mutex_unlock(&lock);
}

static void move(bool where)
{
	pthread_mutex_lock(&lock);
	inside = where;
	ninside = 0;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	if (where)
		wait_for(&ninside);
}

int main(int argc, char **argv)
{
	char line[64];

	if (argc != 4)
		return 2;
	nthreads = (unsigned int)atoi(argv[1]);
	depth = (unsigned int)atoi(argv[2]);
	parked(0);		/* so that into_parked is known */
	start(atoi(argv[3]) != 0);
	wait_for(&nready);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		move(strcmp(line, "enter\n") == 0);
		printf("ok\n");
		fflush(stdout);
	}
	return 0;
}
