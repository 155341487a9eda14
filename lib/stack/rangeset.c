/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "base/bisect.h"
#include "base/vec.h"
#include "stack/internal.h"

int ug_rangeset_add(struct ug_rangeset *set, struct ug_range r, struct ug_error *err)
{
	struct ug_range *slot;

	if (r.end <= r.start)
		return ug_err(err, -EINVAL, "empty code range at %#llx",
			      (unsigned long long)r.start);
	slot = ug_vec_add(set);
	if (!slot)
		return ug_err(err, -ENOMEM, "no memory for a code range");
	*slot = r;
	set->sorted = false;
	return 0;
}

static int by_start(const void *pa, const void *pb)
{
	const struct ug_range *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->end > b->end) - (a->end < b->end);
}

void ug_rangeset_seal(struct ug_rangeset *set)
{
	ug_raddr_t reach = 0;

	if (set->n)
		qsort(set->v, set->n, sizeof(*set->v), by_start);
	for (size_t i = 0; i < set->n; i++) {
		if (set->v[i].end > reach)
			reach = set->v[i].end;
		set->v[i].reach = reach;
	}
	set->lo = set->n ? set->v[0].start : 1;	/* an empty hull holds nothing */
	set->hi = reach;
	set->sorted = true;
}

void ug_rangeset_free(struct ug_rangeset *set)
{
	ug_vec_free(set);
	set->lo = set->hi = 0;
	set->sorted = false;
}

bool ug_range_holds(const struct ug_range *r, ug_raddr_t addr, enum ug_addr_how how)
{
	if (addr < r->start || addr > r->end)
		return false;
	switch (r->kind) {
	case UG_RANGE_CALLED:
		/*
		 * No call precedes the first byte, so as a return address it belongs to the
		 * code before; as a PC it is ours. The end: a call or a system call can be
		 * the last instruction.
		 */
		return addr > r->start || how == UG_ADDR_PC;
	case UG_RANGE_JUMPED:
		return true;
	case UG_RANGE_BYTES:
		return addr > r->start && addr < r->end;
	case UG_RANGE_PAD:
		return addr < r->end && (addr > r->start || how == UG_ADDR_PC);
	}
	return true;	/* an unknown kind only delays */
}

/* Index behind the last range that starts at or below addr. */
static size_t upper_bound(const struct ug_rangeset *set, ug_raddr_t addr)
{
	return ug_bisect(0, set->n, i, set->v[i].start <= addr);
}

static void record(struct ug_hits *h, const struct ug_range *r, ug_raddr_t addr)
{
	if (!h->any) {
		h->any = true;
		h->id = r->id;
		h->addr = addr;
	}
	if (h->bits && r->id < h->nbits)
		h->bits[r->id / 64] |= 1ull << (r->id % 64);
}

bool ug_hits_test(struct ug_hits *h, ug_raddr_t addr, enum ug_addr_how how)
{
	const struct ug_rangeset *set = h->set;
	bool hit = false;

	assert(set->sorted || !set->n);
	if (!set->n || addr < set->lo || addr > set->hi)
		return false;
	for (size_t i = upper_bound(set, addr); i-- > 0 && set->v[i].reach >= addr;) {
		if (!ug_range_holds(&set->v[i], addr, how))
			continue;
		record(h, &set->v[i], addr);
		hit = true;
	}
	return hit;
}
