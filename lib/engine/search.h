/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Searching the memory of a process for pointers into what a run is about (contexts.h).
 *
 * What fits into a stop is read there, all of it. More is read before, while the process runs,
 * with writes watched (process/writes.h): in the stop remain the pages that were written to
 * since, and those that pointed somewhere. A page that was never looked at, is swapped out,
 * or does not fit any more, makes everything occupied: never is anything taken to be free
 * because it was not read.
 */
#ifndef UG_ENGINE_SEARCH_H
#define UG_ENGINE_SEARCH_H

#include "engine/run.h"
#include "inject/remote.h"

/* More memory than this is not read within a stop of 10 ms (about 6 GB/s). */
#define UG_SEARCH_MAX (48u << 20)

/* Is all private writable memory that is in use no more than that? */
bool ug_search_fits(struct ug_target *t);

/*
 * Before a stop of an all-at-once run, with fresh maps. What keeps memory from being searched
 * is in run->unsearchable (-UG_E_CONTEXTS), for good. Nothing in the target stays watched
 * longer than the run.
 */
void ug_search_prepare(struct ug_run *run);

/*
 * In a full stop: adds to the run's occupied items those that a word of private writable
 * memory may point into, plain or mangled. Thread stacks are left out (the stack check has
 * seen them). Once a stop: a second call has nothing to add.
 */
int ug_search_memory(struct ug_run *run, struct ug_error *err) ug_must_check;

/* Was this stop too early for a search, and will the next one not be? */
bool ug_search_pending(const struct ug_run *run);

void ug_search_end(struct ug_run *run);

/* May a dead controller have left a userfaultfd open in the target? Close it, if so. */
bool ug_search_left(const struct ug_target *t);
int ug_search_close_left(struct ug_target *t, struct ug_remote *remote,
			 struct ug_error *err) ug_must_check;

#endif
