/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that share memory, changed as one (ug_job.atomic), with a victim that notices when
 * one runs the new code and another the old (tests/victims/pair.c).
 *
 *  - Loaded and unloaded as one again and again: no exchange is mixed. One after the other: some
 *    are, so the victim can tell.
 *  - One that is not ready, refuses, is locked, or has nothing the patch is for; a pause that is too
 *    short, a store that fails: none is changed.
 *  - What is left of a group cut off in the midst of its commit, and what each verb makes of it; with
 *    a member that has died, runs another program, or whose pid somebody else has.
 *  - A worker that stays in the stop of all: the watchdog ends it, and what it left is settled.
 *
 * -k: the controller is killed before each store of the commit, and of a settlement (pair_kills.c);
 * -a: before really each. -n N: the campaign, N exchanges. -f PATTERN: only tests with such a name.
 */
#include "pair_common.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/command.h"
#include "process/proc.h"

#define CYCLES 10

/* ---- all or none ---- */

static void test_together(void **state)
{
	unsigned long from = pair_number("exchanges");

	for (int i = 0; i < CYCLES; i++) {
		pair_do_all(UG_JOB_LOAD);
		pair_expect_version(2);
		pair_do_all(UG_JOB_UNLOAD);
		pair_expect_version(1);
		pair_expect_clean();
	}
	assert_int_equal(pair_mixed_in(100), 0);
	assert_int_equal(pair_number("mixed"), 0);
	print_message("# %u processes, %lu exchanges\n", pair.n, pair_number("exchanges") - from);
}

/* Without it the victim sees that they disagree for a while. */
static void test_one_by_one(void **state)
{
	ug_members_free(pair_change(&(struct pair_change){ .verb = UG_JOB_LOAD, .single = true }));
	/* What came between the two loads. */
	assert_true(pair_number("mixed") > 0);
	assert_int_equal(pair_mixed_in(10), 0);
	ug_members_free(pair_change(&(struct pair_change){ .verb = UG_JOB_UNLOAD, .single = true }));
	pair_expect_clean();
}

static void test_pauses(void **state)
{
	struct ug_members *m = pair_change(&(struct pair_change){ .verb = UG_JOB_LOAD });

	for (size_t i = 0; i < m->n; i++) {
		assert_int_equal(m->v[i].result, UG_RESULT_APPLIED);
		assert_true(m->v[i].report.stops >= 1);
		assert_true(m->v[i].report.max_pause_ns > 0);
		print_message("# %d: %u stops, longest pause %.2f ms\n", m->v[i].pid,
			      m->v[i].report.stops, (double)m->v[i].report.max_pause_ns / 1e6);
	}
	ug_members_free(m);
	pair_do_all(UG_JOB_UNLOAD);
	pair_expect_as_before();
}

/* The command line, and a tree. */
static void test_command(void **state)
{
	char pid[16];
	const char *load[] = { scenario_bin("ugraft"), "load", "--atomic", "--tree", "--max-pause=500ms",
			       pair.patch, pid, NULL };
	const char *unload[] = { load[0], "unload", "--atomic", "--tree", "--max-pause=500ms", PAIR_NAME, pid,
				 NULL };
	const char *odd[] = { load[0], "load", "--atomic", "--no-wait", pair.patch, pid, NULL };
	struct command c;
	int status;

	snprintf(pid, sizeof(pid), "%d", pair.v.pid);
	status = command_run(&c, load);
	if (status != 0 || !strstr(c.output, "3 targets: 3 applied"))
		fail_msg("exit %d: %s", status, c.output);
	pair_expect_version(2);
	status = command_run(&c, unload);
	if (status != 0)
		fail_msg("exit %d: %s", status, c.output);
	assert_int_not_equal(command_run(&c, odd), 0);
	pair_expect_as_before();
}

/* ---- somebody stands in the way ---- */

static void test_not_ready(void **state)
{
	scenario_ask(&pair.v, "park");
	pair_expect_refused(pair_change(&(struct pair_change){ .verb = UG_JOB_LOAD, .ms = 1500 }), pair.pids[1],
		       -UG_E_STACK_BUSY);
	scenario_ask(&pair.v, "release");
	pair_expect_as_before();
}

static void test_not_applicable(void **state)
{
	const char *argv[] = { "/bin/sleep", "100", NULL };
	struct ug_members *m;
	struct command c;

	command_start(&c, argv);
	nap_us(100000);
	m = pair_change(&(struct pair_change){ .verb = UG_JOB_LOAD, .also = c.pid });
	kill(c.pid, SIGKILL);
	(void)command_wait(&c);
	pair_expect_refused(m, c.pid, -UG_E_NO_OBJECT);
	pair_expect_as_before();
}

/* The last of them, when the others have been recorded. */
static void test_refusing(void **state)
{
	fault->refuse = pair.pids[pair.n - 1];
	pair_expect_refused(pair_change(&(struct pair_change){ .verb = UG_JOB_LOAD }), pair.pids[pair.n - 1], -UG_E_SECCOMP);
	pair_expect_as_before();
}

static void test_locked(void **state)
{
	struct ug_proc p;

	for (unsigned int i = 0; i < pair.n; i++) {
		assert_int_equal(ug_proc_open(pair.pids[i], &p, NULL), 0);
		assert_int_equal(ug_proc_lock(&p, NULL), 0);
		pair_expect_refused(pair_change(&(struct pair_change){ .verb = UG_JOB_LOAD }), pair.pids[i], -UG_E_LOCKED);
		ug_proc_close(&p);
	}
	pair_expect_as_before();
}

static void test_short_pause(void **state)
{
	struct ug_members *m = pair_change(&(struct pair_change){
		.verb = UG_JOB_LOAD, .ms = 500, .pause_us = 1,
	});
	unsigned int unstoppable = 0;

	for (size_t i = 0; i < m->n; i++) {
		unstoppable += m->v[i].err.code == -UG_E_UNSTOPPABLE;
		assert_true(m->v[i].err.code < 0);
	}
	ug_members_free(m);
	assert_int_equal(unstoppable, 1);
	pair_expect_as_before();
}

/* Before the first word nothing is decided: it is taken back. After it: the others go forward. */
static void test_failing_store(void **state)
{
	fault_set(FAULT_FAIL, STORE_ARM, 3);
	ug_members_free(pair_change(&(struct pair_change){ .verb = UG_JOB_LOAD }));
	assert_true(fault->hit);
	pair_expect_as_before();
	fault_set(FAULT_FAIL, STORE_WORD, 1);
	ug_members_free(pair_change(&(struct pair_change){ .verb = UG_JOB_LOAD }));
	assert_true(fault->hit);
	pair_expect_as_before();
	scenario_ask(&pair.v, "quiet");
	fault_set(FAULT_FAIL, STORE_WORD, 2);
	pair_do_all(UG_JOB_LOAD);
	assert_true(fault->hit);
	fault_set(FAULT_FAIL, STORE_WORD, 2);
	pair_do_all(UG_JOB_UNLOAD);
	assert_true(fault->hit);
	scenario_ask(&pair.v, "go");
	pair_expect_as_before();
}

/* ---- what is left, and what later controllers make of it ---- */

/* Each verb on one member: the whole group is brought to its end, and then the verb does its work
 * on that one. */
static void later_verb(const char *verb, unsigned int i, bool half)
{
	bool alone = half ? strcmp(verb, "unload") == 0 : strcmp(verb, "load") == 0;
	struct ug_error err = { 0 };
	int r, expected = 0;

	scenario_ask(&pair.v, "quiet");
	assert_true(pair_cut_off(UG_JOB_LOAD, 0, STORE_WORD, half ? 2 : 1));
	fault_set(FAULT_NONE, STORE_ANY, 0);
	pair_expect_group(0, pair.n);
	r = pair_use(verb, i, &err);
	if (strcmp(verb, "reverse") == 0 || strcmp(verb, "force") == 0)
		expected = -UG_E_NO_TRANSITION;
	else if (strcmp(verb, "unload") == 0 && !half)
		expected = -UG_E_NO_PATCH;
	if (r != expected)
		fail_msg("%s, then %s of %d: %d: %s", pair.what, verb, pair.pids[i], r, err.message);
	pair_expect_group(0, 0);
	for (unsigned int k = 0; k < pair.n; k++)
		if (pair_is_loaded(k) != (half != (alone && k == i)))
			fail_msg("%s, then %s of %d: %d is %sloaded", pair.what, verb, pair.pids[i], pair.pids[k],
				 pair_is_loaded(k) ? "" : "not ");
	for (unsigned int k = 0; k < pair.n; k++)
		if (pair_is_loaded(k) && pair_use("unload", k, &err) < 0)
			fail_msg("%s: %s", pair.what, err.message);
	scenario_ask(&pair.v, "go");
	pair_expect_as_before();
}

static void test_later_verbs(void **state)
{
	static const char *const verbs[] = {
		"recover", "wait", "reverse", "force", "unload", "load",
	};

	for (unsigned int i = 0; i < 2 * sizeof(verbs) / sizeof(verbs[0]); i++)
		later_verb(verbs[i / 2], i % pair.n, i % 2);
}

static void test_later_group(void **state)
{
	for (unsigned int half = 0; half < 2; half++) {
		scenario_ask(&pair.v, "quiet");
		assert_true(pair_cut_off(UG_JOB_LOAD, 0, STORE_WORD, 1 + half));
		fault_set(FAULT_NONE, STORE_ANY, 0);
		if (!half)
			pair_do_all(UG_JOB_LOAD);
		pair_do_all(UG_JOB_UNLOAD);
		scenario_ask(&pair.v, "go");
		pair_expect_as_before();
	}
}

/* Who holds one of them keeps the group from being settled, and nothing changes meanwhile. */
static void test_settle_locked(void **state)
{
	struct ug_error err = { 0 };
	struct ug_proc p;

	scenario_ask(&pair.v, "quiet");
	assert_true(pair_cut_off(UG_JOB_LOAD, 0, STORE_WORD, 2));
	fault_set(FAULT_NONE, STORE_ANY, 0);
	assert_int_equal(ug_proc_open(pair.pids[2], &p, NULL), 0);
	assert_int_equal(ug_proc_lock(&p, NULL), 0);
	for (unsigned int i = 0; i < pair.n; i++)
		assert_int_equal(pair_recover(i, &err), -UG_E_LOCKED);
	assert_int_equal(fault->made[STORE_ANY], 0);
	ug_proc_close(&p);
	pair_expect_group(0, pair.n);
	pair_recover_all(1);
	assert_true(pair_all_loaded(0));
	pair_do_all(UG_JOB_UNLOAD);
	scenario_ask(&pair.v, "go");
	pair_expect_as_before();
}

/* A thread that has gone into an old function meanwhile: forward all the same, when it leaves. */
static void test_settle_busy(void **state)
{
	const struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 500, .max_pause_us = PAIR_PAUSE_US };
	struct ug_error err = { 0 };

	/* The parent has committed, the child has not: the mix is counted. */
	assert_true(pair_cut_off(UG_JOB_LOAD, 0, STORE_WORD, 2));
	fault_set(FAULT_NONE, STORE_ANY, 0);
	scenario_ask(&pair.v, "park");
	assert_int_equal(ug_recover(pair.pids[0], &opts, NULL, &err), -UG_E_STACK_BUSY);
	assert_int_equal(ug_recover(pair.pids[1], &opts, NULL, &err), -UG_E_STACK_BUSY);
	pair_expect_group(0, pair.n);
	scenario_ask(&pair.v, "release");
	pair_recover_all(0);
	assert_true(pair_all_loaded(0));
	assert_int_equal(pair_mixed_in(20), 0);
	pair_do_all(UG_JOB_UNLOAD);
	pair_expect_clean();
}

/* ---- members that are no more ---- */

/* The two children are the group; it is cut off when the one with the smaller pid has committed.
 * Then that one, or the other, is no more. */
static unsigned int start_half(bool committed_goes)
{
	unsigned int low = pair.pids[1] < pair.pids[2] ? 1 : 2;

	scenario_ask(&pair.v, "quiet");
	assert_true(pair_cut_off(UG_JOB_LOAD, 1, STORE_WORD, 2));
	fault_set(FAULT_NONE, STORE_ANY, 0);
	pair_expect_group(1, 2);
	return committed_goes ? low : 3 - low;
}

static void settle_without(unsigned int gone, bool committed_goes)
{
	unsigned int left = 3 - gone;
	struct ug_error err = { 0 };

	if (pair_recover(left, &err) < 0)
		fail_msg("%s: %s", pair.what, err.message);
	assert_int_equal(pair_is_loaded(left), !committed_goes);
	if (!committed_goes)
		assert_int_equal(pair_use("unload", left, &err), 0);
	pair_expect_clean_one(left);
	pair_expect_clean_one(0);
}

static void wait_until_not(unsigned int i, const char *exe)
{
	char path[32], name[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/exe", pair.pids[i]);
	for (int k = 0; k < 5000; k++) {
		ssize_t len = readlink(path, name, sizeof(name) - 1);

		if (len < 0 || !strstr((name[len] = 0, name), exe))
			return;
		nap_us(1000);
	}
	fail_msg("process %d is still %s", pair.pids[i], name);
}

static void member_dies(bool committed_goes)
{
	unsigned int gone = start_half(committed_goes);

	assert_int_equal(kill(pair.pids[gone], SIGKILL), 0);
	wait_until_not(gone, "pair");
	settle_without(gone, committed_goes);
}

static void test_committed_dies(void **state)
{
	member_dies(true);
}

static void test_other_dies(void **state)
{
	member_dies(false);
}

static void member_execs(bool committed_goes)
{
	unsigned int gone = start_half(committed_goes);

	assert_int_equal(kill(pair.pids[gone], SIGUSR1), 0);
	wait_until_not(gone, "pair");
	nap_us(100000);
	settle_without(gone, committed_goes);
	assert_int_equal(kill(pair.pids[gone], 0), 0);
}

static void test_committed_execs(void **state)
{
	member_execs(true);
}

static void test_other_execs(void **state)
{
	member_execs(false);
}

static void member_is_replaced(bool committed_goes)
{
	unsigned int gone = start_half(committed_goes);

	assert_int_equal(kill(pair.pids[gone], SIGKILL), 0);
	/* A copy of the parent, which has nothing of the group. */
	if ((pid_t)scenario_number(scenario_ask(&pair.v, "replace %u", gone - 1), "pid") != pair.pids[gone]) {
		print_message("# SKIP: a pid cannot be chosen here\n");
		skip();
	}
	settle_without(gone, committed_goes);
	assert_int_equal(kill(pair.pids[gone], 0), 0);
}

static void test_committed_replaced(void **state)
{
	member_is_replaced(true);
}

static void test_other_replaced(void **state)
{
	member_is_replaced(false);
}

/* One that ends before the stop hinders nobody. */
static void test_gone_before(void **state)
{
	struct ug_members *m;

	scenario_ask(&pair.v, "quiet");
	assert_int_equal(kill(pair.pids[2], SIGKILL), 0);
	wait_until_not(2, "pair");
	m = pair_change(&(struct pair_change){ .verb = UG_JOB_LOAD });
	assert_int_equal(pair_member(m, pair.pids[0])->result, UG_RESULT_APPLIED);
	assert_int_equal(pair_member(m, pair.pids[1])->result, UG_RESULT_APPLIED);
	assert_int_equal(pair_member(m, pair.pids[2])->result, UG_RESULT_GONE);
	ug_members_free(m);
	ug_members_free(pair_change(&(struct pair_change){ .verb = UG_JOB_UNLOAD }));
	pair_expect_clean_one(0);
	pair_expect_clean_one(1);
}

/* ---- the worker alone ---- */

/* The host settles at once what its worker has left. */
static void worker_lost(enum fault_act act, unsigned int word)
{
	const struct pair_change c = { .verb = UG_JOB_LOAD, .pause_us = 20000 };
	struct ug_error err = { 0 };
	struct ug_members *m;
	int r;

	scenario_ask(&pair.v, "quiet");
	for (int i = 0; i < 20; i++) {
		fault_set(act, STORE_WORD, word);
		r = pair_try(&c, &m, &err);
		if (fault->hit)
			break;
		/* The machine was too busy for that budget. */
		ug_members_free(m);
	}
	assert_int_equal(r, -UG_E_WORKER);
	if (!strstr(err.message, "the processes agree"))
		fail_msg("%s", err.message);
	pair_expect_group(0, 0);
	assert_int_equal(pair_all_loaded(0), word > 1);
	fault_set(FAULT_NONE, STORE_ANY, 0);
	if (word > 1)
		pair_do_all(UG_JOB_UNLOAD);
	scenario_ask(&pair.v, "go");
	pair_expect_as_before();
}

static void test_worker_killed(void **state)
{
	worker_lost(FAULT_DIE, 1);
	worker_lost(FAULT_DIE, 2);
}

static void test_watchdog(void **state)
{
	worker_lost(FAULT_STOP, 1);
	worker_lost(FAULT_STOP, 3);
}

#define TWO(name) cmocka_unit_test_setup_teardown(test_##name, pair_set_up_two, pair_tear_down)
#define THREE(name) cmocka_unit_test_setup_teardown(test_##name, pair_set_up_three, \
									pair_tear_down)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TWO(together), THREE(together), TWO(one_by_one), TWO(pauses), THREE(command),
		TWO(not_ready), TWO(not_applicable), THREE(refusing), THREE(locked), TWO(short_pause),
		THREE(failing_store), THREE(later_verbs), TWO(later_group), THREE(settle_locked),
		TWO(settle_busy), THREE(committed_dies), THREE(other_dies), THREE(committed_execs),
		THREE(other_execs), THREE(committed_replaced), THREE(other_replaced),
		THREE(gone_before), TWO(worker_killed), THREE(watchdog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	unsigned long exchanges = 0;
	bool kills = false, all = false;
	int c;

	while ((c = getopt(argc, argv, "kan:f:")) >= 0) {
		kills |= c == 'k';
		all |= c == 'a';
		if (c == 'n')
			exchanges = strtoul(optarg, NULL, 10);
		if (c == 'f')
			cmocka_set_test_filter(optarg);
	}
	/* Workers whose host was killed. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	fault_init();
	if (exchanges)
		return pair_run_campaign(exchanges);
	return kills ? pair_run_kills(all) : run_all();
}

