/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/own.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/vec.h"
#include "object/cfi.h"
#include "object/symbol.h"

#define CODE_MAX (256u << 20)	/* the largest image a patch file may have */

static int code_of(struct ug_target *t, const struct ug_seg *seg, uint8_t **ret_bytes,
		   struct ug_code_symbol **ret_symbols, struct ug_code *ret, struct ug_error *err)
{
	const struct ug_reg_patch *p = seg->patch;

	*ret_bytes = NULL;
	*ret_symbols = NULL;
	if (p->rx_len > CODE_MAX || p->code_len > p->rx_len ||
	    (p->eh_frame_len && (p->eh_frame < p->base || p->eh_frame - p->base > p->rx_len)))
		return ug_err(err, -UG_E_REGISTRY, "record %u of the registry is damaged", seg->s.id);
	*ret_bytes = malloc(p->rx_len + 1);
	*ret_symbols = calloc(p->nsymbols + 1, sizeof(**ret_symbols));
	if (!*ret_bytes || !*ret_symbols)
		return ug_err(err, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < p->nsymbols; i++) {
		const struct ug_reg_symbol *sym = &ug_seg_symbols(seg)[i];

		(*ret_symbols)[i] = (struct ug_code_symbol){
			.name = ug_seg_str(seg, sym->name), .addr = sym->addr, .size = sym->size,
		};
	}
	*ret = (struct ug_code){
		.name = ug_seg_str(seg, p->name), .start = p->base, .bytes = *ret_bytes,
		.len = p->rx_len, .text_len = p->code_len,
		.eh_frame = p->eh_frame_len ? p->eh_frame - p->base : 0,
		.eh_frame_len = p->eh_frame_len, .symbols = *ret_symbols, .nsymbols = p->nsymbols,
	};
	return ug_proc_read(&t->proc, p->base, *ret_bytes, p->rx_len, err);
}

int ug_own_image(struct ug_target *t, const struct ug_seg *seg, uint8_t **ret, size_t *ret_len,
		 struct ug_error *err)
{
	ug_autofree struct ug_code_symbol *symbols = NULL;
	ug_autofree uint8_t *bytes = NULL;
	struct ug_code code;
	int r = code_of(t, seg, &bytes, &symbols, &code, err);

	return r < 0 ? r : ug_code_image(&code, ret, ret_len, err);
}

bool ug_own_has_code(const struct ug_seg *seg)
{
	return seg->s.kind == UG_REG_PATCH && seg->s.state != UG_REG_EMPTY;
}

static int load_one(struct ug_target *t, const struct ug_seg *seg, struct ug_object **ret,
		    struct ug_error *err)
{
	ug_autofree struct ug_code_symbol *symbols = NULL;
	ug_autofree uint8_t *bytes = NULL;
	struct ug_code code;
	int r = code_of(t, seg, &bytes, &symbols, &code, err);

	if (r == 0)
		r = ug_object_of_code(&code, ret, err);
	if (r < 0)
		return r;
	r = ug_object_cfi(*ret, err);
	if (r == 0)
		r = ug_object_symtab(*ret, err);
	if (r < 0)
		ug_object_close(*ret);
	return r;
}

static int by_start(const void *a, const void *b)
{
	const struct ug_object *const *x = a, *const *y = b;

	return (*x)->start < (*y)->start ? -1 : (*x)->start > (*y)->start;
}

/* The registry is the target's memory: what overlaps cannot be searched. */
static void drop_overlapping(struct ug_objects *objs)
{
	size_t kept = 0;

	for (size_t i = 0; i < objs->n; i++) {
		if (kept && objs->v[i]->start < objs->v[kept - 1]->end)
			ug_object_close(objs->v[i]);
		else
			objs->v[kept++] = objs->v[i];
	}
	objs->n = kept;
}

/* *left: how much code may still be read; all records may name the same memory. */
static int add(struct ug_target *t, const struct ug_seg *seg, struct ug_objects *objs, uint64_t *left,
	       struct ug_error *err)
{
	struct ug_object *obj = NULL, **slot;
	struct ug_error why;
	int r;

	if (seg->patch->rx_len > *left)
		r = ug_err(&why, -UG_E_REGISTRY, "the patches have no sane size");
	else
		r = load_one(t, seg, &obj, &why);
	if (r == -ENOMEM)
		return ug_err(err, r, "out of memory");
	if (r < 0) {
		ug_log_debug("patch %s cannot be unwound through: %s",
			     ug_seg_str(seg, seg->patch->name), why.message);
		return 0;
	}
	slot = ug_vec_add(objs);
	if (!slot) {
		ug_object_close(obj);
		return ug_err(err, -ENOMEM, "out of memory");
	}
	*slot = obj;
	*left -= seg->patch->rx_len;
	return 0;
}

int ug_own_load(struct ug_target *t, struct ug_objects *ret, struct ug_error *err)
{
	struct ug_objects objs = { 0 };
	uint64_t left = CODE_MAX;
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->reg.nsegs; i++)
		if (ug_own_has_code(&t->reg.segs[i]))
			r = add(t, &t->reg.segs[i], &objs, &left, err);
	if (r < 0) {
		ug_objects_free(&objs);
		return r;
	}
	if (objs.n)
		qsort(objs.v, objs.n, sizeof(objs.v[0]), by_start);
	drop_overlapping(&objs);
	*ret = objs;
	return 0;
}
