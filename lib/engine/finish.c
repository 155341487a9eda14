/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Completion, in a full stop in which every thread has been checked.
 *
 * Word NULL first: from then on a gate and a direct jump mean the same, so that the entries
 * may be collapsed one by one and a controller that dies in between leaves nothing mixed.
 * Then the states, the reversed transition's before the present one's: as long as the
 * newest open transition is this one, recovery does all of it again, which is harmless.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/entry.h"
#include "engine/funcstack.h"
#include "engine/run.h"
#include "engine/search.h"
#include "text/gate.h"
#include "text/text.h"

static int collapse(struct ug_run *run, struct ug_error *err)
{
	for (uint32_t i = 0; i < run->trans->trans->nmoves; i++) {
		const struct ug_reg_move *m = &ug_seg_moves(run->trans)[i];
		const struct ug_reg_site *site = ug_run_site(run, m);
		ug_raddr_t now;
		int r;

		if (!site)
			return ug_err(err, -UG_E_REGISTRY, "a site of transition %u is missing", run->id);
		r = ug_entry_read(&run->t->proc, site, &now, err);
		/* A short entry is two stores: of one that leads there already, the padding may
		 * be what a controller that died has left. */
		if (r == 0 && (now != m->to || site->form == UG_FORM_JMP2))
			r = ug_entry_write(&run->t->proc, site, m->to, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Does any patch in force replace the function? */
static bool site_in_force(const struct ug_registry *reg, ug_raddr_t func)
{
	for (size_t i = 0; i < reg->nsegs; i++) {
		const struct ug_seg *seg = &reg->segs[i];

		if (seg->s.kind != UG_REG_PATCH ||
		    (seg->s.state != UG_REG_ENABLED && seg->s.state != UG_REG_PREPARED))
			continue;
		if (ug_patch_version(seg, func))
			return true;
	}
	return false;
}

static bool sites_in_force(const struct ug_registry *reg, const struct ug_seg *seg)
{
	for (uint32_t i = 0; i < seg->sites->nsites; i++)
		if (site_in_force(reg, ug_seg_sites(seg)[i].func))
			return true;
	return false;
}

/* A site no patch in force needs has its original bytes: its displaced copy may go. */
int ug_leave_unused_sites(struct ug_target *t, struct ug_error *err)
{
	struct ug_registry *reg = &t->reg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < reg->nsegs; i++) {
		struct ug_seg *seg = &reg->segs[i];

		if (seg->s.kind == UG_REG_SITES && seg->s.state == UG_REG_ENABLED &&
		    !sites_in_force(reg, seg))
			r = ug_seg_set_state(&t->proc, reg, seg, UG_REG_LEFT, err);
	}
	return r;
}

/* No longer in force: its memory goes when nobody is inside, unless addresses may be kept. */
static int leave_patch(struct ug_run *run, struct ug_seg *patch, struct ug_error *err)
{
	uint8_t state = patch->patch->flags & UG_REG_PATCH_PINS ? UG_REG_PINNED : UG_REG_LEFT;

	return ug_seg_set_state(&run->t->proc, &run->t->reg, patch, state, err);
}

/* The patches that are replaced first: a patch whose successor is enabled is not. */
static int set_patch_states(struct ug_run *run, struct ug_error *err)
{
	struct ug_registry *reg = &run->t->reg;
	struct ug_seg *patch = ug_registry_find(reg, run->trans->trans->patch);
	int r = 0;

	if (!patch || patch->s.kind != UG_REG_PATCH)
		return ug_err(err, -UG_E_REGISTRY, "the patch of transition %u is missing", run->id);
	if (!run->trans->trans->patching)
		return leave_patch(run, patch, err);
	for (size_t i = 0; r == 0 && i < reg->nsegs; i++)
		if (ug_patch_replaces(patch, &reg->segs[i]))
			r = leave_patch(run, &reg->segs[i], err);
	return r < 0 ? r : ug_seg_set_state(&run->t->proc, reg, patch, UG_REG_ENABLED, err);
}

/* The transitions this one reverses, oldest first, then itself. */
static int close_transitions(struct ug_run *run, struct ug_error *err)
{
	struct ug_registry *reg = &run->t->reg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < reg->nsegs; i++) {
		struct ug_seg *seg = &reg->segs[i];

		if (seg->s.kind == UG_REG_TRANS && seg->s.state == UG_REG_OPEN && seg != run->trans)
			r = ug_seg_set_state(&run->t->proc, reg, seg, UG_REG_CLOSED, err);
	}
	return r < 0 ? r : ug_seg_set_state(&run->t->proc, reg, run->trans, UG_REG_CLOSED, err);
}

int ug_run_finish(struct ug_run *run, struct ug_error *err)
{
	int r = ug_run_set_word(run, UG_WORD_NULL, err);

	if (r == 0)
		r = collapse(run, err);
	if (r == 0)
		r = set_patch_states(run, err);
	if (r == 0)
		r = close_transitions(run, err);
	return r < 0 ? r : ug_run_mark_empty(run, err);
}

static bool seg_left(const struct ug_seg *seg)
{
	return seg->s.state == UG_REG_LEFT || seg->s.state == UG_REG_CLOSED;
}

static bool seg_occupied(const struct ug_run *run, size_t index)
{
	for (size_t i = 0; i < run->cs.nitems; i++) {
		const struct ug_item *item = &run->cs.items[i];

		if (item->seg == index && ug_item_holds(item) && ug_bit(run->occupied, i))
			return true;
	}
	return false;
}

int ug_run_mark_empty(struct ug_run *run, struct ug_error *err)
{
	struct ug_registry *reg = &run->t->reg;
	int r = ug_leave_unused_sites(run->t, err);

	/* A suspended context is on no thread's stack, and may be inside all the same. */
	if (r == 0 && run->at_once)
		r = ug_search_memory(run, err);
	ug_checkset_close(&run->cs, run->t, run->occupied);
	for (size_t i = 0; r == 0 && i < reg->nsegs; i++)
		if (seg_left(&reg->segs[i]) && !seg_occupied(run, i))
			r = ug_seg_set_state(&run->t->proc, reg, &reg->segs[i], UG_REG_EMPTY, err);
	return r;
}
