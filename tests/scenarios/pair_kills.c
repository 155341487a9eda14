/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The controller of an atomic change is killed before each of its stores, and so is the one that
 * settles what it left; and the campaign.
 */
#include "pair_common.h"

#include <string.h>

/* ---- killed before each store ---- */

struct tally {
	unsigned int killed, forward, back, window, window_mixed;
};

static bool kill_all_stores;

/* Killed between the first word and the last: no order of stores keeps members from running on
 * different sides then, until somebody settles it. Every other time nobody speaks meanwhile. */
static void settle_and_check(enum ug_job_verb verb, bool hit, unsigned int words, bool quiet,
			     struct tally *t)
{
	bool forward = !hit || words > 0, window = hit && words > 0 && words < pair.n;
	unsigned long mixed;

	if (!quiet)
		(void)pair_mixed_in(3);
	mixed = pair_number("mixed");
	if (mixed && !window)
		fail_msg("%s: %lu exchanges were mixed", pair.what, mixed);
	pair_recover_all(fault->nth % pair.n);
	if (pair_all_loaded(0) != (forward == (verb == UG_JOB_LOAD)))
		fail_msg("%s, %u words: it went %s", pair.what, words, forward ? "back" : "forward");
	mixed = pair_number("mixed");
	if (quiet)
		scenario_ask(&pair.v, "go");
	if (pair_mixed_in(20))
		fail_msg("%s: exchanges are mixed after it was settled", pair.what);
	pair_expect_version(pair_all_loaded(0) ? 2 : 1);
	t->killed += hit;
	t->forward += hit && forward;
	t->back += hit && !forward;
	t->window += window;
	t->window_mixed += window && mixed;
}

/* A fresh victim for each, whose count of mixes is its own. False: there is no such store. */
static bool kill_once(unsigned int processes, enum ug_job_verb verb, enum store kind,
		      unsigned int nth, bool quiet, struct tally *t)
{
	unsigned int words;
	bool hit;

	pair_set_up(processes);
	if (verb == UG_JOB_UNLOAD)
		pair_do_all(UG_JOB_LOAD);
	if (quiet)
		scenario_ask(&pair.v, "quiet");
	hit = pair_cut_off(verb, 0, kind, nth);
	words = fault->made[STORE_WORD];
	settle_and_check(verb, hit, words, quiet, t);
	if (pair_all_loaded(0))
		pair_do_all(UG_JOB_UNLOAD);
	pair_expect_clean();
	pair_tear_down(NULL);
	return hit;
}

/* Of all there are, unless there is no time for that. */
static unsigned int step_of(enum store kind, unsigned int processes)
{
	if (kill_all_stores || kind == STORE_WORD || kind == STORE_FORGET)
		return 1;
	if (kind == STORE_OTHER)
		return processes == 2 ? 13 : 23;
	return processes == 2 ? 2 : 5;
}

static void kill_stores(unsigned int processes, enum ug_job_verb verb)
{
	static const enum store kinds[] = {
		STORE_WORD, STORE_ARM, STORE_FINISH, STORE_FORGET, STORE_OTHER,
	};
	struct tally t = { 0 };

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		unsigned int step = step_of(kinds[k], processes), nth = 1;

		while (kill_once(processes, verb, kinds[k], nth, false, &t))
			nth += step;
		assert_true(nth > processes);
	}
	for (unsigned int nth = 2; nth <= processes; nth++)
		assert_true(kill_once(processes, verb, STORE_WORD, nth, true, &t));
	print_message("# %u processes, %s: killed before %u stores: %u forward, %u back; %u between "
		      "the first word and the last, of which %u were mixed until it was settled\n",
		      processes, verb == UG_JOB_LOAD ? "load" : "unload", t.killed, t.forward, t.back,
		      t.window, t.window_mixed);
	assert_true(t.forward > 0);
	assert_true(t.back > 0);
	assert_int_equal(t.window, 2 * (processes - 1));
}

static void test_kill_load(void **state)
{
	kill_stores(2, UG_JOB_LOAD);
	kill_stores(3, UG_JOB_LOAD);
}

static void test_kill_unload(void **state)
{
	kill_stores(2, UG_JOB_UNLOAD);
	kill_stores(3, UG_JOB_UNLOAD);
}

/* Cut off, and the one who settles it is killed as well, a store later each time. */
static void kill_settling(unsigned int processes, unsigned int word)
{
	unsigned int nth = 0, step = kill_all_stores || (processes == 2 && word == 2) ? 1 : 5;
	bool hit;

	pair_set_up(processes);
	do {
		nth += step;
		scenario_ask(&pair.v, "quiet");
		assert_true(pair_cut_off(UG_JOB_LOAD, 0, STORE_WORD, word));
		hit = pair_cut_off(UG_JOB_RECOVER, nth % pair.n, STORE_ANY, nth);
		pair_recover_all(0);
		if (pair_all_loaded(0) != (word > 1))
			fail_msg("%s: after %u words it went %s", pair.what, word - 1,
				 word > 1 ? "back" : "forward");
		scenario_ask(&pair.v, "go");
		assert_int_equal(pair_mixed_in(10), 0);
		if (word > 1)
			pair_do_all(UG_JOB_UNLOAD);
		pair_expect_as_before();
	} while (hit);
	print_message("# %u processes, %u had committed: %u settlements were killed, all went %s\n",
		      processes, word - 1, (nth - 1) / step, word > 1 ? "forward" : "back");
	assert_true(nth > 4);
	pair_tear_down(NULL);
}

static void test_kill_settling(void **state)
{
	kill_settling(2, 1);
	kill_settling(2, 2);
	kill_settling(3, 1);
	kill_settling(3, 2);
	kill_settling(3, 3);
}

/*
 * One process, the controller killed in the midst of the completion: some entries are direct jumps
 * already. Who reverses that finds it complete, which the next controller has made it.
 */
static void test_kill_finish(void **state)
{
	unsigned int nth = 0, completed = 0;
	bool hit;

	pair_set_up(2);
	do {
		struct ug_error err = { 0 };
		int r;

		hit = pair_cut_off(UG_JOB_LOAD, 1, STORE_FINISH, ++nth);
		fault_set(FAULT_NONE, STORE_ANY, 0);
		r = pair_use("reverse", 1, &err);
		if (r < 0 && r != -UG_E_NO_TRANSITION)
			fail_msg("%s, then reverse: %s", pair.what, err.message);
		completed += hit && r < 0;
		assert_int_equal(pair_is_loaded(1), r < 0);
		if (r < 0 && pair_use("unload", 1, &err) < 0)
			fail_msg("%s, then unload: %s", pair.what, err.message);
		pair_expect_clean();
	} while (hit);
	print_message("# %u completions were killed; of those that had begun %u were completed, the others "
		      "reversed\n", nth - 1, completed);
	assert_true(completed > 2);
	assert_true(completed < nth - 1);
	pair_tear_down(NULL);
}

/* ---- the campaign ---- */

static unsigned long campaign_exchanges;

static void test_campaign(void **state)
{
	unsigned long from = pair_number("exchanges"), changes = 0;

	while (pair_number("exchanges") < from + campaign_exchanges) {
		pair_do_all(UG_JOB_LOAD);
		pair_do_all(UG_JOB_UNLOAD);
		changes += 2;
		if (pair_number("mixed"))
			fail_msg("after %lu changes: %lu exchanges were mixed", changes, pair_number("mixed"));
	}
	pair_expect_as_before();
	print_message("# %u processes, %lu exchanges, %lu changes, 0 mixed\n", pair.n,
		      pair_number("exchanges") - from, changes);
	assert_true(changes > 2);
}


int pair_run_kills(bool all)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_load),
		cmocka_unit_test(test_kill_unload),
		cmocka_unit_test(test_kill_settling),
		cmocka_unit_test(test_kill_finish),
	};

	kill_all_stores = all;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int pair_run_campaign(unsigned long exchanges)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_campaign, pair_set_up_two, pair_tear_down),
		cmocka_unit_test_setup_teardown(test_campaign, pair_set_up_three, pair_tear_down),
	};

	campaign_exchanges = exchanges;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
