/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that waits in a patch's own code, some frames deep, with words on its stack that
 * look like return addresses into another version: it is unwound through the patch, so that
 * they are known to be nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define SHORT_MS 300
#define LONG_MS 20000

static struct scenario_victim victim;
static struct victim_state before;

static void start(void)
{
	const char *argv[] = { scenario_bin("tests/victims/deep"), NULL };
	char why[512];

	scenario_start(&victim, argv);
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static const char *build(const char *source, const char *flags)
{
	return scenario_build(scenario_src(source), scenario_bin("tests/victims/deep"), flags);
}

static enum ug_outcome load(const char *patch, unsigned int timeout_ms)
{
	struct ug_opts opts = {
		.sz = sizeof(opts), .timeout_ms = timeout_ms, .flags = UG_OPT_KEEP_ON_TIMEOUT,
	};
	struct ug_report report;
	struct ug_error err = { 0 };

	if (ug_load(victim.pid, patch, &opts, &report, &err) < 0)
		fail_msg("load: %s", err.message);
	return report.outcome;
}

static void unload(const char *name)
{
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = LONG_MS };
	struct ug_error err = { 0 };

	if (ug_unload(victim.pid, name, &opts, NULL, &err) < 0)
		fail_msg("unload: %s", err.message);
}

/* The one thread that is waited for has left; nobody else is in the way. */
static void wait_completes(void)
{
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = LONG_MS };
	struct ug_report report;
	struct ug_error err = { 0 };

	if (ug_wait(victim.pid, NULL, &opts, &report, &err) < 0)
		fail_msg("wait: %s", err.message);
	assert_int_equal(report.outcome, UG_DONE);
}

static void assert_only(const char *name)
{
	struct ug_error err = { 0 };
	struct ug_status *st;

	if (ug_status(victim.pid, &st, &err) < 0)
		fail_msg("status: %s", err.message);
	for (size_t i = 0; i < st->npatches; i++)
		if (strcmp(st->patches[i].name, name) != 0)
			fail_msg("'%s' is still there", st->patches[i].name);
	assert_int_equal(st->npatches, 1);
	ug_status_free(st);
}

static void park(int thread)
{
	assert_string_equal(scenario_ask(&victim, "park %d", thread), "parked");
}

static void release(int thread, int version)
{
	assert_int_equal(scenario_number(scenario_ask(&victim, "release %d", thread), "version"),
			 version);
}

static void plant(const char *what)
{
	assert_string_equal(scenario_ask(&victim, "plant %s", what), "planted");
}

static void end(void)
{
	char why[512];

	if (victim_compare(victim.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
	scenario_stop(&victim);
}

/* Version 1 is released while a thread that waits in version 2 has old words of it. */
static void test_release(void **state)
{
	start();
	assert_int_equal(load(build("tests/scenarios/deep_fix.c", "-DVERSION=1"), LONG_MS), UG_DONE);
	park(0);
	plant("target");
	assert_int_equal(load(build("tests/scenarios/deep_fix.c", "-DVERSION=2"), SHORT_MS),
			 UG_PENDING);
	park(1);
	release(0, 1);
	wait_completes();
	assert_only("deep-2");
	release(1, 2);
	unload("deep-2");
	end();
}

/* Another function is replaced at once, though the thread seems to be in it. */
static void test_complete(void **state)
{
	start();
	assert_int_equal(load(build("tests/scenarios/deep_fix.c", "-DVERSION=2"), LONG_MS), UG_DONE);
	plant("other");
	park(0);
	assert_int_equal(load(build("tests/scenarios/deep_other_fix.c", NULL), LONG_MS), UG_DONE);
	assert_int_equal(scenario_number(scenario_ask(&victim, "other"), "other"), 3);
	release(0, 2);
	unload("deep-other");
	unload("deep-2");
	end();
}

/* What is really inside is found: version 2 has the thread, for all the frames above. */
static void test_inside(void **state)
{
	const char *two = build("tests/scenarios/deep_fix.c", "-DVERSION=2");

	start();
	assert_int_equal(load(build("tests/scenarios/deep_fix.c", "-DVERSION=1"), LONG_MS), UG_DONE);
	park(0);
	assert_int_equal(load(two, SHORT_MS), UG_PENDING);
	release(0, 1);
	wait_completes();
	assert_only("deep-2");
	unload("deep-2");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
