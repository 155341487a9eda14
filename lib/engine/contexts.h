/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Suspended contexts: coroutines and fibers whose frames are on no thread's stack. There
 * the activation carries the version, not the thread, and it may migrate between threads: no
 * table can describe it. Where they are possible a transition is all-at-once: one full stop
 * must find all threads *and* all private writable memory free of the functions.
 *
 * They are found out by what objects import, and by a thread that runs on a stack which is not
 * its own: a switch of stacks written by hand needs no symbol.
 */
#ifndef UG_ENGINE_CONTEXTS_H
#define UG_ENGINE_CONTEXTS_H

#include "base/vec.h"
#include "engine/checkset.h"
#include "engine/run.h"

/*
 * Can objects of the process create contexts? They can when one imports makecontext,
 * swapcontext or setcontext, or a known fiber library's entry. libcrypto imports makecontext
 * for its ASYNC jobs: it counts only when somebody other than libssl uses those. And they can
 * when a thread was seen on a stack of its own making before (ug_contexts_notice).
 * 1: possible; 0: not, or the administrator said so (UG_OPT_CONTEXTS_NONE).
 * -UG_E_CONTEXTS: possible, and the memory is too large to be searched (search.h).
 */
int ug_contexts_possible(struct ug_target *t, struct ug_error *err) ug_must_check;

/*
 * In a full stop, all threads checked: if one runs on a stack of its own making, the process
 * has contexts, whatever its symbols say. From then on the run is all-at-once, and so is every
 * later one: the registry remembers. A transition that has committed cannot become it any
 * more, but what it leaves behind is searched for.
 * Errors: -UG_E_CONTEXTS as above, then run->unsearchable: nothing is found empty; of writing.
 */
int ug_contexts_notice(struct ug_run *run, struct ug_error *err) ug_must_check;

#endif
