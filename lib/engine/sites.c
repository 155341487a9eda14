/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/sites.h"

#include <errno.h>
#include <string.h>

void ug_texts_close(struct ug_texts *texts)
{
	for (size_t i = 0; i < texts->n; i++)
		ug_text_close(texts->text[i]);
	texts->n = 0;
}

/* Bytes of this object that entries already use: no other plan may choose them. */
static void reserve_sites(const struct ug_target *t, const struct ug_object *obj,
			  struct ug_text *text)
{
	for (size_t i = 0; i < t->reg.nsegs; i++) {
		const struct ug_seg *seg = &t->reg.segs[i];

		/* What is proven empty has its original bytes back and goes as it is. */
		if (seg->s.kind != UG_REG_SITES || seg->s.state == UG_REG_EMPTY)
			continue;
		for (uint32_t k = 0; k < seg->sites->nsites; k++) {
			const struct ug_reg_site *s = &ug_seg_sites(seg)[k];

			if (s->at < obj->start || s->at >= obj->end)
				continue;
			ug_text_reserve(text, s->at, s->len);
			if (s->pad_at)
				ug_text_reserve(text, s->pad_at, 5);
		}
	}
}

static void reserve_plan(struct ug_text *text, const struct ug_site_plan *plan)
{
	ug_text_reserve(text, plan->at, plan->len);
	if (plan->pad_at)
		ug_text_reserve(text, plan->pad_at, sizeof(plan->pad_orig));
}

static int text_of(const struct ug_target *t, struct ug_texts *texts, struct ug_object *obj,
		   struct ug_text **ret, struct ug_error *err)
{
	size_t i;
	int r;

	for (i = 0; i < texts->n; i++)
		if (texts->obj[i] == obj) {
			*ret = texts->text[i];
			return 0;
		}
	if (i == UG_ARRAY_SIZE(texts->obj))
		return ug_err(err, -UG_E_UNSUPPORTED, "the patch touches too many objects");
	r = ug_text_open(obj, &texts->text[i], err);
	if (r < 0)
		return r;
	texts->obj[i] = obj;
	texts->n++;
	*ret = texts->text[i];
	reserve_sites(t, obj, *ret);
	return 0;
}

static int check_bytes(struct ug_proc *p, ug_raddr_t at, const uint8_t *want, size_t len,
		       const char *name, struct ug_error *err)
{
	uint8_t now[UG_SITE_BYTES_MAX];
	int r = ug_proc_read(p, at, now, len, err);

	if (r < 0 || memcmp(now, want, len) == 0)
		return r;
	if (now[0] == 0xcc)
		return ug_err(err, -UG_E_ENTRY_BUSY, "a breakpoint or uprobe is set at the entry of %s: "
			      "detach the debugger or probe", name);
	return ug_err(err, -UG_E_ENTRY_BUSY, "the entry of %s in memory is not what its file says: "
		      "another hook is there", name);
}

int ug_site_check_plan(struct ug_proc *p, const struct ug_site_plan *plan, const char *name,
		       struct ug_error *err)
{
	int r = check_bytes(p, plan->at, plan->orig, plan->moved, name, err);

	if (r == 0 && plan->pad_at)
		r = check_bytes(p, plan->pad_at, plan->pad_orig, sizeof(plan->pad_orig), name, err);
	return r;
}

static int plan_at(struct ug_target *t, struct ug_object *obj, ug_raddr_t addr, uint64_t size,
		   const char *name, unsigned int flags, struct ug_texts *texts,
		   struct ug_load_func *ret, struct ug_error *err)
{
	struct ug_text *text = NULL;
	int r = text_of(t, texts, obj, &text, err);

	if (r == 0)
		r = ug_text_plan(text, addr, size, name, flags, &ret->plan, err);
	if (r == 0) {
		r = ug_site_check_plan(&t->proc, &ret->plan, name, err);
		if (r < 0)
			ug_site_plan_free(&ret->plan);
	}
	if (r == 0) {
		reserve_plan(text, &ret->plan);
		ret->planned = true;
	} else
		ug_err_where(err, obj->name, name, addr);
	return r;
}

int ug_site_plan_at(struct ug_target *t, struct ug_object *obj, ug_raddr_t addr, uint64_t size,
		    const char *name, struct ug_texts *texts, struct ug_load_func *ret,
		    struct ug_error *err)
{
	return plan_at(t, obj, addr, size, name, UG_PLAN_ALIASES_OK, texts, ret, err);
}

int ug_site_for(struct ug_match *m, size_t i, struct ug_texts *texts, struct ug_load_func *ret,
		struct ug_error *err)
{
	const struct ug_patch_func *pf = &m->patch->funcs[i];
	const struct ug_match_func *mf = &m->funcs[i];

	unsigned int flags = (pf->aliases_ok ? UG_PLAN_ALIASES_OK : 0) |
			     (pf->clone_ok ? UG_PLAN_CLONE_OK : 0);

	memset(ret, 0, sizeof(*ret));
	ret->site = ug_registry_usable_site(&m->t->reg, mf->addr, &ret->site_seg);
	if (ret->site)
		return 0;
	return plan_at(m->t, mf->obj, mf->addr, mf->size, pf->old_name, flags, texts, ret, err);
}

void ug_site_fill(struct ug_reg_site *s, const struct ug_site_plan *plan, ug_raddr_t displaced,
		  size_t displaced_len)
{
	s->func = plan->func;
	s->size = plan->size;
	s->at = plan->at;
	s->pad_at = plan->pad_at;
	s->displaced = displaced;
	s->displaced_len = (uint32_t)displaced_len;
	s->form = plan->form;
	s->len = plan->len;
	s->moved = plan->moved;
	memcpy(s->orig, plan->orig, sizeof(plan->orig));
	memcpy(s->pad_orig, plan->pad_orig, sizeof(plan->pad_orig));
}

void ug_site_fill_ranges(struct ug_reg_range *ranges, const struct ug_site_plan *plan)
{
	for (size_t i = 0; i < plan->nparts; i++) {
		ranges[i].start = plan->parts[i].start;
		ranges[i].end = plan->parts[i].end;
		ranges[i].kind = plan->parts[i].kind;
	}
}
