/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mistake for the probe to find: only the version that a transition leaves is looked for on
 * the stacks, as the kernel does, not the older ones that a force may have left behind.
 * Linked with --wrap=ug_checkset_init.
 */
#include "engine/checkset.h"

int __real_ug_checkset_init(struct ug_checkset *cs, const struct ug_target *t,
			    const struct ug_seg *trans, struct ug_error *err);
int __wrap_ug_checkset_init(struct ug_checkset *cs, const struct ug_target *t,
			    const struct ug_seg *trans, struct ug_error *err);

static ug_raddr_t left_version(const struct ug_seg *trans, ug_raddr_t func)
{
	for (uint32_t i = 0; i < trans->trans->nmoves; i++)
		if (ug_seg_moves(trans)[i].func == func)
			return ug_seg_moves(trans)[i].from;
	return 0;
}

int __wrap_ug_checkset_init(struct ug_checkset *cs, const struct ug_target *t,
			    const struct ug_seg *trans, struct ug_error *err)
{
	int r = __real_ug_checkset_init(cs, t, trans, err);

	for (size_t i = 0; r == 0 && trans && i < cs->nitems; i++) {
		const struct ug_item *item = &cs->items[i];

		if (item->kind == UG_ITEM_VERSION && item->entry != left_version(trans, item->func))
			cs->concerned[i / 64] &= ~(UINT64_C(1) << (i % 64));
	}
	return r;
}
