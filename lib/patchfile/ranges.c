// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The code ranges of a laid-out patch. Together the bodies of the replaced functions, their
 * cold parts and the "others" cover every byte of code, stubs included: nothing a thread may
 * execute is outside the check.
 */
#include <errno.h>

#include "patchfile/image.h"

static bool same_body(const struct ug_patch *patch, size_t a, size_t b)
{
	return patch->funcs[a].section == patch->funcs[b].section &&
	       patch->funcs[a].offset == patch->funcs[b].offset;
}

static bool is_cold_part(const struct ug_patch *patch, const struct ug_pf_start *s, size_t func)
{
	return s->cold_of >= 0 && s->size && same_body(patch, (size_t)s->cold_of, func);
}

size_t ug_patch_func_ranges(const struct ug_patch *patch, size_t func)
{
	size_t n = 1;

	ug_vec_for_each(&patch->image->starts, s)
		n += is_cold_part(patch, s, func);
	return n;
}

void ug_patch_func_range(const struct ug_patch *patch, size_t func, size_t n, uint64_t *ret_offset,
			 uint64_t *ret_size, bool *ret_jumped)
{
	const struct ug_patch_image *image = patch->image;
	const struct ug_patch_func *f = &patch->funcs[func];

	*ret_offset = image->sections.v[f->section].addr + f->offset;
	*ret_size = f->size;
	*ret_jumped = false;
	if (n == 0)
		return;
	ug_vec_for_each(&image->starts, s) {
		if (!is_cold_part(patch, s, func) || --n)
			continue;
		*ret_offset = image->sections.v[s->shndx].addr + s->value;
		*ret_size = s->size;
		*ret_jumped = true;
		return;
	}
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

int ug_pf_find_others(struct ug_patch *patch, struct ug_error *err)
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
