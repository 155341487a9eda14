/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the worker does for each call of the public API that touches a process: operation.c
 * has load and unload, control.c the verbs about a transition that is already there.
 */
#ifndef UG_ENGINE_OPERATION_H
#define UG_ENGINE_OPERATION_H

#include "engine/target.h"

struct ug_operation {
	pid_t pid;
	const char *what;		/* load: file; else: name of the patch, where there is one */
	unsigned int flags;
	unsigned int timeout_ms;
	unsigned int max_pause_us;
};

/*
 * The caller's options, with the default timeout where there is none; NULL: all zero. A caller
 * that knows fewer fields has the others zero; of one that knows more, what we do not know must
 * be zero: else -E2BIG.
 */
int ug_opts_take(const struct ug_opts *opts, struct ug_opts *ret, struct ug_error *err) ug_must_check;

/*
 * The first half of a load and of an unload, in a session in which nothing else runs: the
 * transition is recorded (prepare.h), nothing has begun. Sets report->functions for an unload.
 */
struct ug_patch;
int ug_operation_prepare_load(struct ug_target *t, struct ug_patch *patch, uint32_t *ret_id,
			      struct ug_error *err) ug_must_check;
int ug_operation_prepare_unload(struct ug_target *t, const char *name, uint32_t *ret_id,
				struct ug_error *err) ug_must_check;

/* Jobs for ug_worker_run; arg is a struct ug_operation. */
int ug_operation_load(void *arg, const struct ug_notify *notify, struct ug_report *report,
		      struct ug_error *err);
int ug_operation_unload(void *arg, const struct ug_notify *notify, struct ug_report *report,
			struct ug_error *err);
int ug_operation_wait(void *arg, const struct ug_notify *notify, struct ug_report *report,
		      struct ug_error *err);
int ug_operation_reverse(void *arg, const struct ug_notify *notify, struct ug_report *report,
			 struct ug_error *err);
int ug_operation_force(void *arg, const struct ug_notify *notify, struct ug_report *report,
		       struct ug_error *err);
int ug_operation_blocking(void *arg, const struct ug_notify *notify, struct ug_report *report,
			  struct ug_error *err);
int ug_operation_recover(void *arg, const struct ug_notify *notify, struct ug_report *report,
			 struct ug_error *err);

#endif
