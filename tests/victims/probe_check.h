/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two victims of the probe share: counting activations, noticing mixes, answering. */
#ifndef UG_TESTS_PROBE_CHECK_H
#define UG_TESTS_PROBE_CHECK_H

#include <stdatomic.h>
#include <stdint.h>

#include "probe.h"

#define PROBE_SLOTS 160

enum probe_kind {
	PROBE_PLAIN,	/* calls without a pause */
	PROBE_SIGNAL,	/* in signal handlers, at any instruction and inside activations */
	PROBE_PARK,	/* stays in an activation, making calls from there */
	PROBE_STORM,	/* threads that begin and end */
	PROBE_CLONE,	/* threads with somebody else's thread pointer */
	PROBE_STEP,	/* interrupted inside gates, for a long time */
	PROBE_COROUTINE,	/* suspended inside, resumed by another thread */
	PROBE_KINDS,
};

/* Who makes calls: one writer at a time. */
struct probe_slot {
	_Alignas(64) unsigned long calls;
	uint32_t random;
	enum probe_kind kind;
};

extern struct probe_slot probe_slots[PROBE_SLOTS];
extern atomic_ulong probe_gates;	/* times a thread was held inside a gate */

/* A slot of its own for each caller; ends the program when there is none left. */
struct probe_slot *probe_slot(enum probe_kind kind);

uint32_t probe_random(struct probe_slot *slot);

/* One activation of a function chosen at random, or of the one that calls `inside`. */
void probe_call(struct probe_slot *slot, void (*inside)(struct probe_act *act),
		unsigned long param);

/* Calls from inside an activation, from where it sleeps. */
void probe_nested(struct probe_act *act, unsigned int n);

/* As nanosleep(2), without touching errno, which may be another thread's. */
void probe_nap_us(unsigned long us);

/* Answer commands until the end of the input:
 *	stat			calls=N mixed=N gates=N, and the calls of each kind
 *	edge FAMILY FROM TO	a force between these generations is imminent
 *	closed			it is over
 *	mixes			the first ones, in words
 */
void probe_serve(void);

#endif
