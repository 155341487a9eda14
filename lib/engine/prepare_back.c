/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unload and reversal: nothing new runs, so they are only gates and a record. */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "engine/build.h"
#include "engine/funcstack.h"
#include "engine/prepare.h"
#include "ugraft/ugraft.h"

static int commit_moves(struct ug_build *b, struct ug_error *err)
{
	int r = -EEXIST;

	for (unsigned int attempt = 0; r == -EEXIST && attempt < UG_PLACE_TRIES; attempt++) {
		ug_maps_free(&b->t->maps);
		r = ug_maps_read(&b->t->proc, &b->t->maps, err);
		if (r == 0)
			r = ug_build_place(b, attempt, err);
		if (r == 0)
			r = ug_build_gates(b, err);
		if (r == 0)
			r = ug_build_commit(b, err);
	}
	return r;
}

/* Only the top of a func stack is dispatched to: removing another one moves nothing. */
static int unload_moves(struct ug_build *b, const struct ug_seg *patch, struct ug_error *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < patch->patch->nfuncs; i++) {
		const struct ug_reg_func *f = &ug_seg_funcs(patch)[i];
		ug_raddr_t top = ug_func_top(&b->t->reg, f->func, NULL);
		ug_raddr_t below = ug_func_top(&b->t->reg, f->func, patch);

		/* The hook is one version for all patches. */
		if (top == f->entry && below != top)
			r = ug_build_move(b, f->func, top, below, top, err);
	}
	return r;
}

/* Also a transition that moves nothing, for all of the patch is below others, needs a place
 * for its record. */
static int place_record(struct ug_build *b, const struct ug_seg *patch, struct ug_error *err)
{
	size_t near;

	return ug_build_near(b, patch->patch->nfuncs ? ug_seg_funcs(patch)[0].func : 0, &near, err);
}

int ug_prepare_unload(struct ug_target *t, const struct ug_seg *patch, uint32_t *ret_id,
		      struct ug_error *err)
{
	char name[UG_NAME_MAX];
	struct ug_build b;
	int r = ug_build_init(&b, t, err);

	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "%s", ug_seg_str(patch, patch->patch->name));
	b.of_patch = patch->s.id;
	r = place_record(&b, patch, err);
	if (r == 0)
		r = unload_moves(&b, patch, err);
	if (r == 0)
		r = commit_moves(&b, err);
	if (r == 0) {
		*ret_id = b.id_trans;
		ug_registry_log(&t->proc, &t->reg, UG_LOG_DEBUG,
				"'%s': initializing unpatching transition", name);
	}
	ug_build_deinit(&b);
	return r;
}

/*
 * A reversal: from and to change places; `before` is what the entries hold now, the gates of
 * the transition that is reversed.
 */
int ug_prepare_reversal(struct ug_target *t, const struct ug_seg *trans, uint32_t *ret_id,
			struct ug_error *err)
{
	const struct ug_seg *patch = ug_registry_find(&t->reg, trans->trans->patch);
	struct ug_build b;
	int r;

	if (!patch || patch->s.kind != UG_REG_PATCH)
		return ug_err(err, -UG_E_REGISTRY, "the patch of transition %u is missing",
			      trans->s.id);
	r = ug_build_init(&b, t, err);
	if (r < 0)
		return r;
	b.of_patch = trans->trans->patch;
	b.parent = trans->s.id;
	b.patching = !trans->trans->patching;
	r = place_record(&b, patch, err);
	for (uint32_t i = 0; r == 0 && i < trans->trans->nmoves; i++) {
		const struct ug_reg_move *m = &ug_seg_moves(trans)[i];

		r = ug_build_move(&b, m->func, m->to, m->from, m->gate, err);
	}
	if (r == 0)
		r = commit_moves(&b, err);
	if (r == 0)
		*ret_id = b.id_trans;
	ug_build_deinit(&b);
	return r;
}
