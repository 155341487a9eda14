/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "patchfile/format.h"

/* ---- validation ---- */

/* What one patch file can bring, and the hook: functions are looked for one by one. */
#define FUNCS_MAX (UG_FILE_FUNCS_MAX + 1)

struct view {
	const uint8_t *data;
	uint32_t len, strings;
};

static bool has_array(const struct view *v, uint32_t off, uint32_t n, size_t size)
{
	return off % 8 == 0 && off <= v->strings && n <= (v->strings - off) / size;
}

/* The table ends with a NUL, so every offset inside it is a terminated string. */
static bool has_string(const struct view *v, uint32_t off)
{
	return off < v->len - v->strings;
}

static bool ranges_ok(uint32_t first, uint32_t n, uint32_t total)
{
	return first <= total && n <= total - first;
}

static bool symbols_ok(const struct view *v, const struct ug_reg_patch *p)
{
	if (!has_array(v, p->symbols, p->nsymbols, sizeof(struct ug_reg_symbol)))
		return false;
	for (uint32_t i = 0; i < p->nsymbols; i++) {
		struct ug_reg_symbol sym;

		memcpy(&sym, v->data + p->symbols + i * sizeof(sym), sizeof(sym));
		if (!has_string(v, sym.name))
			return false;
	}
	return true;
}

static bool patch_ok(const struct view *v)
{
	struct ug_reg_patch p;
	const uint8_t *funcs;

	if (v->strings < sizeof(p))
		return false;
	memcpy(&p, v->data, sizeof(p));
	if (p.nfuncs > FUNCS_MAX || !has_array(v, p.funcs, p.nfuncs, sizeof(struct ug_reg_func)) ||
	    !has_array(v, p.ranges, p.nranges, sizeof(struct ug_reg_range)) ||
	    !symbols_ok(v, &p) ||
	    !ranges_ok(p.other, p.nother, p.nranges) || !has_string(v, p.name) ||
	    !has_string(v, p.description) || !has_string(v, p.cves))
		return false;
	funcs = v->data + p.funcs;
	for (uint32_t i = 0; i < p.nfuncs; i++) {
		struct ug_reg_func f;

		memcpy(&f, funcs + i * sizeof(f), sizeof(f));
		if (!has_string(v, f.name) || !has_string(v, f.object) ||
		    !ranges_ok(f.range, f.nranges, p.nranges))
			return false;
	}
	return true;
}

static bool site_ok(const struct view *v, const struct ug_reg_site *s, uint32_t nranges)
{
	return has_string(v, s->name) && has_string(v, s->object) &&
	       ranges_ok(s->range, s->nranges, nranges) && s->len <= s->moved &&
	       (s->len == 5 || s->len == 2) && s->moved <= sizeof(s->orig);
}

static bool sites_ok(const struct view *v)
{
	struct ug_reg_sites h;

	if (v->strings < sizeof(h))
		return false;
	memcpy(&h, v->data, sizeof(h));
	if (h.nsites > FUNCS_MAX || !has_array(v, h.sites, h.nsites, sizeof(struct ug_reg_site)) ||
	    !has_array(v, h.ranges, h.nranges, sizeof(struct ug_reg_range)))
		return false;
	for (uint32_t i = 0; i < h.nsites; i++) {
		struct ug_reg_site s;

		memcpy(&s, v->data + h.sites + i * sizeof(s), sizeof(s));
		if (!site_ok(v, &s, h.nranges))
			return false;
	}
	return true;
}

static bool trans_ok(const struct view *v)
{
	struct ug_reg_trans t;

	if (v->strings < sizeof(t))
		return false;
	memcpy(&t, v->data, sizeof(t));
	return has_array(v, t.moves, t.nmoves, sizeof(struct ug_reg_move)) &&
	       has_array(v, t.members, t.nmembers, sizeof(struct ug_reg_member)) &&
	       t.table_used <= t.table_len && t.table_len <= (16u << 20);
}

static bool areas_ok(const struct ug_reg_meta *meta)
{
	for (int i = 0; i < UG_REG_AREAS; i++) {
		const struct ug_reg_area *a = &meta->areas[i];

		if (a->len && (a->addr % UG_PAGE_SIZE || a->len % UG_PAGE_SIZE ||
			       a->addr > INT64_MAX || a->len > (UINT64_C(1) << 32)))
			return false;
	}
	return true;
}

int ug_record_validate(const struct ug_reg_slot *slot, void *record, struct ug_error *err)
{
	struct view v = { record, slot->meta_len, 0 };
	struct ug_reg_meta meta;
	bool ok;

	memcpy(&meta, record, sizeof(meta));
	v.strings = meta.strings;
	ok = meta.id == slot->id && meta.kind == slot->kind && meta.len == v.len &&
	     meta.strings >= sizeof(meta) && meta.strings < v.len && v.data[v.len - 1] == 0 &&
	     areas_ok(&meta);
	if (ok && slot->kind == UG_REG_PATCH)
		ok = patch_ok(&v);
	else if (ok && slot->kind == UG_REG_SITES)
		ok = sites_ok(&v);
	else if (ok && slot->kind == UG_REG_TRANS)
		ok = trans_ok(&v);
	else
		ok = false;
	if (!ok)
		return ug_err(err, -UG_E_REGISTRY, "record %u of the registry is damaged", slot->id);
	return 0;
}

/* ---- building ---- */

void ug_record_init(struct ug_record *rec, size_t head)
{
	memset(rec, 0, sizeof(*rec));
	ug_record_add(rec, head);
	ug_record_string(rec, "");	/* offset 0 is the empty string */
}

void ug_record_free(struct ug_record *rec)
{
	free(rec->data);
	free(rec->strings);
	memset(rec, 0, sizeof(*rec));
}

static bool grow(void **data, size_t *cap, size_t need)
{
	size_t cap_new = *cap ? *cap : 512;
	void *grown;

	while (cap_new < need)
		cap_new *= 2;
	if (cap_new == *cap)
		return true;
	grown = realloc(*data, cap_new);
	if (!grown)
		return false;
	*data = grown;
	*cap = cap_new;
	return true;
}

uint32_t ug_record_add(struct ug_record *rec, size_t len)
{
	size_t off = ug_align_up(rec->len, 8);

	if (rec->failed || !grow((void **)&rec->data, &rec->cap, off + len)) {
		rec->failed = true;
		return 0;
	}
	memset(rec->data + rec->len, 0, off + len - rec->len);
	rec->len = off + len;
	return (uint32_t)off;
}

uint32_t ug_record_string(struct ug_record *rec, const char *str)
{
	size_t len = strlen(str) + 1, off = rec->strings_len;

	if (rec->failed || !grow((void **)&rec->strings, &rec->strings_cap, off + len)) {
		rec->failed = true;
		return 0;
	}
	memcpy(rec->strings + off, str, len);
	rec->strings_len += len;
	return (uint32_t)off;
}

void *ug_record_at(struct ug_record *rec, uint32_t off)
{
	return rec->data + off;
}

int ug_record_finish(struct ug_record *rec, uint32_t id, enum ug_reg_kind kind,
		     struct ug_error *err)
{
	struct ug_reg_meta *meta;
	uint32_t off = ug_record_add(rec, rec->strings_len);

	if (rec->failed)
		return ug_err(err, -ENOMEM, "out of memory");
	memcpy(rec->data + off, rec->strings, rec->strings_len);
	meta = (struct ug_reg_meta *)rec->data;
	meta->id = id;
	meta->kind = kind;
	meta->len = (uint32_t)rec->len;
	meta->strings = off;
	return 0;
}
