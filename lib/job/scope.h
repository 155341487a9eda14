/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which processes a job is about; the public side is ugraft/job.h. */
#ifndef UG_JOB_SCOPE_H
#define UG_JOB_SCOPE_H

#include "process/census.h"
#include "ugraft/job.h"

/*
 * ug_scope_find, with the processes that a former look has found: those that are still there
 * are found again, whatever has become of their parents.
 */
int ug_scope_look(const struct ug_scope *scopes, size_t n, const struct ug_found *known,
		  size_t nknown, struct ug_found **ret, size_t *ret_n,
		  struct ug_error *err) ug_must_check;

#endif
