/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One controller's session with one process: pinned, locked, driven, left. What the
 * operations have in common; runs in the worker.
 *
 * A controller that died has left one of five things, and they are told apart by what is in
 * the process alone:
 *
 *	a transition that never committed	it is rolled back before anything else
 *	a transition that has committed		it runs: nobody drives it, but each thread is where
 *						it says; it can be driven on, reversed, forced
 *	one whose completion has begun		all threads are switched: it is completed
 *	segments nobody refers to		they are released
 *	the intent of a group			the group is brought to its end before anything else
 */
#ifndef UG_ENGINE_SESSION_H
#define UG_ENGINE_SESSION_H

#include "engine/operation.h"
#include "engine/target.h"

/*
 * Open, lock, and check that we may work on it; bring the group it belongs to, if any, to its end
 * (group.h): that takes the locks of its other members, too. On success ug_session_end.
 */
int ug_session_begin(struct ug_target *t, const struct ug_operation *op,
		     const struct ug_notify *notify, struct ug_report *report,
		     struct ug_error *err) ug_must_check;

/* The same, but the intent of a group may be in it: for those who hold all its members. */
int ug_session_open(struct ug_target *t, const struct ug_operation *op,
		    const struct ug_notify *notify, struct ug_report *report,
		    struct ug_error *err) ug_must_check;

/* Returns r, the result of the operation; -UG_E_GONE when it failed and the target has gone. */
int ug_session_end(struct ug_target *t, const struct ug_operation *op, int r, struct ug_error *err);

/*
 * Roll back what never committed, and complete what was cut off in its completion, which can no
 * longer be reversed; adds their number, and that of what was brought to its end when the session
 * began, to *ret_n (may be NULL). *ret: the transition that runs, or NULL.
 */
int ug_session_settle(struct ug_target *t, unsigned int *ret_n, struct ug_seg **ret,
		      struct ug_error *err) ug_must_check;

/*
 * The same, and nothing may run afterwards: what does is driven for as long as the kernel
 * waits before it tries again. -UG_E_TRANSITION when that was not enough.
 */
int ug_session_settle_all(struct ug_target *t, unsigned int *ret_n, struct ug_error *err) ug_must_check;

/*
 * Drive transition `id` until it is complete or the time of the operation is up: then it is
 * reversed (-UG_E_REVERSED, -UG_E_INTERRUPTED), or left running when the caller wants that
 * (0, the report says UG_PENDING).
 */
int ug_session_drive(struct ug_target *t, const struct ug_operation *op, uint32_t id, bool fresh,
		     struct ug_error *err) ug_must_check;

/*
 * Reverse the running transition `id` and drive that; when the time is up it is left running
 * (0, UG_PENDING): reversing it again would help nobody.
 */
int ug_session_reverse(struct ug_target *t, uint32_t id, struct ug_error *err) ug_must_check;

/* Drive `id` without a change of direction; out of time as above. */
int ug_session_go_on(struct ug_target *t, uint32_t id, struct ug_error *err) ug_must_check;

/* Release what is no longer executed, waiting briefly for who is just leaving it; *ret_left:
 * parts still in use, which a later session releases. */
int ug_session_release(struct ug_target *t, unsigned int *ret_left, struct ug_error *err) ug_must_check;

/* The same, best effort. */
void ug_session_tidy(struct ug_target *t);

/* The patch a transition is about; "?" when the registry does not have it. */
const char *ug_session_patch_name(const struct ug_target *t, const struct ug_seg *trans);

#endif
