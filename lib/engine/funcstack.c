/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/funcstack.h"

const struct ug_reg_func *ug_patch_version(const struct ug_seg *patch, ug_raddr_t func)
{
	for (uint32_t i = 0; i < patch->patch->nfuncs; i++)
		if (ug_seg_funcs(patch)[i].func == func)
			return &ug_seg_funcs(patch)[i];
	return NULL;
}

ug_raddr_t ug_func_top(const struct ug_registry *reg, ug_raddr_t func, const struct ug_seg *except)
{
	const struct ug_reg_site *site = ug_registry_site(reg, func, NULL);
	ug_raddr_t top = site ? site->displaced : 0;
	uint32_t order = 0;

	for (size_t i = 0; i < reg->nsegs; i++) {
		const struct ug_seg *seg = &reg->segs[i];
		const struct ug_reg_func *version;

		if (seg->s.kind != UG_REG_PATCH || seg->s.state != UG_REG_ENABLED || seg == except ||
		    seg->s.order < order)
			continue;
		version = ug_patch_version(seg, func);
		if (!version)
			continue;
		top = version->entry;
		order = seg->s.order;
	}
	return top;
}

bool ug_patch_replaces(const struct ug_seg *patch, const struct ug_seg *other)
{
	return patch->patch->replace != UG_REG_REPLACE_NONE && other->s.kind == UG_REG_PATCH &&
	       other->s.state == UG_REG_ENABLED && other->s.order < patch->s.order;
}
