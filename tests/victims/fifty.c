/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fifty THREADS
 *
 * Fifty functions that answer with the number of their version, and threads that call all of
 * them from time to time. Commands on standard input, one answer line each:
 *
 *	values		the versions of all functions, separated by blanks
 *	park N		a thread calls function N and sleeps in it: parked
 *	release		that one returns: released
 */
#include <semaphore.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fifty.h"

#define PARK 1
#define PERIOD_US 20000

static sem_t parked, released, done;

__attribute__((noipa, used)) void rest(int how)
{
	if (how != PARK)
		return;
	sem_post(&parked);
	while (sem_wait(&released) != 0)
		;
}

#define F(i_) __attribute__((noipa)) FIFTY_VERSION(fn_##i_, ORIGINAL)
#define TEN(t_) F(t_##0) F(t_##1) F(t_##2) F(t_##3) F(t_##4) F(t_##5) F(t_##6) F(t_##7) F(t_##8)   \
	F(t_##9)
TEN(0) TEN(1) TEN(2) TEN(3) TEN(4)

#define NAME(i_) fn_##i_,
#define TEN_NAMES(t_) NAME(t_##0) NAME(t_##1) NAME(t_##2) NAME(t_##3) NAME(t_##4) NAME(t_##5)     \
	NAME(t_##6) NAME(t_##7) NAME(t_##8) NAME(t_##9)
static int (*volatile const table[FIFTY])(int) = {
	TEN_NAMES(0) TEN_NAMES(1) TEN_NAMES(2) TEN_NAMES(3) TEN_NAMES(4)
};

static void *work(void *arg)
{
	for (;;) {
		for (int i = 0; i < FIFTY; i++)
			table[i](0);
		usleep(PERIOD_US);
	}
	return arg;
}

static void *park(void *arg)
{
	int (*volatile const *at)(int) = arg;

	(*at)(PARK);
	sem_post(&done);
	return NULL;
}

static void command(const char *line)
{
	unsigned int n;
	pthread_t thread;

	if (sscanf(line, "park %u", &n) == 1 && n < FIFTY) {
		if (pthread_create(&thread, NULL, park, (void *)(unsigned long)&table[n]) != 0)
			abort();
		pthread_detach(thread);
		sem_wait(&parked);
		printf("parked\n");
	} else if (strncmp(line, "release", 7) == 0) {
		sem_post(&released);
		sem_wait(&done);
		printf("released\n");
	} else {
		for (int i = 0; i < FIFTY; i++)
			printf("%d ", table[i](0));
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0;
	char line[64];
	pthread_t thread;

	sem_init(&parked, 0, 0);
	sem_init(&released, 0, 0);
	sem_init(&done, 0, 0);
	for (int i = 0; i < n; i++)
		if (pthread_create(&thread, NULL, work, NULL) != 0)
			return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin))
		command(line);
	return 0;
}
