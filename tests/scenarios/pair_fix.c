/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other version of the protocol of tests/victims/pair.c. */
#include <ugraft/patch.h>

#define NEW 2

struct ring {
	unsigned long stage, version, exchanges, mixed, last;
	int hold, parked, wait, quiet;
	unsigned long processes;
};

extern struct ring *ring;
void stay_here(void);
int sched_yield(void);
void produce(void);
void consume(void);

void new_produce(void)
{
	if (__atomic_load_n(&ring->hold, __ATOMIC_SEQ_CST))
		stay_here();
	ring->version = NEW;
	__atomic_store_n(&ring->stage, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&ring->stage, __ATOMIC_SEQ_CST) != ring->processes)
		sched_yield();
}

void new_consume(void)
{
	if (ring->version != NEW)
		__atomic_fetch_add(&ring->mixed, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&ring->last, NEW, __ATOMIC_SEQ_CST);
}

UG_PATCH(pair-fix, .description = "produce and consume of the other version");
UG_FUNC(UG_EXE, produce, new_produce);
UG_FUNC(UG_EXE, consume, new_consume);
