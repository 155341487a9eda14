// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "builder/link.h"
#include "builder/needed.h"
#include "builder/pack.h"
#include "object/symbol.h"

struct linker {
	const struct ug_link_in *in;
	struct ug_extract x;
	const struct ug_diff **diffs;
	struct ug_pack_func *funcs;
	struct ug_pack_ref *refs;
	struct ug_pack_object *objects;
	struct ug_patch_pin *pins;
	size_t npins;
	uint32_t *object_of;		/* target group -> index in objects + 1 */
	size_t nobjects;
	ug_finding_vec *findings;
	struct ug_error *err;
};

static const struct ug_target *file_of(const struct linker *k, size_t target)
{
	return &k->in->targets->files.v[target];
}

/* Objects are listed when first used. */
static uint32_t object_index(struct linker *k, size_t target)
{
	size_t group = file_of(k, target)->group;
	const struct ug_target_group *g = &k->in->targets->groups.v[group];

	if (!k->object_of[group]) {
		k->objects[k->nobjects++] = (struct ug_pack_object){ g->label, g->builds.v, g->builds.n };
		k->object_of[group] = (uint32_t)k->nobjects;
	}
	return k->object_of[group] - 1;
}

static const struct ug_patch_pin *make_pin(struct linker *k, size_t target,
					   const struct ug_linked_symbol *s)
{
	struct ug_patch_pin *pin = &k->pins[k->npins++];

	*pin = (struct ug_patch_pin){ .build = (uint32_t)file_of(k, target)->build, .offset = s->value,
				      .size = s->size };
	return pin;
}

static int no_symbol(struct linker *k, size_t target, const char *name)
{
	return ug_err(k->err, -UG_E_NO_SYMBOL, "%s has no symbol %s, which the patch needs: the debug "
		      "file is not the binary's, or the linker dropped it",
		      k->in->linked[target].path, name);
}

static int link_func(struct linker *k, const struct ug_replaced *r, struct ug_pack_func *ret)
{
	const struct ug_placed *p = &k->in->placed[r->diff];
	const struct ug_linked *l = &k->in->linked[p->target];
	const struct ug_linked_symbol *s = ug_match_symbol(p->diff, l, p->group, r->item);
	uint32_t flags;

	if (!s)
		return no_symbol(k, p->target, p->diff->before->items.v[r->item].name);
	/* All names of the object at that address have the new body. */
	flags = UG_FILE_FUNC_ALIASES_OK | (p->old ? UG_FILE_FUNC_OLD_CODE : 0) |
		(ug_symbol_is_clone(s->name) ? UG_FILE_FUNC_CLONE : 0);
	*ret = (struct ug_pack_func){ .object = object_index(k, p->target), .old_name = s->name,
				      .pos = ug_linked_position(l, s), .flags = flags,
				      .symbol = k->x.emit.symbols.v[r->symbol].index,
				      .pins = make_pin(k, p->target, s), .npins = 1 };
	return 0;
}

static bool is_imported(const struct ug_linked *l, const char *name)
{
	ug_vec_for_each(&l->imports, i) {
		if (!strcmp(*i, name))
			return true;
	}
	return false;
}

/* By name: the object's own target first, then the others. */
static const struct ug_linked_symbol *find_named(const struct linker *k, size_t first, const char *name,
						 size_t *target)
{
	const struct ug_linked_symbol *s = ug_linked_find(&k->in->linked[first], 0, name);

	if (!s)
		s = ug_linked_find_hidden(&k->in->linked[first], name);	/* __dso_handle */
	*target = first;
	for (size_t t = 0; !s && t < k->in->targets->files.n; t++) {
		if (t == first)
			continue;
		s = ug_linked_find(&k->in->linked[t], 0, name);
		*target = t;
	}
	return s;
}

static int link_named(struct linker *k, const struct ug_extern *e, struct ug_pack_ref *ret)
{
	size_t own = k->in->placed[e->diff].target, target;
	const struct ug_linked_symbol *s = find_named(k, own, e->name, &target);

	if (!s) {
		ret->object = UG_FILE_ANY_OBJECT;
		if (e->weak || is_imported(&k->in->linked[own], e->name) ||
		    !strcmp(e->name, "__tls_get_addr") ||
		    ug_needed_exports(file_of(k, own)->path, e->name))
			return 0;
		return ug_finding_add(k->findings, UG_REASON_NOT_THERE, "", 0, "%s", e->name) ? 0 :
		       ug_err(k->err, -ENOMEM, "out of memory");
	}
	ret->object = object_index(k, target);
	if (s->type == STT_GNU_IFUNC)
		return 0;	/* which implementation: known in the process only */
	ret->pos = ug_linked_position(&k->in->linked[target], s);
	ret->pins = make_pin(k, target, s);
	ret->npins = 1;
	return 0;
}

static int link_ref(struct linker *k, const struct ug_extern *e, struct ug_pack_ref *ret)
{
	const struct ug_placed *p = &k->in->placed[e->diff];
	const struct ug_linked_symbol *s;

	*ret = (struct ug_pack_ref){ .symbol = k->x.emit.symbols.v[e->symbol].index, .name = e->name };
	if (e->item == UG_NO_ITEM)
		return link_named(k, e, ret);
	s = ug_match_symbol(p->diff, &k->in->linked[p->target], p->group, e->item);
	if (!s)
		return no_symbol(k, p->target, e->name);
	ret->object = object_index(k, p->target);
	ret->pos = ug_linked_position(&k->in->linked[p->target], s);
	ret->pins = make_pin(k, p->target, s);
	ret->npins = 1;
	return 0;
}

static int resolve(struct linker *k)
{
	int rc = 0;

	for (size_t i = 0; i < k->x.replaced.n && rc == 0; i++)
		rc = link_func(k, &k->x.replaced.v[i], &k->funcs[i]);
	for (size_t i = 0; i < k->x.externs.n && rc == 0; i++)
		rc = link_ref(k, &k->x.externs.v[i], &k->refs[i]);
	return rc;
}

static struct ug_pack_unit *make_units(const struct linker *k)
{
	struct ug_pack_unit *units = calloc(k->in->nunits + 1, sizeof(*units));

	for (size_t i = 0; units && i < k->in->nunits; i++) {
		const struct ug_link_unit *u = &k->in->units[i];
		uint32_t object = k->object_of[file_of(k, u->target)->group];

		units[i] = u->unit;
		units[i].object = object ? object - 1 : UG_FILE_ANY_OBJECT;
	}
	return units;
}

/*
 * A variable of a library that the executable has no copy of is more than 2 GiB away. Better said
 * here than by the load.
 */
static bool is_far_data(const struct linker *k, size_t ref)
{
	const struct ug_extern *e = &k->x.externs.v[ref];
	const struct ug_target *own = file_of(k, k->in->placed[e->diff].target);
	bool in_executable = !*k->in->targets->groups.v[own->group].label;

	return in_executable && k->refs[ref].object == UG_FILE_ANY_OBJECT &&
	       ug_needed_exports_data(own->path, e->name);
}

static int find_far_data(struct linker *k, const struct ug_patch *patch)
{
	for (size_t i = 0; i < k->x.externs.n; i++) {
		const char *where = ug_patch_near_ref(patch, i);

		if (where && is_far_data(k, i) &&
		    !ug_finding_add(k->findings, UG_REASON_FAR_DATA, "", 0, "%s, in %s",
				    k->x.externs.v[i].name, where))
			return ug_err(k->err, -ENOMEM, "out of memory");
	}
	return 0;
}

static int write_patch(struct linker *k, const uint8_t *elf, size_t size, uint8_t **ret, size_t *ret_size)
{
	ug_autofree struct ug_pack_unit *units = make_units(k);
	struct ug_pack p = { .elf = elf, .elf_size = size, .name = k->in->name,
			     .description = k->in->description, .cves = k->in->cves,
			     .objects = k->objects, .nobjects = k->nobjects, .funcs = k->funcs,
			     .nfuncs = k->x.replaced.n, .refs = k->refs, .nrefs = k->x.externs.n,
			     .units = units, .nunits = k->in->nunits };

	if (!units)
		return ug_err(k->err, -ENOMEM, "out of memory");
	return ug_pack_write(&p, ret, ret_size, k->err);
}

static int run(struct linker *k, uint8_t **ret, size_t *ret_size, struct ug_patch **ret_patch)
{
	ug_autofree uint8_t *elf = NULL;
	size_t size = 0, n;
	int rc;

	for (size_t i = 0; i < k->in->nplaced; i++)
		k->diffs[i] = k->in->placed[i].diff;
	rc = ug_extract(k->diffs, k->in->nplaced, &k->x, k->err);
	if (rc == 0)
		rc = ug_emit_finish(&k->x.emit, &elf, &size, k->err);
	if (rc < 0)
		return rc;
	n = k->x.replaced.n + k->x.externs.n + 1;
	k->funcs = calloc(n, sizeof(*k->funcs));
	k->refs = calloc(n, sizeof(*k->refs));
	k->pins = calloc(n, sizeof(*k->pins));
	k->objects = calloc(k->in->targets->groups.n + 1, sizeof(*k->objects));
	k->object_of = calloc(k->in->targets->groups.n + 1, sizeof(*k->object_of));
	if (!k->funcs || !k->refs || !k->pins || !k->objects || !k->object_of)
		return ug_err(k->err, -ENOMEM, "out of memory");
	rc = resolve(k);
	if (rc == 0)
		rc = write_patch(k, elf, size, ret, ret_size);
	if (rc == 0)
		rc = ug_patch_parse(*ret, *ret_size, ret_patch, k->err);
	return rc < 0 ? rc : find_far_data(k, *ret_patch);
}

int ug_link(const struct ug_link_in *in, ug_finding_vec *findings, uint8_t **ret, size_t *ret_size,
	    struct ug_patch **ret_patch, struct ug_error *err)
{
	struct linker k = { .in = in, .findings = findings, .err = err };
	int rc;

	k.diffs = calloc(in->nplaced + 1, sizeof(*k.diffs));
	rc = k.diffs ? run(&k, ret, ret_size, ret_patch) : ug_err(err, -ENOMEM, "out of memory");
	ug_extract_free(&k.x);
	free(k.diffs);
	free(k.funcs);
	free(k.refs);
	free(k.pins);
	free(k.objects);
	free(k.object_of);
	return rc;
}
