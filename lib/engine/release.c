/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a full stop has found empty, and no entry and no occupied gate refers to, stays
 * empty: it may be unmapped at any time after the stop (checked by model/, LATEFREE).
 *
 * Order: the slot is retired (its areas become garbage), then the memory goes. A controller
 * that dies in between leaves garbage, which the next one recognises by its name.
 */
#include "engine/release.h"

#include <stdlib.h>

#include "base/clock.h"
#include "engine/contexts.h"
#include "engine/mapping.h"
#include "engine/run.h"
#include "engine/search.h"

/* A patch, or only its sites, published by a controller that died before it recorded the
 * transition: no entry ever led to it. */
static int leave_abandoned(struct ug_target *t, struct ug_error *err)
{
	int r = 0;

	if (ug_registry_open_trans(&t->reg))
		return 0;
	for (size_t i = 0; r == 0 && i < t->reg.nsegs; i++)
		if (t->reg.segs[i].s.state == UG_REG_PREPARED)
			r = ug_seg_set_state(&t->proc, &t->reg, &t->reg.segs[i], UG_REG_LEFT, err);
	return r < 0 ? r : ug_leave_unused_sites(t, err);
}

/* Rounds after which threads that sleep inside are left to a later operation. */
#define GIVE_UP_ASLEEP 8

/* Full stops of one release. */
#define MAX_STOPS 4

static int retire_empty(struct ug_target *t, struct ug_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->reg.nsegs; i++)
		if (t->reg.segs[i].s.state == UG_REG_EMPTY &&
		    !(t->reg.segs[i].s.marks & UG_REG_MARK_GROUP))
			r = ug_seg_retire(&t->proc, &t->reg, &t->reg.segs[i], err);
	return r;
}

/* Nothing is in the registry any more: the last store takes its ready byte. */
static int retire_registry(struct ug_target *t, struct ug_error *err)
{
	uint8_t zero = 0;
	int r;

	for (size_t i = 0; i < t->reg.nsegs; i++)
		if (t->reg.segs[i].s.ready == 1)
			return 0;
	r = ug_proc_write(&t->proc, t->reg.addr + offsetof(struct ug_reg_header, ready), &zero, 1,
			  err);
	if (r == 0)
		t->reg.addr = 0;
	return r;
}

int ug_release_empty(struct ug_target *t, struct ug_error *err)
{
	struct ug_reg_area *garbage = NULL;
	bool leaked = false;
	size_t n = 0;
	int r = ug_mapping_disarm(t, &leaked, err);

	if (r == 0)
		r = ug_target_reload(t, err);
	if (r == 0 && t->reg.addr)
		r = leave_abandoned(t, err);
	if (r == 0 && t->reg.addr)
		r = retire_empty(t, err);
	if (r == 0 && t->reg.addr)
		r = retire_registry(t, err);
	if (r == 0)
		r = ug_mapping_garbage(t, &garbage, &n, err);
	if (r == 0)
		r = ug_mapping_remove(t, garbage, n, leaked, err);
	free(garbage);
	return r < 0 ? r : ug_target_reload(t, err);
}

static unsigned int count_left(const struct ug_target *t)
{
	unsigned int n = 0;

	for (size_t i = 0; i < t->reg.nsegs; i++)
		n += t->reg.segs[i].s.state == UG_REG_LEFT ||
		     t->reg.segs[i].s.state == UG_REG_CLOSED;
	return n;
}

static bool any_in_left(const struct ug_run *run)
{
	ug_vec_for_each(&run->threads, rec)
		if (rec->in_left)
			return true;
	return false;
}

/* Until the threads that were inside have gone, or it is not worth waiting for them. */
static int wait_for_left(struct ug_run *run, uint64_t deadline_ns, struct ug_error *err)
{
	size_t left = 1;
	int r = 0;

	for (unsigned int round = 0; r == 0 && left && ug_now_ns() < deadline_ns; round++) {
		if (round && !run->hot && round > GIVE_UP_ASLEEP)
			break;
		ug_run_back_off(run, round);
		r = ug_run_attempt_left(run, &left, err);
	}
	return r;
}

/* A full stop; when it finds somebody inside, wait for those and stop once more. */
static int prove_empty(struct ug_run *run, uint64_t deadline_ns, struct ug_error *err)
{
	for (unsigned int round = 0;; round++) {
		struct ug_stop *stop;
		int r = ug_run_stop_all(run, &stop, err);

		if (r == 0) {
			r = ug_run_mark_empty(run, err);
			ug_run_resume(run, stop);
			if (r == 0 && any_in_left(run) && round < MAX_STOPS)
				r = wait_for_left(run, deadline_ns, err);
			else if (r < 0 || !ug_search_pending(run) || round >= MAX_STOPS)
				return r;
		} else if (r == -UG_E_UNSTOPPABLE || r == -UG_E_VFORK) {
			ug_run_back_off(run, round);
			r = 0;
		}
		if (r < 0)
			return r;
		if (ug_now_ns() >= deadline_ns)
			return 0;
	}
}

static int prove_and_release(struct ug_target *t, uint64_t deadline_ns, struct ug_error *err)
{
	struct ug_run run;
	int possible, r = ug_run_init(&run, t, 0, err);

	if (r < 0)
		return r;
	possible = ug_contexts_possible(t, NULL);
	run.at_once = possible > 0;
	r = ug_run_unwind(&run, err);
	/* Memory that is too large to be searched proves nothing: what was left stays. */
	if (r == 0 && possible >= 0)
		r = prove_empty(&run, deadline_ns, err);
	ug_run_deinit(&run);
	return r < 0 ? r : ug_release_empty(t, err);
}

int ug_transition_release(struct ug_target *t, unsigned int patience_ms, unsigned int *ret_left,
			  struct ug_error *err)
{
	uint64_t deadline_ns = ug_now_ns() + patience_ms * UINT64_C(1000000);
	int r = ug_release_empty(t, err);

	if (r == 0 && patience_ms && count_left(t))
		r = prove_and_release(t, deadline_ns, err);
	*ret_left = r < 0 ? 0 : count_left(t);
	return r;
}
