/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/session.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/group.h"
#include "engine/mapping.h"
#include "engine/release.h"
#include "engine/transition.h"
#include "text/gate.h"

/* How long a release waits for threads that were preempted in a gate or in old code: they
 * leave as soon as they are scheduled, which on a busy machine takes a while. */
#define PATIENCE_MS 3000

/* The kernel's livepatch tries an open transition again after about a second. */
#define OTHERS_MS 1000

static uint64_t deadline_in(unsigned int ms)
{
	return ug_now_ns() + ms * UINT64_C(1000000);
}

/* What nothing accounts for is of a controller that died while it made it, or gave it back. */
static int look_for_garbage(struct ug_target *t, struct ug_error *err)
{
	struct ug_reg_area *garbage;
	size_t n;
	int r = ug_mapping_garbage(t, &garbage, &n, err);

	if (r < 0)
		return r;
	t->inherited = n > 0;
	free(garbage);
	return 0;
}

int ug_session_open(struct ug_target *t, const struct ug_operation *op,
		    const struct ug_notify *notify, struct ug_report *report, struct ug_error *err)
{
	uint64_t now = ug_now_ns();
	int r = ug_target_open(op->pid, UG_TARGET_LOCK | UG_TARGET_OBJECTS, t, err);

	if (r < 0)
		return r;
	t->flags = op->flags;
	t->max_pause_us = op->max_pause_us;
	t->began_ns = now;
	t->deadline_ns = deadline_in(op->timeout_ms);
	t->report = report;
	t->notify = notify;
	r = ug_proc_check_untraced(&t->proc, err);
	if (r == 0)
		r = ug_proc_check_native(&t->proc, err);
	if (r == 0)
		r = ug_proc_check_sharers(&t->proc, err);
	if (r == 0 && t->reg.addr && t->reg.is_copy)
		r = ug_registry_adopt(&t->proc, &t->reg, err);
	if (r == 0)
		r = look_for_garbage(t, err);
	if (r < 0) {
		r = ug_target_reason(t, r, err);
		ug_target_close(t);
	}
	return r;
}

int ug_session_begin(struct ug_target *t, const struct ug_operation *op,
		     const struct ug_notify *notify, struct ug_report *report, struct ug_error *err)
{
	unsigned int settled = 0;
	int r = ug_session_open(t, op, notify, report, err);

	/* Another controller may be quicker, and die as well. */
	while (r == 0 && ug_registry_intent(&t->reg)) {
		r = ug_group_settle(t, op, &settled, err);
		if (r == 0)
			r = ug_session_open(t, op, notify, report, err);
	}
	if (r == 0)
		t->settled = settled;
	return r;
}

int ug_session_end(struct ug_target *t, const struct ug_operation *op, int r, struct ug_error *err)
{
	t->report->wall_ns = ug_now_ns() - t->began_ns;
	r = ug_target_reason(t, r, err);
	if (r < 0 && err)
		err->pid = op->pid;
	ug_target_close(t);
	return r;
}

const char *ug_session_patch_name(const struct ug_target *t, const struct ug_seg *trans)
{
	const struct ug_seg *patch = ug_registry_find(&t->reg, trans->trans->patch);

	return patch && patch->s.kind == UG_REG_PATCH ? ug_seg_str(patch, patch->patch->name) : "?";
}

/* ---- what others have left ---- */

int ug_session_settle(struct ug_target *t, unsigned int *ret_n, struct ug_seg **ret,
		      struct ug_error *err)
{
	struct ug_seg *trans;

	if (ret_n)
		*ret_n += t->settled;
	t->settled = 0;
	while ((trans = ug_registry_open_trans(&t->reg)) &&
	       (trans->trans->word == UG_WORD_ALL || ug_transition_is_ending(t, trans))) {
		int r = ug_transition_run(t, trans->s.id, false, err);

		if (r < 0 && r != -ECANCELED)
			return r;
		r = ug_target_reload(t, err);
		if (r < 0)
			return r;
		if (ret_n)
			(*ret_n)++;
	}
	*ret = trans;
	return 0;
}

static int still_running(struct ug_target *t, const struct ug_seg *trans, struct ug_error *err)
{
	return ug_err(err, -UG_E_TRANSITION, "patch '%s' is still being %s in process %d: 'ugraft wait', "
		      "'reverse' or 'force' that transition first", ug_session_patch_name(t, trans),
		      trans->trans->patching ? "applied" : "taken back", t->proc.pid);
}

int ug_session_settle_all(struct ug_target *t, unsigned int *ret_n, struct ug_error *err)
{
	uint64_t deadline = t->deadline_ns, ours = deadline_in(OTHERS_MS);
	struct ug_seg *trans;
	int r;

	while ((r = ug_session_settle(t, ret_n, &trans, err)) == 0 && trans) {
		t->deadline_ns = ours < deadline ? ours : deadline;
		r = ug_transition_run(t, trans->s.id, false, err);
		t->deadline_ns = deadline;
		if (r == -UG_E_TIMEOUT)
			return still_running(t, trans, err);
		if (r == 0)
			r = ug_target_reload(t, err);
		if (r < 0)
			return r;
		if (ret_n)
			(*ret_n)++;
	}
	return r;
}

int ug_session_release(struct ug_target *t, unsigned int *ret_left, struct ug_error *err)
{
	return ug_transition_release(t, PATIENCE_MS, ret_left, err);
}

void ug_session_tidy(struct ug_target *t)
{
	struct ug_error err;
	unsigned int left;
	int r = ug_session_release(t, &left, &err);

	if (r < 0 && r != -UG_E_GONE)
		ug_log_warn("cannot release memory in process %d: %s", t->proc.pid, err.message);
	else if (r == 0 && left)
		ug_log_notice("%u parts of removed patches are still executed in process %d; "
			      "'ugraft recover' releases them later", left, t->proc.pid);
}

/* ---- driving, and when time is up ---- */

int ug_session_go_on(struct ug_target *t, uint32_t id, struct ug_error *err)
{
	int r = ug_transition_run(t, id, false, err);

	if (r != -UG_E_TIMEOUT)
		return r;
	t->report->outcome = UG_PENDING;
	return 0;
}

static int run_reversal(struct ug_target *t, uint32_t id, struct ug_error *err)
{
	uint32_t back;
	int r = ug_transition_reverse(t, id, &back, err);

	return r < 0 ? r : ug_transition_run(t, back, true, err);
}

int ug_session_reverse(struct ug_target *t, uint32_t id, struct ug_error *err)
{
	int r = run_reversal(t, id, err);

	if (r != -UG_E_TIMEOUT)
		return r;
	t->report->outcome = UG_PENDING;
	return 0;
}

/* The reversal gets the same time again: then the state is left for a later controller. */
static int give_up(struct ug_target *t, const struct ug_operation *op, uint32_t id,
		   struct ug_error *err)
{
	bool cancelled = ug_target_cancelled(t);
	struct ug_notify notify = *t->notify;
	int r;

	t->deadline_ns = deadline_in(op->timeout_ms);
	/* A cancellation has been obeyed; this is its effect. */
	notify.cancelled = NULL;
	t->notify = &notify;
	r = run_reversal(t, id, err);
	t->notify = NULL;
	if (r < 0)
		return r;
	if (cancelled)
		return ug_err(err, -UG_E_INTERRUPTED, "interrupted: the transition was reversed, "
			      "process %d is as before", t->proc.pid);
	return ug_err(err, -UG_E_REVERSED, "not all threads left the functions within %u ms; the "
		      "transition was reversed", op->timeout_ms);
}

int ug_session_drive(struct ug_target *t, const struct ug_operation *op, uint32_t id, bool fresh,
		     struct ug_error *err)
{
	int r = ug_transition_run(t, id, fresh, err);

	if (r != -UG_E_TIMEOUT && r < 0 && ug_error_exit(r) == UG_EXIT_PENDING && ug_target_cancelled(t))
		return ug_err(err, -UG_E_INTERRUPTED, "interrupted before the transition began: "
			      "process %d is as before", t->proc.pid);
	if (r != -UG_E_TIMEOUT)
		return r;
	if (op->flags & (UG_OPT_KEEP_ON_TIMEOUT | UG_OPT_NO_WAIT) && !ug_target_cancelled(t)) {
		t->report->outcome = UG_PENDING;
		return 0;
	}
	return give_up(t, op, id, err);
}
