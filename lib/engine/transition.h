/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The transition engine: every change of what runs - load, unload, reversal - is one
 * transition, a set of moves of functions from one version to another, recorded in the
 * registry and then driven to its end by whatever controller is at work. An atomic replace
 * is a load with moves for the functions of all the patches it replaces (nops lead to the
 * original); the patches themselves go out of force at its completion.
 *
 *	record		prepare.c: gates, word ALL, record published as OPEN. Nothing has changed.
 *	start		one full stop: entries to the gates one by one (word ALL takes `before`:
 *			nothing changes yet), the table of threads that are not safe, one store
 *			of the word: the commit. All safe: the word is NULL at once, and the same
 *			stop completes.
 *	try_complete	single threads are switched, one byte each
 *	complete	one full stop: word NULL, entries to their targets, states
 *	reverse		a new transition whose `before` are the gates of the present one
 *	force		one full stop: word NULL
 *
 * The state is word, table and entries; the records say what they mean. A controller that
 * dies leaves a state from which the same loop goes on (ug_transition_run again):
 *
 *	OPEN, word ALL		not committed: entries are moved back, the record closed
 *	OPEN, word table	committed: go on with try_complete
 *	OPEN, word NULL		all switched: complete (again)
 */
#ifndef UG_ENGINE_TRANSITION_H
#define UG_ENGINE_TRANSITION_H

#include "engine/target.h"

/*
 * Drive the open transition `id` from whatever state it is in to its end.
 * `fresh`: it was recorded just now, by us: word ALL means "start it", not "take it back".
 *
 * 0: complete. -UG_E_TIMEOUT: the deadline passed (or a cancellation came) after the commit;
 * it goes on when somebody continues it. Everything else: it did not commit and has been
 * taken back (the record is closed); the target runs what it ran before. With t->forward (of a
 * group, group.h) it is left as it is instead.
 */
int ug_transition_run(struct ug_target *t, uint32_t id, bool fresh, struct ug_error *err) ug_must_check;

/*
 * Record the reversal of the open, committed transition `id`; then ug_transition_run it.
 */
int ug_transition_reverse(struct ug_target *t, uint32_t id, uint32_t *ret_id,
			  struct ug_error *err) ug_must_check;

/*
 * Was its completion cut off: do entries lead to their targets already? All threads are switched
 * then. It can only be completed: a reversal would have to begin at gates.
 */
bool ug_transition_is_ending(struct ug_target *t, const struct ug_seg *trans);

/*
 * One full stop that changes nothing: tells notify->blocker each thread that the transition
 * waits for.
 */
int ug_transition_blocking(struct ug_target *t, uint32_t id, struct ug_error *err) ug_must_check;

/*
 * Declare every thread switched that is not, in one full stop. *ret_forced: threads that were
 * still inside; the patches being removed are marked then. The transition is not completed:
 * ug_transition_run it. -EINVAL: it has not begun.
 */
int ug_transition_force(struct ug_target *t, uint32_t id, unsigned int *ret_forced,
			struct ug_error *err) ug_must_check;

/*
 * Release what nobody executes any more: wait up to `patience_ms` (0: not at all) for threads
 * that are still inside, prove left segments empty by a full stop, then free their memory,
 * garbage of dead controllers, and the registry itself once it is of no more use. *ret_left: segments that are still occupied.
 */
int ug_transition_release(struct ug_target *t, unsigned int patience_ms, unsigned int *ret_left,
			  struct ug_error *err) ug_must_check;

/* The lines of a load that could not begin. */
void ug_log_failed_load(struct ug_target *t, const char *patch);

#endif
