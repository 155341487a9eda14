/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Restartable sequences: threads that count by them all the time, and never sleep, so that one of
 * them has to be borrowed for each load. Moved out of its sequence and back it would go on in the
 * middle, unprotected, and what others have counted meanwhile would be lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/rseq.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/tap.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define CYCLES 30
#define THREADS "3"
#define TRIES 20

static struct scenario_victim victim;
static const char *patch;

static int set_up(void **state)
{
	const char *argv[] = { scenario_bin("tests/victims/sections"), THREADS, NULL };

	if (__rseq_size == 0)
		return 0;
	scenario_start(&victim, argv);
	patch = scenario_build(scenario_src("tests/scenarios/blocked_fix.c"), argv[0], NULL);
	return 0;
}

static int tear_down(void **state)
{
	if (victim.pid)
		scenario_stop(&victim);
	return 0;
}

static void assert_sum(const char *when)
{
	const char *answer = scenario_ask(&victim, "sum");

	print_message("# %s: %s\n", when, answer);
	assert_true(scenario_number(answer, "counted") > 100);
	assert_int_equal(scenario_number(answer, "counted"), scenario_number(answer, "sum"));
	assert_int_equal(scenario_number(answer, "wrong"), 0);
}

/* On a busy machine a thread that only computes may not get a processor to stop on in time. */
static void change(bool unload)
{
	struct ug_opts opts = { .sz = sizeof(opts), .max_pause_us = 200000 };
	struct ug_error err = { 0 };
	int r = -1;

	for (int i = 0; r < 0 && i < TRIES; i++) {
		r = unload ? ug_unload(victim.pid, "blocked-fix", &opts, NULL, &err) :
			     ug_load(victim.pid, patch, &opts, NULL, &err);
		if (r < 0 && r != -UG_E_NO_THREAD && r != -UG_E_UNSTOPPABLE)
			break;
	}
	if (r < 0)
		fail_msg("%s: %s", unload ? "unload" : "load", err.message);
}

static void test_nothing_is_lost(void **state)
{
	struct victim_state before;
	char why[512];

	if (!victim.pid) {
		print_message("# SKIPPED: this system has no rseq\n");
		skip();
	}
	nap_us(300000);
	assert_sum("before");
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	for (int i = 0; i < CYCLES; i++) {
		change(false);
		assert_string_equal(scenario_ask(&victim, "value"), "value=1041");
		change(true);
		assert_string_equal(scenario_ask(&victim, "value"), "value=41");
	}
	assert_sum("after");
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_is_lost, set_up, tear_down),
	};

	tap_correct_skips();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
