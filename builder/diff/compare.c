// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>

#include "builder/diff/compare.h"

#define DEPTH_MAX 64

/* ---- names for people ---- */

const char *ug_item_describe(const struct ug_dobj *o, struct ug_place p, char *buf, size_t size)
{
	const struct ug_item *item = p.item == UG_NO_ITEM ? NULL : &o->items.v[p.item];
	const uint8_t *bytes = item ? ug_item_bytes(o, item) : NULL;
	char off[32] = "";

	if (p.off)
		snprintf(off, sizeof(off), "%+lld", (long long)p.off);
	if (!item) {
		snprintf(buf, size, "%s%s", ug_objfile_symbol_name(&o->file, p.sym), off);
	} else if (item->name[0]) {
		snprintf(buf, size, "%s%s", item->name, off);
	} else if (bytes && (o->file.sh[item->section].sh_flags & SHF_STRINGS) && p.off >= 0 &&
		   (uint64_t)p.off < item->size) {
		int len = (int)(item->size - (uint64_t)p.off);

		snprintf(buf, size, "\"%.*s\"", len > 40 ? 40 : len, (const char *)bytes + p.off);
	} else {
		snprintf(buf, size, "a constant");
	}
	return buf;
}

static bool differ(struct ug_difference *d, uint64_t before, uint64_t after, const char *fmt, ...)
	ug_printf(4, 5);

static bool differ(struct ug_difference *d, uint64_t before, uint64_t after, const char *fmt, ...)
{
	va_list ap;

	if (!d || d->found)
		return false;
	d->found = true;
	d->before = before;
	d->after = after;
	va_start(ap, fmt);
	vsnprintf(d->text, sizeof(d->text), fmt, ap);
	va_end(ap);
	return false;
}

/* ---- what relocations mean ---- */

static bool same_literal(struct ug_compare *c, size_t before, size_t after)
{
	struct ug_equal *e = &c->memo[before];
	bool same;

	if (e->after_plus_1 == after + 1)
		return e->same;
	if (c->depth >= DEPTH_MAX)
		return false;
	/* A cycle is the same until something in it differs. */
	*e = (struct ug_equal){ after + 1, true };
	c->depth++;
	same = ug_compare_items(c, before, after, NULL);
	c->depth--;
	*e = (struct ug_equal){ after + 1, same };
	return same;
}

/* The same label of a function: the instruction that is the n-th of both. */
static bool same_label(const struct ug_compare *c, const struct ug_item *fb, int64_t off_b,
		       const struct ug_item *fa, int64_t off_a)
{
	size_t ib, ia;

	if (!ug_item_insn_at(c->before, fb, off_b, &ib) || !ug_item_insn_at(c->after, fa, off_a, &ia))
		return off_b == off_a;
	return ib == ia;
}

bool ug_compare_places(struct ug_compare *c, struct ug_place before, struct ug_place after)
{
	const struct ug_item *b, *a;

	if (before.item == UG_NO_ITEM || after.item == UG_NO_ITEM)
		return before.item == after.item && before.off == after.off &&
		       !strcmp(ug_objfile_symbol_name(&c->before->file, before.sym),
			       ug_objfile_symbol_name(&c->after->file, after.sym));
	b = &c->before->items.v[before.item];
	a = &c->after->items.v[after.item];
	if (b->literal != a->literal || b->kind != a->kind)
		return false;
	if (b->literal)
		return before.off == after.off && same_literal(c, before.item, after.item);
	if (b->pair != after.item)
		return false;
	if (b->kind == UG_ITEM_FUNC && (before.off || after.off))
		return same_label(c, b, before.off, a, after.off);
	/* A constant table with a name of its own: what it says counts as well. Not so of code: who
	 * calls a changed function gets to the new one by its entry. */
	if (b->kind == UG_ITEM_DATA && b->readonly && b->bind == STB_LOCAL &&
	    !same_literal(c, before.item, after.item))
		return false;
	return before.off == after.off;
}

static bool same_rel(struct ug_compare *c, const struct ug_rel *rb, uint64_t end_b, uint64_t base_b,
		     const struct ug_rel *ra, uint64_t end_a, uint64_t base_a, struct ug_difference *d)
{
	struct ug_place b = ug_dobj_place(c->before, rb, end_b, base_b);
	struct ug_place a = ug_dobj_place(c->after, ra, end_a, base_a);
	char name_b[96], name_a[96];

	if (rb->type == ra->type && ug_compare_places(c, b, a))
		return true;
	/* Distances of another kind than those of switch tables. */
	if (!end_b && rb->type == ra->type && ug_rel_is_pc(rb->type) &&
	    ug_compare_places(c, ug_dobj_place(c->before, rb, 0, rb->offset),
			      ug_dobj_place(c->after, ra, 0, ra->offset)))
		return true;
	ug_item_describe(c->after, a, name_a, sizeof(name_a));
	ug_item_describe(c->before, b, name_b, sizeof(name_b));
	if (!strcmp(name_a, name_b))
		return differ(d, rb->offset, ra->offset, "%s has another content", name_a);
	return differ(d, rb->offset, ra->offset, "refers to %s, before to %s", name_a, name_b);
}

/* ---- data ---- */

static bool same_bytes(const uint8_t *b, const uint8_t *a, uint64_t size)
{
	static const uint8_t zero[64];

	if (b && a)
		return memcmp(b, a, size) == 0;
	if (!b && !a)
		return true;
	for (uint64_t at = 0; at < size; at += sizeof(zero)) {
		uint64_t n = size - at < sizeof(zero) ? size - at : sizeof(zero);

		if (memcmp((b ? b : a) + at, zero, n))
			return false;
	}
	return true;
}

static bool same_data(struct ug_compare *c, const struct ug_item *b, const struct ug_item *a,
		      struct ug_difference *d)
{
	const uint8_t *bytes_b = ug_item_bytes(c->before, b), *bytes_a = ug_item_bytes(c->after, a);
	const struct ug_rel *rb, *ra;
	uint64_t at = 0;
	size_t nb, na;

	if (b->size != a->size)
		return differ(d, b->value, a->value, "is %llu bytes large, before %llu",
			      (unsigned long long)a->size, (unsigned long long)b->size);
	ug_dobj_rels(c->before, b->section, b->value, b->value + b->size, &rb, &nb);
	ug_dobj_rels(c->after, a->section, a->value, a->value + a->size, &ra, &na);
	for (size_t i = 0; i <= nb && i <= na; i++) {
		uint64_t end = i < nb ? rb[i].offset - b->value : b->size;
		uint64_t end_a = i < na ? ra[i].offset - a->value : a->size;

		if (end != end_a || !same_bytes(bytes_b ? bytes_b + at : NULL,
						bytes_a ? bytes_a + at : NULL, end - at))
			return differ(d, b->value + at, a->value + at, "has another content");
		if (i < nb && i < na && !same_rel(c, &rb[i], 0, b->value, &ra[i], 0, a->value, d))
			return false;
		at = i < nb ? end + ug_rel_size(rb[i].type) : end;
		if (at > b->size)
			return false;
	}
	return nb == na;
}

/* ---- code ---- */

struct op_view {
	const struct ug_op *op;
	const uint8_t *bytes;
	const struct ug_rel *rels;
	size_t nrels;
};

static struct op_view view(const struct ug_dobj *o, const struct ug_item *f, size_t i)
{
	struct op_view v = { .op = &o->ops.v[f->first_insn + i] };

	v.bytes = o->file.r.data + o->file.sh[f->section].sh_offset + v.op->off;
	ug_dobj_rels(o, f->section, v.op->off, v.op->off + v.op->len, &v.rels, &v.nrels);
	return v;
}

static bool has_target(const struct ug_op *op)
{
	return op->kind == UG_INSN_JCC || op->kind == UG_INSN_LOOP || op->kind == UG_INSN_JMP ||
	       op->kind == UG_INSN_CALL || op->kind == UG_INSN_XBEGIN;
}

/* A branch the assembler has resolved: inside the function, or to another of the section. */
static bool same_branch(struct ug_compare *c, const struct ug_item *fb, const struct ug_op *b,
			const struct ug_item *fa, const struct ug_op *a)
{
	struct ug_place pb = { ug_dobj_item_at(c->before, fb->section, b->target), 0, 0 };
	struct ug_place pa = { ug_dobj_item_at(c->after, fa->section, a->target), 0, 0 };

	if (b->mnemonic != a->mnemonic || pb.item == UG_NO_ITEM || pa.item == UG_NO_ITEM)
		return false;
	pb.off = (int64_t)(b->target - c->before->items.v[pb.item].value);
	pa.off = (int64_t)(a->target - c->after->items.v[pa.item].value);
	if (&c->before->items.v[pb.item] == fb && &c->after->items.v[pa.item] == fa)
		return same_label(c, fb, pb.off, fa, pa.off);
	return ug_compare_places(c, pb, pa);
}

static bool same_op(struct ug_compare *c, const struct ug_item *fb, size_t ib,
		    const struct ug_item *fa, size_t ia, struct ug_difference *d)
{
	struct op_view b = view(c->before, fb, ib), a = view(c->after, fa, ia);
	unsigned int at = 0;

	if (!b.nrels && !a.nrels && has_target(b.op) && has_target(a.op))
		return same_branch(c, fb, b.op, fa, a.op) ||
		       differ(d, b.op->off, a.op->off, "branches elsewhere");
	if (b.op->len != a.op->len || b.nrels != a.nrels)
		return differ(d, b.op->off, a.op->off, "has other instructions");
	for (size_t i = 0; i <= b.nrels; i++) {
		unsigned int end = i < b.nrels ? (unsigned int)(b.rels[i].offset - b.op->off) : b.op->len;

		if ((i < b.nrels && a.rels[i].offset - a.op->off != end) || end < at ||
		    memcmp(b.bytes + at, a.bytes + at, end - at))
			return differ(d, b.op->off, a.op->off, "has other instructions");
		if (i == b.nrels)
			break;
		if (!same_rel(c, &b.rels[i], b.op->off + b.op->len, 0, &a.rels[i],
			      a.op->off + a.op->len, 0, d))
			return false;
		at = end + ug_rel_size(b.rels[i].type);
	}
	return true;
}

static bool same_code(struct ug_compare *c, const struct ug_item *b, const struct ug_item *a,
		      struct ug_difference *d)
{
	size_t n = b->ninsns < a->ninsns ? b->ninsns : a->ninsns;

	if (b->opaque || a->opaque)
		return same_data(c, b, a, d);
	for (size_t i = 0; i < n; i++) {
		if (!same_op(c, b, i, a, i, d))
			return false;
	}
	if (b->ninsns == a->ninsns)
		return true;
	return differ(d, b->value + b->size, a->value + a->size, "has other instructions");
}

/* What is caught where, and by whom. */
static bool same_handlers(struct ug_compare *c, const struct ug_item *b, const struct ug_item *a,
			  struct ug_difference *d)
{
	if (b->lsda == UG_NO_ITEM && a->lsda == UG_NO_ITEM)
		return true;
	return (b->lsda != UG_NO_ITEM && a->lsda != UG_NO_ITEM && same_literal(c, b->lsda, a->lsda)) ||
	       differ(d, b->value, a->value, "handles exceptions otherwise");
}

bool ug_compare_items(struct ug_compare *c, size_t before, size_t after, struct ug_difference *ret)
{
	const struct ug_item *b = &c->before->items.v[before], *a = &c->after->items.v[after];

	if (b->kind == UG_ITEM_FUNC)
		return same_code(c, b, a, ret) && same_handlers(c, b, a, ret);
	return same_data(c, b, a, ret);
}

static bool is_zero_section(const struct ug_dobj *o, const struct ug_item *item)
{
	return item->section >= o->file.nsh || o->file.sh[item->section].sh_type == SHT_NOBITS;
}

bool ug_compare_same_shape(const struct ug_compare *c, size_t before, size_t after)
{
	const struct ug_item *b = &c->before->items.v[before], *a = &c->after->items.v[after];

	return b->size == a->size && b->kind == a->kind && b->readonly == a->readonly &&
	       (b->readonly || is_zero_section(c->before, b) == is_zero_section(c->after, a));
}
