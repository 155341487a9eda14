/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tests/victims/signalled.c and its test share, in a file mapped by both. Each receiver
 * gets signals that carry 1, 2, 3, ... and counts what is wrong with what it gets.
 */
#ifndef UG_TESTS_SIGNALLED_H
#define UG_TESTS_SIGNALLED_H

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

enum signalled_receiver {
	SIGNALLED_COMPUTES,	/* by a handler on the alternate stack, each in another place */
	SIGNALLED_SLEEPS,
	SIGNALLED_POLLS,
	SIGNALLED_FUTEX,
	SIGNALLED_PROCESS,	/* signals to the process: one thread lets them in */
	SIGNALLED_WAITS,	/* sigwaitinfo */
	SIGNALLED_READS,	/* signalfd */
	SIGNALLED_RECEIVERS,
};

/* The signal of a receiver. */
#define SIGNALLED_SIGNAL(receiver) (SIGRTMIN + 1 + (receiver))

struct signalled_counts {
	_Atomic int tid;
	_Atomic uint32_t got;		/* the number that came last */
	_Atomic uint32_t wrong;		/* lost, invented or out of order */
	_Atomic uint32_t sender;	/* not from whom, or not as it was sent */
	_Atomic uint32_t stack;		/* a handler not on the alternate stack, or that changed */
	_Atomic uint32_t mask;		/* the signal mask is not what the thread has set */
	_Atomic uint32_t error;		/* errno changed, or a call failed otherwise than it may */
	_Atomic uint32_t rounds;	/* of what the thread does between signals */
};

struct signalled_shared {
	struct signalled_counts counts[SIGNALLED_RECEIVERS];
};

#endif
