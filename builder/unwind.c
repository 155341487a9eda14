// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * .eh_frame of an object describes all its functions; a patch takes the entries of those it
 * keeps, and the headers (CIEs) they name. Lengths and kinds are those of the LSB; the
 * instructions inside are taken as they are.
 */
#include <errno.h>

#include "builder/extract.h"

struct cie {				/* already written */
	uint64_t old, new;
};

struct unwind {
	struct ug_extract *x;
	size_t diff;
	const struct ug_dobj *o;
	size_t section;			/* .eh_frame of the object */
	struct ug_buf *out;
	size_t out_section;
	UG_VEC(struct cie) cies;
	struct ug_error *err;
};

static int malformed(const struct unwind *u)
{
	return ug_err(u->err, -UG_E_BAD_ELF, "%s: .eh_frame is malformed", u->o->path);
}

static bool read_entry(const struct unwind *u, uint64_t at, uint32_t *len, uint32_t *id)
{
	const Elf64_Shdr *sh = &u->o->file.sh[u->section];
	struct ug_reader r;

	ug_reader_init(&r, u->o->file.r.data + sh->sh_offset, sh->sh_size);
	*id = 0;
	if (!ug_reader_at(&r, at, len, 4))
		return false;
	if (*len == 0)
		return true;
	return *len >= 4 && *len < 0xfffffff0 && ug_reader_at(&r, at + 4, id, 4) &&
	       ug_reader_check(&r, at + 4, *len);
}

static uint64_t append(struct unwind *u, uint64_t at, uint32_t len)
{
	return ug_buf_add(u->out, u->o->file.r.data + u->o->file.sh[u->section].sh_offset + at,
			  (size_t)len + 4);
}

/* The personality routine of a header; the table for exceptions of an entry. */
static int copy_rels(struct unwind *u, const struct ug_rel *rels, size_t n, uint64_t at, uint64_t new)
{
	for (size_t i = 0; i < n; i++) {
		int rc = ug_extract_rel(u->x, u->diff, &rels[i], u->out_section,
					new + (rels[i].offset - at), u->err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int write_cie(struct unwind *u, uint64_t at, uint64_t *ret)
{
	const struct ug_rel *rels;
	uint32_t len, id;
	struct cie *c;
	size_t n;

	ug_vec_for_each(&u->cies, known) {
		if (known->old == at) {
			*ret = known->new;
			return 0;
		}
	}
	if (!read_entry(u, at, &len, &id) || len == 0 || id != 0)
		return malformed(u);
	ug_dobj_rels(u->o, (uint32_t)u->section, at, at + 4 + len, &rels, &n);
	c = ug_vec_add(&u->cies);
	if (!c)
		return ug_err(u->err, -ENOMEM, "out of memory");
	*ret = append(u, at, len);
	*c = (struct cie){ at, *ret };
	return copy_rels(u, rels, n, at, *ret);
}

/* The function an entry is for: its first relocation. */
static size_t function_of(const struct unwind *u, uint64_t at, uint32_t len, const struct ug_rel **ret,
			  size_t *ret_n)
{
	struct ug_place p;

	ug_dobj_rels(u->o, (uint32_t)u->section, at + 8, at + 4 + len, ret, ret_n);
	if (!*ret_n)
		return UG_NO_ITEM;
	p = ug_dobj_place(u->o, *ret, 0, (*ret)->offset);
	return p.item != UG_NO_ITEM && p.off == 0 ? p.item : UG_NO_ITEM;
}

static int write_fde(struct unwind *u, uint64_t at, uint32_t len, uint32_t back)
{
	const struct ug_rel *rels;
	size_t n, f = function_of(u, at, len, &rels, &n);
	uint64_t cie = 0, new;
	uint32_t delta;
	int rc;

	if (f == UG_NO_ITEM || !u->x->out[u->diff][f])
		return 0;
	if (back > at + 4)
		return malformed(u);
	rc = write_cie(u, at + 4 - back, &cie);
	if (rc < 0)
		return rc;
	new = append(u, at, len);
	if (u->out->failed)
		return 0;
	delta = (uint32_t)(new + 4 - cie);
	memcpy(u->out->v + new + 4, &delta, 4);
	ug_emit_rel(&u->x->emit, u->out_section, new + (rels[0].offset - at), rels[0].type,
		    u->x->emit.sections.v[u->x->out[u->diff][f]].symbol, 0);
	return copy_rels(u, rels + 1, n - 1, at, new);
}

static int copy(struct unwind *u)
{
	uint64_t at = 0, size = u->o->file.sh[u->section].sh_size;

	while (at + 4 <= size) {
		uint32_t len, id;
		int rc;

		if (!read_entry(u, at, &len, &id))
			return malformed(u);
		if (len == 0)
			break;
		rc = id ? write_fde(u, at, len, id) : 0;
		if (rc < 0)
			return rc;
		at += 4 + (uint64_t)len;
	}
	return u->out->failed ? ug_err(u->err, -ENOMEM, "out of memory") : 0;
}

int ug_extract_unwind(struct ug_extract *x, size_t diff, struct ug_buf *frame, size_t section,
		      struct ug_error *err)
{
	struct unwind u = { .x = x, .diff = diff, .o = x->diffs[diff]->after, .out = frame,
			    .out_section = section, .err = err };
	int rc;

	u.section = ug_objfile_section(&u.o->file, ".eh_frame");
	if (!u.section || u.o->file.sh[u.section].sh_type == SHT_NOBITS)
		return 0;
	rc = copy(&u);
	ug_vec_free(&u.cies);
	return rc;
}
