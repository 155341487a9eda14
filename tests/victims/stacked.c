/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stacked [THREADS]
 *
 * Functions that many patches replace one above the other. f calls g; each version of each
 * function answers with a number, the original's is 0 (tests/lib/stacked.c makes the
 * others). Seats are threads that do what they are told, and can be put to sleep inside f, g
 * or h; THREADS more call f all the time. Commands on standard input, one answer line each:
 *
 *	call SEAT FUNC		a call that does not sleep: version=N below=N
 *	enter SEAT FUNC		the seat calls FUNC and sleeps in it: asleep version=N
 *	nest SEAT FUNC		a seat that sleeps calls FUNC from there: version=N below=N
 *	leave SEAT		it returns: version=N below=N
 *	stat			calls=N, of the hot threads
 *
 * `version` is the function's, `below` that of the g it called last (of f; else the same).
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stacked.h"

#define SEATS 8
#define ORIGINAL 0

#define KEEP __attribute__((noipa, used))

static struct seat seats[SEATS];
static atomic_ulong calls;
static int (*volatile const table[])(struct seat *) = { f, g, h };

static int (*find(char func))(struct seat *)
{
	return func == 'f' ? table[0] : func == 'g' ? table[1] : table[2];
}

KEEP void seat_sleep(struct seat *seat, int version)
{
	seat->version = version;
	if (!seat->sleeps)
		return;
	for (;;) {
		struct seat nested = { 0 };

		sem_post(&seat->done);
		while (sem_wait(&seat->wake) != 0)
			;
		if (!seat->nested)
			return;
		find(seat->nested)(&nested);
		seat->version = nested.version;
		seat->below = nested.below;
	}
}

KEEP STACKED_LEAF(h, ORIGINAL)
KEEP STACKED_LEAF(g, ORIGINAL)
KEEP STACKED_CALLER(f, ORIGINAL)

static void *sit(void *arg)
{
	struct seat *seat = arg;

	for (;;) {
		while (sem_wait(&seat->go) != 0)
			;
		find(seat->func)(seat);
		sem_post(&seat->done);
	}
	return NULL;
}

static void *work(void *arg)
{
	struct seat none = { 0 };

	for (;;) {
		/* A thread that is never outside cannot be switched by anybody. */
		for (volatile int i = 0; i < 40; i++)
			;
		find('f')(&none);
		atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
	}
	return NULL;
}

static void await(struct seat *seat)
{
	while (sem_wait(&seat->done) != 0)
		;
}

static void start_call(struct seat *seat, char func, int sleeps)
{
	seat->func = func;
	seat->sleeps = sleeps;
	sem_post(&seat->go);
	await(seat);
}

static void wake(struct seat *seat, char nested)
{
	seat->nested = nested;
	sem_post(&seat->wake);
	await(seat);
}

static void command(const char *line)
{
	char verb[16], func = 0;
	unsigned int index = 0;
	struct seat *seat;

	if (strncmp(line, "stat", 4) == 0) {
		printf("calls=%lu\n", atomic_load(&calls));
		return;
	}
	if (sscanf(line, "%15s %u %c", verb, &index, &func) < 2 || index >= SEATS) {
		printf("unknown\n");
		return;
	}
	seat = &seats[index];
	if (strcmp(verb, "call") == 0)
		start_call(seat, func, 0);
	else if (strcmp(verb, "enter") == 0)
		start_call(seat, func, 1);
	else if (strcmp(verb, "nest") == 0)
		wake(seat, func);
	else
		wake(seat, 0);
	printf("%s version=%d below=%d\n", verb, seat->version, seat->below);
}

int main(int argc, char **argv)
{
	int hot = argc > 1 ? atoi(argv[1]) : 0;
	char line[64];
	pthread_t t;

	for (int i = 0; i < SEATS; i++) {
		sem_init(&seats[i].go, 0, 0);
		sem_init(&seats[i].done, 0, 0);
		sem_init(&seats[i].wake, 0, 0);
		if (pthread_create(&seats[i].thread, NULL, sit, &seats[i]) != 0)
			return 1;
	}
	for (int i = 0; i < hot; i++)
		if (pthread_create(&t, NULL, work, NULL) != 0)
			return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin))
		command(line);
	return 0;
}
