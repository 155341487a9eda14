// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "builder/match.h"

struct there {				/* an instruction of the binary */
	uint64_t addr;
	uint8_t len, kind;
	uint16_t mnemonic;
	uint64_t target;
	const uint8_t *bytes;
};

struct check {
	const struct ug_diff *d;
	const struct ug_dobj *o;
	const struct ug_linked *l;
	struct ug_object *binary;
	uint32_t group;
	const struct ug_item *f;
	const struct ug_linked_symbol *sym;
	UG_VEC(struct there) code;
	struct ug_match *m;
};

const struct ug_linked_symbol *ug_match_symbol(const struct ug_diff *d, const struct ug_linked *l,
					       uint32_t group, size_t item)
{
	const struct ug_item *i = &d->before->items.v[item];
	const struct ug_linked_symbol *s;

	if (i->bind != STB_LOCAL) {
		s = ug_linked_find(l, 0, i->name);
		/* Hidden symbols are local ones of no file once linked. */
		return s ? s : ug_linked_find(l, group, i->name);
	}
	return ug_linked_find(l, group, i->name);
}

static bool differs(struct check *c, const struct ug_op *op, const char *fmt, ...) ug_printf(3, 4);

static bool differs(struct check *c, const struct ug_op *op, const char *fmt, ...)
{
	char how[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(how, sizeof(how), fmt, ap);
	va_end(ap);
	snprintf(c->m->text, sizeof(c->m->text), "%s+%#llx: %s", c->f->name,
		 (unsigned long long)(op ? op->off - c->f->value : 0), how);
	return false;
}

/* ---- the code of the binary ---- */

static int decode(struct check *c, uint8_t **buf)
{
	uint64_t at = 0, size = c->sym->size;

	*buf = malloc(size + 1);
	if (!*buf)
		return -ENOMEM;
	if (ug_object_read_file(c->binary, c->sym->value, *buf, size, NULL) < 0)
		return 0;
	while (at < size) {
		struct ug_insn insn;
		struct there *t;

		if (!ug_insn_decode(*buf + at, size - at, c->sym->value + at, &insn))
			return 0;
		at += insn.len;
		if (insn.is_nop)
			continue;
		t = ug_vec_add(&c->code);
		if (!t)
			return -ENOMEM;
		*t = (struct there){ insn.addr, insn.len, (uint8_t)insn.kind, (uint16_t)insn.z.mnemonic,
				     insn.rip_disp ? insn.rip_target : insn.target,
				     *buf + at - insn.len };
	}
	return 0;
}

static size_t index_at(const struct check *c, uint64_t addr)
{
	size_t lo = 0, hi = c->code.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->code.v[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* ---- references ---- */

static bool same_literal(const struct check *c, const struct ug_item *item, int64_t off, uint64_t addr)
{
	const uint8_t *bytes = ug_item_bytes(c->o, item);
	ug_autofree uint8_t *buf = NULL;
	const struct ug_rel *rels;
	size_t n;

	ug_dobj_rels(c->o, item->section, item->value, item->value + item->size, &rels, &n);
	if (!bytes || n || off < 0 || (uint64_t)off >= item->size)
		return true;		/* its pointers are relocated: not to be compared like this */
	buf = malloc(item->size);
	if (!buf || ug_object_read_file(c->binary, addr, buf, item->size - (uint64_t)off, NULL) < 0)
		return true;		/* in a segment that is not code: not readable this way */
	return !memcmp(buf, bytes + off, item->size - (uint64_t)off);
}

/* Does the address in the binary's instruction belong to what the object names? */
static bool same_address(struct check *c, const struct ug_op *op, struct ug_place p, uint64_t addr)
{
	const struct ug_linked_symbol *s;
	const struct ug_item *item;
	char name[96];

	if (p.item == UG_NO_ITEM)
		return true;		/* through PLT, GOT or a copy: the dynamic linker's business */
	item = &c->o->items.v[p.item];
	if (item->literal)
		return same_literal(c, item, p.off, addr) ||
		       differs(c, op, "another %s", ug_item_describe(c->o, p, name, sizeof(name)));
	if (item->kind != UG_ITEM_FUNC && !item->name[0])
		return true;
	if (item->kind == UG_ITEM_FUNC && p.off)
		return true;		/* a label of a cold part, or of its parent */
	s = ug_match_symbol(c->d, c->l, c->group, p.item);
	if (!s)
		return differs(c, op, "the binary has no symbol %s", item->name);
	if (s->value + (uint64_t)p.off == addr || item->bind != STB_LOCAL)
		return true;		/* a global one may be reached through the PLT */
	return differs(c, op, "%s is not where the symbols say", item->name);
}

/* The linker may turn a load from the GOT into the address itself. */
static bool relaxed(const struct ug_rel *rel, const uint8_t *ours, const struct there *t)
{
	unsigned int at;

	if (rel->type != R_X86_64_GOTPCRELX && rel->type != R_X86_64_REX_GOTPCRELX &&
	    rel->type != R_X86_64_GOTPCREL && rel->type != R_X86_64_GOTTPOFF)
		return false;
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
			const struct there *t)
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

static uint64_t address_in(const struct ug_op *op, const struct ug_rel *rel, const struct there *t)
{
	unsigned int at = (unsigned int)(rel->offset - op->off);
	int32_t value = 0;

	if (ug_rel_is_pc(rel->type))
		return t->target;
	if (at + 4 <= t->len)
		memcpy(&value, t->bytes + at, 4);
	return (uint64_t)(int64_t)value;
}

static bool has_target(const struct ug_op *op)
{
	return op->kind == UG_INSN_JCC || op->kind == UG_INSN_LOOP || op->kind == UG_INSN_JMP ||
	       op->kind == UG_INSN_CALL || op->kind == UG_INSN_XBEGIN;
}

static bool same_relocated(struct check *c, const struct ug_op *op, const struct ug_rel *rels, size_t n,
			   const struct there *t)
{
	const uint8_t *ours = c->o->file.r.data + c->o->file.sh[c->f->section].sh_offset + op->off;

	if (n == 1 && relaxed(&rels[0], ours, t))
		return true;
	/* A branch to a neighbour may have come out shorter where both are in one section. */
	if (n == 1 && has_target(op) && op->mnemonic == t->mnemonic && op->len != t->len)
		return same_address(c, op, ug_dobj_place(c->o, &rels[0], op->off + op->len, 0), t->target);
	if (!same_fields(op, ours, rels, n, t))
		return differs(c, op, "other instructions");
	for (size_t i = 0; i < n; i++) {
		struct ug_place p = ug_dobj_place(c->o, &rels[i], op->off + op->len, 0);

		if (ug_rel_is_tls(rels[i].type) || ug_rel_is_got(rels[i].type))
			continue;
		if (!same_address(c, op, p, address_in(op, &rels[i], t)))
			return false;
	}
	return true;
}

static bool same_branch(struct check *c, const struct ug_op *op, const struct there *t)
{
	size_t ours;

	if (op->mnemonic != t->mnemonic)
		return differs(c, op, "other instructions");
	if (op->target < c->f->value || op->target >= c->f->value + c->f->size)
		return true;
	if (!ug_item_insn_at(c->o, c->f, (int64_t)(op->target - c->f->value), &ours) ||
	    t->target < c->sym->value || t->target >= c->sym->value + c->sym->size ||
	    index_at(c, t->target) != ours)
		return differs(c, op, "branches elsewhere");
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

static bool same_function(struct check *c)
{
	size_t j = 0, shift = 0;

	for (size_t i = 0; i < c->f->ninsns; i++) {
		const struct ug_op *op = &c->o->ops.v[c->f->first_insn + i];
		const struct ug_rel *rels;
		unsigned int whole;
		size_t n;

		if (j >= c->code.n)
			return differs(c, op, "the binary's function is shorter");
		ug_dobj_rels(c->o, c->f->section, op->off, op->off + op->len, &rels, &n);
		whole = tls_sequence(rels, n);
		if (whole) {
			uint64_t end = c->code.v[j].addr + whole;

			i++;
			while (j < c->code.n && c->code.v[j].addr < end) {
				j++;
				shift++;
			}
			continue;
		}
		if (n == 0 && has_target(op) && !shift ? !same_branch(c, op, &c->code.v[j]) :
		    !(n == 0 && has_target(op)) && !same_relocated(c, op, rels, n, &c->code.v[j]))
			return false;
		j++;
	}
	return j == c->code.n || differs(c, NULL, "the binary's function is longer");
}

static int check_function(struct check *c, size_t item, bool *ret)
{
	ug_autofree uint8_t *buf = NULL;
	int rc;

	c->f = &c->o->items.v[item];
	c->sym = ug_match_symbol(c->d, c->l, c->group, item);
	c->code.n = 0;
	if (!c->sym) {
		*ret = differs(c, NULL, "the binary has no such symbol");
		return 0;
	}
	rc = decode(c, &buf);
	if (rc == 0)
		*ret = same_function(c);
	return rc;
}

/* ---- placing an object ---- */

/* The functions that tell: those that change; where none does, all that are in both versions. */
static bool tells(const struct ug_diff *d, size_t i, bool any_changed)
{
	const struct ug_item *item = &d->before->items.v[i];

	if (item->kind != UG_ITEM_FUNC || item->parent != UG_NO_ITEM || item->pair == UG_NO_ITEM)
		return false;
	return !any_changed || d->kept[item->pair];
}

static int try_group(struct check *c, struct ug_match *m)
{
	bool any = false;

	c->m = m;
	*m = (struct ug_match){ .group = c->group, .result = UG_MATCH_OK };
	for (size_t i = 0; i < c->o->items.n; i++) {
		bool same = false;
		int rc;

		if (!tells(c->d, i, ug_diff_changes_code(c->d)))
			continue;
		any |= ug_match_symbol(c->d, c->l, c->group, i) != NULL;
		if (m->result != UG_MATCH_OK)
			continue;
		rc = check_function(c, i, &same);
		if (rc < 0)
			return rc;
		if (!same) {
			m->result = UG_MATCH_DIFFERENT;
			m->function = i;
		}
	}
	if (!any)
		m->result = UG_MATCH_ABSENT;
	return 0;
}

static bool same_base_name(const char *a, const char *b)
{
	const char *sa = strrchr(a, '/'), *sb = strrchr(b, '/');

	return !strcmp(sa ? sa + 1 : a, sb ? sb + 1 : b);
}

/* Do both groups give the same addresses for the functions concerned? */
static bool same_places(const struct check *c, uint32_t g, uint32_t h)
{
	for (size_t i = 0; i < c->o->items.n; i++) {
		const struct ug_linked_symbol *a, *b;

		if (!tells(c->d, i, ug_diff_changes_code(c->d)))
			continue;
		a = ug_match_symbol(c->d, c->l, g, i);
		b = ug_match_symbol(c->d, c->l, h, i);
		if (!a || !b || a->value != b->value)
			return false;
	}
	return true;
}

/* Local symbols the patch uses beside those of the functions: how many does a group have? */
static size_t count_locals(const struct check *c, uint32_t group)
{
	size_t n = 0;

	ug_vec_for_each(&c->o->items, item) {
		if (item->bind == STB_LOCAL && item->name[0] && !item->literal)
			n += ug_linked_find(c->l, group, item->name) != NULL;
	}
	return n;
}

static int try_all(struct check *c, struct ug_match *ret, struct ug_error *err)
{
	const char *name = ug_dobj_source(c->o);
	bool seen = false;

	*ret = (struct ug_match){ .result = UG_MATCH_ABSENT };
	for (uint32_t g = 1; g <= c->l->groups.n + 1; g++) {
		struct ug_match m;

		/* Group 0, no file at all, only when no group has the name. */
		c->group = g <= c->l->groups.n ? g : 0;
		if (g <= c->l->groups.n ? !same_base_name(c->l->groups.v[g - 1], name) : seen)
			continue;
		seen = true;
		if (try_group(c, &m) < 0)
			return ug_err(err, -ENOMEM, "out of memory");
		if (m.result == UG_MATCH_OK && ret->result == UG_MATCH_OK) {
			if (!same_places(c, m.group, ret->group))
				return ug_err(err, -UG_E_AMBIGUOUS, "%s fits several places of %s",
					      c->o->path, c->l->path);
			if (count_locals(c, m.group) > count_locals(c, ret->group))
				*ret = m;
			continue;
		}
		if (m.result == UG_MATCH_OK ||
		    (m.result == UG_MATCH_DIFFERENT && ret->result == UG_MATCH_ABSENT))
			*ret = m;
	}
	return 0;
}

int ug_match_diff(const struct ug_diff *d, struct ug_object *binary, const struct ug_linked *l,
		    struct ug_match *ret, struct ug_error *err)
{
	struct check c = { .d = d, .o = d->before, .l = l, .binary = binary };
	int rc = try_all(&c, ret, err);

	ug_vec_free(&c.code);
	return rc;
}
