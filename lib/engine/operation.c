/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/operation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/hook.h"
#include "engine/prepare.h"
#include "engine/session.h"
#include "engine/transfers.h"

/*
 * Somebody else's transition about this patch is there: the same direction is driven on, the
 * other one reversed, as writing 0 or 1 to the kernel's `enabled` does in a transition.
 */
static int join(struct ug_target *t, const struct ug_operation *op, const struct ug_seg *trans,
		bool patching, struct ug_error *err)
{
	int r = (trans->trans->patching != 0) == patching ?
		ug_session_drive(t, op, trans->s.id, false, err) :
		ug_session_reverse(t, trans->s.id, err);

	if (r == 0 && t->report->outcome != UG_PENDING)
		ug_session_tidy(t);
	return r;
}

/* 1: what was asked for is being done or done; 0: nothing of this patch runs. */
static int join_running(struct ug_target *t, const struct ug_operation *op, const char *name,
			bool patching, struct ug_error *err)
{
	struct ug_seg *trans;
	int r = ug_session_settle(t, NULL, &trans, err);

	if (r < 0)
		return r;
	if (trans && strcmp(ug_session_patch_name(t, trans), name) == 0) {
		r = join(t, op, trans, patching, err);
		return r < 0 ? r : 1;
	}
	return ug_session_settle_all(t, NULL, err);
}

/* ---- load ---- */

/*
 * A patch that was forced out and is still executed keeps its name: two of that name at once
 * would only confuse whoever has to find out what a thread is in.
 */
static int check_forced(const struct ug_target *t, const char *name, struct ug_error *err)
{
	for (size_t i = 0; i < t->reg.nsegs; i++) {
		const struct ug_seg *seg = &t->reg.segs[i];

		if (seg->s.kind == UG_REG_PATCH && seg->s.marks & UG_REG_MARK_FORCED &&
		    seg->s.state != UG_REG_EMPTY &&
		    strcmp(ug_seg_str(seg, seg->patch->name), name) == 0)
			return ug_err(err, -EBUSY, "patch '%s' was forced out of process %d, where a "
				      "thread may still execute it: 'ugraft recover' releases it once "
				      "it has left", name, t->proc.pid);
	}
	return 0;
}

int ug_operation_prepare_load(struct ug_target *t, struct ug_patch *patch, uint32_t *ret_id,
			      struct ug_error *err)
{
	struct ug_match match;
	int r = check_forced(t, patch->name, err);

	if (r == 0)
		r = ug_match_init(&match, t, patch, err);
	if (r < 0)
		return r;
	r = ug_transfers_await(t, err);
	if (r == 0)
		r = ug_prepare_load(t, &match, ret_id, err);
	ug_match_deinit(&match);
	return r;
}

static int load_patch(struct ug_target *t, const struct ug_operation *op, struct ug_patch *patch,
		      struct ug_error *err)
{
	uint32_t id;
	int r = join_running(t, op, patch->name, true, err);

	if (r)
		return r < 0 ? r : 0;
	if (ug_registry_patch(&t->reg, patch->name)) {
		t->report->outcome = UG_ALREADY;
		return 0;
	}
	r = ug_operation_prepare_load(t, patch, &id, err);
	if (r < 0)
		return r;
	r = ug_session_drive(t, op, id, true, err);
	if (t->report->outcome != UG_PENDING)
		ug_session_tidy(t);
	return r;
}

int ug_operation_load(void *arg, const struct ug_notify *notify, struct ug_report *report,
		      struct ug_error *err)
{
	const struct ug_operation *op = arg;
	struct ug_patch *patch;
	struct ug_target t;
	int r = ug_patch_open(op->what, &patch, err);

	if (r < 0)
		return r;
	(void)snprintf(report->patch, sizeof(report->patch), "%s", patch->name);
	report->functions = (unsigned int)patch->nfuncs;
	r = ug_session_begin(&t, op, notify, report, err);
	if (r == 0)
		r = ug_session_end(&t, op, load_patch(&t, op, patch, err), err);
	ug_patch_close(patch);
	return r;
}

/* ---- unload ---- */

static uint64_t pinned_bytes(const struct ug_target *t)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < t->reg.nsegs; i++)
		if (t->reg.segs[i].s.state == UG_REG_PINNED)
			bytes += t->reg.segs[i].patch->rx_len + t->reg.segs[i].patch->rw_len;
	return bytes;
}

int ug_operation_prepare_unload(struct ug_target *t, const char *name, uint32_t *ret_id,
				struct ug_error *err)
{
	struct ug_seg *patch = ug_registry_patch(&t->reg, name);
	int r;

	if (!patch)
		return ug_err(err, -UG_E_NO_PATCH, "patch '%s' is not loaded in process %d", name,
			      t->proc.pid);
	t->report->functions = ug_hook_others(patch);
	r = ug_transfers_await(t, err);
	return r < 0 ? r : ug_prepare_unload(t, patch, ret_id, err);
}

static int take_back(struct ug_target *t, const struct ug_operation *op, struct ug_error *err)
{
	uint32_t id;
	int r = ug_operation_prepare_unload(t, op->what, &id, err);

	if (r < 0)
		return r;
	r = ug_session_drive(t, op, id, true, err);
	if (t->report->outcome != UG_PENDING)
		ug_session_tidy(t);
	return r;
}

static int unload_patch(struct ug_target *t, const struct ug_operation *op, struct ug_error *err)
{
	int r = join_running(t, op, op->what, false, err);

	if (r == 0)
		r = take_back(t, op, err);
	t->report->pinned_bytes = pinned_bytes(t);
	return r < 0 ? r : 0;
}

int ug_operation_unload(void *arg, const struct ug_notify *notify, struct ug_report *report,
			struct ug_error *err)
{
	const struct ug_operation *op = arg;
	struct ug_target t;
	int r = ug_session_begin(&t, op, notify, report, err);

	if (r < 0)
		return r;
	(void)snprintf(report->patch, sizeof(report->patch), "%s", op->what);
	return ug_session_end(&t, op, unload_patch(&t, op, err), err);
}
