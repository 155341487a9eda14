// SPDX-License-Identifier: GPL-2.0-or-later
#include "gaps.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define DEAD_NS 10000000000u	/* a spinner not seen for so long will not come back */

int gaps_share(struct share **ret)
{
	int fd = memfd_create("bench-share", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, sizeof(struct share)) < 0)
		bench_die("shared memory: %s", strerror(errno));
	*ret = mmap(NULL, sizeof(struct share), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*ret == MAP_FAILED)
		bench_die("shared memory: %s", strerror(errno));
	return fd;
}

static void wait_seen(const struct share_spinner *s, uint64_t end)
{
	while (atomic_load_explicit(&s->now, memory_order_acquire) <= end) {
		if (bench_now() > end + DEAD_NS)
			bench_die("a spinning thread does not run any more");
		bench_nap(1000000);
	}
}

static void longer(double *ms, uint64_t ns)
{
	if ((double)ns / 1e6 > *ms)
		*ms = (double)ns / 1e6;
}

static void collect(const struct share_spinner *s, uint64_t start, uint64_t end, struct gaps *ret)
{
	uint64_t n = atomic_load_explicit(&s->n, memory_order_acquire);
	uint64_t first = n > SHARE_GAPS ? n - SHARE_GAPS : 0;

	if (first && s->ring[first % SHARE_GAPS].start > start)
		bench_die("more gaps than can be kept: the machine is too busy");
	for (uint64_t i = first; i < n; i++) {
		const struct share_gap *gap = &s->ring[i % SHARE_GAPS];

		if (gap->end <= start || gap->start >= end)
			continue;
		longer(&ret->longest_ms, gap->end - gap->start);
		if (!gap->stops)
			continue;
		longer(&ret->stopped_ms, gap->end - gap->start);
		if (gap->end - gap->start > gap->waited)
			longer(&ret->held_ms, gap->end - gap->start - gap->waited);
	}
}

struct gaps gaps_between(const struct share *share, unsigned int n, uint64_t start, uint64_t end)
{
	struct gaps gaps = { 0 };

	for (unsigned int i = 0; i < n; i++)
		wait_seen(&share->spinners[i], end);
	for (unsigned int i = 0; i < n; i++)
		collect(&share->spinners[i], start, end, &gaps);
	return gaps;
}
