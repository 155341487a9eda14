/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pair_common.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/victim.h"

#define TIMEOUT_MS 20000

struct pair pair;
static struct victim_state before[PAIR_MAX];

/* ---- the victim ---- */

int pair_set_up(unsigned int processes)
{
	char count[8], name[16], why[512];
	const char *argv[] = { scenario_bin("tests/victims/pair"), count, NULL };

	pair.n = processes;
	snprintf(count, sizeof(count), "%u", pair.n);
	scenario_start(&pair.v, argv);
	if (!pair.patch)
		pair.patch = scenario_build(scenario_src("tests/scenarios/pair_fix.c"), argv[0], NULL);
	pair.pids[0] = pair.v.pid;
	for (unsigned int i = 1; i < pair.n; i++) {
		snprintf(name, sizeof(name), "child%u", i - 1);
		pair.pids[i] = (pid_t)scenario_number(scenario_ask(&pair.v, "stat"), name);
	}
	for (unsigned int i = 0; i < pair.n; i++)
		if (victim_snapshot(pair.pids[i], &before[i], why, sizeof(why)) < 0)
			scenario_die("%s", why);
	fault_set(FAULT_NONE, STORE_ANY, 0);
	pair.what[0] = 0;
	return 0;
}

int pair_set_up_two(void **state)
{
	return pair_set_up(2);
}

int pair_set_up_three(void **state)
{
	return pair_set_up(3);
}

int pair_tear_down(void **state)
{
	for (unsigned int i = 0; i < pair.n; i++)
		victim_state_free(&before[i]);
	scenario_stop(&pair.v);
	return 0;
}

unsigned long pair_number(const char *name)
{
	return scenario_number(scenario_ask(&pair.v, "stat"), name);
}

/* They go on, and how many exchanges were mixed meanwhile. */
unsigned long pair_mixed_in(unsigned long count)
{
	unsigned long from = pair_number("exchanges"), mixed = pair_number("mixed");

	for (int i = 0; i < 20000 && pair_number("exchanges") < from + count; i++)
		nap_us(1000);
	if (pair_number("exchanges") < from + count)
		fail_msg("%s: no message is exchanged any more", pair.what);
	return pair_number("mixed") - mixed;
}

void pair_expect_clean_one(unsigned int i)
{
	char why[512];

	if (victim_compare(pair.pids[i], &before[i], VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s: %d: %s", pair.what, pair.pids[i], why);
}

void pair_expect_clean(void)
{
	for (unsigned int i = 0; i < pair.n; i++)
		pair_expect_clean_one(i);
}

void pair_expect_version(unsigned long version)
{
	(void)pair_mixed_in(2);
	if (pair_number("version") != version)
		fail_msg("%s: version %lu is executed, not %lu", pair.what, pair_number("version"), version);
}

/* ---- changes ---- */

int pair_try(const struct pair_change *c, struct ug_members **ret, struct ug_error *err)
{
	const struct ug_opts opts = {
		.sz = sizeof(opts), .timeout_ms = c->ms ? c->ms : TIMEOUT_MS,
		.max_pause_us = c->pause_us ? c->pause_us : PAIR_PAUSE_US,
	};
	struct ug_scope scopes[PAIR_MAX + 1];
	struct ug_job job = {
		.sz = sizeof(job), .verb = c->verb, .atomic = !c->single, .opts = &opts, .scopes = scopes,
		.what = c->verb == UG_JOB_LOAD ? pair.patch : PAIR_NAME,
	};

	for (unsigned int i = c->first; i < pair.n; i++)
		scopes[job.nscopes++] = (struct ug_scope){ .kind = UG_SCOPE_PROCESS, .pid = pair.pids[i] };
	if (c->also)
		scopes[job.nscopes++] = (struct ug_scope){ .kind = UG_SCOPE_PROCESS, .pid = c->also };
	return ug_job_run(&job, ret, err);
}

struct ug_members *pair_change(const struct pair_change *c)
{
	struct ug_error err = { 0 };
	struct ug_members *m;

	if (pair_try(c, &m, &err) < 0)
		fail_msg("%s: %s", pair.what, err.message);
	return m;
}

void pair_do_all(enum ug_job_verb verb)
{
	struct ug_members *m = pair_change(&(struct pair_change){ .verb = verb });

	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].result != UG_RESULT_APPLIED)
			fail_msg("%s: %d: %s: %s", pair.what, m->v[i].pid, ug_result_name(m->v[i].result),
				 m->v[i].err.message);
	ug_members_free(m);
}

const struct ug_member *pair_member(const struct ug_members *m, pid_t pid)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].pid == pid)
			return &m->v[i];
	fail_msg("process %d has no result", pid);
	return NULL;
}

/* `culprit` answers `code`, the others that it was because of another one; nothing is changed. */
void pair_expect_refused(struct ug_members *m, pid_t culprit, int code)
{
	for (size_t i = 0; i < m->n; i++) {
		int expected = m->v[i].pid == culprit ? code : -UG_E_GROUP;

		if (m->v[i].err.code != expected)
			fail_msg("%d: %d, not %d: %s", m->v[i].pid, m->v[i].err.code, expected,
				 m->v[i].err.message);
	}
	(void)pair_member(m, culprit);
	ug_members_free(m);
	pair_expect_clean();
}

/* In all, and the victim has seen no mix since. */
void pair_expect_as_before(void)
{
	pair_expect_clean();
	pair_expect_version(1);
	assert_int_equal(pair_number("mixed"), 0);
}

/* ---- controllers that die ---- */

/* In a process of its own, which dies with its worker; what nobody waits for comes to us. A group,
 * unless it is recovered, or the last process alone. */
bool pair_cut_off(enum ug_job_verb verb, unsigned int first, enum store kind, unsigned int nth)
{
	const struct pair_change c = {
		.verb = verb, .first = first, .single = verb == UG_JOB_RECOVER || first == pair.n - 1,
	};
	pid_t host;
	int status;

	(void)snprintf(pair.what, sizeof(pair.what), "%u processes, %s cut off before %s store %u", pair.n,
		       verb == UG_JOB_LOAD ? "load" : verb == UG_JOB_UNLOAD ? "unload" : "recover",
		       store_name(kind), nth);
	fault_set(FAULT_DIE_WITH_HOST, kind, nth);
	host = fork();
	if (host == 0) {
		struct ug_error err = { 0 };
		struct ug_members *m;

		_exit(pair_try(&c, &m, &err) < 0);
	}
	assert_int_equal(waitpid(host, &status, 0), host);
	if (fault->hit)
		assert_int_equal(waitpid(fault->worker, &status, 0), fault->worker);
	else if (status != 0)
		fail_msg("%s: exit %#x", pair.what, status);
	return fault->hit;
}

int pair_recover(unsigned int i, struct ug_error *err)
{
	const struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = TIMEOUT_MS,
				      .max_pause_us = PAIR_PAUSE_US };

	return ug_recover(pair.pids[i], &opts, NULL, err);
}

/* On a busy machine a borrowed thread, or a stop, may be late. */
static bool may_pass(int r)
{
	return r == -UG_E_REMOTE_CALL || r == -UG_E_NO_THREAD || r == -UG_E_UNSTOPPABLE;
}

static void recover_patiently(unsigned int i)
{
	struct ug_error err = { 0 };
	int r = -UG_E_NO_THREAD;

	for (int k = 0; k < 5 && may_pass(r); k++)
		r = pair_recover(i, &err);
	if (r < 0)
		fail_msg("%s: recover: %s", pair.what, err.message);
}

void pair_recover_all(unsigned int first)
{
	fault_set(FAULT_NONE, STORE_ANY, 0);
	for (unsigned int i = 0; i < pair.n; i++)
		recover_patiently((first + i) % pair.n);
}

struct ug_status *pair_status(unsigned int i)
{
	struct ug_status *st;
	struct ug_error err = { 0 };

	if (ug_status(pair.pids[i], &st, &err) < 0)
		fail_msg("%s: %s", pair.what, err.message);
	return st;
}

bool pair_is_loaded(unsigned int i)
{
	struct ug_status *st = pair_status(i);
	bool yes;

	if (st->in_transition || st->needs_recovery || st->group || st->npatches > 1)
		fail_msg("%s: process %d has something open", pair.what, pair.pids[i]);
	yes = st->npatches && st->patches[0].state == UG_PATCH_ENABLED;
	ug_status_free(st);
	return yes;
}

bool pair_all_loaded(unsigned int first)
{
	bool loaded = pair_is_loaded(first);

	for (unsigned int i = first + 1; i < pair.n; i++)
		if (pair_is_loaded(i) != loaded)
			fail_msg("%s: %d is %sloaded, %d is not so", pair.what, pair.pids[first],
				 loaded ? "" : "not ", pair.pids[i]);
	return loaded;
}

/* ---- what later controllers make of it ---- */

void pair_expect_group(unsigned int first, unsigned int members)
{
	for (unsigned int i = first; i < pair.n; i++) {
		struct ug_status *st = pair_status(i);

		if (st->group != members || st->needs_recovery != (members != 0))
			fail_msg("%s: %d: group of %u, needs_recovery %d", pair.what, pair.pids[i], st->group,
				 st->needs_recovery);
		ug_status_free(st);
	}
}

int pair_use(const char *verb, unsigned int i, struct ug_error *err)
{
	const struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = TIMEOUT_MS,
				      .max_pause_us = PAIR_PAUSE_US };

	if (strcmp(verb, "wait") == 0)
		return ug_wait(pair.pids[i], NULL, &opts, NULL, err);
	if (strcmp(verb, "reverse") == 0)
		return ug_reverse(pair.pids[i], NULL, &opts, NULL, err);
	if (strcmp(verb, "force") == 0)
		return ug_force(pair.pids[i], NULL, &opts, NULL, err);
	if (strcmp(verb, "unload") == 0)
		return ug_unload(pair.pids[i], PAIR_NAME, &opts, NULL, err);
	if (strcmp(verb, "load") == 0)
		return ug_load(pair.pids[i], pair.patch, &opts, NULL, err);
	return pair_recover(i, err);
}

