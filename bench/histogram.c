// SPDX-License-Identifier: GPL-2.0-or-later
#include "histogram.h"

#include <math.h>
#include <stddef.h>

#define WIDTH (UINT64_C(1) << HISTOGRAM_BITS)

/* Below WIDTH a bucket for each value; above, the leading one and the BITS that follow it. */
static size_t bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < WIDTH)
		return value;
	shift = 63 - (unsigned int)__builtin_clzll(value) - HISTOGRAM_BITS;
	return (((size_t)shift + 1) << HISTOGRAM_BITS) + ((value >> shift) & (WIDTH - 1));
}

/* The greatest value that belongs there. */
static uint64_t end_of(size_t bucket)
{
	size_t shift = bucket >> HISTOGRAM_BITS;
	uint64_t low = bucket & (WIDTH - 1);

	return shift ? ((WIDTH + low + 1) << (shift - 1)) - 1 : low;
}

void histogram_record(struct histogram *h, uint64_t value)
{
	h->n++;
	h->buckets[bucket_of(value)]++;
	if (value > h->max)
		h->max = value;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
	uint64_t wanted = (uint64_t)ceil((double)h->n * percent / 100), seen = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen && seen >= wanted)
			return end_of(i) < h->max ? end_of(i) : h->max;
	}
	return h->max;
}
