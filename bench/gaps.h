/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the spinning threads of bench/pause have seen in a period. */
#ifndef UG_BENCH_GAPS_H
#define UG_BENCH_GAPS_H

#include <stdint.h>

#include "share.h"

struct gaps {
	double longest_ms;	/* whatever the reason */
	double stopped_ms;	/* the longest that holds a stop */
	double held_ms;		/* the same without the time it waited for a processor */
};

/* Descriptor of a new, zeroed struct share, and where it is mapped here. */
int gaps_share(struct share **ret);

/*
 * The gaps of the first n spinners that overlap [start, end]. Waits until each of them has
 * been seen running after the end, so that no gap is still open.
 */
struct gaps gaps_between(const struct share *share, unsigned int n, uint64_t start, uint64_t end);

#endif
