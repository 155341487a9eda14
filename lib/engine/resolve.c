/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/resolve.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "object/symbol.h"

static const char *label(const struct ug_patch_object *po)
{
	return po->name[0] ? po->name : "the executable";
}

static int no_object(const struct ug_match *m, const struct ug_patch_object *po,
		     struct ug_error *err)
{
	struct ug_object *same = ug_objects_by_name(&m->t->objects, po->name);
	char have[2 * UG_BUILD_ID_MAX + 1] = "none", want[2 * UG_BUILD_ID_MAX + 1] = "none";

	if (po->nbuilds)
		(void)ug_build_id_hex(&po->builds[0], want);
	if (!same)
		return ug_err(err, -UG_E_NO_OBJECT, "process %d does not map %s", m->t->proc.pid,
			      label(po));
	if (same->build_id.len)
		(void)ug_build_id_hex(&same->build_id, have);
	return ug_err(err, -UG_E_NO_OBJECT,
		      "%s in process %d has build-id %s, the patch is made for %s%s: build the patch "
		      "for the binary that runs", label(po), m->t->proc.pid, have, want,
		      po->nbuilds > 1 ? " and others" : "");
}

int ug_match_object(struct ug_match *m, size_t i, struct ug_error *err)
{
	const struct ug_patch_object *po = &m->patch->objects[i];
	int r;

	for (size_t b = 0; b < po->nbuilds; b++) {
		struct ug_object *obj = ug_objects_by_build_id(&m->t->objects, &po->builds[b]);

		if (!obj)
			continue;
		m->objects[i].obj = obj;
		m->objects[i].build = (uint32_t)b;
		return 0;
	}
	r = no_object(m, po, err);
	ug_err_where(err, label(po), NULL, 0);
	return r;
}

static const struct ug_patch_pin *find_pin(const struct ug_patch_pin *pins, size_t n, uint32_t build)
{
	for (size_t i = 0; i < n; i++)
		if (pins[i].build == build)
			return &pins[i];
	return NULL;
}

/* By the symbol tables of one object, IFUNCs resolved to what the process uses. */
static int by_symbol(struct ug_match *m, struct ug_object *obj, const char *name, unsigned int pos,
		     struct ug_symbol *ret, struct ug_error *err)
{
	int r = ug_object_symtab(obj, err);

	if (r == 0)
		r = ug_symbol_find(obj, name, pos, ret, err);
	if (r == 0 && ret->type == STT_GNU_IFUNC) {
		ret->size = 0;
		r = ug_symbol_ifunc(&m->t->proc, &m->t->objects, ret, &ret->addr, err);
	}
	return r;
}

int ug_match_func(struct ug_match *m, size_t i, struct ug_error *err)
{
	const struct ug_patch_func *pf = &m->patch->funcs[i];
	struct ug_match_object *mo = &m->objects[pf->object];
	const struct ug_patch_pin *pin = find_pin(pf->pins, pf->npins, mo->build);
	struct ug_match_func *mf = &m->funcs[i];
	struct ug_symbol sym;
	int r;

	mf->obj = mo->obj;
	if (pin) {
		mf->addr = mo->obj->bias + pin->offset;
		mf->size = pin->size;
	} else {
		r = by_symbol(m, mo->obj, pf->old_name, pf->pos, &sym, err);
		if (r < 0) {
			ug_err_where(err, mo->obj->name, pf->old_name, 0);
			return r;
		}
		mf->addr = sym.addr;
		mf->size = sym.size;
	}
	if (!ug_object_is_text(mo->obj, mf->addr, 1))
		return ug_err(err, -UG_E_NO_SYMBOL, "%s of %s is not in executable memory",
			      pf->old_name, mo->obj->name);
	return 0;
}

static int match_all(struct ug_match *m, struct ug_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->patch->nobjects; i++)
		r = ug_match_object(m, i, err);
	for (size_t i = 0; r == 0 && i < m->patch->nfuncs; i++)
		r = ug_match_func(m, i, err);
	return r;
}

int ug_match_init(struct ug_match *m, struct ug_target *t, struct ug_patch *patch,
		  struct ug_error *err)
{
	int r;

	memset(m, 0, sizeof(*m));
	m->t = t;
	m->patch = patch;
	m->objects = calloc(patch->nobjects ? patch->nobjects : 1, sizeof(*m->objects));
	m->funcs = calloc(patch->nfuncs ? patch->nfuncs : 1, sizeof(*m->funcs));
	if (!m->objects || !m->funcs)
		r = ug_err(err, -ENOMEM, "out of memory");
	else
		r = match_all(m, err);
	if (r < 0)
		ug_match_deinit(m);
	return r;
}

void ug_match_deinit(struct ug_match *m)
{
	free(m->objects);
	free(m->funcs);
	memset(m, 0, sizeof(*m));
}

/* ---- the linker's questions ---- */

/* A name that any object may provide: the first one that exports it, in search order. */
static int by_any(struct ug_match *m, const struct ug_patch_ref *ref, struct ug_object **ret_obj,
		  struct ug_symbol *ret, struct ug_error *err)
{
	for (size_t i = 0; i < m->t->objects.n; i++) {
		struct ug_object *obj = m->t->objects.v[i];

		if (obj->is_vdso || by_symbol(m, obj, ref->name, ref->pos, ret, NULL) < 0 ||
		    ret->bind == STB_LOCAL)
			continue;
		*ret_obj = obj;
		return 0;
	}
	return ug_err(err, -UG_E_NO_SYMBOL, "no object of process %d provides '%s'",
		      m->t->proc.pid, ref->name);
}

static int find_ref(struct ug_match *m, const struct ug_patch_ref *ref, struct ug_object **ret_obj,
		    ug_raddr_t *ret, struct ug_error *err)
{
	const struct ug_patch_pin *pin;
	struct ug_match_object *mo;
	struct ug_symbol sym;
	int r;

	if (ref->object == UG_PATCH_ANY_OBJECT) {
		r = by_any(m, ref, ret_obj, &sym, err);
		*ret = r < 0 ? 0 : sym.addr;
		return r;
	}
	if (ref->object < 0 || (size_t)ref->object >= m->patch->nobjects)
		return ug_err(err, -UG_E_BAD_PATCH, "reference '%s' names no object", ref->name);
	mo = &m->objects[ref->object];
	*ret_obj = mo->obj;
	pin = find_pin(ref->pins, ref->npins, mo->build);
	if (pin) {
		*ret = pin->offset + (ref->tls ? 0 : mo->obj->bias);
		return 0;
	}
	r = by_symbol(m, mo->obj, ref->name, ref->pos, &sym, err);
	*ret = r < 0 ? 0 : sym.addr;
	return r;
}

static int resolve_address(void *ctx, const struct ug_patch_ref *ref, ug_raddr_t *ret,
			   struct ug_error *err)
{
	struct ug_object *obj;
	ug_raddr_t addr;
	int r = find_ref(ctx, ref, &obj, &addr, err);

	if (r < 0 && ref->weak) {
		*ret = 0;
		return 0;
	}
	if (r < 0)
		return r;
	*ret = addr;
	return 0;
}

static ug_raddr_t resolve_entry(void *ctx, size_t func)
{
	const struct ug_match *m = ctx;

	return m->funcs[func].addr;
}

static int resolve_tls(void *ctx, const struct ug_patch_ref *ref, uint64_t *ret_module,
		       uint64_t *ret_offset, int64_t *ret_tp_offset, struct ug_error *err)
{
	struct ug_match *m = ctx;
	struct ug_object *obj;
	ug_raddr_t offset;
	int64_t block;
	int r = find_ref(m, ref, &obj, &offset, err);

	if (r == 0 && ret_module)
		r = ug_object_tls_module(&m->t->proc, obj, ret_module, err);
	if (r == 0 && ret_tp_offset) {
		r = ug_object_tls_offset(&m->t->proc, obj, &block, err);
		if (r == 0)
			*ret_tp_offset = block + (int64_t)offset;
	}
	if (r == 0 && ret_offset)
		*ret_offset = offset;
	return r;
}

void ug_match_resolver(struct ug_match *m, struct ug_resolver *ret)
{
	ret->address = resolve_address;
	ret->entry = resolve_entry;
	ret->tls = resolve_tls;
	ret->ctx = m;
}
