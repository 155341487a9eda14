/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The target unwinds through the code of patches: exceptions, pthread_exit, pthread_cancel and
 * backtraces from below a replaced function, and exceptions of the new function itself. With
 * libgcc shared and static, and in a static program. Meanwhile other threads throw as fast as
 * they can, while patches come and go: an exception that is not caught ends the program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <unistd.h>

#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define CYCLES 12

static struct scenario_victim victim;

static void load(const char *patch)
{
	static const struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 60000 };
	struct ug_error err = { 0 };
	int r;

	for (int i = 0; (r = ug_load(victim.pid, patch, &opts, NULL, &err)) == -UG_E_UNSTOPPABLE; i++)
		assert_true(i < 100);
	if (r < 0)
		fail_msg("load: %s", err.message);
}

static void unload(const char *name)
{
	static const struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 60000 };
	struct ug_error err = { 0 };
	int r;

	for (int i = 0; (r = ug_unload(victim.pid, name, &opts, NULL, &err)) == -UG_E_UNSTOPPABLE; i++)
		assert_true(i < 100);
	if (r < 0)
		fail_msg("unload: %s", err.message);
}

/* All ways to unwind, in this version. */
static void assert_unwinds(unsigned int version)
{
	const char *answer = scenario_ask(&victim, "throw");

	assert_int_equal(scenario_number(answer, "version"), version);
	assert_int_equal(scenario_number(answer, "destroyed"), 2);
	answer = scenario_ask(&victim, "trace");
	assert_int_equal(scenario_number(answer, "version"), version);
	assert_int_equal(scenario_number(answer, "main"), 1);
	answer = scenario_ask(&victim, "exit");
	assert_int_equal(scenario_number(answer, "destroyed"), 1);
	assert_int_equal(scenario_number(answer, "ended"), 1);
	answer = scenario_ask(&victim, "cancel");
	assert_int_equal(scenario_number(answer, "destroyed"), 1);
	assert_int_equal(scenario_number(answer, "ended"), 1);
}

static void compare(struct victim_state *before)
{
	char why[512];

	for (int i = 0; i < 100; i++) {
		struct ug_error err = { 0 };

		if (victim_compare(victim.pid, before, VICTIM_CLEAN, why, sizeof(why)) == 0)
			return;
		if (ug_recover(victim.pid, NULL, NULL, &err) < 0)
			fail_msg("recover: %s", err.message);
	}
	fail_msg("%s", why);
}

/* In any order over each other: whoever is on top, all code of patches is known. */
static void stack_up(const char *two, const char *three)
{
	load(two);
	assert_unwinds(2);
	load(three);
	assert_unwinds(3);
	unload("unwinder-2");
	assert_unwinds(3);
	load(two);
	assert_unwinds(2);
	unload("unwinder-3");
	assert_unwinds(2);
	unload("unwinder-2");
	assert_unwinds(1);
}

static void storm(const char *two, const char *three)
{
	unsigned long thrown = scenario_number(scenario_ask(&victim, "stat"), "thrown"), now;
	const char *answer;

	for (int i = 0; i < CYCLES; i++) {
		load(i % 2 ? two : three);
		unload(i % 2 ? "unwinder-2" : "unwinder-3");
	}
	answer = scenario_ask(&victim, "stat");
	now = scenario_number(answer, "thrown");
	assert_int_equal(scenario_number(answer, "wrong"), 0);
	assert_true(now > thrown + 100);
	print_message("# %lu exceptions during %d loads and unloads\n", now - thrown, CYCLES);
}

static void run_variant(const char *program)
{
	const char *argv[] = { scenario_bin(program), "2", NULL };
	const char *two, *three;
	struct victim_state before;
	char why[512];

	if (access(argv[0], X_OK) < 0) {
		print_message("# SKIPPED: %s has not been built\n", program);
		skip();
	}
	two = scenario_build(scenario_src("tests/scenarios/unwinder_fix.c"), argv[0], NULL);
	three = scenario_build(scenario_src("tests/scenarios/unwinder_fix.cc"), argv[0], NULL);
	scenario_start(&victim, argv);
	/* What it loads when it unwinds for the first time must be there before. */
	assert_unwinds(1);
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	stack_up(two, three);
	storm(two, three);
	compare(&before);
	victim_state_free(&before);
	scenario_stop(&victim);
}

static void test_shared(void **state)
{
	run_variant("tests/victims/unwinder-shared");
}

static void test_static_libgcc(void **state)
{
	run_variant("tests/victims/unwinder-static-libgcc");
}

static void test_static(void **state)
{
	run_variant("tests/victims/unwinder-static");
}

static void test_stripped(void **state)
{
	run_variant("tests/victims/unwinder-stripped");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_static_libgcc),
		cmocka_unit_test(test_static),
		cmocka_unit_test(test_stripped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
