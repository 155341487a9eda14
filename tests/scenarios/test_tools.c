/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Debuggers, profilers and translators: what they see of a patch, or why there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

static struct scenario_victim victim;
static struct command cmd;
static char pid[16];

static void start(const char *const argv[])
{
	scenario_start(&victim, argv);
	(void)snprintf(pid, sizeof(pid), "%d", victim.pid);
}

static void start_plain(void)
{
	const char *argv[] = { scenario_bin("tests/victims/deep"), NULL };

	start(argv);
}

static const char *build(const char *source, const char *flags)
{
	return scenario_build(scenario_src(source), scenario_bin("tests/victims/deep"), flags);
}

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

static void assert_alive(void)
{
	char why[512];

	if (victim_alive(victim.pid, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static void need(const char *program)
{
	if (access(program, X_OK) == 0)
		return;
	print_message("# SKIPPED: there is no %s\n", program);
	skip();
}

/* One after the other, with nothing that is not known in between. */
static void assert_chain(const char *text, const char *const names[])
{
	const char *at = text;

	for (size_t i = 0; names[i]; i++) {
		const char *found = strstr(at, names[i]);
		const char *unknown = strstr(at, "??");

		if (!found || (unknown && unknown < found))
			fail_msg("%s is missing in: %s", names[i], text);
		at = found + strlen(names[i]);
	}
}

static void test_gdb(void **state)
{
	static const char *const chain[] = {
		"wait_inside", "deep3", "deep2", "deep1", "stay", NULL,
	};
	const char *argv[] = {
		scenario_bin("ugraft"), "gdb", pid, "--", "-nx", "-batch", "-ex",
		"thread apply all bt", NULL,
	};

	need("/usr/bin/gdb");
	start_plain();
	load(build("tests/scenarios/deep_fix.c", "-DVERSION=2"));
	assert_string_equal(scenario_ask(&victim, "park 0"), "parked");
	if (command_run(&cmd, argv) != 0)
		fail_msg("%s", cmd.output);
	assert_chain(cmd.output, chain);
	assert_null(strstr(cmd.output, "warning"));
	assert_int_equal(scenario_number(scenario_ask(&victim, "release 0"), "version"), 2);
	assert_alive();
	scenario_stop(&victim);
}

static void map_path(char *buf, size_t size)
{
	(void)snprintf(buf, size, "/tmp/perf-%s.map", pid);
}

static size_t read_map(char *buf, size_t size)
{
	char path[64];
	FILE *f;
	size_t n;

	map_path(path, sizeof(path));
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(buf, 1, size - 1, f);
	buf[n] = 0;
	fclose(f);
	return n;
}

static int perf_map(size_t *ret_n, struct ug_error *err)
{
	char path[128];

	*ret_n = 0;
	return ug_perf_map(victim.pid, path, sizeof(path), ret_n, err);
}

static void test_perf_map(void **state)
{
	char path[64], text[4096], again[4096], *line;
	unsigned long addr, size;
	struct ug_error err = { 0 };
	size_t n;

	start_plain();
	map_path(path, sizeof(path));
	assert_int_equal(perf_map(&n, &err), -UG_E_NO_PATCH);
	assert_int_equal(access(path, F_OK), -1);
	load(build("tests/scenarios/tools_fix.c", NULL));
	assert_int_equal(perf_map(&n, &err), 0);
	assert_int_equal(n, 2);
	read_map(text, sizeof(text));
	line = strstr(text, " busy_helper [tools]\n");
	assert_non_null(line);
	while (line > text && line[-1] != '\n')
		line--;
	assert_int_equal(sscanf(line, "%lx %lx", &addr, &size), 2);
	assert_true(addr && size > 8 && size < 256);
	/* What is there already is not added again, and what others wrote stays. */
	assert_int_equal(perf_map(&n, &err), 0);
	assert_int_equal(n, 0);
	read_map(again, sizeof(again));
	assert_string_equal(again, text);
	unlink(path);
	scenario_stop(&victim);
}

/* The directory is anybody's: a link leads nowhere. */
static void test_perf_map_link(void **state)
{
	struct ug_error err = { 0 };
	char path[64], victim_of_link[256];
	struct stat st;
	size_t n;

	start_plain();
	load(build("tests/scenarios/tools_fix.c", NULL));
	map_path(path, sizeof(path));
	(void)snprintf(victim_of_link, sizeof(victim_of_link), "%s/precious", scenario_dir());
	fclose(fopen(victim_of_link, "w"));
	assert_int_equal(symlink(victim_of_link, path), 0);
	assert_true(perf_map(&n, &err) < 0);
	unlink(path);
	assert_int_equal(link(victim_of_link, path), 0);
	assert_true(perf_map(&n, &err) < 0);
	assert_int_equal(stat(victim_of_link, &st), 0);
	assert_int_equal(st.st_size, 0);
	unlink(path);
	scenario_stop(&victim);
}

/* Nothing is mapped in it, and the reason is given. */
static void test_valgrind(void **state)
{
	const char *argv[] = { "/usr/bin/valgrind", "-q", scenario_bin("tests/victims/deep"), NULL };
	struct ug_error err = { 0 };
	struct victim_state before;
	struct ug_checks *checks;
	unsigned int refused = 0;
	char why[512];
	const char *patch = build("tests/scenarios/tools_fix.c", NULL);

	need("/usr/bin/valgrind");
	start(argv);
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	assert_int_equal(ug_load(victim.pid, patch, NULL, NULL, &err), -UG_E_UNSUPPORTED);
	assert_non_null(strstr(err.message, "valgrind"));
	assert_int_equal(ug_plan(victim.pid, patch, NULL, &checks, &err), 0);
	for (size_t i = 0; i < checks->n; i++)
		refused += checks->v[i].verdict == UG_CHECK_REFUSED;
	assert_int_equal(refused, 1);
	ug_checks_free(checks);
	/* Its own cache of translations is code as well, and grows. */
	if (victim_compare(victim.pid, &before, VICTIM_NO_UGRAFT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	assert_int_equal(scenario_number(scenario_ask(&victim, "other"), "other"), 0);
	victim_state_free(&before);
	scenario_stop(&victim);
}

/* Does plan warn of probes that are attached later? */
static bool warns_of_probes(const char *program)
{
	const char *argv[] = { scenario_bin(program), NULL };
	const char *patch = scenario_build(scenario_src("tests/scenarios/parked_fix.c"), argv[0], NULL);
	struct ug_error err = { 0 };
	struct ug_checks *checks;
	bool warned = false;

	start(argv);
	if (ug_plan(victim.pid, patch, NULL, &checks, &err) < 0)
		fail_msg("%s: %s", program, err.message);
	for (size_t i = 0; i < checks->n; i++)
		warned |= checks->v[i].verdict == UG_CHECK_WARNING && strstr(checks->v[i].text, "uprobe");
	ug_checks_free(checks);
	scenario_stop(&victim);
	return warned;
}

/* The functions of the one are exported, those of the other are not. */
static void test_plan_warns_of_probes(void **state)
{
	assert_true(warns_of_probes("tests/victims/parked-pie"));
	assert_false(warns_of_probes("tests/victims/parked-nopie"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gdb),
		cmocka_unit_test(test_perf_map),
		cmocka_unit_test(test_perf_map_link),
		cmocka_unit_test(test_valgrind),
		cmocka_unit_test(test_plan_warns_of_probes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
