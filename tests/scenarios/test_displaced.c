/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The target unwinds while a transition runs: a thread that is held inside the replaced function
 * goes on calling the original, whose first instructions are executed elsewhere (displaced), by
 * way of a gate; all others call the new one by way of that gate (tests/victims/displaced.cc).
 *
 *  - Exceptions and backtraces from below either.
 *  - A backtrace at each instruction of a call, by a signal handler: it comes to an end at those
 *    of gates and displaced code (docs/unwinding.md), and nowhere else.
 *  - The same of a function that begins with a call (argument displaced-call).
 *  - A thread that is interrupted in displaced code is seen to be there, from outside: the code
 *    stays until it has left, whatever is done meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/scenario.h"
#include "lib/tap.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define NAME "displaced-fix"

static struct scenario_victim victim;
static struct victim_state before;
static const char *program = "displaced";
static const char *patch;
static struct ug_error err;

static void must(int r, const char *what)
{
	if (r < 0)
		fail_msg("%s: %s", what, err.message);
}

/* ---- the questions ---- */

static unsigned long answer_to(const char *command, const char *name)
{
	return scenario_number(scenario_ask(&victim, "%s", command), name);
}

static void assert_unwinds(const char *who, unsigned int version)
{
	char command[32];
	const char *answer;

	snprintf(command, sizeof(command), "%sthrow", who);
	answer = scenario_ask(&victim, "%s", command);
	assert_int_equal(scenario_number(answer, "version"), version);
	assert_int_equal(scenario_number(answer, "destroyed"), 2);
	snprintf(command, sizeof(command), "%strace", who);
	answer = scenario_ask(&victim, "%s", command);
	assert_int_equal(scenario_number(answer, "version"), version);
	assert_int_equal(scenario_number(answer, "found"), 1);
}

/* Returns how many instructions of ours it took. */
static unsigned long assert_steps(const char *who, unsigned int version, bool all)
{
	char command[32], answer[128];

	snprintf(command, sizeof(command), "%sstep", who);
	snprintf(answer, sizeof(answer), "%s", scenario_ask(&victim, "%s", command));
	print_message("# %s: %s\n", command, answer);
	assert_int_equal(scenario_number(answer, "version"), version);
	assert_true(scenario_number(answer, "steps") > 20);
	assert_int_equal(scenario_number(answer, "foreign"), 0);
	if (all)
		assert_int_equal(scenario_number(answer, "lost"), 0);
	return scenario_number(answer, "ours");
}

/* ---- loads ---- */

/* Begins, in as much time as that takes on a busy machine, and waits for nobody. */
static const struct ug_opts begin_only = { .sz = sizeof(begin_only), .flags = UG_OPT_NO_WAIT };

static void load_with_one_inside(void)
{
	struct ug_report report = { 0 };

	assert_string_equal(scenario_ask(&victim, "hold"), "done");
	must(ug_load(victim.pid, patch, &begin_only, &report, &err), "load");
	assert_int_equal(report.outcome, UG_PENDING);
}

static void assert_clean(void)
{
	char why[512];

	if (victim_compare(victim.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static int set_up(void **state)
{
	char path[64], why[512];
	const char *argv[] = { NULL, NULL };

	snprintf(path, sizeof(path), "tests/victims/%s", program);
	argv[0] = scenario_bin(path);

	if (access(argv[0], X_OK) < 0) {
		print_message("# SKIPPED: it has not been built: no g++\n");
		return 0;
	}
	patch = scenario_build(scenario_src("tests/scenarios/displaced_fix.c"), argv[0], NULL);
	scenario_start(&victim, argv);
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	return 0;
}

static int tear_down(void **state)
{
	if (!patch)
		return 0;
	scenario_stop(&victim);
	victim_state_free(&before);
	return 0;
}

static void need_victim(void)
{
	if (!patch)
		skip();
}

/* ---- tests ---- */

static void test_unwinds(void **state)
{
	need_victim();
	assert_unwinds("", 1);
	assert_int_equal(assert_steps("", 1, true), 0);
	load_with_one_inside();
	assert_unwinds("", 2);
	assert_unwinds("held ", 1);
	/* Through the gate into new code, and into displaced instructions of the original. */
	assert_true(assert_steps("", 2, false) > 0);
	assert_true(assert_steps("held ", 1, false) > 0);
	scenario_ask(&victim, "release");
	must(ug_wait(victim.pid, NULL, NULL, NULL, &err), "wait");
	assert_unwinds("", 2);
	/* A jump, and new code that has tables. */
	assert_true(assert_steps("", 2, true) > 0);
	must(ug_unload(victim.pid, NAME, NULL, NULL, &err), "unload");
	assert_unwinds("", 1);
	assert_int_equal(assert_steps("", 1, true), 0);
	assert_clean();
}

static size_t count_blockers(void)
{
	struct ug_blocking *b;
	size_t n;

	must(ug_blocking(victim.pid, NULL, &b, &err), "blocking");
	n = b->n;
	if (n) {
		print_message("# %s%s: %s\n", b->v[0].function, b->v[0].reason, b->v[0].chain);
		/* Also of the first instruction, whose address no return address can be. */
		assert_non_null(strstr(b->v[0].chain, "[displaced]"));
	}
	ug_blocking_free(b);
	return n;
}

/* Halted at the instruction of displaced code that is `back` before the last one. */
static void halt_inside(unsigned int back)
{
	const struct ug_opts hurry = { .sz = sizeof(hurry), .timeout_ms = 800 };
	unsigned long last;

	load_with_one_inside();
	last = answer_to("held step", "ours");
	assert_true(last > back);
	assert_string_equal(scenario_ask(&victim, "halt %lu", last - back), "done");
	assert_int_equal(count_blockers(), 1);
	/* Taken back around it; what it executes stays. */
	must(ug_reverse(victim.pid, NULL, &begin_only, NULL, &err), "reverse");
	must(ug_recover(victim.pid, &hurry, NULL, &err), "recover");
	assert_unwinds("", 1);
	assert_int_equal(answer_to("go", "version"), 1);
	scenario_ask(&victim, "release");
	must(ug_recover(victim.pid, NULL, NULL, &err), "recover");
	assert_unwinds("", 1);
	assert_clean();
}

static void test_halted_in_displaced_code(void **state)
{
	/* Of a call there are two instructions in the copy: push, jmp. */
	unsigned int n = strcmp(program, "displaced") == 0 ? 3 : 2;

	need_victim();
	for (unsigned int back = 0; back < n; back++)
		halt_inside(back);
}

/* displaced [NAME OF THE VICTIM] */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unwinds),
		cmocka_unit_test(test_halted_in_displaced_code),
	};

	if (argc > 1)
		program = argv[1];
	tap_correct_skips();
	alarm(110);	/* a hang is a failure, too */
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
