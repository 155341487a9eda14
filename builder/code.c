// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/bisect.h"
#include "builder/code.h"

bool ug_code_differs(struct ug_code_walk *w, const struct ug_op *op, const char *fmt, ...)
{
	char how[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(how, sizeof(how), fmt, ap);
	va_end(ap);
	snprintf(w->text, sizeof(w->text), "%s+%#llx: %s", w->f->name,
		 (unsigned long long)(op ? op->off - w->f->value : 0), how);
	return false;
}

/* ---- the code of the linked file ---- */

int ug_code_decode(struct ug_code_walk *w, const uint8_t *bytes)
{
	w->ops.n = 0;
	for (uint64_t at = 0; at < w->size;) {
		struct ug_insn insn;
		struct ug_linked_op *t;

		if (!ug_insn_decode(bytes + at, w->size - at, w->addr + at, &insn))
			return 0;
		at += insn.len;
		if (insn.is_nop)
			continue;
		t = ug_vec_add(&w->ops);
		if (!t)
			return -ENOMEM;
		*t = (struct ug_linked_op){ insn.addr, insn.len, (uint8_t)insn.kind,
					    (uint16_t)insn.z.mnemonic,
					    insn.rip_disp ? insn.rip_target : insn.target,
					    bytes + at - insn.len };
	}
	return 0;
}

size_t ug_code_index(const struct ug_code_walk *w, uint64_t addr)
{
	return ug_bisect(0, w->ops.n, i, w->ops.v[i].addr < addr);
}

/* ---- instructions with relocations ---- */

static uint64_t number_at(const struct ug_linked_op *t, unsigned int at)
{
	int32_t value = 0;

	if (at + 4 <= t->len)
		memcpy(&value, t->bytes + at, 4);
	return (uint64_t)(int64_t)value;
}

/* The linker may turn a load from the GOT into the address itself: which is then *ret. */
static bool relaxed(const struct ug_rel *rel, const uint8_t *ours, const struct ug_linked_op *t,
		    uint64_t *ret)
{
	unsigned int at;

	if (rel->type != R_X86_64_GOTPCRELX && rel->type != R_X86_64_REX_GOTPCRELX &&
	    rel->type != R_X86_64_GOTPCREL && rel->type != R_X86_64_GOTTPOFF)
		return false;
	*ret = t->target ? t->target : number_at(t, t->len - 4u);
	for (at = 0; at < 15 && at < t->len; at++) {
		if (ours[at] == 0x8b)	/* mov: lea, or an immediate */
			return t->bytes[at] == 0x8d || t->bytes[at] == 0xc7;
		if (ours[at] == 0xff)	/* call, jmp: direct, one byte less */
			return t->kind == UG_INSN_CALL || t->kind == UG_INSN_JMP;
		if (ours[at] == 0x03 || ours[at] == 0x3b || ours[at] == 0x85)
			return t->bytes[at] == 0x81 || t->bytes[at] == 0xf7 || t->bytes[at] == 0x8d;
	}
	return false;
}

static bool same_fields(const struct ug_op *op, const uint8_t *ours, const struct ug_rel *rels, size_t n,
			const struct ug_linked_op *t)
{
	unsigned int at = 0;

	if (op->len != t->len)
		return false;
	for (size_t i = 0; i <= n; i++) {
		unsigned int end = i < n ? (unsigned int)(rels[i].offset - op->off) : op->len;

		if (end < at || memcmp(ours + at, t->bytes + at, end - at))
			return false;
		if (i < n)
			at = end + ug_rel_size(rels[i].type);
	}
	return true;
}

static uint64_t address_in(const struct ug_op *op, const struct ug_rel *rel, const struct ug_linked_op *t)
{
	return ug_rel_is_pc(rel->type) ? t->target : number_at(t, (unsigned int)(rel->offset - op->off));
}

static bool has_target(const struct ug_op *op)
{
	return op->kind == UG_INSN_JCC || op->kind == UG_INSN_LOOP || op->kind == UG_INSN_JMP ||
	       op->kind == UG_INSN_CALL || op->kind == UG_INSN_XBEGIN;
}

static bool same_relocated(struct ug_code_walk *w, const struct ug_op *op, const struct ug_rel *rels,
			   size_t n, const struct ug_linked_op *t)
{
	const uint8_t *ours = w->o->file.r.data + w->o->file.sh[w->f->section].sh_offset + op->off;
	uint64_t end = op->off + op->len, addr;

	if (n == 1 && relaxed(&rels[0], ours, t, &addr)) {
		w->encoded = true;
		return w->address(w, op, &rels[0], ug_dobj_place(w->o, &rels[0], end, 0), addr, true);
	}
	/* A branch to a neighbour may have come out shorter where both are in one section. */
	if (n == 1 && has_target(op) && op->mnemonic == t->mnemonic && op->len != t->len) {
		w->encoded = true;
		return w->address(w, op, &rels[0], ug_dobj_place(w->o, &rels[0], end, 0), t->target, true);
	}
	if (!same_fields(op, ours, rels, n, t))
		return ug_code_differs(w, op, "other instructions");
	for (size_t i = 0; i < n; i++) {
		if (!w->address(w, op, &rels[i], ug_dobj_place(w->o, &rels[i], end, 0),
				address_in(op, &rels[i], t), !ug_rel_is_got(rels[i].type)))
			return false;
	}
	return true;
}

/* ---- branches the assembler has resolved ---- */

static bool same_branch(struct ug_code_walk *w, const struct ug_op *op, const struct ug_linked_op *t)
{
	size_t ours;

	if (op->mnemonic != t->mnemonic)
		return ug_code_differs(w, op, "other instructions");
	w->encoded |= op->len != t->len;
	if (op->target < w->f->value || op->target >= w->f->value + w->f->size)
		return true;
	if (!ug_item_insn_at(w->o, w->f, (int64_t)(op->target - w->f->value), &ours) ||
	    t->target < w->addr || t->target >= w->addr + w->size || ug_code_index(w, t->target) != ours)
		return ug_code_differs(w, op, "branches elsewhere");
	return true;
}

/* General and local dynamic TLS: a sequence of fixed length, rewritten as a whole. */
static unsigned int tls_sequence(const struct ug_rel *rels, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (rels[i].type == R_X86_64_TLSGD)
			return 16;
		if (rels[i].type == R_X86_64_TLSLD)
			return 12;
	}
	return 0;
}

static bool same_function(struct ug_code_walk *w)
{
	size_t j = 0, shift = 0;

	for (size_t i = 0; i < w->f->ninsns; i++) {
		const struct ug_op *op = &w->o->ops.v[w->f->first_insn + i];
		const struct ug_rel *rels;
		unsigned int whole;
		size_t n;

		if (j >= w->ops.n)
			return ug_code_differs(w, op, "the linked function is shorter");
		ug_dobj_rels(w->o, w->f->section, op->off, op->off + op->len, &rels, &n);
		whole = tls_sequence(rels, n);
		if (whole) {
			uint64_t end = w->ops.v[j].addr + whole;

			i++;
			w->encoded = true;
			while (j < w->ops.n && w->ops.v[j].addr < end) {
				j++;
				shift++;
			}
			continue;
		}
		if (n == 0 && has_target(op) && !shift ? !same_branch(w, op, &w->ops.v[j]) :
		    !(n == 0 && has_target(op)) && !same_relocated(w, op, rels, n, &w->ops.v[j]))
			return false;
		j++;
	}
	return j == w->ops.n || ug_code_differs(w, NULL, "the linked function is longer");
}

int ug_code_compare(struct ug_code_walk *w, const uint8_t *bytes, bool *ret)
{
	int rc = ug_code_decode(w, bytes);

	w->encoded = w->size != w->f->size;
	w->text[0] = 0;
	*ret = rc == 0 && same_function(w);
	return rc;
}

void ug_code_free(struct ug_code_walk *w)
{
	ug_vec_free(&w->ops);
}
