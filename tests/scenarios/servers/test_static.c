/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs that are not position-independent or have no dynamic linker: one function and
 * twenty functions, 80 cycles each, under two threads that call them all the time. Here all
 * mappings must be as before, the anonymous ones too.
 *
 *	test_static PROGRAM
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/cycle.h"
#include "lib/scenario.h"
#include "lib/victim.h"

#define CYCLES 80
/* A quarter of a page a cycle. */
#define GROWTH_KB (CYCLES * 4 / 4)

static const char *program;
static struct scenario_victim victim;

static int set_up(void **state)
{
	const char *argv[] = { program, "2", NULL };

	scenario_start(&victim, argv);
	return 0;
}

static int tear_down(void **state)
{
	scenario_stop(&victim);
	return 0;
}

static unsigned long ask(const char *name)
{
	return scenario_number(scenario_ask(&victim, "stat"), name);
}

/* The count named by ctx grows when the patch is loaded, and only then. */
static int probe(void *ctx, bool patched, char *why, size_t size)
{
	const char *name = ctx;
	unsigned long was, now;

	scenario_ask(&victim, "settle");	/* calls from before the load or unload are counted */
	was = ask(name);
	scenario_ask(&victim, "settle");
	now = ask(name);
	if ((now > was) == patched)
		return 0;
	snprintf(why, size, "%s: %lu, then %lu, though the patch is %sloaded", name, was, now,
		 patched ? "" : "not ");
	return -1;
}

static void run(const char *source, char *name)
{
	struct cycle cycle = {
		.pid = victim.pid, .cycles = CYCLES, .compare = VICTIM_CLEAN | VICTIM_EXACT,
		.patch = scenario_build(scenario_src(source), program, NULL),
		.probe = probe, .ctx = name,
	};
	struct cycle_result result;
	char why[700], json[500];
	int r = cycle_run(&cycle, &result, why, sizeof(why));

	cycle_json(&result, json, sizeof(json));
	print_message("# %s %s\n", name, json);
	if (r < 0)
		fail_msg("%s", why);
	assert_int_equal(ask("failed"), 0);
	assert_true(result.anon_last <= result.anon_first + GROWTH_KB);
	assert_int_equal(result.mapped_last, result.mapped_first);
}

static void test_one(void **state)
{
	char name[] = "extra";

	run("tests/scenarios/servers/twenty_one.c", name);
}

static void test_twenty(void **state)
{
	char name[] = "new";

	run("tests/scenarios/servers/twenty_twenty.c", name);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_twenty),
	};

	program = argc > 1 ? argv[1] : "";
	if (access(program, X_OK) != 0) {
		printf("1..0 # SKIP there is no %s: musl-gcc is not installed\n", program);
		return 0;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
