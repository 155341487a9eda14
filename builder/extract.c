// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>

#include "builder/extract.h"
#include "patchfile/format.h"

struct source {				/* the item being copied */
	struct ug_extract *x;
	size_t diff;
	const struct ug_diff *d;
	size_t index;
	const struct ug_item *item;
	struct ug_error *err;
};

/* ---- sections and symbols of kept items ---- */

static uint64_t align_of(const struct ug_dobj *o, const struct ug_item *item)
{
	uint64_t align;

	if (item->section >= o->file.nsh)	/* common: the value of the symbol */
		return o->file.syms[item->sym].st_value;
	align = o->file.sh[item->section].sh_addralign;
	while (align > 1 && item->value % align)
		align /= 2;
	return align ? align : 1;
}

static const char *prefix_of(const struct ug_dobj *o, const struct ug_item *item, bool zero)
{
	if (ug_dobj_is_lsda(&o->file, item->section))
		return ".gcc_except_table";
	if (item->kind == UG_ITEM_FUNC)
		return item->parent == UG_NO_ITEM ? ".text" : ".text.unlikely";
	if (zero)
		return ".bss";
	return item->readonly ? ".rodata" : ".data";
}

/* Two files may have a static function of one name: the second one's gets a suffix, so that
 * f.cold stays that of its f. */
static void unique_name(const struct ug_extract *x, size_t diff, const struct ug_item *item, char *buf,
			size_t size)
{
	const char *cold = item->parent == UG_NO_ITEM ? "" : strstr(item->name, ".cold");
	int len = (int)(strlen(item->name) - strlen(cold));
	bool taken = false;

	for (size_t i = 0; i < diff && !taken; i++) {
		ug_vec_for_each(&x->diffs[i]->after->items, other) {
			size_t at = (size_t)(other - x->diffs[i]->after->items.v);

			taken |= x->out[i][at] && other->kind == UG_ITEM_FUNC &&
				 (int)strlen(other->name) >= len &&
				 !strncmp(other->name, item->name, (size_t)len) &&
				 (!other->name[len] || !strncmp(other->name + len, ".cold", 5));
		}
	}
	if (taken)
		snprintf(buf, size, "%.*s..%zu%s", len, item->name, diff, cold);
	else
		snprintf(buf, size, "%s", item->name);
}

/* New, and every object that uses it has one: inline functions, their variables, DW.ref.*. */
static bool is_everywhere(const struct ug_diff *d, size_t i)
{
	const struct ug_item *item = &d->after->items.v[i];

	return d->kept[i] && item->bind != STB_LOCAL && item->pair == UG_NO_ITEM && item->name[0];
}

/* The one of several that goes into the patch. */
static void find_canonical(const struct ug_extract *x, size_t *diff, size_t *item)
{
	const struct ug_item *like = &x->diffs[*diff]->after->items.v[*item];

	for (size_t d = 0; is_everywhere(x->diffs[*diff], *item) && d < *diff; d++) {
		for (size_t i = 0; i < x->diffs[d]->after->items.n; i++) {
			const struct ug_item *other = &x->diffs[d]->after->items.v[i];

			if (!is_everywhere(x->diffs[d], i) || other->kind != like->kind ||
			    strcmp(other->name, like->name))
				continue;
			*diff = d;
			*item = i;
			return;
		}
	}
}

static bool is_canonical(const struct ug_extract *x, size_t diff, size_t i)
{
	size_t d = diff, item = i, parent = x->diffs[diff]->after->items.v[i].parent;

	if (parent != UG_NO_ITEM)
		item = parent;
	i = item;
	find_canonical(x, &d, &item);
	return d == diff && item == i;
}

static void place_item(struct ug_extract *x, size_t diff, size_t i)
{
	const struct ug_dobj *o = x->diffs[diff]->after;
	const struct ug_item *item = &o->items.v[i];
	const uint8_t *bytes = ug_item_bytes(o, item);
	bool zero = !bytes && item->kind != UG_ITEM_FUNC;
	uint64_t flags = SHF_ALLOC;
	char name[UG_FILE_STRING_MAX + 1], section[UG_FILE_STRING_MAX + 32];

	unique_name(x, diff, item, name, sizeof(name));
	snprintf(section, sizeof(section), "%s%s%s", prefix_of(o, item, zero), name[0] ? "." : "", name);
	if (item->kind == UG_ITEM_FUNC)
		flags |= SHF_EXECINSTR;
	else if (!item->readonly)
		flags |= SHF_WRITE;
	x->out[diff][i] = ug_emit_section(&x->emit, section, flags, align_of(o, item),
					  zero ? NULL : bytes, item->size);
	if (name[0])
		x->body[diff][i] = ug_emit_symbol(&x->emit, name, STB_LOCAL,
						  item->kind == UG_ITEM_FUNC ? STT_FUNC : STT_OBJECT,
						  x->out[diff][i], 0, item->size);
}

static int note_replaced(struct ug_extract *x, size_t diff, size_t i)
{
	const struct ug_item *item = &x->diffs[diff]->after->items.v[i];
	struct ug_replaced *r;

	if (item->kind != UG_ITEM_FUNC || item->pair == UG_NO_ITEM || item->parent != UG_NO_ITEM)
		return 0;
	r = ug_vec_add(&x->replaced);
	if (!r)
		return -ENOMEM;
	*r = (struct ug_replaced){ x->body[diff][i], diff, item->pair, i };
	return 0;
}

static int place_items(struct ug_extract *x)
{
	for (size_t d = 0; d < x->ndiffs; d++) {
		size_t n = x->diffs[d]->after->items.n;

		x->out[d] = calloc(n + 1, sizeof(**x->out));
		x->body[d] = calloc(n + 1, sizeof(**x->body));
		if (!x->out[d] || !x->body[d])
			return -ENOMEM;
		for (size_t i = 0; i < n; i++) {
			if (!x->diffs[d]->kept[i] || !is_canonical(x, d, i))
				continue;
			place_item(x, d, i);
			if (note_replaced(x, d, i) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

/* ---- what is referred to ---- */

static size_t external(struct ug_extract *x, size_t diff, size_t item, const char *name, bool weak,
		       bool tls)
{
	struct ug_extern *e;

	ug_vec_for_each(&x->externs, other) {
		if (item == UG_NO_ITEM ? other->item == UG_NO_ITEM && !strcmp(other->name, name) :
		    other->item == item && other->diff == diff)
			return other->symbol;
	}
	e = ug_vec_add(&x->externs);
	if (!e) {
		x->emit.failed = true;
		return 0;
	}
	*e = (struct ug_extern){ .diff = diff, .item = item, .name = name, .weak = weak, .tls = tls };
	e->symbol = ug_emit_symbol(&x->emit, name, weak ? STB_WEAK : STB_GLOBAL,
				   tls ? STT_TLS : STT_NOTYPE, 0, 0, 0);
	return e->symbol;
}

/* A global function or variable new in another object of the patch. */
static size_t new_elsewhere(const struct ug_extract *x, const char *name)
{
	for (size_t d = 0; d < x->ndiffs; d++) {
		ug_vec_for_each(&x->diffs[d]->after->items, item) {
			size_t i = (size_t)(item - x->diffs[d]->after->items.v);

			if (item->bind != STB_LOCAL && item->pair == UG_NO_ITEM && x->body[d][i] &&
			    !strcmp(item->name, name))
				return x->body[d][i];
		}
	}
	return 0;
}

/* gas names TLS symbols with the type they have; undefined ones have it from the relocation. */
static size_t undefined(struct source *s, const struct ug_rel *rel)
{
	const Elf64_Sym *sym = &s->d->after->file.syms[rel->sym];
	const char *name = ug_objfile_symbol_name(&s->d->after->file, rel->sym);
	size_t here = new_elsewhere(s->x, name);

	if (here)
		return here;
	return external(s->x, s->diff, UG_NO_ITEM, name, ELF64_ST_BIND(sym->st_info) == STB_WEAK,
			ug_rel_is_tls(rel->type));
}

static int refuse(struct source *s, const struct ug_rel *rel, const char *why)
{
	ug_err(s->err, -UG_E_CHANGE, "%s+%#llx: %s; see 'ugraft build --explain=RELOCATION'",
	       s->item->name[0] ? s->item->name : "a constant",
	       (unsigned long long)(rel->offset - s->item->value), why);
	ug_err_where(s->err, s->d->after->path, s->item->name, 0);
	return -UG_E_CHANGE;
}

/* The symbol a relocation gets; *addend is that for its start. */
static int target_of(struct source *s, const struct ug_rel *rel, struct ug_place p, bool in_data_pc,
		     size_t *ret)
{
	const struct ug_item *to;

	if (p.item == UG_NO_ITEM) {
		*ret = undefined(s, rel);
		return 0;
	}
	to = &s->d->after->items.v[p.item];
	if (s->d->kept[p.item]) {
		bool whole = to->kind == UG_ITEM_FUNC && p.off == 0 && !in_data_pc;
		size_t diff = s->diff;

		find_canonical(s->x, &diff, &p.item);
		*ret = s->x->body[diff][p.item];
		if (!*ret || (!whole && !ug_rel_is_got(rel->type)))
			*ret = s->x->emit.sections.v[s->x->out[diff][p.item]].symbol;
		return 0;
	}
	if (to->pair == UG_NO_ITEM)
		return refuse(s, rel, "refers to something that is not in the patch");
	if (to->kind == UG_ITEM_FUNC && p.off != 0)
		return refuse(s, rel, "refers to the inside of a function that stays as it is");
	*ret = external(s->x, s->diff, to->pair, s->d->before->items.v[to->pair].name, false,
			to->kind == UG_ITEM_TLS);
	return 0;
}

static int copy_rel(struct source *s, const struct ug_rel *rel)
{
	bool code = s->item->kind == UG_ITEM_FUNC, pc = ug_rel_is_pc(rel->type);
	uint64_t end = code ? ug_dobj_insn_end(s->d->after, rel) : 0;
	struct ug_place p = ug_dobj_place(s->d->after, rel, end, s->item->value);
	int64_t bias = 0;
	size_t symbol = 0;
	int rc;

	if (pc)
		bias = code ? (int64_t)(end - rel->offset) : -(int64_t)(rel->offset - s->item->value);
	if (code && pc && ug_rel_is_got(rel->type) && p.off)
		return refuse(s, rel, "reads behind a slot of the GOT");
	rc = target_of(s, rel, p, pc && !code, &symbol);
	if (rc < 0)
		return rc;
	ug_emit_rel(&s->x->emit, s->x->out[s->diff][s->index], rel->offset - s->item->value, rel->type,
		    symbol, p.off - bias);
	return 0;
}

int ug_extract_rel(struct ug_extract *x, size_t diff, const struct ug_rel *rel, size_t section,
		   uint64_t offset, struct ug_error *err)
{
	static const struct ug_item nobody = { .name = "" };
	const struct ug_diff *d = x->diffs[diff];
	struct source s = { x, diff, d, UG_NO_ITEM, &nobody, err };
	struct ug_place p = ug_dobj_place(d->after, rel, 0, rel->offset);
	size_t symbol = 0;
	int rc = target_of(&s, rel, p, true, &symbol);

	if (rc == 0)
		ug_emit_rel(&x->emit, section, offset, rel->type, symbol, p.off);
	return rc;
}

static int copy_item(struct ug_extract *x, size_t diff, size_t i, struct ug_error *err)
{
	const struct ug_diff *d = x->diffs[diff];
	struct source s = { x, diff, d, i, &d->after->items.v[i], err };
	const struct ug_rel *rels;
	size_t n;

	ug_dobj_rels(d->after, s.item->section, s.item->value, s.item->value + s.item->size, &rels, &n);
	for (size_t j = 0; j < n; j++) {
		int rc = copy_rel(&s, &rels[j]);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int copy_items(struct ug_extract *x, struct ug_error *err)
{
	for (size_t d = 0; d < x->ndiffs; d++) {
		for (size_t i = 0; i < x->diffs[d]->after->items.n; i++) {
			int rc = x->out[d][i] ? copy_item(x, d, i, err) : 0;

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int copy_unwind(struct ug_extract *x, struct ug_error *err)
{
	struct ug_emit_section *s;
	struct ug_buf frame = { 0 };
	size_t section = ug_emit_section(&x->emit, ".eh_frame", SHF_ALLOC, 8, "", 0);
	int rc = 0;

	for (size_t d = 0; d < x->ndiffs && rc == 0 && !x->emit.failed; d++)
		rc = ug_extract_unwind(x, d, &frame, section, err);
	if (rc < 0 || x->emit.failed) {
		ug_buf_free(&frame);
		return rc;
	}
	s = &x->emit.sections.v[section];
	ug_buf_free(&s->data);
	s->data = frame;
	s->size = frame.n;
	return 0;
}

int ug_extract(const struct ug_diff *const *diffs, size_t n, struct ug_extract *ret,
	       struct ug_error *err)
{
	int rc;

	*ret = (struct ug_extract){ .diffs = diffs, .ndiffs = n };
	ug_emit_init(&ret->emit);
	ret->out = calloc(n + 1, sizeof(*ret->out));
	ret->body = calloc(n + 1, sizeof(*ret->body));
	if (!ret->out || !ret->body || place_items(ret) < 0)
		return ug_err(err, -ENOMEM, "out of memory");
	rc = copy_items(ret, err);
	if (rc == 0)
		rc = copy_unwind(ret, err);
	if (rc == 0 && ret->emit.failed)
		rc = ug_err(err, -ENOMEM, "out of memory");
	return rc;
}

void ug_extract_free(struct ug_extract *x)
{
	for (size_t d = 0; d < x->ndiffs; d++) {
		if (x->out)
			free(x->out[d]);
		if (x->body)
			free(x->body[d]);
	}
	free(x->out);
	free(x->body);
	ug_vec_free(&x->externs);
	ug_vec_free(&x->replaced);
	ug_emit_free(&x->emit);
}
