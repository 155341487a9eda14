/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls of ugraft.h that change a target. */
#include <errno.h>
#include <string.h>

#include "engine/operation.h"
#include "engine/worker.h"

#define DEFAULT_TIMEOUT_MS 15000

/*
 * Options of a caller that knows fewer fields count as zero; one that knows more may only
 * have left them zero.
 */
static int take_opts(const struct ug_opts *opts, struct ug_opts *ret, struct ug_error *err)
{
	memset(ret, 0, sizeof(*ret));
	ret->sz = sizeof(*ret);
	if (!opts)
		return 0;
	for (size_t i = sizeof(*ret); i < opts->sz; i++)
		if (((const char *)opts)[i])
			return ug_err(err, -E2BIG, "an option is not known to this version of libugraft");
	memcpy(ret, opts, opts->sz < sizeof(*ret) ? opts->sz : sizeof(*ret));
	return 0;
}

static int operate(ug_job_t job, pid_t pid, const char *what, const struct ug_opts *user_opts,
		   struct ug_report *user_report, struct ug_error *err)
{
	struct ug_report report = { 0 };
	struct ug_opts opts;
	struct ug_operation op = { .pid = pid, .what = what };
	int r = take_opts(user_opts, &opts, err);

	if (r < 0)
		return r;
	op.flags = opts.flags;
	op.timeout_ms = opts.timeout_ms ? opts.timeout_ms : DEFAULT_TIMEOUT_MS;
	op.max_pause_us = opts.max_pause_us;
	r = ug_worker_run(job, &op, &opts, &report, err);
	if (user_report)
		*user_report = report;
	return r;
}

int ug_load(pid_t pid, const char *file, const struct ug_opts *opts, struct ug_report *report,
	    struct ug_error *err)
{
	return operate(ug_operation_load, pid, file, opts, report, err);
}

int ug_unload(pid_t pid, const char *name, const struct ug_opts *opts, struct ug_report *report,
	      struct ug_error *err)
{
	return operate(ug_operation_unload, pid, name, opts, report, err);
}

int ug_wait(pid_t pid, const char *name, const struct ug_opts *opts, struct ug_report *report,
	    struct ug_error *err)
{
	return operate(ug_operation_wait, pid, name, opts, report, err);
}

int ug_reverse(pid_t pid, const char *name, const struct ug_opts *opts, struct ug_report *report,
	       struct ug_error *err)
{
	return operate(ug_operation_reverse, pid, name, opts, report, err);
}

int ug_force(pid_t pid, const char *name, const struct ug_opts *opts, struct ug_report *report,
	     struct ug_error *err)
{
	return operate(ug_operation_force, pid, name, opts, report, err);
}

int ug_recover(pid_t pid, const struct ug_opts *opts, struct ug_report *report, struct ug_error *err)
{
	return operate(ug_operation_recover, pid, NULL, opts, report, err);
}
