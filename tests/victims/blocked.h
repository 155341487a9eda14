/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tests/victims/blocked.c and the test that patches it share: a file, mapped by both, in
 * which every thread of the victim records each of its calls.
 */
#ifndef UG_TESTS_BLOCKED_H
#define UG_TESTS_BLOCKED_H

#include <stdatomic.h>
#include <stdint.h>

#define BLOCKED_SEATS 64
#define BLOCKED_CALLS 32768

/* A seat is a thread that makes one system call over and over. */
struct blocked_seat {
	char name[40];
	uint32_t ms;		/* the timeout; 0: none */
	uint32_t class_e;	/* the kernel fails it with EINTR at a stop */
	uint32_t jiffies;	/* its timeout counts in ticks, the first of which is a part of one */
	uint32_t handled;	/* is ended by a handler: EINTR is its proper end */
	uint32_t sleeps;	/* is about to make the call, or in it */
};

struct blocked_call {
	uint32_t seat;
	int32_t ret, error;	/* errno when ret < 0 */
	uint64_t begin, end;	/* CLOCK_MONOTONIC, nanoseconds */
	_Atomic uint32_t done;	/* the record is complete */
};

struct blocked_shared {
	uint32_t nseats;
	struct blocked_seat seats[BLOCKED_SEATS];
	_Atomic uint32_t ncalls;
	struct blocked_call calls[BLOCKED_CALLS];
	_Atomic uint32_t wakeups;	/* of the seat that waits for the flag of a handler */
};

#endif
