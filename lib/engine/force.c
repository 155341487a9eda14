/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Force: threads that have not left the old functions are declared switched. An
 * administrator's act, never ours: consistency is given up for those threads until they have
 * left, and nothing else is. In a full stop, as every store of the word; the table stays as
 * it is, frozen, for who was preempted in a gate after it had read the word.
 *
 * What the forced threads are still inside of remains in the registry and so in every later
 * check, and its memory mapped, until a full stop finds it empty (G3). The kernel remembers
 * nothing and pins the removed patches for good.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/funcstack.h"
#include "engine/run.h"
#include "engine/transition.h"
#include "text/gate.h"

static unsigned int count_pending(const struct ug_run *run)
{
	unsigned int n = 0;

	ug_vec_for_each(&run->threads, rec)
		n += ug_run_is_pending(run, rec);
	return n;
}

/* The patches that go: the one that is taken back, or those that are replaced. */
static bool goes(const struct ug_run *run, const struct ug_seg *patch, const struct ug_seg *seg)
{
	return run->trans->trans->patching ? ug_patch_replaces(patch, seg) : seg == patch;
}

static int mark_forced(struct ug_run *run, struct ug_error *err)
{
	struct ug_registry *reg = &run->t->reg;
	struct ug_seg *patch = ug_registry_find(reg, run->trans->trans->patch);
	int r = 0;

	if (!patch || patch->s.kind != UG_REG_PATCH)
		return ug_err(err, -UG_E_REGISTRY, "the patch of transition %u is missing", run->id);
	for (size_t i = 0; r == 0 && i < reg->nsegs; i++)
		if (goes(run, patch, &reg->segs[i]))
			r = ug_seg_mark(&run->t->proc, reg, &reg->segs[i], UG_REG_MARK_FORCED, err);
	return r;
}

static int force_once(struct ug_run *run, unsigned int *ret_forced, struct ug_error *err)
{
	struct ug_stop *stop;
	int r = ug_run_stop_all(run, &stop, err);

	if (r < 0)
		return r;
	*ret_forced = count_pending(run);
	if (*ret_forced)
		r = mark_forced(run, err);
	if (r == 0)
		r = ug_run_set_word(run, UG_WORD_NULL, err);
	ug_run_resume(run, stop);
	return r;
}

static int force(struct ug_run *run, unsigned int *ret_forced, struct ug_error *err)
{
	int r = ug_run_unwind(run, err);

	for (unsigned int round = 0; r == 0; round++) {
		r = force_once(run, ret_forced, err);
		if (!ug_run_worth_retrying(r) || ug_now_ns() >= run->t->deadline_ns)
			return r;
		ug_run_back_off(run, round);
		r = 0;
	}
	return r;
}

int ug_transition_force(struct ug_target *t, uint32_t id, unsigned int *ret_forced,
			struct ug_error *err)
{
	struct ug_run run;
	int r = ug_run_init(&run, t, id, err);

	if (r < 0)
		return r;
	if (run.trans->trans->word == UG_WORD_ALL) {
		r = ug_err(err, -EINVAL, "transition %u has not begun: there is nothing to force", id);
	} else {
		ug_registry_log(&t->proc, &t->reg, UG_LOG_WARN,
				"forcing remaining tasks to the patched state");
		r = force(&run, ret_forced, err);
	}
	ug_run_deinit(&run);
	return r;
}
