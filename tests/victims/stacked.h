/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the versions of the functions of stacked.c share: the victim's and those of patches. */
#ifndef UG_TESTS_STACKED_VICTIM_H
#define UG_TESTS_STACKED_VICTIM_H

#include <pthread.h>
#include <semaphore.h>

/* What a seat does: when it is idle, or where it sleeps. */
enum act {
	ACT_CALL,			/* idle: call func */
	ACT_SWAP,			/* idle: the same on a stack of another kind */
	ACT_SPAWN,			/* both: start a thread that calls func */
	ACT_LEAVE,			/* asleep: return */
	ACT_AGAIN,			/* asleep: return, and call the same at once */
	ACT_NEST,			/* asleep: call func from there */
	ACT_FORK,			/* asleep: fork; the child sleeps there, too */
	ACT_EXIT,			/* asleep: end the thread from there */
};

struct seat {
	pthread_t thread;
	sem_t go, done, wake;
	enum act act;
	char func;
	int sleeps;			/* in the call that is being made */
	int version, below;		/* of the last call */
};

int f(struct seat *seat);
int g(struct seat *seat);
int h(struct seat *seat);
int m(struct seat *seat);		/* of stacked-mod.so */
int t(struct seat *seat);		/* ends in a jump to g */

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
