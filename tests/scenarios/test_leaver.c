/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that was running in an old function when it was checked, and then sleeps for ever
 * outside of it: it has run, so it is looked at again, and the transition completes. To take
 * its going to sleep for the end of the interrupted call would leave it pending for good.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define ROUNDS 16
#define WORK_MS 150

/* Far more than it needs, far less than for ever. */
#define TIMEOUT_MS 20000

static struct scenario_victim victim;
static const char *patch;

static int set_up(void **state)
{
	const char *argv[] = { scenario_bin("tests/victims/leaver"), NULL };

	scenario_start(&victim, argv);
	patch = scenario_build(scenario_src("tests/scenarios/leaver_fix.c"), argv[0], NULL);
	return 0;
}

static int tear_down(void **state)
{
	scenario_stop(&victim);
	return 0;
}

static void test_leaves_and_sleeps(void **state)
{
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = TIMEOUT_MS };
	struct victim_state before;
	struct ug_report report;
	struct ug_error err = { 0 };
	unsigned int waited = 0;
	char why[512];

	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	for (int i = 0; i < ROUNDS; i++) {
		assert_string_equal(scenario_ask(&victim, "run %d", WORK_MS), "running");
		if (ug_load(victim.pid, patch, &opts, &report, &err) < 0)
			fail_msg("load %d: %s", i, err.message);
		assert_int_equal(report.outcome, UG_DONE);
		waited += report.switched_at_once < report.threads;
		assert_string_equal(scenario_ask(&victim, "gone"), "yes");
		if (ug_unload(victim.pid, "leaver-fix", &opts, NULL, &err) < 0)
			fail_msg("unload %d: %s", i, err.message);
	}
	/* Else it was always too quick for what is asked here. */
	assert_true(waited > 0);
	if (victim_compare(victim.pid, &before, VICTIM_TEXT | VICTIM_NO_UGRAFT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaves_and_sleeps),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
