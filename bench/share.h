/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What bench/pause and its victim share by memory. A spinning thread reads the clock in a
 * loop and records each gap that is longer than what an interrupt takes. It never stops to
 * report: the benchmark picks the gaps of a period afterwards, by their times.
 *
 * A gap can be a stop, or the scheduler giving the processor to somebody else. The kernel
 * tells them apart: entering a trace stop counts as a voluntary context switch (ru_nvcsw),
 * being preempted does not, and a thread that only computes makes no other. It also counts
 * how long the thread was ready and had to wait (schedstat), stopped before or not.
 */
#ifndef UG_BENCH_SHARE_H
#define UG_BENCH_SHARE_H

#include <stdatomic.h>
#include <stdint.h>

#define SHARE_FD 3
#define SHARE_SPINNERS 64
#define SHARE_GAPS 8192
#define SHARE_GAP_NS 10000

struct share_gap {
	uint64_t start, end;	/* CLOCK_MONOTONIC, nanoseconds */
	uint64_t stops;		/* voluntary switches in it */
	uint64_t waited;	/* nanoseconds of it ready to run, but without a processor */
};

struct share_spinner {
	_Atomic uint64_t n;	/* recorded so far; gap i is in ring[i % SHARE_GAPS] */
	_Atomic uint64_t now;	/* the clock, as last seen */
	char pad[48];
	struct share_gap ring[SHARE_GAPS];
};

struct share {
	struct share_spinner spinners[SHARE_SPINNERS];
};

#endif
