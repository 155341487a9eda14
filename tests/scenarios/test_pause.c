/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pause budget in which no process can be stopped: the load is tried again, then refused,
 * and the target is as before. The watchdog, which counts in budgets, must not end the
 * controller for it, and taking the load back must not fail for want of the same budget.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

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

static void test_too_small(void **state)
{
	static const unsigned int budgets_us[] = { 1, 5 };
	struct victim_state before;
	char why[512];

	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	for (size_t i = 0; i < sizeof(budgets_us) / sizeof(budgets_us[0]); i++) {
		struct ug_opts opts = {
			.sz = sizeof(opts), .timeout_ms = 300, .max_pause_us = budgets_us[i],
		};
		struct ug_error err = { 0 };
		struct ug_report report;

		assert_int_equal(ug_load(victim.pid, patch, &opts, &report, &err),
				 -UG_E_UNSTOPPABLE);
		/* Tried more than once, and told so. */
		assert_true(report.stops > 1);
		if (victim_compare(victim.pid, &before, VICTIM_TEXT | VICTIM_NO_UGRAFT, why,
				   sizeof(why)) < 0)
			fail_msg("%u us: %s", budgets_us[i], why);
	}
	victim_state_free(&before);
}

/* What was refused stands in nobody's way. */
static void test_then_loads(void **state)
{
	struct ug_error err = { 0 };

	if (ug_load(victim.pid, patch, NULL, NULL, &err) < 0)
		fail_msg("load: %s", err.message);
	if (ug_unload(victim.pid, "leaver-fix", NULL, NULL, &err) < 0)
		fail_msg("unload: %s", err.message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_small),
		cmocka_unit_test(test_then_loads),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
