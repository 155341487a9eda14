// SPDX-License-Identifier: LGPL-2.1-or-later
/* Finding a free range within reach of 32-bit relative jumps. */
#include <string.h>

#include "process/maps.h"

#define REACH (1ULL << 31)
#define SLACK 65536ULL
#define LOWEST 65536ULL			/* vm.mmap_min_addr is never larger by default */
#define TASK_END 0x7ffffffff000ULL	/* 47 bits; above lies only what asks for it */
#define STACK_MARGIN (1ULL << 20)
#define MAIN_STACK_MARGIN (128ULL << 20)	/* what the kernel itself keeps free (mmap_base) */
#define PER_GAP 8			/* places tried in one gap */

struct gap {
	uint64_t lo;
	uint64_t hi;
};

/* Where candidates are counted off: `skip` more are to be passed over. */
struct search {
	uint64_t lo, hi;		/* the window */
	size_t len;
	unsigned int skip;
};

/* The usable part of the free space between two neighbours (either may be NULL). */
static struct gap usable_gap(const struct ug_map *below, const struct ug_map *above)
{
	struct gap g = {
		.lo = below ? below->end : LOWEST,
		.hi = above && above->start < TASK_END ? above->start : TASK_END,
	};
	uint64_t margin = 0;

	if (g.lo < LOWEST)
		g.lo = LOWEST;
	if (g.hi <= g.lo)
		return (struct gap){ 0, 0 };
	/* brk grows upwards into it: leave it the better half. */
	if (below && !strcmp(below->name, "[heap]"))
		g.lo = ug_align_up(g.lo + (g.hi - g.lo) / 2, UG_PAGE_SIZE);
	if (above && !strcmp(above->name, "[stack]"))
		margin = MAIN_STACK_MARGIN;
	else if (above && !strncmp(above->name, "[stack", 6))
		margin = STACK_MARGIN;
	g.hi = g.hi - g.lo > margin ? g.hi - margin : g.lo;
	return g;
}

static void clip(struct gap *g, const struct search *q)
{
	if (g->lo < q->lo)
		g->lo = q->lo;
	if (g->hi > q->hi)
		g->hi = q->hi;
}

/* The next place in a gap, from its top or its bottom; 0 when it has none left for us. */
static ug_raddr_t place(struct gap g, struct search *q, bool from_top)
{
	for (unsigned int i = 0; i < PER_GAP; i++) {
		if (g.hi <= g.lo || g.hi - g.lo < (i + 1) * q->len)
			return 0;
		if (q->skip--)
			continue;
		return from_top ? g.hi - (i + 1) * q->len : g.lo + i * q->len;
	}
	return 0;
}

static struct gap gap_before(const struct ug_maps *maps, size_t i)
{
	return usable_gap(i ? &maps->v[i - 1] : NULL, i < maps->n ? &maps->v[i] : NULL);
}

/* Gaps below `limit`, the highest first. */
static ug_raddr_t search_down(const struct ug_maps *maps, struct search *q, uint64_t limit)
{
	for (size_t i = maps->n + 1; i-- > 0;) {
		struct gap g = gap_before(maps, i);
		ug_raddr_t at;

		clip(&g, q);
		if (g.hi > limit)
			g.hi = limit;
		at = place(g, q, true);
		if (at)
			return at;
	}
	return 0;
}

static ug_raddr_t search_up(const struct ug_maps *maps, struct search *q, uint64_t limit)
{
	for (size_t i = 0; i <= maps->n; i++) {
		struct gap g = gap_before(maps, i);
		ug_raddr_t at;

		clip(&g, q);
		if (g.lo < limit)
			g.lo = limit;
		at = place(g, q, false);
		if (at)
			return at;
	}
	return 0;
}

int ug_maps_find_room(const struct ug_maps *maps, ug_raddr_t near_lo, ug_raddr_t near_hi,
		      size_t len, unsigned int attempt, ug_raddr_t *ret, struct ug_error *err)
{
	struct search q = {
		.lo = near_hi > REACH - SLACK ? near_hi - (REACH - SLACK) : LOWEST,
		.hi = near_lo + REACH - SLACK,
		.len = len,
		.skip = attempt,
	};
	ug_raddr_t at;

	q.lo = ug_align_up(q.lo, UG_PAGE_SIZE);
	q.hi = ug_align_down(q.hi, UG_PAGE_SIZE);
	if (!len || len >= REACH || near_hi < near_lo || near_hi > TASK_END)
		return ug_err(err, -UG_E_NO_ROOM, "no room of %zu bytes near %#llx", len,
			      (unsigned long long)near_lo);
	if (near_hi <= REACH) {
		/* Non-PIE code holds 32-bit absolute addresses too. */
		if (q.hi > REACH)
			q.hi = REACH;
		at = search_down(maps, &q, q.hi);
	} else {
		at = search_down(maps, &q, near_lo);
		if (!at)
			at = search_up(maps, &q, near_hi);
	}
	if (!at)
		return ug_err(err, -UG_E_NO_ROOM,
			      "no free range of %zu bytes within 2 GiB of %#llx-%#llx", len,
			      (unsigned long long)near_lo, (unsigned long long)near_hi);
	*ret = at;
	return 0;
}
