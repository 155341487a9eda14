/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ug_info: what a patch file says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "patchfile/patch.h"
#include "ugraft/ugraft.h"

static int fill_object(const struct ug_patch_object *po, struct ug_info_object *io,
		       struct ug_error *err)
{
	(void)snprintf(io->name, sizeof(io->name), "%s", po->name);
	io->builds = calloc(po->nbuilds ? po->nbuilds : 1, sizeof(*io->builds));
	if (!io->builds)
		return ug_err(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < po->nbuilds; i++)
		(void)ug_build_id_hex(&po->builds[i], io->builds[io->nbuilds++]);
	return 0;
}

static void fill_func(const struct ug_patch *patch, const struct ug_patch_func *pf,
		      struct ug_info_func *f)
{
	(void)snprintf(f->object, sizeof(f->object), "%s", patch->objects[pf->object].name);
	(void)snprintf(f->name, sizeof(f->name), "%s", pf->old_name);
	f->pos = pf->pos;
	f->size = pf->size;
}

static int fill_compiler(const struct ug_patch_compiler *pc, struct ug_info_compiler *ic)
{
	(void)snprintf(ic->name, sizeof(ic->name), "%s", pc->name);
	ic->flags = calloc(pc->nflags + 1, sizeof(*ic->flags));
	if (!ic->flags)
		return -ENOMEM;
	for (size_t i = 0; i < pc->nflags; i++) {
		ic->flags[i] = strdup(pc->flags[i]);
		if (!ic->flags[i])
			return -ENOMEM;
		ic->nflags++;
	}
	return 0;
}

static int fill_made(const struct ug_patch *patch, struct ug_info *info)
{
	if (!patch->made_by)
		return 0;
	(void)snprintf(info->made_by, sizeof(info->made_by), "%s", patch->made_by);
	info->compilers = calloc(patch->ncompilers + 1, sizeof(*info->compilers));
	info->units = calloc(patch->nunits + 1, sizeof(*info->units));
	if (!info->compilers || !info->units)
		return -ENOMEM;
	for (size_t i = 0; i < patch->ncompilers; i++) {
		if (fill_compiler(&patch->compilers[i], &info->compilers[info->ncompilers++]) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < patch->nunits; i++) {
		const struct ug_patch_unit *pu = &patch->units[i];
		struct ug_info_unit *u = &info->units[info->nunits++];

		(void)snprintf(u->source, sizeof(u->source), "%s", pu->source);
		if (pu->object != UG_PATCH_ANY_OBJECT)
			(void)snprintf(u->object, sizeof(u->object), "%s",
				       patch->objects[pu->object].name);
		u->compiler = pu->compiler;
	}
	return 0;
}

static int fill(struct ug_patch *patch, struct ug_info *info, struct ug_error *err)
{
	struct ug_patch_layout layout;
	int r = ug_patch_layout(patch, &layout, err);

	if (r < 0)
		return r;
	(void)snprintf(info->name, sizeof(info->name), "%s", patch->name);
	(void)snprintf(info->description, sizeof(info->description), "%s", patch->description);
	(void)snprintf(info->cves, sizeof(info->cves), "%s", patch->cves);
	info->replace = patch->flags & UG_PATCH_REPLACE;
	info->pins_memory = patch->flags & UG_PATCH_ESCAPES && !(patch->flags & UG_PATCH_UNLOADABLE);
	info->code_bytes = layout.rx_size;
	info->data_bytes = layout.rw_size;
	info->objects = calloc(patch->nobjects ? patch->nobjects : 1, sizeof(*info->objects));
	info->funcs = calloc(patch->nfuncs ? patch->nfuncs : 1, sizeof(*info->funcs));
	if (!info->objects || !info->funcs)
		return ug_err(err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < patch->nobjects; i++)
		r = fill_object(&patch->objects[i], &info->objects[info->nobjects++], err);
	for (size_t i = 0; i < patch->nfuncs; i++)
		fill_func(patch, &patch->funcs[i], &info->funcs[info->nfuncs++]);
	if (r == 0 && fill_made(patch, info) < 0)
		r = ug_err(err, -ENOMEM, "out of memory");
	return r;
}

int ug_info(const char *file, struct ug_info **ret, struct ug_error *err)
{
	struct ug_patch *patch;
	struct ug_info *info;
	int r = ug_patch_open(file, &patch, err);

	if (r < 0)
		return r;
	info = calloc(1, sizeof(*info));
	r = info ? fill(patch, info, err) : ug_err(err, -ENOMEM, "out of memory");
	ug_patch_close(patch);
	if (r < 0) {
		ug_info_free(info);
		return r;
	}
	*ret = info;
	return 0;
}

void ug_info_free(struct ug_info *info)
{
	if (!info)
		return;
	for (size_t i = 0; i < info->nobjects; i++)
		free(info->objects[i].builds);
	free(info->objects);
	free(info->funcs);
	for (size_t i = 0; i < info->ncompilers; i++) {
		for (size_t k = 0; k < info->compilers[i].nflags; k++)
			free(info->compilers[i].flags[k]);
		free(info->compilers[i].flags);
	}
	free(info->compilers);
	free(info->units);
	free(info);
}
