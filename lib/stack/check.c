/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "stack/internal.h"

#define EXACT_IDS 4096	/* ids that tier 2 can take back in `hits`; higher ones stay set */

static void set_all(uint64_t *bits, size_t nbits)
{
	for (size_t i = 0; bits && i < nbits; i++)
		bits[i / 64] |= 1ull << (i % 64);
}

static void unreliable(struct ug_stack_report *ret, const char *reason, ug_raddr_t where)
{
	ret->verdict = UG_UNRELIABLE;
	ret->hit = where;
	(void)snprintf(ret->reason, sizeof(ret->reason), "%s", reason);
}

static void blocked(struct ug_stack_report *ret, const struct ug_hits *h, unsigned int frame)
{
	ret->verdict = UG_BLOCKED;
	ret->range_id = h->id;
	ret->hit = h->addr;
	ret->frame = frame;
}

struct exact {
	struct ug_hits hits;
	uint64_t bits[EXACT_IDS / 64];
	unsigned int frame;	/* of the frame looked at */
	unsigned int hit_frame;
	struct ug_stack_report *report;
};

static bool visit(const struct ug_unwind_frame *f, void *ctx)
{
	struct exact *e = ctx;
	bool before = e->hits.any;

	ug_chain_add(e->report, f->pc, f->exact);
	ug_hits_test(&e->hits, f->pc, f->exact ? UG_ADDR_PC : UG_ADDR_WORD);
	if (e->hits.any && !before)
		e->hit_frame = e->frame;
	e->frame++;
	return true;
}

/* Keep of the hits of tier 1 those that tier 2 found, where it has kept count. */
static void take_exact(const struct exact *e, uint64_t *bits, size_t nbits)
{
	size_t words = (nbits + 63) / 64;

	for (size_t i = 0; bits && i < words; i++)
		bits[i] = i < EXACT_IDS / 64 ? e->bits[i] : e->hits.any ? bits[i] : 0;
}

/* Refute the hits of tier 1, or not. */
static void check_exact(const struct ug_stack_ctx *ctx, const struct ug_thread *t,
			const struct ug_hits *found, struct ug_stack_report *ret)
{
	struct exact e = { .hits = { .set = found->set }, .report = ret };
	const char *reason = "";
	ug_raddr_t where = 0;

	e.hits.bits = e.bits;
	e.hits.nbits = found->nbits < EXACT_IDS ? found->nbits : EXACT_IDS;
	if (!ug_unwind(ctx, t, visit, &e, &reason, &where)) {
		ret->range_id = found->id;
		unreliable(ret, reason, where);
		return;
	}
	take_exact(&e, found->bits, found->nbits);
	if (e.hits.any) {
		blocked(ret, &e.hits, e.hit_frame);
		return;
	}
	ret->verdict = UG_SAFE;
	ret->refuted = true;
}

void ug_stack_check(const struct ug_stack_ctx *ctx, const struct ug_thread *t,
		    const struct ug_rangeset *set, bool tier2, uint64_t *hits, size_t nbits,
		    struct ug_stack_report *ret)
{
	struct ug_hits found = { .set = set, .bits = hits, .nbits = hits ? nbits : 0 };
	const char *reason = "";
	ug_raddr_t where = 0;

	memset(ret, 0, sizeof(*ret));
	if (hits)
		memset(hits, 0, (nbits + 63) / 64 * sizeof(*hits));
	if (!set->n) {
		ret->verdict = UG_SAFE;
		return;
	}
	if (!ug_stack_scan(ctx, t, &found, &ret->foreign, &reason, &where)) {
		set_all(hits, nbits);
		ret->range_id = found.id;
		unreliable(ret, reason, where);
	} else if (!found.any) {
		ret->verdict = UG_SAFE;
	} else if (!tier2) {
		blocked(ret, &found, 0);
	} else {
		check_exact(ctx, t, &found, ret);
	}
}
