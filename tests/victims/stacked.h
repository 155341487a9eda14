/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the versions of the functions of stacked.c share: the victim's and those of patches. */
#ifndef UG_TESTS_STACKED_VICTIM_H
#define UG_TESTS_STACKED_VICTIM_H

#include <pthread.h>
#include <semaphore.h>

struct seat {
	pthread_t thread;
	sem_t go, done, wake;
	char func;
	int sleeps;			/* in the call that is being made */
	char nested;			/* what to call from where it sleeps; 0: return */
	int version, below;		/* of the last call */
};

int f(struct seat *seat);
int g(struct seat *seat);
int h(struct seat *seat);

/* Each version of each function calls it with its number. */
void seat_sleep(struct seat *seat, int version);

#define STACKED_LEAF(name_, version_)                                                              \
	int name_(struct seat *seat)                                                               \
	{                                                                                          \
		seat_sleep(seat, version_);                                                        \
		seat->version = seat->below = version_;                                            \
		return version_;                                                                   \
	}

#define STACKED_CALLER(name_, version_)                                                            \
	int name_(struct seat *seat)                                                               \
	{                                                                                          \
		struct seat below = { 0 };                                                         \
                                                                                                   \
		seat_sleep(seat, version_);                                                        \
		g(&below);                                                                         \
		seat->below = below.version;                                                       \
		seat->version = version_;                                                          \
		return version_;                                                                   \
	}

#endif
