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
#include <time.h>

#include "engine/mapping.h"
#include "engine/run.h"

/* A patch that was published by a controller that died before it recorded the transition:
 * no entry ever led to it. */
static int leave_abandoned(struct ug_target *t, struct ug_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->reg.nsegs; i++)
		if (t->reg.segs[i].s.state == UG_REG_PREPARED && !ug_registry_open_trans(&t->reg))
			r = ug_seg_set_state(&t->proc, &t->reg, &t->reg.segs[i], UG_REG_LEFT, err);
	return r;
}

static int retire_empty(struct ug_target *t, struct ug_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->reg.nsegs; i++)
		if (t->reg.segs[i].s.state == UG_REG_EMPTY)
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
	size_t n = 0;
	int r = ug_target_reload(t, err);

	if (r == 0 && t->reg.addr)
		r = leave_abandoned(t, err);
	if (r == 0 && t->reg.addr)
		r = retire_empty(t, err);
	if (r == 0 && t->reg.addr)
		r = retire_registry(t, err);
	if (r == 0)
		r = ug_mapping_garbage(t, &garbage, &n, err);
	if (r == 0)
		r = ug_mapping_remove(t, garbage, n, err);
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

static int prove_empty(struct ug_target *t, struct ug_error *err)
{
	struct ug_run run;
	struct ug_stop *stop;
	int r = ug_run_init(&run, t, 0, err);

	if (r < 0)
		return r;
	r = ug_run_unwind(&run, err);
	if (r == 0)
		r = ug_run_stop_all(&run, &stop, err);
	if (r == 0) {
		r = ug_run_mark_empty(&run, err);
		ug_run_resume(&run, stop);
	}
	ug_run_deinit(&run);
	return r;
}

int ug_transition_release(struct ug_target *t, unsigned int tries, unsigned int *ret_left,
			  struct ug_error *err)
{
	int r = ug_release_empty(t, err);

	for (unsigned int i = 0; r == 0 && count_left(t) && i < tries; i++) {
		struct timespec ts = { .tv_nsec = 2000000L << (i < 6 ? i : 6) };

		if (i)
			nanosleep(&ts, NULL);
		r = prove_empty(t, err);
		if (r == -UG_E_UNSTOPPABLE || r == -UG_E_VFORK) {
			r = 0;
			continue;
		}
		if (r == 0)
			r = ug_release_empty(t, err);
	}
	*ret_left = r < 0 ? 0 : count_left(t);
	return r;
}
