/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An atomic replace after a hundred stacked patches over fifty functions, ten versions each,
 * in a process of a hundred threads, and one more that sleeps in a version which becomes a
 * nop: one transition, one stop that commits and one that completes, each within its budget,
 * and nothing of the hundred left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/scenario.h"
#include "lib/victim.h"
#include "victims/fifty.h"
#include "ugraft/ugraft.h"

#define THREADS 100
#define PATCHES 100
#define EACH 5			/* functions of a patch */
#define REPLACED 25		/* functions of the last patch; the others are nops in it */
#define NEWEST 1000		/* its version */
#define LONG_MS 60000

/* The default budget is 10 ms and 10 us a thread. On a busy machine a stop takes what it
 * takes; what the test asserts is the number of stops, and this. */
#define PAUSE_US 200000

static struct scenario_victim victim;
static struct victim_state before;
static struct ug_report report;
static struct ug_error err;
static char log_lines[8][128];
static size_t nlog;
static char patches[PATCHES][128];

static int set_up(void **state)
{
	char threads[16], why[512];
	const char *argv[] = { scenario_bin("tests/victims/fifty"), threads, NULL };

	(void)snprintf(threads, sizeof(threads), "%d", THREADS);
	scenario_start(&victim, argv);
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	return 0;
}

static int tear_down(void **state)
{
	victim_state_free(&before);
	scenario_stop(&victim);
	return 0;
}

static const char *make_patch(const char *name, int version, unsigned int first, unsigned int n,
			      bool replace)
{
	char source[128], flags[4200];
	FILE *out;

	(void)snprintf(source, sizeof(source), "%s/%s.c", scenario_dir(), name);
	out = fopen(source, "w");
	if (!out)
		scenario_die("cannot write %s", source);
	fprintf(out, "#include <ugraft/patch.h>\n#include \"fifty.h\"\n");
	for (unsigned int i = first; i < first + n; i++)
		fprintf(out, "FIFTY_VERSION(new_%02u, %d)\nUG_FUNC(UG_EXE, fn_%02u, new_%02u);\n",
			i % FIFTY, version, i % FIFTY, i % FIFTY);
	fprintf(out, "UG_PATCH(%s, .replace = %d, .unloadable = 1);\n", name, replace);
	fclose(out);
	(void)snprintf(flags, sizeof(flags), "-I%s", scenario_src("tests/victims"));
	return scenario_build(source, scenario_bin("tests/victims/fifty"), flags);
}

static void keep_line(int level, const char *line, void *ctx)
{
	if (strncmp(line, "livepatch: ", 11) == 0 && nlog < 8)
		(void)snprintf(log_lines[nlog++], sizeof(log_lines[0]), "%s", line + 11);
}

static struct ug_opts options(unsigned int flags)
{
	memset(&report, 0, sizeof(report));
	nlog = 0;
	return (struct ug_opts){
		.sz = sizeof(struct ug_opts), .timeout_ms = LONG_MS, .max_pause_us = PAUSE_US,
		.flags = flags, .log = keep_line,
	};
}

static void load(const char *patch, unsigned int flags, enum ug_outcome outcome)
{
	struct ug_opts opts = options(flags);

	if (ug_load(victim.pid, patch, &opts, &report, &err) < 0)
		fail_msg("%s: %s", patch, err.message);
	assert_int_equal(report.outcome, outcome);
}

static void finish_transition(void)
{
	struct ug_opts opts = options(0);

	if (ug_wait(victim.pid, NULL, &opts, &report, &err) < 0)
		fail_msg("wait: %s", err.message);
	assert_int_equal(report.outcome, UG_DONE);
}

static void unload(const char *name)
{
	struct ug_opts opts = options(0);

	if (ug_unload(victim.pid, name, &opts, &report, &err) < 0)
		fail_msg("unload %s: %s", name, err.message);
}

/* The version of function i: of the hundred, of the last, or the original. */
static void expect_values(int (*expected)(unsigned int i))
{
	char *at = (char *)(uintptr_t)scenario_ask(&victim, "values");

	for (unsigned int i = 0; i < FIFTY; i++) {
		long is = strtol(at, &at, 10);

		if (is != expected(i))
			fail_msg("function %u is of version %ld instead of %d", i, is, expected(i));
	}
}

static int stacked_version(unsigned int i)
{
	return 2 + PATCHES - FIFTY / EACH + (int)(i / EACH);
}

static int replaced_version(unsigned int i)
{
	return i < REPLACED ? NEWEST : ORIGINAL;
}

static int original(unsigned int i)
{
	return ORIGINAL;
}

struct mapped {
	unsigned int n;
	unsigned long bytes;
};

static struct mapped mapped_by_ugraft(void)
{
	struct mapped ret = { 0 };
	unsigned long start, end;
	char path[32], line[512];
	FILE *maps;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", victim.pid);
	maps = fopen(path, "re");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, ":ugraft") && sscanf(line, "%lx-%lx", &start, &end) == 2) {
			ret.n++;
			ret.bytes += end - start;
		}
	fclose(maps);
	return ret;
}

static void load_first(int n)
{
	uint64_t wall = 0, pause = 0;

	for (int i = 0; i < n; i++) {
		load(patches[i], 0, UG_DONE);
		wall += report.wall_ns;
		pause = report.max_pause_ns > pause ? report.max_pause_ns : pause;
	}
	print_message("# %d loads: %.1f ms each, longest pause %.2f ms\n", n,
		      (double)wall / n / 1e6, (double)pause / 1e6);
}

static const char *make_all(void)
{
	char name[16];

	for (int i = 0; i < PATCHES; i++) {
		(void)snprintf(name, sizeof(name), "p%03d", i);
		(void)snprintf(patches[i], sizeof(patches[i]), "%s",
			       make_patch(name, 2 + i, (unsigned int)i * EACH, EACH, false));
	}
	return make_patch("last", NEWEST, 0, REPLACED, true);
}

static void print_step(const char *step)
{
	print_message("# %s: %u threads, %u stops, longest %.2f ms, %.1f ms in all\n", step,
		      report.threads, report.stops, (double)report.max_pause_ns / 1e6,
		      (double)report.wall_ns / 1e6);
}

/* The stop that commits, and the one that completes. */
static void replace_all(const char *last)
{
	load(last, UG_OPT_NO_WAIT, UG_PENDING);
	print_step("the replace commits");
	assert_int_equal(report.stops, 1);
	assert_true(report.max_pause_ns <= PAUSE_US * UINT64_C(1000));
	expect_values(replaced_version);
	assert_string_equal(log_lines[2], "'last': starting patching transition");
	assert_int_equal(nlog, 3);
	assert_string_equal(scenario_ask(&victim, "release"), "released");
	finish_transition();
	print_step("the replace completes");
	assert_int_equal(report.stops, 1);
	assert_true(report.max_pause_ns <= PAUSE_US * UINT64_C(1000));
	assert_string_equal(log_lines[0], "'last': completing patching transition");
	assert_string_equal(log_lines[1], "'last': patching complete");
	assert_int_equal(nlog, 2);
}

static void test_hundred(void **state)
{
	const char *last = make_all();
	struct mapped few, now;
	char why[512];

	/* What the last patch takes when it has replaced as few as have the same entries: the
	 * first instructions of what is still patched stay displaced where they are. */
	load_first(REPLACED / EACH);
	load(last, 0, UG_DONE);
	few = mapped_by_ugraft();
	unload("last");
	load_first(PATCHES);
	expect_values(stacked_version);
	assert_string_equal(scenario_ask(&victim, "park 30"), "parked");
	replace_all(last);
	expect_values(replaced_version);
	now = mapped_by_ugraft();
	print_message("# mapped: %u areas, %lu KiB; after %d patches only: %u, %lu KiB\n", now.n,
		      now.bytes >> 10, REPLACED / EACH, few.n, few.bytes >> 10);
	assert_int_equal(now.n, few.n);
	assert_int_equal(now.bytes, few.bytes);
	unload("last");
	expect_values(original);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hundred, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
