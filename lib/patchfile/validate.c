// SPDX-License-Identifier: LGPL-2.1-or-later
/* The model against the symbols: bodies of functions, references, and who uses them. */
#include <errno.h>

#include "base/bisect.h"
#include "patchfile/image.h"

static int compare_starts(const void *pa, const void *pb)
{
	const struct ug_pf_start *a = pa, *b = pb;

	if (a->shndx != b->shndx)
		return a->shndx < b->shndx ? -1 : 1;
	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	return a->sym < b->sym ? -1 : a->sym > b->sym;
}

static int collect_starts(struct ug_patch_image *image, struct ug_error *err)
{
	for (size_t i = 0; i < image->symbols.n; i++) {
		const struct ug_pf_symbol *sym = &image->symbols.v[i];
		struct ug_pf_start *start;

		if (sym->type != STT_FUNC || sym->shndx == SHN_UNDEF || sym->shndx >= SHN_LORESERVE ||
		    !ug_pf_is_code(&image->sections.v[sym->shndx]))
			continue;
		start = ug_vec_add(&image->starts);
		if (!start)
			return ug_err(err, -ENOMEM, "out of memory");
		*start = (struct ug_pf_start){ .shndx = sym->shndx, .value = sym->value,
					       .size = sym->size, .sym = (uint32_t)i,
					       .func = -1, .cold_of = -1 };
	}
	if (image->starts.n)
		qsort(image->starts.v, image->starts.n, sizeof(*image->starts.v), compare_starts);
	return 0;
}

size_t ug_pf_start_from(const struct ug_patch_image *image, uint32_t shndx, uint64_t value)
{
	const struct ug_pf_start *v = image->starts.v;

	return ug_bisect(0, image->starts.n, i,
			 v[i].shndx < shndx || (v[i].shndx == shndx && v[i].value < value));
}

const struct ug_pf_start *ug_pf_start_at(const struct ug_patch_image *image, uint32_t shndx,
					 uint64_t value)
{
	size_t i = ug_pf_start_from(image, shndx, value);

	if (i == image->starts.n || image->starts.v[i].shndx != shndx ||
	    image->starts.v[i].value != value)
		return NULL;
	return &image->starts.v[i];
}

/* All names of a body lead to the entry of the function it replaces. */
static void mark_starts(struct ug_patch_image *image, const struct ug_pf_symbol *body, size_t func)
{
	size_t i = ug_pf_start_from(image, body->shndx, body->value);

	for (; i < image->starts.n; i++) {
		struct ug_pf_start *s = &image->starts.v[i];

		if (s->shndx != body->shndx || s->value != body->value)
			break;
		if (s->func < 0)
			s->func = (int64_t)func;
	}
}

static int bind_func(struct ug_patch *patch, size_t i, struct ug_error *err)
{
	struct ug_patch_image *image = patch->image;
	struct ug_pf_symbol *sym = &image->symbols.v[image->func_symbols[i]];
	struct ug_patch_func *f = &patch->funcs[i];

	if (sym->type != STT_FUNC || sym->shndx == SHN_UNDEF || sym->shndx >= SHN_LORESERVE ||
	    !ug_pf_is_code(&image->sections.v[sym->shndx]) || sym->size == 0)
		return ug_pf_bad(err, "the new body of %s is no function with a size", f->old_name);
	f->section = sym->shndx;
	f->offset = sym->value;
	f->size = sym->size;
	if (sym->func < 0)
		sym->func = (int64_t)i;
	mark_starts(image, sym, i);
	for (size_t j = 0; j < i; j++) {
		const struct ug_patch_func *o = &patch->funcs[j];

		if (o->object == f->object && o->pos == f->pos && !strcmp(o->old_name, f->old_name))
			return ug_pf_bad(err, "%s is replaced twice", f->old_name);
		if (o->section == f->section && o->offset != f->offset &&
		    o->offset < f->offset + f->size && f->offset < o->offset + o->size)
			return ug_pf_bad(err, "the new bodies of %s and %s overlap", o->old_name,
					 f->old_name);
	}
	return 0;
}

static int bind_refs(struct ug_patch *patch, struct ug_error *err)
{
	struct ug_patch_image *image = patch->image;

	for (size_t i = 0; i < patch->nrefs; i++) {
		struct ug_pf_symbol *sym = &image->symbols.v[image->ref_symbols[i]];

		if (sym->ref >= 0)
			return ug_pf_bad(err, "symbol %s has two reference records", sym->name);
		sym->ref = (int64_t)i;
	}
	return 0;
}

static int compare_names(const void *pa, const void *pb, void *ctx)
{
	const struct ug_patch_image *image = ctx;
	const uint32_t *a = pa, *b = pb;

	return strcmp(image->symbols.v[*a].name, image->symbols.v[*b].name);
}

/* The function whose new body is called the first `len` bytes of `name`; -1. */
static int64_t func_named(const struct ug_patch_image *image, const uint32_t *sorted, size_t n,
			  const char *name, size_t len)
{
	const struct ug_pf_symbol *v = image->symbols.v, *sym;
	/* The name itself is the first of those that begin with it. */
	size_t at = ug_bisect(0, n, i, strncmp(v[sorted[i]].name, name, len) < 0);

	if (at == n)
		return -1;
	sym = &v[sorted[at]];
	return strncmp(sym->name, name, len) == 0 && !sym->name[len] ? sym->func : -1;
}

/*
 * The out-of-line part of a body is a local function f.cold or f.cold.N of its own (gcc;
 * clang's f.cold.N is called, not jumped to, which makes it smaller trouble).
 */
static int bind_cold_parts(struct ug_patch *patch, struct ug_error *err)
{
	struct ug_patch_image *image = patch->image;
	uint32_t *sorted = calloc(patch->nfuncs, sizeof(*sorted));

	if (!sorted)
		return ug_err(err, -ENOMEM, "out of memory");
	memcpy(sorted, image->func_symbols, patch->nfuncs * sizeof(*sorted));
	qsort_r(sorted, patch->nfuncs, sizeof(*sorted), compare_names, image);
	ug_vec_for_each(&image->starts, s) {
		const char *name = image->symbols.v[s->sym].name;
		const char *cold = strstr(name, ".cold");

		if (cold && s->func < 0 && (!cold[5] || cold[5] == '.'))
			s->cold_of = func_named(image, sorted, patch->nfuncs, name,
						(size_t)(cold - name));
	}
	free(sorted);
	return 0;
}

static bool is_tls(enum ug_pf_class class)
{
	return class == UG_PF_TPOFF || class == UG_PF_GOTTPOFF || class == UG_PF_TLSGD ||
	       class == UG_PF_TLSLD || class == UG_PF_DTPOFF;
}

static int check_target(const struct ug_patch_image *image, const struct ug_pf_reloc *rel,
			struct ug_error *err)
{
	const struct ug_pf_symbol *sym = &image->symbols.v[rel->sym];
	const struct ug_pf_section *s = &image->sections.v[rel->section];
	unsigned long long at = rel->offset;
	bool tls = is_tls(ug_pf_reloc_type(rel->type)->class);

	if (sym->shndx == SHN_UNDEF && sym->ref < 0)
		return ug_pf_bad(err, "section %s+%#llx refers to \"%s\", which the patch does not say "
				 "where to find", s->name, at, sym->name);
	if (tls != (sym->type == STT_TLS))
		return ug_pf_bad(err, "section %s+%#llx: relocation %s against %s, which %s thread-local",
				 s->name, at, ug_pf_reloc_name(rel->type), sym->name,
				 tls ? "is not" : "is");
	if (sym->shndx == SHN_UNDEF)
		return 0;
	if (sym->shndx == SHN_ABS || image->sections.v[sym->shndx].place == UG_PF_DROPPED)
		return ug_pf_bad(err, "section %s+%#llx refers to something that is not loaded", s->name,
				 at);
	return 0;
}

int ug_pf_validate(struct ug_patch *patch, struct ug_error *err)
{
	int rc = collect_starts(patch->image, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < patch->nfuncs; i++) {
		rc = bind_func(patch, i, err);
		if (rc < 0)
			return rc;
	}
	rc = bind_refs(patch, err);
	if (rc < 0)
		return rc;
	rc = bind_cold_parts(patch, err);
	if (rc < 0)
		return rc;
	ug_vec_for_each(&patch->image->relocs, rel) {
		rc = check_target(patch->image, rel, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}
