/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/checkset.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bisect.h"
#include "engine/own.h"
#include "object/cfi.h"
#include "object/symbol.h"
#include "text/gate.h"
#include "text/text.h"

static struct ug_item *add_item(struct ug_checkset *cs, struct ug_item item, struct ug_error *err)
{
	if (cs->nitems == cs->cap) {
		size_t cap = cs->cap ? cs->cap * 2 : 64;
		struct ug_item *grown = reallocarray(cs->items, cap, sizeof(*grown));

		if (!grown) {
			(void)ug_err(err, -ENOMEM, "out of memory");
			return NULL;
		}
		cs->items = grown;
		cs->cap = cap;
	}
	cs->items[cs->nitems] = item;
	return &cs->items[cs->nitems++];
}

static int add_range(struct ug_checkset *cs, ug_raddr_t start, ug_raddr_t end,
		     enum ug_range_kind kind, struct ug_error *err)
{
	struct ug_range r = {
		.start = start, .end = end, .kind = kind, .id = (unsigned int)cs->nitems - 1,
	};

	return ug_rangeset_add(&cs->ranges, r, err);
}

static int add_ranges(struct ug_checkset *cs, const struct ug_seg *seg, uint32_t first, uint32_t n,
		      struct ug_error *err)
{
	const struct ug_reg_range *ranges = ug_seg_ranges(seg);
	int r = 0;

	for (uint32_t i = first; r == 0 && i < first + n; i++)
		r = add_range(cs, ranges[i].start, ranges[i].end,
			      (enum ug_range_kind)ranges[i].kind, err);
	return r;
}

static int add_site(struct ug_checkset *cs, const struct ug_seg *seg, size_t index, uint32_t i,
		    struct ug_error *err)
{
	const struct ug_reg_site *s = &ug_seg_sites(seg)[i];
	struct ug_item item = {
		.kind = UG_ITEM_ORIGINAL, .seg = index, .index = i, .func = s->func,
		.name = ug_seg_str(seg, s->name),
	};
	int r;

	if (!add_item(cs, item, err))
		return -ENOMEM;
	r = add_ranges(cs, seg, s->range, s->nranges, err);
	if (r < 0)
		return r;
	item.kind = UG_ITEM_BYTES;
	if (!add_item(cs, item, err))
		return -ENOMEM;
	r = add_range(cs, s->at, s->at + s->len, UG_RANGE_BYTES, err);
	if (r < 0)
		return r;
	if (s->pad_at) {
		item.kind = UG_ITEM_PAD;
		if (!add_item(cs, item, err))
			return -ENOMEM;
		r = add_range(cs, s->pad_at, s->pad_at + 5, UG_RANGE_PAD, err);
		if (r < 0)
			return r;
	}
	if (s->hook) {
		item.kind = UG_ITEM_HOOK;
		item.entry = s->hook;
		if (!add_item(cs, item, err))
			return -ENOMEM;
		r = add_range(cs, s->hook, s->hook + s->hook_len, UG_RANGE_JUMPED, err);
		if (r < 0)
			return r;
	}
	item.kind = UG_ITEM_DISPLACED;
	item.entry = s->displaced;
	if (!add_item(cs, item, err))
		return -ENOMEM;
	return add_range(cs, s->displaced, s->displaced + s->displaced_len, UG_RANGE_JUMPED, err);
}

static int add_sites(struct ug_checkset *cs, const struct ug_seg *seg, size_t index,
		     struct ug_error *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < seg->sites->nsites; i++)
		r = add_site(cs, seg, index, i, err);
	return r;
}

static int add_patch(struct ug_checkset *cs, const struct ug_seg *seg, size_t index,
		     struct ug_error *err)
{
	const struct ug_reg_patch *p = seg->patch;
	const char *name = ug_seg_str(seg, p->name);
	struct ug_item other = { .kind = UG_ITEM_OTHER, .seg = index, .name = name, .patch = name };
	int r;

	for (uint32_t i = 0; i < p->nfuncs; i++) {
		const struct ug_reg_func *f = &ug_seg_funcs(seg)[i];
		struct ug_item item = {
			.kind = UG_ITEM_VERSION, .seg = index, .index = i, .func = f->func,
			.entry = f->entry, .name = ug_seg_str(seg, f->name), .patch = name,
		};

		if (!add_item(cs, item, err))
			return -ENOMEM;
		r = add_ranges(cs, seg, f->range, f->nranges, err);
		if (r < 0)
			return r;
	}
	if (!p->nother)
		return 0;
	if (!add_item(cs, other, err))
		return -ENOMEM;
	return add_ranges(cs, seg, p->other, p->nother, err);
}

static int add_gates(struct ug_checkset *cs, const struct ug_target *t, const struct ug_seg *seg,
		     size_t index, struct ug_error *err)
{
	const struct ug_seg *patch = ug_registry_find(&t->reg, seg->trans->patch);
	const char *name = patch && patch->s.kind == UG_REG_PATCH ?
			   ug_seg_str(patch, patch->patch->name) : "?";

	for (uint32_t i = 0; i < seg->trans->nmoves; i++) {
		const struct ug_reg_move *m = &ug_seg_moves(seg)[i];
		const struct ug_reg_site *site;
		struct ug_seg *sites;
		struct ug_item item = {
			.kind = UG_ITEM_GATE, .seg = index, .index = i, .func = m->func,
			.entry = m->gate, .name = "?", .patch = name,
		};
		int r;

		site = ug_registry_site(&t->reg, m->func, &sites);
		if (site)
			item.name = ug_seg_str(sites, site->name);
		if (!add_item(cs, item, err))
			return -ENOMEM;
		r = add_range(cs, m->gate, m->gate + UG_GATE_LITERALS, UG_RANGE_JUMPED, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The functions that a transition moves, sorted. */
struct moved {
	const struct ug_seg *trans;
	ug_raddr_t *func;
	size_t n;
};

static int by_address(const void *a, const void *b)
{
	ug_raddr_t x = *(const ug_raddr_t *)a, y = *(const ug_raddr_t *)b;

	return x < y ? -1 : x > y;
}

static int list_moved(const struct ug_seg *trans, struct moved *ret, struct ug_error *err)
{
	*ret = (struct moved){ .trans = trans, .n = trans->trans->nmoves };
	ret->func = calloc(ret->n + 1, sizeof(*ret->func));
	if (!ret->func)
		return ug_err(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < ret->n; i++)
		ret->func[i] = ug_seg_moves(trans)[i].func;
	qsort(ret->func, ret->n, sizeof(*ret->func), by_address);
	return 0;
}

static bool is_moved(const struct moved *moved, ug_raddr_t func)
{
	size_t at = ug_bisect(0, moved->n, i, moved->func[i] < func);

	return at < moved->n && moved->func[at] == func;
}

/* Helpers of a patch run on behalf of its functions: they count with any of them. */
static bool patch_concerned(const struct ug_seg *patch, const struct moved *moved)
{
	if (moved->trans->trans->patch == patch->s.id)
		return true;
	for (uint32_t i = 0; i < patch->patch->nfuncs; i++)
		if (is_moved(moved, ug_seg_funcs(patch)[i].func))
			return true;
	return false;
}

/*
 * Of a function that moves, every version and gate there is. Of one that does not, because a
 * newer patch is on top of the one that is taken back, that patch's version alone: after a
 * force somebody may still be inside and go on into functions that do move.
 */
static bool item_concerned(const struct ug_item *item, const struct ug_seg *seg,
			   const struct moved *moved)
{
	if (item->kind == UG_ITEM_OTHER)
		return patch_concerned(seg, moved);
	return is_moved(moved, item->func) ||
	       (item->kind == UG_ITEM_VERSION && seg->s.id == moved->trans->trans->patch);
}

/* The map of those of the transition's functions that an item belongs to. */
static uint64_t *map_of(struct ug_checkset *cs, const struct ug_item *item)
{
	if (item->kind == UG_ITEM_BYTES)
		return cs->bytes;
	return item->kind == UG_ITEM_PAD ? cs->pads : cs->concerned;
}

static bool is_left(const struct ug_seg *seg)
{
	return seg->s.state == UG_REG_LEFT || seg->s.state == UG_REG_CLOSED;
}

static int mark_concerned(struct ug_checkset *cs, const struct ug_target *t,
			  const struct ug_seg *trans, struct ug_error *err)
{
	struct moved moved;
	int r = list_moved(trans, &moved, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < cs->nitems; i++) {
		const struct ug_item *item = &cs->items[i];

		if (item_concerned(item, &t->reg.segs[item->seg], &moved))
			ug_bit_set(map_of(cs, item), i);
	}
	free(moved.func);
	return 0;
}

static int make_maps(struct ug_checkset *cs, const struct ug_target *t, struct ug_error *err)
{
	cs->nwords = UG_BIT_WORDS(cs->nitems) ? UG_BIT_WORDS(cs->nitems) : 1;
	cs->concerned = calloc(cs->nwords, sizeof(uint64_t));
	cs->bytes = calloc(cs->nwords, sizeof(uint64_t));
	cs->pads = calloc(cs->nwords, sizeof(uint64_t));
	cs->left = calloc(cs->nwords, sizeof(uint64_t));
	if (!cs->concerned || !cs->bytes || !cs->pads || !cs->left)
		return ug_err(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < cs->nitems; i++)
		if (is_left(&t->reg.segs[cs->items[i].seg]) && ug_item_holds(&cs->items[i]))
			ug_bit_set(cs->left, i);
	return 0;
}

int ug_checkset_init(struct ug_checkset *cs, const struct ug_target *t, const struct ug_seg *trans,
		     struct ug_error *err)
{
	int r = 0;

	memset(cs, 0, sizeof(*cs));
	cs->target = t;
	for (size_t i = 0; r == 0 && i < t->reg.nsegs; i++) {
		const struct ug_seg *seg = &t->reg.segs[i];

		if (seg->s.kind == UG_REG_SITES)
			r = add_sites(cs, seg, i, err);
		else if (seg->s.kind == UG_REG_PATCH)
			r = add_patch(cs, seg, i, err);
		else
			r = add_gates(cs, t, seg, i, err);
	}
	if (r == 0)
		r = make_maps(cs, t, err);
	if (r == 0 && trans)
		r = mark_concerned(cs, t, trans, err);
	if (r < 0) {
		ug_checkset_free(cs);
		return r;
	}
	ug_rangeset_seal(&cs->ranges);
	return 0;
}

int ug_checkset_load_own(struct ug_checkset *cs, struct ug_target *t, struct ug_error *err)
{
	return cs->own.v ? 0 : ug_own_load(t, &cs->own, err);
}

void ug_checkset_free(struct ug_checkset *cs)
{
	ug_rangeset_free(&cs->ranges);
	ug_objects_free(&cs->own);
	free(cs->items);
	free(cs->concerned);
	free(cs->bytes);
	free(cs->pads);
	free(cs->left);
	memset(cs, 0, sizeof(*cs));
}

bool ug_checkset_meet(const struct ug_checkset *cs, const uint64_t *a, const uint64_t *b)
{
	for (size_t i = 0; i < cs->nwords; i++)
		if (a[i] & b[i])
			return true;
	return false;
}

static bool occupy_entry(const struct ug_checkset *cs, uint64_t *occupied, ug_raddr_t entry)
{
	bool changed = false;

	for (size_t i = 0; i < cs->nitems; i++) {
		if (cs->items[i].entry != entry || ug_bit(occupied, i))
			continue;
		ug_bit_set(occupied, i);
		changed = true;
	}
	return changed;
}

void ug_checkset_close(const struct ug_checkset *cs, const struct ug_target *t, uint64_t *occupied)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (size_t i = 0; i < cs->nitems; i++) {
			const struct ug_item *item = &cs->items[i];
			const struct ug_reg_move *m;

			if (item->kind != UG_ITEM_GATE || !ug_bit(occupied, i))
				continue;
			m = &ug_seg_moves(&t->reg.segs[item->seg])[item->index];
			changed |= occupy_entry(cs, occupied, m->from);
			changed |= occupy_entry(cs, occupied, m->to);
			changed |= occupy_entry(cs, occupied, m->before);
		}
	}
}

/* ---- unwinding through our own code ---- */

static const struct ug_item *item_at(const struct ug_checkset *cs, ug_raddr_t pc)
{
	for (size_t i = 0; i < cs->ranges.n; i++) {
		const struct ug_range *r = &cs->ranges.v[i];

		if (pc >= r->start && pc < r->end && r->kind != UG_RANGE_BYTES &&
		    r->kind != UG_RANGE_PAD)
			return &cs->items[r->id];
	}
	return NULL;
}

/* A far jump (thunk of a far object, stub of a far call): nothing is pushed. */
static bool is_far_jump(const struct ug_checkset *cs, const struct ug_target *t,
			const struct ug_item *item, ug_raddr_t pc)
{
	const struct ug_reg_patch *p;
	struct ug_object *obj;
	uint8_t b[2];

	if (item->kind != UG_ITEM_VERSION && item->kind != UG_ITEM_OTHER)
		return false;
	p = t->reg.segs[item->seg].patch;
	if (pc == item->entry && (pc < p->base || pc - p->base >= p->rx_len))
		return true;
	obj = ug_objects_find(&cs->own, pc);
	return obj && !ug_cfi_fde(obj, pc) && ug_object_read_file(obj, pc, b, 2, NULL) == 0 &&
	       b[0] == 0xff && b[1] == 0x25;
}

/* How to unwind from a displaced instruction. */
static void displaced_frame(const struct ug_target *t, const struct ug_item *item, ug_raddr_t pc,
			    struct ug_own_frame *ret)
{
	const struct ug_reg_site *s = &ug_seg_sites(&t->reg.segs[item->seg])[item->index];
	struct ug_site_plan plan = { .func = s->func, .at = s->at, .len = s->len,
				     .moved = s->moved };
	size_t off;

	memcpy(plan.orig, s->orig, sizeof(plan.orig));
	switch (ug_text_displaced_origin(&plan, s->displaced, pc - s->displaced, &off)) {
	case UG_DISPLACED_INSN:
		ret->same_as = s->at + off;
		break;
	case UG_DISPLACED_CALLEE:
		ret->cfa_offset = 8;
		break;
	case UG_DISPLACED_NOWHERE:
		break;
	}
}

/* None of this makes calls: a thread is in it by its PC or not at all. */
static bool own_code(void *ctx, ug_raddr_t pc, bool exact, struct ug_own_frame *ret)
{
	const struct ug_checkset *cs = ctx;
	const struct ug_item *item = exact ? item_at(cs, pc) : NULL;

	memset(ret, 0, sizeof(*ret));
	if (!item)
		return false;
	if (item->kind == UG_ITEM_GATE)
		ret->cfa_offset = ug_gate_cfa_offset((unsigned int)(pc - item->entry));
	else if (item->kind == UG_ITEM_DISPLACED)
		displaced_frame(cs->target, item, pc, ret);
	else if (is_far_jump(cs, cs->target, item, pc))
		ret->cfa_offset = 8;
	return ret->cfa_offset || ret->same_as;
}

/* "f+0x41 [fix]" for a patch's body, "gate of f" and the like. */
static bool own_name(void *ctx, ug_raddr_t pc, char *buf, size_t size)
{
	const struct ug_checkset *cs = ctx;
	const struct ug_item *item = item_at(cs, pc);
	const struct ug_symbol *sym = NULL;
	const struct ug_object *obj;

	if (!item || item->kind == UG_ITEM_ORIGINAL)
		return false;
	obj = item->kind == UG_ITEM_OTHER ? ug_objects_find(&cs->own, pc) : NULL;
	if (obj)
		sym = ug_symbol_by_addr(obj, pc);
	if (item->kind == UG_ITEM_GATE)
		(void)snprintf(buf, size, "gate of %s", item->name);
	else if (item->kind == UG_ITEM_VERSION && pc >= item->entry)
		(void)snprintf(buf, size, "%s+%#llx [%s]", item->name,
			       (unsigned long long)(pc - item->entry), item->patch);
	else
		(void)snprintf(buf, size, "%s [%s]", sym ? sym->name : item->name,
			       item->patch ? item->patch : "displaced");
	return true;
}

void ug_checkset_stack_ctx(const struct ug_checkset *cs, struct ug_target *t,
			   struct ug_stack_ctx *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->proc = &t->proc;
	ret->maps = &t->maps;
	ret->objects = &t->objects;
	ret->own = &cs->own;
	ret->main_stack_top = t->main_stack_top;
	ret->forked = t->forked;
	ret->own_code = own_code;
	ret->own_name = own_name;
	ret->own_ctx = (void *)(uintptr_t)cs;
}
