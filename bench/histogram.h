/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Durations in buckets whose width grows with them, as HdrHistogram has it: 128 buckets for
 * each power of two, so that a percentile is at most 0.8 % too high, whatever its size, and
 * recording takes a few instructions. The longest one is kept exactly. Zeroed memory is an
 * empty histogram; it holds no pointers and may lie in memory that is shared.
 */
#ifndef UG_BENCH_HISTOGRAM_H
#define UG_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS 7
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
	uint64_t n, max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *h, uint64_t value);

/* The value that `percent` of all do not exceed; 0 when there are none. */
uint64_t histogram_percentile(const struct histogram *h, double percent);

#endif
