/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A job over the tree of a server, and what must hold of any. */
#ifndef UG_TESTS_TREE_H
#define UG_TESTS_TREE_H

#include <stddef.h>

#include "ugraft/job.h"

static const char *tree_patch;		/* a .ugp */
static const char *tree_name;		/* of the patch in it */

/* Add all up over all jobs, for the note. */
struct tree_sums {
	unsigned int jobs, rounds;
	unsigned long count[UG_RESULTS];
};

static inline void tree_show(const struct ug_members *m)
{
	for (size_t i = 0; i < m->n; i++)
		print_message("# %d %s: %s in round %u: %s\n", m->v[i].pid, m->v[i].comm,
			      ug_result_name(m->v[i].result), m->v[i].round, m->v[i].err.message);
}

/* Everybody is as wanted, or is nobody any more. */
static inline void tree_run(pid_t root, enum ug_job_verb verb, struct tree_sums *sums)
{
	const struct ug_scope scope = { .kind = UG_SCOPE_TREE, .pid = root };
	/* Of a machine that is busy with other tests, too. */
	const struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 20000, .max_pause_us = 200000 };
	struct ug_job job = {
		.sz = sizeof(job), .verb = verb, .scopes = &scope, .nscopes = 1, .opts = &opts,
		.what = verb == UG_JOB_LOAD ? tree_patch : tree_name,
	};
	struct ug_error err = { 0 };
	struct ug_members *m;
	size_t sum = 0;

	if (ug_job_run(&job, &m, &err) < 0)
		fail_msg("job: %s", err.message);
	for (int i = 0; i < UG_RESULTS; i++) {
		sum += m->count[i];
		sums->count[i] += m->count[i];
	}
	sums->jobs++;
	sums->rounds += m->rounds;
	if (!m->settled || m->count[UG_RESULT_PENDING] || m->count[UG_RESULT_REFUSED] ||
	    m->count[UG_RESULT_FAILED] || !m->count[UG_RESULT_APPLIED])
		tree_show(m);
	assert_int_equal(sum, m->n);
	assert_true(m->settled);
	assert_int_equal(m->count[UG_RESULT_PENDING], 0);
	assert_int_equal(m->count[UG_RESULT_REFUSED], 0);
	assert_int_equal(m->count[UG_RESULT_FAILED], 0);
	assert_true(m->count[UG_RESULT_APPLIED] > 0);
	ug_members_free(m);
}

static inline void tree_note(const char *server, const struct tree_sums *s)
{
	print_message("# %s: %u jobs, %u rounds:", server, s->jobs, s->rounds);
	for (int i = 0; i < UG_RESULTS; i++)
		if (s->count[i])
			print_message(" %lu %s", s->count[i], ug_result_name((enum ug_result)i));
	print_message("\n");
}

#endif
