/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages of another process have been written to since they were last asked for.
 *
 * A userfaultfd of that process, held by us alone, write-protects its memory; the kernel lifts
 * the protection of a page by itself when it is written to (UFFD_FEATURE_WP_ASYNC) and tells
 * by PAGEMAP_SCAN which pages are not protected. Both since Linux 6.7; numbers from its
 * include/uapi/linux/userfaultfd.h and fs.h, which older headers do not have. With our end of
 * the descriptor everything is gone: the death of the controller leaves no trace.
 *
 * A page counts as written unless it is known not to be: also one of a mapping that is not
 * watched (another userfaultfd has it), and one that is new.
 */
#ifndef UG_PROCESS_WRITES_H
#define UG_PROCESS_WRITES_H

#include "process/proc.h"

struct ug_written {
	ug_raddr_t start, end;
};

/* Does this kernel have it? Tried on ourselves. */
bool ug_writes_known(void);

/* Prepare a fresh userfaultfd of the process. -UG_E_UNSUPPORTED. */
int ug_writes_begin(int uffd, struct ug_error *err) ug_must_check;

/* Watch a mapping from now on; where that is not possible, it always counts as written. */
void ug_writes_watch(int uffd, ug_raddr_t start, ug_raddr_t end);

/*
 * Pages of [*at, end) with contents that were written to; with `protect` they are not, from
 * now on. *at moves to where the search has come: it is over when that is `end`.
 * Returns how many of v[max] are filled, or an error of the call.
 */
int ug_writes_find(struct ug_proc *p, ug_raddr_t *at, ug_raddr_t end, bool protect,
		   struct ug_written *v, size_t max, struct ug_error *err) ug_must_check;

#endif
