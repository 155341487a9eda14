/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/operation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/prepare.h"
#include "engine/release.h"
#include "engine/transition.h"

/* How long a release waits for threads that were preempted in a gate or in old code: they
 * leave as soon as they are scheduled, which on a busy machine takes a while. */
#define PATIENCE_MS 3000

static uint64_t deadline(const struct ug_operation *op)
{
	return ug_now_ns() + (uint64_t)op->timeout_ms * UINT64_C(1000000);
}

static int begin(struct ug_target *t, const struct ug_operation *op, const struct ug_notify *notify,
		 struct ug_report *report, struct ug_error *err)
{
	int r = ug_target_open(op->pid, UG_TARGET_LOCK | UG_TARGET_OBJECTS, t, err);

	if (r < 0)
		return r;
	t->flags = op->flags;
	t->max_pause_us = op->max_pause_us;
	t->deadline_ns = deadline(op);
	t->report = report;
	t->notify = notify;
	r = ug_proc_check_untraced(&t->proc, err);
	if (r == 0)
		r = ug_proc_check_sharers(&t->proc, err);
	if (r == 0 && t->reg.addr && t->reg.is_copy)
		r = ug_registry_adopt(&t->proc, &t->reg, err);
	if (r < 0)
		ug_target_close(t);
	return r;
}

static int end(struct ug_target *t, const struct ug_operation *op, uint64_t started, int r,
	       struct ug_error *err)
{
	t->report->wall_ns = ug_now_ns() - started;
	if (r < 0 && err)
		err->pid = op->pid;
	ug_target_close(t);
	return r;
}

/* Finish or take back what another controller left. *ret_n counts it. */
static int settle(struct ug_target *t, unsigned int *ret_n, struct ug_error *err)
{
	struct ug_seg *trans;
	int r;

	while ((trans = ug_registry_open_trans(&t->reg))) {
		uint32_t id = trans->s.id;

		r = ug_transition_run(t, id, false, err);
		if (r < 0 && r != -ECANCELED)
			return r;
		(*ret_n)++;
		r = ug_target_reload(t, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Memory that could not be released now is released by the next operation. */
static void tidy(struct ug_target *t)
{
	struct ug_error err;
	unsigned int left;
	int r = ug_transition_release(t, PATIENCE_MS, &left, &err);

	if (r < 0 && r != -UG_E_GONE)
		ug_log_warn("cannot release memory in process %d: %s", t->proc.pid, err.message);
	else if (r == 0 && left)
		ug_log_notice("%u parts of removed patches are still executed in process %d; "
			      "'ugraft recover' releases them later", left, t->proc.pid);
}

static int settle_first(struct ug_target *t, struct ug_error *err)
{
	unsigned int n = 0;
	int r = settle(t, &n, err);

	if (r == -UG_E_TIMEOUT)
		return ug_err(err, -UG_E_TRANSITION, "another transition is still running in process "
			      "%d: wait for it or recover it first", t->proc.pid);
	return r;
}

/* ---- when time is up ---- */

static bool interrupted(const struct ug_target *t)
{
	return t->notify && t->notify->cancelled && t->notify->cancelled(t->notify->ctx);
}

/* The reversal gets the same time again: then the state is left for a later controller. */
static int reverse(struct ug_target *t, const struct ug_operation *op, uint32_t id,
		   struct ug_error *err)
{
	bool cancelled = interrupted(t);
	struct ug_notify notify = *t->notify;
	uint32_t back;
	int r = ug_transition_reverse(t, id, &back, err);

	if (r < 0)
		return r;
	t->deadline_ns = deadline(op);
	/* A cancellation has been obeyed; this is its effect. */
	notify.cancelled = NULL;
	t->notify = &notify;
	r = ug_transition_run(t, back, true, err);
	t->notify = NULL;
	if (r < 0)
		return r;
	if (cancelled)
		return ug_err(err, -UG_E_INTERRUPTED, "interrupted: the transition was reversed, "
			      "process %d is as before", t->proc.pid);
	return ug_err(err, -UG_E_REVERSED, "not all threads left the functions within %u ms; the "
		      "transition was reversed", op->timeout_ms);
}

static int drive(struct ug_target *t, const struct ug_operation *op, uint32_t id,
		 struct ug_error *err)
{
	int r = ug_transition_run(t, id, true, err);

	if (r != -UG_E_TIMEOUT && r < 0 && ug_error_exit(r) == UG_EXIT_PENDING && interrupted(t))
		return ug_err(err, -UG_E_INTERRUPTED, "interrupted before the transition began: "
			      "process %d is as before", t->proc.pid);
	if (r != -UG_E_TIMEOUT)
		return r;
	if (op->flags & UG_OPT_KEEP_ON_TIMEOUT && !interrupted(t)) {
		t->report->outcome = UG_PENDING;
		return 0;
	}
	return reverse(t, op, id, err);
}

/* ---- load ---- */

static int load_patch(struct ug_target *t, const struct ug_operation *op, struct ug_patch *patch,
		      struct ug_error *err)
{
	struct ug_match match;
	uint32_t id;
	int r;

	if (ug_registry_patch(&t->reg, patch->name)) {
		t->report->outcome = UG_ALREADY;
		return 0;
	}
	if (patch->flags & UG_PATCH_REPLACE && t->reg.addr)
		return ug_err(err, -UG_E_UNSUPPORTED, "atomic replace of loaded patches is not there "
			      "yet: unload them first");
	r = ug_match_init(&match, t, patch, err);
	if (r < 0)
		return r;
	r = ug_prepare_load(t, &match, &id, err);
	ug_match_deinit(&match);
	if (r < 0)
		return r;
	r = drive(t, op, id, err);
	if (t->report->outcome != UG_PENDING)
		tidy(t);
	return r;
}

int ug_operation_load(void *arg, const struct ug_notify *notify, struct ug_report *report,
		      struct ug_error *err)
{
	const struct ug_operation *op = arg;
	uint64_t started = ug_now_ns();
	struct ug_patch *patch;
	struct ug_target t;
	int r = ug_patch_open(op->what, &patch, err);

	if (r < 0)
		return r;
	(void)snprintf(report->patch, sizeof(report->patch), "%s", patch->name);
	report->functions = (unsigned int)patch->nfuncs;
	r = begin(&t, op, notify, report, err);
	if (r == 0) {
		r = settle_first(&t, err);
		if (r == 0)
			r = load_patch(&t, op, patch, err);
		r = end(&t, op, started, r, err);
	}
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

static int unload_patch(struct ug_target *t, const struct ug_operation *op, struct ug_error *err)
{
	struct ug_seg *patch = ug_registry_patch(&t->reg, op->what);
	uint32_t id;
	int r;

	if (!patch)
		return ug_err(err, -UG_E_NO_PATCH, "patch '%s' is not loaded in process %d", op->what,
			      op->pid);
	t->report->functions = patch->patch->nfuncs;
	r = ug_prepare_unload(t, patch, &id, err);
	if (r < 0)
		return r;
	r = drive(t, op, id, err);
	if (t->report->outcome == UG_PENDING)
		return r;
	tidy(t);
	t->report->pinned_bytes = pinned_bytes(t);
	return r;
}

int ug_operation_unload(void *arg, const struct ug_notify *notify, struct ug_report *report,
			struct ug_error *err)
{
	const struct ug_operation *op = arg;
	uint64_t started = ug_now_ns();
	struct ug_target t;
	int r = begin(&t, op, notify, report, err);

	if (r < 0)
		return r;
	(void)snprintf(report->patch, sizeof(report->patch), "%s", op->what);
	r = settle_first(&t, err);
	if (r == 0)
		r = unload_patch(&t, op, err);
	return end(&t, op, started, r, err);
}

/* ---- recover ---- */

int ug_operation_recover(void *arg, const struct ug_notify *notify, struct ug_report *report,
			 struct ug_error *err)
{
	const struct ug_operation *op = arg;
	uint64_t started = ug_now_ns();
	unsigned int n = 0, left = 0;
	struct ug_target t;
	int r = begin(&t, op, notify, report, err);

	if (r < 0)
		return r;
	r = settle(&t, &n, err);
	if (r == 0)
		r = ug_transition_release(&t, PATIENCE_MS, &left, err);
	report->recovered = n;
	report->outcome = n ? UG_DONE : UG_ALREADY;
	return end(&t, op, started, r, err);
}
