// SPDX-License-Identifier: LGPL-2.1-or-later
/* A job whose processes must agree: all are changed in one moment, or none. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/group.h"
#include "job/job.h"

/* A tree that has grown each time all were stopped. */
#define TRIES 16

struct attempt {
	const struct ug_work *w;
	struct ug_found *found;
	size_t n;
};

static bool is_known(const struct attempt *a, const struct ug_found *f)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->found[i].pid == f->pid && a->found[i].start_time == f->start_time)
			return true;
	return false;
}

/*
 * In the worker, all members stopped: nobody can fork, so whoever is not here now was not born.
 * The worker's host and the worker itself are no members.
 */
static bool complete(void *ctx)
{
	const struct attempt *a = ctx;
	struct ug_found *found;
	bool all = true;
	size_t n;

	if (ug_scope_look(a->w->job->scopes, a->w->job->nscopes, a->found, a->n, &found, &n,
			  NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		all &= found[i].ended || is_known(a, &found[i]) || found[i].pid == getppid();
	free(found);
	return all;
}

/* Only where processes can come by themselves: the look is made in the stop. */
static bool may_grow(const struct ug_job *job)
{
	for (size_t i = 0; i < job->nscopes; i++)
		if (job->scopes[i].kind != UG_SCOPE_PROCESS)
			return true;
	return false;
}

static bool is_named(const struct ug_job *job, pid_t pid)
{
	for (size_t i = 0; i < job->nscopes; i++)
		if (job->scopes[i].kind == UG_SCOPE_PROCESS && job->scopes[i].pid == pid)
			return true;
	return false;
}

static int add_result(struct ug_work *w, const struct ug_found *f,
		      const struct ug_group_member *g, struct ug_error *err)
{
	struct ug_member *m = ug_vec_add(&w->members);

	if (!m)
		return ug_err(err, -ENOMEM, "out of memory");
	m->pid = f->pid;
	memcpy(m->comm, f->comm, sizeof(m->comm));
	m->round = w->rounds;
	m->report = g->report;
	if (g->r < 0)
		m->err = g->err;
	m->result = ug_result_of(g->r, &g->report);
	if (w->job->told)
		w->job->told(m, w->opts.ctx);
	return 0;
}

static int try_group(struct ug_work *w, struct attempt *a, struct ug_error *err)
{
	size_t len = (a->n + 1) * sizeof(struct ug_group_member);
	struct ug_group_change change = {
		.loading = w->job->verb == UG_JOB_LOAD, .what = w->job->what, .n = a->n,
		.complete = may_grow(w->job) ? complete : NULL, .ctx = a,
	};
	struct ug_opts opts = w->opts;
	uint64_t now = ug_now_ns();
	int r;

	/* Of all attempts together. */
	opts.timeout_ms = now < w->until_ns ? (unsigned int)((w->until_ns - now) / 1000000) + 1 : 1;

	change.v = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (change.v == MAP_FAILED)
		return ug_err_errno(err, "mmap");
	for (size_t i = 0; i < a->n; i++) {
		change.v[i].pid = a->found[i].pid;
		change.v[i].start_time = a->found[i].start_time;
		change.v[i].optional = !is_named(w->job, a->found[i].pid);
	}
	r = ug_group_run(&change, &opts, err);
	for (size_t i = 0; r == 0 && i < a->n; i++)
		r = add_result(w, &a->found[i], &change.v[i], err);
	munmap(change.v, len);
	return r;
}

int ug_work_atomic(struct ug_work *w, struct ug_error *err)
{
	int r = -ERESTART;

	if (w->job->verb != UG_JOB_LOAD && w->job->verb != UG_JOB_UNLOAD)
		return ug_err(err, -EINVAL, "only a load or an unload can be atomic");
	if (w->opts.flags & (UG_OPT_NO_WAIT | UG_OPT_KEEP_ON_TIMEOUT))
		return ug_err(err, -EINVAL, "an atomic change leaves no transition running");
	w->until_ns = ug_now_ns() + ug_work_timeout_ns(w);
	for (int i = 0; r == -ERESTART && i < TRIES; i++) {
		struct attempt a = { .w = w };

		w->rounds++;
		r = ug_scope_look(w->job->scopes, w->job->nscopes, NULL, 0, &a.found, &a.n, err);
		if (r < 0)
			return r;
		r = a.n ? try_group(w, &a, err) : ug_err(err, -ESRCH, "no process is there");
		free(a.found);
	}
	return r == -ERESTART ? ug_err(err, -UG_E_GROUP, "processes were born faster than they could "
				       "be stopped together; none was changed") : r;
}
