// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The rounds of a job. A round is a look at who is there, and a step with each member that has
 * something to be done. A look that finds nobody to be changed ends it: a process that was
 * born unseen has a parent that was not patched yet, which that look would have found.
 */
#include "job/job.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "engine/operation.h"

static const char *const names[UG_RESULTS] = {
	[UG_RESULT_APPLIED] = "applied",
	[UG_RESULT_ALREADY] = "already",
	[UG_RESULT_NOT_APPLICABLE] = "not-applicable",
	[UG_RESULT_PENDING] = "pending",
	[UG_RESULT_REFUSED] = "refused",
	[UG_RESULT_FAILED] = "failed",
	[UG_RESULT_GONE] = "gone",
};

const char *ug_result_name(enum ug_result result)
{
	return (unsigned int)result < UG_RESULTS ? names[result] : "unknown";
}

enum ug_result ug_result_of(int r, const struct ug_report *report)
{
	if (r >= 0)
		return report->outcome == UG_ALREADY ? UG_RESULT_ALREADY :
		       report->outcome == UG_PENDING ? UG_RESULT_PENDING : UG_RESULT_APPLIED;
	switch (-r) {
	case UG_E_EXISTS:
		return UG_RESULT_ALREADY;
	case UG_E_TIMEOUT:
		return UG_RESULT_PENDING;
	case UG_E_GONE:
	case ESRCH:
		return UG_RESULT_GONE;
	case UG_E_NO_OBJECT:
	case UG_E_NO_PATCH:
	case UG_E_NO_TRANSITION:
		return UG_RESULT_NOT_APPLICABLE;
	}
	return ug_error_exit(r) == UG_EXIT_REFUSED ? UG_RESULT_REFUSED : UG_RESULT_FAILED;
}

/* ---- looking ---- */

static size_t find_member(const struct ug_work *w, const struct ug_found *f)
{
	for (size_t i = 0; i < w->state.n; i++)
		if (w->state.v[i].found.pid == f->pid &&
		    w->state.v[i].found.start_time == f->start_time)
			return i;
	return w->state.n;
}

static int add_member(struct ug_work *w, const struct ug_found *f, struct ug_error *err)
{
	struct ug_progress_of *st = ug_vec_add(&w->state);
	struct ug_member *m = st ? ug_vec_add(&w->members) : NULL;

	if (!m) {
		w->state.n -= st ? 1 : 0;
		return ug_err(err, -ENOMEM, "out of memory");
	}
	st->found = *f;
	st->todo = UG_TODO_TRY;
	m->pid = f->pid;
	memcpy(m->comm, f->comm, sizeof(m->comm));
	m->round = w->rounds;
	m->result = UG_RESULT_FAILED;
	(void)ug_err(&m->err, -UG_E_INTERRUPTED, "not tried: it was interrupted, or time was up");
	if (f->ended) {
		st->todo = UG_TODO_NOTHING;
		st->calm = true;
		m->result = UG_RESULT_GONE;
		(void)ug_err(&m->err, -UG_E_GONE, "process %d has ended", f->pid);
	}
	m->err.pid = f->pid;
	return 0;
}

/* A known one that runs another program is to be tried like a new one. */
static void see_again(struct ug_work *w, size_t i, const struct ug_found *f)
{
	struct ug_progress_of *st = &w->state.v[i];
	bool other = f->image && f->image != st->found.image;

	st->found = *f;
	if (!other)
		return;
	st->todo = UG_TODO_TRY;
	st->begun = st->calm = false;
	st->good_since = 0;
	memcpy(w->members.v[i].comm, f->comm, sizeof(f->comm));
	memset(&w->members.v[i].report, 0, sizeof(w->members.v[i].report));
}

static int look(struct ug_work *w, struct ug_error *err)
{
	struct ug_found *known = calloc(w->state.n + 1, sizeof(*known)), *found = NULL;
	size_t n = 0;
	int r;

	if (!known)
		return ug_err(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < w->state.n; i++)
		known[i] = w->state.v[i].found;
	w->rounds++;
	r = ug_scope_look(w->job->scopes, w->job->nscopes, known, w->state.n, &found, &n, err);
	for (size_t k = 0; r == 0 && k < n; k++) {
		size_t i = find_member(w, &found[k]);

		if (i < w->state.n)
			see_again(w, i, &found[k]);
		else
			r = add_member(w, &found[k], err);
	}
	free(known);
	free(found);
	return r;
}

/* ---- rounds ---- */

/* One step with everybody who needs one. True: somebody was not as wanted, look again. */
static bool step(struct ug_work *w)
{
	bool again = false;

	for (size_t i = 0; i < w->state.n; i++) {
		struct ug_progress_of *st = &w->state.v[i];

		if (st->todo == UG_TODO_NOTHING)
			continue;
		/* Who was not begun when it was cancelled is left alone. */
		if (st->todo == UG_TODO_TRY && ug_work_cancelled(w))
			continue;
		ug_work_on(w, i);
		again |= !st->calm;
	}
	return again;
}

static bool anything_left(const struct ug_work *w)
{
	for (size_t i = 0; i < w->state.n; i++)
		if (w->state.v[i].todo == UG_TODO_DRIVE ||
		    (w->state.v[i].todo == UG_TODO_TRY && !ug_work_cancelled(w)))
			return true;
	return false;
}

/* Drivers sleep by themselves; somebody in the way may need a moment to go. */
static void nap(void)
{
	const struct timespec ts = { .tv_nsec = 20000000 };

	nanosleep(&ts, NULL);
}

static int run(struct ug_work *w, bool *ret_settled, struct ug_error *err)
{
	bool late = false, again = true;
	int r = look(w, err);

	if (r < 0 || !w->state.n)
		return r < 0 ? r : ug_err(err, -ESRCH, "no process is there");
	while (again) {
		again = step(w);
		if (!w->until_ns)
			w->until_ns = ug_now_ns() + ug_work_timeout_ns(w);
		late = ug_now_ns() > w->until_ns || ug_work_cancelled(w);
		if (late && !anything_left(w))
			break;
		if (anything_left(w))
			nap();
		/* What became of those who are known is worth more than an error about others. */
		if (again && !late && look(w, err) < 0)
			late = true;
	}
	*ret_settled = !again && !ug_work_cancelled(w);
	return 0;
}

/* ---- the call ---- */

static int take_job(const struct ug_job *job, struct ug_job *ret, struct ug_error *err)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = sizeof(*ret); i < job->sz; i++)
		if (((const char *)job)[i])
			return ug_err(err, -E2BIG, "a field of the job is not known to this version of "
				      "libugraft");
	memcpy(ret, job, job->sz < sizeof(*ret) ? job->sz : sizeof(*ret));
	if (!ret->nscopes || !ret->scopes ||
	    (!ret->what && (ret->verb == UG_JOB_LOAD || ret->verb == UG_JOB_UNLOAD)))
		return ug_err(err, -EINVAL, "the job does not say what, or to whom");
	return 0;
}

static int hand_over(struct ug_work *w, bool settled, struct ug_members **ret, struct ug_error *err)
{
	struct ug_members *m = calloc(1, sizeof(*m));

	if (!m)
		return ug_err(err, -ENOMEM, "out of memory");
	m->n = w->members.n;
	m->v = w->members.v;
	w->members.v = NULL;
	m->rounds = w->rounds;
	m->settled = settled;
	for (size_t i = 0; i < m->n; i++)
		m->count[m->v[i].result]++;
	*ret = m;
	return 0;
}

int ug_job_run(const struct ug_job *user_job, struct ug_members **ret, struct ug_error *err)
{
	struct ug_job job;
	struct ug_work w = { .job = &job };
	bool settled = false;
	int r = take_job(user_job, &job, err);

	if (r == 0)
		r = ug_opts_take(job.opts, &w.opts, err);
	if (r == 0 && job.atomic) {
		r = ug_work_atomic(&w, err);
		settled = true;
	} else if (r == 0) {
		r = run(&w, &settled, err);
	}
	if (r == 0)
		r = hand_over(&w, settled, ret, err);
	ug_vec_free(&w.state);
	ug_vec_free(&w.members);
	return r;
}

void ug_members_free(struct ug_members *members)
{
	if (!members)
		return;
	free(members->v);
	free(members);
}
