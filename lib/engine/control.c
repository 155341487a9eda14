/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs about a transition that somebody else has begun: wait, reverse, force, blocking,
 * recover. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/hook.h"
#include "engine/operation.h"
#include "engine/session.h"
#include "engine/transition.h"

/* The transition that runs; it must be the named patch's, when one is named. */
static int find_running(struct ug_target *t, const struct ug_operation *op, struct ug_seg **ret,
			struct ug_error *err)
{
	const char *name;
	int r = ug_session_settle(t, NULL, ret, err);

	if (r < 0)
		return r;
	if (!*ret)
		return ug_err(err, -UG_E_NO_TRANSITION, "no transition is running in process %d",
			      op->pid);
	name = ug_session_patch_name(t, *ret);
	if (op->what && strcmp(op->what, name) != 0)
		return ug_err(err, -UG_E_NO_TRANSITION, "patch '%s' is not in transition in process %d: "
			      "'%s' is", op->what, op->pid, name);
	(void)snprintf(t->report->patch, sizeof(t->report->patch), "%s", name);
	t->report->functions = ug_hook_other_moves(&t->reg, *ret);
	return 0;
}

static void tidy_unless_pending(struct ug_target *t, int r)
{
	if (r == 0 && t->report->outcome != UG_PENDING)
		ug_session_tidy(t);
}

static int wait_for(struct ug_target *t, const struct ug_operation *op, struct ug_error *err)
{
	struct ug_seg *trans;
	int r = find_running(t, op, &trans, err);

	if (r == -UG_E_NO_TRANSITION && !op->what) {
		t->report->outcome = UG_ALREADY;
		return 0;
	}
	if (r == 0)
		r = ug_session_go_on(t, trans->s.id, err);
	tidy_unless_pending(t, r);
	return r;
}

int ug_operation_wait(void *arg, const struct ug_notify *notify, struct ug_report *report,
		      struct ug_error *err)
{
	const struct ug_operation *op = arg;
	struct ug_target t;
	int r = ug_session_begin(&t, op, notify, report, err);

	return r < 0 ? r : ug_session_end(&t, op, wait_for(&t, op, err), err);
}

static int reverse(struct ug_target *t, const struct ug_operation *op, struct ug_error *err)
{
	struct ug_seg *trans;
	int r = find_running(t, op, &trans, err);

	if (r == 0)
		r = ug_session_reverse(t, trans->s.id, err);
	tidy_unless_pending(t, r);
	return r;
}

int ug_operation_reverse(void *arg, const struct ug_notify *notify, struct ug_report *report,
			 struct ug_error *err)
{
	const struct ug_operation *op = arg;
	struct ug_target t;
	int r = ug_session_begin(&t, op, notify, report, err);

	return r < 0 ? r : ug_session_end(&t, op, reverse(&t, op, err), err);
}

/* Declare, then complete in the ordinary way. */
static int force(struct ug_target *t, const struct ug_operation *op, struct ug_error *err)
{
	struct ug_seg *trans;
	uint32_t id = 0;
	int r = find_running(t, op, &trans, err);

	if (r == 0) {
		id = trans->s.id;
		r = ug_transition_force(t, id, &t->report->forced, err);
	}
	if (r == 0)
		r = ug_session_go_on(t, id, err);
	tidy_unless_pending(t, r);
	return r;
}

int ug_operation_force(void *arg, const struct ug_notify *notify, struct ug_report *report,
		       struct ug_error *err)
{
	const struct ug_operation *op = arg;
	struct ug_target t;
	int r = ug_session_begin(&t, op, notify, report, err);

	return r < 0 ? r : ug_session_end(&t, op, force(&t, op, err), err);
}

static int blocking(struct ug_target *t, const struct ug_operation *op, struct ug_error *err)
{
	struct ug_seg *trans;
	int r = find_running(t, op, &trans, err);

	return r < 0 ? r : ug_transition_blocking(t, trans->s.id, err);
}

int ug_operation_blocking(void *arg, const struct ug_notify *notify, struct ug_report *report,
			  struct ug_error *err)
{
	const struct ug_operation *op = arg;
	struct ug_target t;
	int r = ug_session_begin(&t, op, notify, report, err);

	return r < 0 ? r : ug_session_end(&t, op, blocking(&t, op, err), err);
}

static int recover(struct ug_target *t, struct ug_error *err)
{
	unsigned int n = 0, left = 0;
	struct ug_seg *trans;
	int r = ug_session_settle(t, &n, &trans, err);

	/* Also of one that has left no trace yet. */
	t->inherited = true;
	if (r == 0 && trans) {
		r = ug_transition_run(t, trans->s.id, false, err);
		n++;
	}
	if (r == 0)
		r = ug_session_release(t, &left, err);
	t->report->recovered = n;
	t->report->outcome = n ? UG_DONE : UG_ALREADY;
	return r;
}

int ug_operation_recover(void *arg, const struct ug_notify *notify, struct ug_report *report,
			 struct ug_error *err)
{
	const struct ug_operation *op = arg;
	struct ug_target t;
	int r = ug_session_begin(&t, op, notify, report, err);

	return r < 0 ? r : ug_session_end(&t, op, recover(&t, err), err);
}
