/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pause budget in which no process can be stopped: the load is tried again, then refused,
 * and the target is as before. The watchdog, which counts in budgets, must not end the
 * controller for it, and taking the load back must not fail for want of the same budget.
 *
 * And a target with a real-time thread that spins until another one goes on, which the stop holds:
 * on the processor of a controller of lower priority that would be until the watchdog ends it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sched.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/tap.h"
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

/* ---- real time ---- */

#define VISITS 6
#define LONGEST_MS 150	/* the watchdog's 200 ms have not passed */

/* The last processor we may use is ours and the victim's; the mask that was, to go back to. */
static int share_processor(cpu_set_t *before)
{
	cpu_set_t one;
	int cpu = CPU_SETSIZE - 1;

	assert_int_equal(sched_getaffinity(0, sizeof(*before), before), 0);
	while (!CPU_ISSET(cpu, before))
		cpu--;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	return cpu;
}

static void visit(struct scenario_victim *v, const char *fix, bool unload)
{
	const struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 30000 };
	struct ug_error err = { 0 };
	int r = unload ? ug_unload(v->pid, "blocked-fix", &opts, NULL, &err) :
			 ug_load(v->pid, fix, &opts, NULL, &err);

	if (r < 0)
		fail_msg("%s: %s", unload ? "unload" : "load", err.message);
}

static void test_realtime(void **state)
{
	const char *fix = scenario_build(scenario_src("tests/scenarios/blocked_fix.c"),
					 scenario_bin("tests/victims/realtime"), NULL);
	cpu_set_t before;
	char cpu[16];
	const char *argv[] = { scenario_bin("tests/victims/realtime"), cpu, NULL };
	struct scenario_victim v;
	unsigned long gap;

	snprintf(cpu, sizeof(cpu), "%d", share_processor(&before));
	scenario_start(&v, argv);
	if (scenario_number(scenario_ask(&v, "priority"), "priority") == 0) {
		scenario_stop(&v);
		(void)sched_setaffinity(0, sizeof(before), &before);
		print_message("# SKIPPED: no permission for real-time priority\n");
		skip();
	}
	(void)scenario_ask(&v, "gap");
	for (int i = 0; i < VISITS; i++) {
		visit(&v, fix, false);
		assert_string_equal(scenario_ask(&v, "value"), "value=1041");
		visit(&v, fix, true);
		nap_us(1000);
	}
	gap = scenario_number(scenario_ask(&v, "gap"), "gap");
	print_message("# waited for %lu ms at most\n", gap);
	assert_true(gap < LONGEST_MS);
	scenario_stop(&v);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_small),
		cmocka_unit_test(test_then_loads),
		cmocka_unit_test(test_realtime),
	};

	tap_correct_skips();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
