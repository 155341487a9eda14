/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls of ugraft.h that change a target. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/operation.h"
#include "engine/worker.h"

/* Of a transition. */
#define DEFAULT_TIMEOUT_MS 15000

int ug_opts_take(const struct ug_opts *opts, struct ug_opts *ret, struct ug_error *err)
{
	memset(ret, 0, sizeof(*ret));
	ret->sz = sizeof(*ret);
	for (size_t i = sizeof(*ret); opts && i < opts->sz; i++)
		if (((const char *)opts)[i])
			return ug_err(err, -E2BIG, "an option is not known to this version of libugraft");
	if (opts)
		memcpy(ret, opts, opts->sz < sizeof(*ret) ? opts->sz : sizeof(*ret));
	if (!ret->timeout_ms)
		ret->timeout_ms = DEFAULT_TIMEOUT_MS;
	return 0;
}

static int operate_with(ug_job_t job, pid_t pid, const char *what, const struct ug_opts *user_opts,
			struct ug_report *user_report, struct ug_blocking *blocking,
			struct ug_error *err)
{
	struct ug_report report = { 0 };
	struct ug_opts opts;
	struct ug_operation op = { .pid = pid, .what = what };
	int r = ug_opts_take(user_opts, &opts, err);

	if (r < 0)
		return r;
	op.flags = opts.flags;
	op.timeout_ms = opts.timeout_ms;
	op.max_pause_us = opts.max_pause_us;
	r = ug_worker_run(job, &op, &opts, &report, blocking, err);
	if (user_report)
		*user_report = report;
	return r;
}

static int operate(ug_job_t job, pid_t pid, const char *what, const struct ug_opts *opts,
		   struct ug_report *report, struct ug_error *err)
{
	return operate_with(job, pid, what, opts, report, NULL, err);
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

/* What the transition is, as anybody can see it; the threads are found in a stop. */
static int describe(pid_t pid, struct ug_blocking *b, struct ug_error *err)
{
	struct ug_status *st;
	int r = ug_status(pid, &st, err);

	if (r < 0)
		return r;
	b->pid = pid;
	memcpy(b->comm, st->comm, sizeof(b->comm));
	memcpy(b->patch, st->transition_patch, sizeof(b->patch));
	b->patching = st->transition_patching;
	b->since_ns = st->transition_since_ns;
	ug_status_free(st);
	return 0;
}

int ug_blocking(pid_t pid, const struct ug_opts *opts, struct ug_blocking **ret, struct ug_error *err)
{
	struct ug_blocking *b = calloc(1, sizeof(*b));
	struct ug_report report = { 0 };
	int r;

	if (!b)
		return ug_err(err, -ENOMEM, "out of memory");
	r = operate_with(ug_operation_blocking, pid, NULL, opts, &report, b, err);
	if (r == 0)
		r = describe(pid, b, err);
	b->threads = report.threads;
	if (r < 0)
		ug_blocking_free(b);
	else
		*ret = b;
	return r;
}

void ug_blocking_free(struct ug_blocking *b)
{
	if (!b)
		return;
	free(b->v);
	free(b);
}

int ug_recover(pid_t pid, const struct ug_opts *opts, struct ug_report *report, struct ug_error *err)
{
	return operate(ug_operation_recover, pid, NULL, opts, report, err);
}
