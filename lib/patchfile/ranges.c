// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The code ranges of a laid-out patch. Together the bodies of the replaced functions, their
 * cold parts and the "others" cover every byte of code, stubs included: nothing a thread may
 * execute is outside the check.
 */
#include <errno.h>

#include "base/bisect.h"
#include "patchfile/image.h"

/* Functions that share a body share its parts: they are kept under the first one. */
static int64_t first_of_body(const struct ug_patch *patch, size_t func)
{
	const struct ug_patch_func *f = &patch->funcs[func];
	const struct ug_pf_start *s = ug_pf_start_at(patch->image, f->section, f->offset);

	return s ? s->func : -1;
}

/* Index of the first cold part that belongs to `func` or a later one. */
static size_t cold_from(const struct ug_patch_image *image, int64_t func)
{
	return ug_bisect(0, image->colds.n, i, image->colds.v[i].func < func);
}

size_t ug_patch_func_ranges(const struct ug_patch *patch, size_t func)
{
	int64_t first = first_of_body(patch, func);

	return 1 + cold_from(patch->image, first + 1) - cold_from(patch->image, first);
}

void ug_patch_func_range(const struct ug_patch *patch, size_t func, size_t n, uint64_t *ret_offset,
			 uint64_t *ret_size, bool *ret_jumped)
{
	const struct ug_patch_image *image = patch->image;
	const struct ug_patch_func *f = &patch->funcs[func];
	struct ug_pf_range r;

	r.start = image->sections.v[f->section].addr + f->offset;
	r.end = r.start + f->size;
	if (n)
		r = image->colds.v[cold_from(image, first_of_body(patch, func)) + n - 1].range;
	*ret_offset = r.start;
	*ret_size = r.end - r.start;
	*ret_jumped = n > 0;
}

size_t ug_patch_other_ranges(const struct ug_patch *patch)
{
	return patch->image->others.n;
}

void ug_patch_other_range(const struct ug_patch *patch, size_t n, uint64_t *ret_offset,
			  uint64_t *ret_size)
{
	const struct ug_pf_range *r = &patch->image->others.v[n];

	*ret_offset = r->start;
	*ret_size = r->end - r->start;
}

size_t ug_patch_symbols(const struct ug_patch *patch)
{
	return patch->image->starts.n;
}

const char *ug_patch_symbol(const struct ug_patch *patch, size_t n, uint64_t *ret_offset,
			    uint64_t *ret_size)
{
	const struct ug_patch_image *image = patch->image;
	const struct ug_pf_start *s = &image->starts.v[n];

	*ret_offset = image->sections.v[s->shndx].addr + s->value;
	*ret_size = s->size;
	return image->symbols.v[s->sym].name;
}

static int compare_ranges(const void *pa, const void *pb)
{
	const struct ug_pf_range *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* What belongs to one function: bodies and cold parts, ascending. */
static struct ug_pf_range *owned_ranges(const struct ug_patch_image *image, size_t *ret_n)
{
	struct ug_pf_range *v = calloc(image->starts.n + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return NULL;
	ug_vec_for_each(&image->starts, s) {
		uint64_t at = image->sections.v[s->shndx].addr + s->value;

		if (s->func >= 0 || s->cold_of >= 0)
			v[n++] = (struct ug_pf_range){ at, at + s->size };
	}
	if (n)
		qsort(v, n, sizeof(*v), compare_ranges);
	*ret_n = n;
	return v;
}

static bool add_other(struct ug_patch_image *image, uint64_t start, uint64_t end)
{
	struct ug_pf_range *r;

	if (start >= end)
		return true;
	r = ug_vec_add(&image->others);
	if (!r)
		return false;
	*r = (struct ug_pf_range){ start, end };
	return true;
}

static int compare_colds(const void *pa, const void *pb)
{
	const struct ug_pf_cold *a = pa, *b = pb;

	if (a->func != b->func)
		return a->func < b->func ? -1 : 1;
	return compare_ranges(&a->range, &b->range);
}

static int find_colds(struct ug_patch *patch, struct ug_error *err)
{
	struct ug_patch_image *image = patch->image;

	image->colds.n = 0;
	ug_vec_for_each(&image->starts, s) {
		uint64_t at = image->sections.v[s->shndx].addr + s->value;
		struct ug_pf_cold *cold;

		if (s->cold_of < 0 || !s->size)
			continue;
		cold = ug_vec_add(&image->colds);
		if (!cold)
			return ug_err(err, -ENOMEM, "out of memory");
		cold->func = first_of_body(patch, (size_t)s->cold_of);
		cold->range = (struct ug_pf_range){ at, at + s->size };
	}
	if (image->colds.n)
		qsort(image->colds.v, image->colds.n, sizeof(*image->colds.v), compare_colds);
	return 0;
}

static int find_others(struct ug_patch *patch, struct ug_error *err)
{
	struct ug_patch_image *image = patch->image;
	struct ug_pf_range *owned;
	uint64_t at = 0;
	bool ok = true;
	size_t n;

	image->others.n = 0;
	owned = owned_ranges(image, &n);
	if (!owned)
		return ug_err(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n && ok; i++) {
		ok = add_other(image, at, owned[i].start);
		if (owned[i].end > at)
			at = owned[i].end;
	}
	free(owned);
	if (!ok || !add_other(image, at, image->code_end))
		return ug_err(err, -ENOMEM, "out of memory");
	return 0;
}

int ug_pf_find_ranges(struct ug_patch *patch, struct ug_error *err)
{
	int rc = find_colds(patch, err);

	return rc < 0 ? rc : find_others(patch, err);
}
