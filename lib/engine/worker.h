/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper process that does all tracing. It is forked inside a call of the public API and
 * talks to it by a socket, so that the host's waitpid(2), SIGCHLD handling, threads and
 * priority are never touched, and the watchdog that ends a stuck controller ends only it.
 *
 * When the host dies the socket closes, which the worker takes for a cancellation: it takes
 * back or leaves a consistent state, like on Ctrl-C.
 */
#ifndef UG_ENGINE_WORKER_H
#define UG_ENGINE_WORKER_H

#include "engine/target.h"

/* Runs in the worker; its result, *report and *err are what the host's call returns. */
typedef int (*ug_job_t)(void *arg, const struct ug_notify *notify, struct ug_report *report,
			struct ug_error *err);

/*
 * -UG_E_WORKER when it died without an answer (the watchdog, or somebody's SIGKILL). Blockers
 * the job tells of are appended to `blocking` (may be NULL).
 */
int ug_worker_run(ug_job_t job, void *arg, const struct ug_opts *opts, struct ug_report *report,
		  struct ug_blocking *blocking, struct ug_error *err) ug_must_check;

#endif
