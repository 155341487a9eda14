/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The consistency of one patch over two functions with a protocol between them.
 *
 *  - 200 loads and unloads under 8 threads: no call ever sees a mix, text and mappings are
 *    as before after each unload.
 *  - A thread parked in the old function keeps the old version through the whole chain below
 *    it, while all others already run the new one; the transition waits for it, and completes
 *    when it has left.
 *  - A transition that does not complete in time is reversed, and leaves nothing behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

static struct scenario_victim victim;
static const char *patch;

static int set_up(void **state)
{
	const char *argv[] = { scenario_bin("tests/victims/protocol"), "8", NULL };

	scenario_start(&victim, argv);
	patch = scenario_build(scenario_src("tests/scenarios/protocol_fix.c"), argv[0], NULL);
	return 0;
}

static int tear_down(void **state)
{
	scenario_stop(&victim);
	return 0;
}

static void nap_ms(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static void load(void)
{
	struct ug_report report;
	struct ug_error err = { 0 };

	if (ug_load(victim.pid, patch, NULL, &report, &err) < 0)
		fail_msg("load: %s", err.message);
	assert_int_equal(report.outcome, UG_DONE);
}

static void unload(void)
{
	struct ug_error err = { 0 };

	if (ug_unload(victim.pid, "protocol-fix", NULL, NULL, &err) < 0)
		fail_msg("unload: %s", err.message);
}

static void assert_clean(const struct victim_state *before)
{
	char why[512];

	if (victim_compare(victim.pid, before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static void snapshot(struct victim_state *st)
{
	char why[512];

	if (victim_snapshot(victim.pid, st, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

/* Everybody runs this version now, and nobody another. */
static void assert_running(const char *version, const char *other)
{
	const char *answer = scenario_ask(&victim, "stat");
	unsigned long mine = scenario_number(answer, version);
	unsigned long theirs = scenario_number(answer, other);

	nap_ms(2);
	answer = scenario_ask(&victim, "stat");
	assert_true(scenario_number(answer, version) > mine);
	assert_int_equal(scenario_number(answer, other), theirs);
	assert_int_equal(scenario_number(answer, "mixed"), 0);
}

static void test_200_cycles(void **state)
{
	struct victim_state before;
	const char *answer;

	snapshot(&before);
	for (int i = 0; i < 200; i++) {
		load();
		if (i % 20 == 0)
			assert_running("new", "old");
		unload();
		if (i % 20 == 0)
			assert_running("old", "new");
		assert_clean(&before);
	}
	answer = scenario_ask(&victim, "stat");
	assert_int_equal(scenario_number(answer, "mixed"), 0);
	assert_true(scenario_number(answer, "calls") > 1000000);
	victim_state_free(&before);
}

struct loading {
	pthread_t thread;
	struct ug_opts opts;
	struct ug_report report;
	struct ug_error err;
	int result;
};

static void *load_thread(void *arg)
{
	struct loading *l = arg;

	l->result = ug_load(victim.pid, patch, &l->opts, &l->report, &l->err);
	return NULL;
}

/* Until all but n threads are switched, as another process sees it. */
static void wait_for_pending(unsigned int n)
{
	for (int i = 0; i < 3000; i++) {
		struct ug_status *st;
		bool done;

		assert_int_equal(ug_status(victim.pid, &st, NULL), 0);
		done = st->npatches == 1 && st->patches[0].state == UG_PATCH_PATCHING &&
		       st->pending_threads == n && st->busy;
		ug_status_free(st);
		if (done)
			return;
		nap_ms(10);
	}
	fail_msg("%u threads are still not the only ones that wait", n);
}

/* How many old calls have been counted, once no more are: a thread that has returned from one
 * and was switched may count it only when it gets a processor again. */
static unsigned long await_no_old_calls(void)
{
	unsigned long before, old = scenario_number(scenario_ask(&victim, "stat"), "old");

	for (int i = 0; i < 100; i++) {
		before = old;
		nap_ms(20);
		old = scenario_number(scenario_ask(&victim, "stat"), "old");
		if (old == before)
			return old;
	}
	fail_msg("old functions are still called");
	return 0;
}

static void test_parked_thread_keeps_old(void **state)
{
	struct loading l = { .opts = { .sz = sizeof(l.opts), .timeout_ms = 20000 } };
	struct victim_state before;
	const char *answer;
	unsigned long old;

	snapshot(&before);
	assert_string_equal(scenario_ask(&victim, "park 2"), "parked");
	assert_int_equal(pthread_create(&l.thread, NULL, load_thread, &l), 0);
	wait_for_pending(2);
	answer = scenario_ask(&victim, "stat");
	assert_int_equal(scenario_number(answer, "parked"), 2);
	/* The others have moved on: only new calls are counted now. */
	assert_true(scenario_number(answer, "new") > 0);
	old = await_no_old_calls();
	assert_string_equal(scenario_ask(&victim, "release"), "released");
	pthread_join(l.thread, NULL);
	if (l.result < 0)
		fail_msg("load: %s", l.err.message);
	answer = scenario_ask(&victim, "stat");
	/* The two parked calls ended as old ones, with the old g below them; the two threads
	 * may have made more old calls until they were found outside. */
	assert_true(scenario_number(answer, "old") >= old + 2);
	assert_running("new", "old");
	unload();
	assert_running("old", "new");
	assert_clean(&before);
	victim_state_free(&before);
}

static void test_timeout_reverses(void **state)
{
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 3000 };
	struct victim_state before;
	struct ug_report report;
	struct ug_error err;
	const char *answer;
	int r;

	snapshot(&before);
	assert_string_equal(scenario_ask(&victim, "park 1"), "parked");
	r = ug_load(victim.pid, patch, &opts, &report, &err);
	assert_int_equal(r, -UG_E_REVERSED);
	assert_running("old", "new");
	assert_clean(&before);
	assert_string_equal(scenario_ask(&victim, "release"), "released");
	answer = scenario_ask(&victim, "stat");
	assert_int_equal(scenario_number(answer, "mixed"), 0);
	victim_state_free(&before);
}

static void test_keep_then_recover(void **state)
{
	struct ug_opts opts = {
		.sz = sizeof(opts), .timeout_ms = 2000, .flags = UG_OPT_KEEP_ON_TIMEOUT,
	};
	struct victim_state before;
	struct ug_report report;
	struct ug_error err = { 0 };

	snapshot(&before);
	assert_string_equal(scenario_ask(&victim, "park 1"), "parked");
	assert_int_equal(ug_load(victim.pid, patch, &opts, &report, &err), 0);
	assert_int_equal(report.outcome, UG_PENDING);
	assert_string_equal(scenario_ask(&victim, "release"), "released");
	if (ug_recover(victim.pid, NULL, &report, &err) < 0)
		fail_msg("recover: %s", err.message);
	assert_int_equal(report.recovered, 1);
	assert_running("new", "old");
	unload();
	assert_clean(&before);
	victim_state_free(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_200_cycles),
		cmocka_unit_test(test_parked_thread_keeps_old),
		cmocka_unit_test(test_timeout_reverses),
		cmocka_unit_test(test_keep_then_recover),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
