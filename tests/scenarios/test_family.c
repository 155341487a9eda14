/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes as one job, with a victim that has children of every kind (tests/victims/family.c).
 *
 *  - Each process of a tree has one result: patched, with another program, ended, stopped. They
 *    add up; the patch goes as it came, and every text is as before.
 *  - A child forked in mid-transition inherits it: a job completes it there too, whether the
 *    child is inside the old function or not; time that is up takes back those that are not ready.
 *  - Processes born, and programs executed, while the job runs are found by its further looks.
 *  - A unit is found by its control group, orphans included.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/tap.h"
#include "lib/victim.h"
#include "ugraft/job.h"

#define NAME "family-fix"

static struct scenario_victim v;
static const char *program, *patch;
static char pid_text[16];

static int set_up(void **state)
{
	const char *argv[] = { program, NULL };

	scenario_start(&v, argv);
	snprintf(pid_text, sizeof(pid_text), "%d", v.pid);
	return 0;
}

static int tear_down(void **state)
{
	scenario_stop(&v);
	return 0;
}

static pid_t born(const char *what)
{
	return (pid_t)scenario_number(scenario_ask(&v, "%s", what), "pid");
}

/* ---- jobs ---- */

static struct ug_members *run_job(enum ug_job_verb verb, struct ug_opts *opts)
{
	const struct ug_scope scope = { .kind = UG_SCOPE_TREE, .pid = v.pid };
	struct ug_job job = {
		.sz = sizeof(job), .verb = verb, .scopes = &scope, .nscopes = 1, .opts = opts,
		.what = verb == UG_JOB_LOAD ? patch : verb == UG_JOB_UNLOAD ? NAME : NULL,
	};
	struct ug_members *m;
	struct ug_error err = { 0 };
	size_t sum = 0;

	if (opts)
		opts->sz = sizeof(*opts);
	if (ug_job_run(&job, &m, &err) < 0)
		fail_msg("job: %s", err.message);
	for (int i = 0; i < UG_RESULTS; i++)
		sum += m->count[i];
	assert_int_equal(sum, m->n);
	return m;
}

static void show(const struct ug_members *m)
{
	for (size_t i = 0; i < m->n; i++)
		print_message("# %d %s: %s in round %u: %s\n", m->v[i].pid, m->v[i].comm,
			      ug_result_name(m->v[i].result), m->v[i].round, m->v[i].err.message);
}

/* Exactly so many of each that is named here, and none of the others. */
static void expect(struct ug_members *m, unsigned int applied, unsigned int already,
		   unsigned int not_applicable, unsigned int gone)
{
	if (m->count[UG_RESULT_APPLIED] != applied || m->count[UG_RESULT_ALREADY] != already ||
	    m->count[UG_RESULT_NOT_APPLICABLE] != not_applicable ||
	    m->count[UG_RESULT_GONE] != gone ||
	    m->n != applied + already + not_applicable + gone || !m->settled) {
		show(m);
		fail_msg("not %u applied, %u already, %u not applicable, %u gone, settled", applied,
			 already, not_applicable, gone);
	}
	ug_members_free(m);
}

static enum ug_result result_for(const struct ug_members *m, pid_t pid)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].pid == pid)
			return m->v[i].result;
	fail_msg("process %d is not in the job", pid);
	return UG_RESULTS;
}

static void assert_versions(int old, int new)
{
	const char *answer = scenario_ask(&v, "versions");

	if ((int)scenario_number(answer, "old") != old || (int)scenario_number(answer, "new") != new)
		fail_msg("%s, not old=%d new=%d", answer, old, new);
}

static void snapshot(pid_t pid, struct victim_state *st)
{
	char why[512];

	if (victim_snapshot(pid, st, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static void assert_clean(pid_t pid, struct victim_state *before)
{
	char why[512];

	if (victim_compare(pid, before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%d: %s", pid, why);
	victim_state_free(before);
}

static bool in_transition(pid_t pid)
{
	struct ug_status *st;
	bool yes;

	assert_int_equal(ug_status(pid, &st, NULL), 0);
	yes = st->in_transition;
	ug_status_free(st);
	return yes;
}

/* ---- tests ---- */

static char state_of(pid_t pid)
{
	char path[32], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		fail_msg("%s cannot be read", path);
	fclose(f);
	return state;
}

static void test_every_kind(void **state)
{
	struct victim_state before[2];
	pid_t a = born("fork"), stopped, zombie, other;

	born("exec");
	zombie = born("zombie");
	other = born("other");
	stopped = born("stopped");
	nap_us(50000);
	snapshot(v.pid, &before[0]);
	snapshot(a, &before[1]);
	/* The first, two callers and the stopped one; sleep; the zombie. */
	expect(run_job(UG_JOB_LOAD, NULL), 4, 0, 1, 1);
	assert_int_equal(state_of(stopped), 'T');
	assert_int_equal(state_of(zombie), 'Z');
	assert_versions(1, 2);
	/* A child of patched ones is patched. */
	born("fork");
	assert_versions(1, 3);
	expect(run_job(UG_JOB_LOAD, NULL), 0, 5, 1, 1);
	kill(stopped, SIGCONT);
	assert_versions(0, 4);
	expect(run_job(UG_JOB_UNLOAD, NULL), 5, 0, 1, 1);
	assert_versions(4, 0);
	assert_clean(v.pid, &before[0]);
	assert_clean(a, &before[1]);
	kill(other, SIGKILL);
}

/* A child that was forked while its parent's transition ran, and is not inside f. */
static void test_fork_in_transition(void **state)
{
	struct ug_opts keep = { .timeout_ms = 500, .flags = UG_OPT_KEEP_ON_TIMEOUT };
	struct victim_state before;
	struct ug_members *m;
	pid_t child;

	snapshot(v.pid, &before);
	scenario_ask(&v, "park");
	m = run_job(UG_JOB_LOAD, &keep);
	assert_int_equal(result_for(m, v.pid), UG_RESULT_PENDING);
	assert_int_equal(m->v[0].blockers.nblockers, 1);
	ug_members_free(m);
	child = born("fork");
	assert_true(in_transition(child));
	assert_versions(0, 1);
	/* The child's is complete at once, its parent's goes on. */
	m = run_job(UG_JOB_WAIT, &keep);
	assert_int_equal(result_for(m, v.pid), UG_RESULT_PENDING);
	assert_int_equal(result_for(m, child), UG_RESULT_APPLIED);
	ug_members_free(m);
	scenario_ask(&v, "release");
	expect(run_job(UG_JOB_WAIT, NULL), 1, 1, 0, 0);
	expect(run_job(UG_JOB_UNLOAD, NULL), 2, 0, 0, 0);
	assert_versions(1, 0);
	assert_clean(v.pid, &before);
}

/* One that is inside: its one thread keeps the old version, like the thread that forked it. */
static void fork_inside(enum ug_job_verb verb)
{
	struct ug_opts keep = { .timeout_ms = 500, .flags = UG_OPT_KEEP_ON_TIMEOUT };
	struct ug_members *m;
	pid_t child;

	scenario_ask(&v, "park");
	ug_members_free(run_job(UG_JOB_LOAD, &keep));
	child = born("inside");
	m = run_job(verb, &keep);
	assert_int_equal(result_for(m, v.pid), UG_RESULT_PENDING);
	assert_int_equal(result_for(m, child), UG_RESULT_PENDING);
	assert_true(in_transition(child));
	ug_members_free(m);
	scenario_ask(&v, "release");
	expect(run_job(verb, NULL), 2, 0, 0, 0);
	assert_false(in_transition(child));
	assert_versions(0, 1);
	expect(run_job(UG_JOB_UNLOAD, NULL), 2, 0, 0, 0);
	assert_versions(1, 0);
}

static void test_fork_inside_wait(void **state)
{
	fork_inside(UG_JOB_WAIT);
}

static void test_fork_inside_recover(void **state)
{
	fork_inside(UG_JOB_RECOVER);
}

/* Whoever is not ready in time goes back alone. */
static void test_timeout(void **state)
{
	struct ug_opts opts = { .timeout_ms = 1000 };
	struct victim_state before;
	struct ug_members *m;
	pid_t child = born("fork");

	snapshot(v.pid, &before);
	scenario_ask(&v, "park");
	m = run_job(UG_JOB_LOAD, &opts);
	assert_int_equal(m->n, 2);
	assert_int_equal(result_for(m, v.pid), UG_RESULT_FAILED);
	assert_int_equal(m->v[0].err.code, -UG_E_REVERSED);
	assert_int_equal(result_for(m, child), UG_RESULT_APPLIED);
	ug_members_free(m);
	assert_clean(v.pid, &before);
	assert_versions(0, 1);
	scenario_ask(&v, "release");
	expect(run_job(UG_JOB_LOAD, NULL), 1, 1, 0, 0);
}

/* Born, or executing their program anew, while the job runs. */
static void storm(const char *kind)
{
	struct ug_opts opts = { .timeout_ms = 10000 };
	struct ug_members *m;
	const char *answer;

	for (int i = 0; i < 6; i++)
		born("fork");
	scenario_ask(&v, "storm 600%s", kind);
	m = run_job(UG_JOB_LOAD, &opts);
	if (!m->settled || m->count[UG_RESULT_APPLIED] + m->count[UG_RESULT_ALREADY] != m->n)
		show(m);
	assert_true(m->settled);
	assert_true(m->rounds > 1);
	assert_int_equal(m->count[UG_RESULT_APPLIED] + m->count[UG_RESULT_ALREADY], m->n);
	print_message("# %zu processes in %u rounds: %u applied, %u already\n", m->n, m->rounds,
		      m->count[UG_RESULT_APPLIED], m->count[UG_RESULT_ALREADY]);
	ug_members_free(m);
	if (!*kind) {
		/* Also those born since. */
		answer = scenario_ask(&v, "versions");
		assert_int_equal(scenario_number(answer, "old"), 0);
	}
	nap_us(700000);		/* the storm is over */
	ug_members_free(run_job(UG_JOB_LOAD, &opts));
	answer = scenario_ask(&v, "versions");
	assert_int_equal(scenario_number(answer, "old"), 0);
	assert_true(scenario_number(answer, "new") > 10);
	m = run_job(UG_JOB_UNLOAD, &opts);
	assert_int_equal(m->count[UG_RESULT_APPLIED], m->n);
	ug_members_free(m);
	answer = scenario_ask(&v, "versions");
	assert_int_equal(scenario_number(answer, "new"), 0);
}

static void test_storm(void **state)
{
	storm("");
}

static void test_storm_of_programs(void **state)
{
	storm(" exec");
}

/* ---- control groups, by the command line ---- */

static bool write_pid(const char *dir, pid_t pid)
{
	char path[256];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	f = fopen(path, "we");
	if (!f)
		return false;
	ok = fprintf(f, "%d\n", pid) > 0;
	return fclose(f) == 0 && ok;
}

/* Where a process can be put: v2, or the hierarchy that systemd keeps with v1. */
static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified",
				     "/sys/fs/cgroup/systemd" };
#define NROOTS (sizeof(roots) / sizeof(roots[0]))

static bool make_group(const char *root, char *dir, size_t size)
{
	char procs[300];

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", root);
	if (access(procs, W_OK) < 0)
		return false;
	snprintf(dir, size, "%s/ugraft-test-%d.service", root, v.pid);
	return mkdir(dir, 0755) == 0 && write_pid(dir, v.pid);
}

static void ugraft(const char *verb, const char *what, const char *proc, int status,
		   const char *said)
{
	const char *argv[] = { scenario_bin("ugraft"), verb, what, proc, NULL };
	struct command c;
	int r = command_run(&c, argv);

	if (r != status || !strstr(c.output, said))
		fail_msg("ugraft %s %s %s: exit %d, not %d '%s': %s", verb, what, proc, r, status, said,
			 c.output);
}

static void in_group(const char *dir)
{
	char unit[64], full[64], path[64];
	pid_t orphan;

	/* Children are born in the group, and stay in it when their parent has died. */
	born("fork");
	orphan = born("orphan");
	born("other");
	nap_us(50000);
	snprintf(unit, sizeof(unit), "unit:ugraft-test-%d", v.pid);
	snprintf(full, sizeof(full), "unit:ugraft-test-%d.service", v.pid);
	snprintf(path, sizeof(path), "cgroup:/ugraft-test-%d.service", v.pid);
	ugraft("load", patch, unit, 0, "4 targets: 3 applied, 1 not-applicable");
	assert_int_equal(kill(orphan, 0), 0);
	assert_versions(0, 2);
	ugraft("load", patch, path, 0, "4 targets: 3 already, 1 not-applicable");
	ugraft("unload", NAME, full, 0, "4 targets: 3 applied, 1 not-applicable");
	assert_versions(2, 0);
	ugraft("status", "--json", "unit:ugraft-none", 3, "no process is in unit");
	ugraft("status", "--json", "cgroup:/", 1, "below the root");
	print_message("# by %s\n", dir);
}

/* Whoever is in a group is moved out of it, so that it can be removed. */
static void remove_group(const char *root, const char *dir)
{
	char path[300];
	FILE *f;
	int pid;

	tear_down(NULL);
	for (int i = 0; i < 200 && rmdir(dir) < 0; i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
		f = fopen(path, "re");
		while (f && fscanf(f, "%d", &pid) == 1)
			write_pid(root, pid);
		if (f)
			fclose(f);
		nap_us(10000);
	}
	set_up(NULL);
}

static void test_unit(void **state)
{
	char dir[200];
	int tried = 0;

	for (size_t i = 0; i < NROOTS; i++) {
		if (!make_group(roots[i], dir, sizeof(dir)))
			continue;
		tried++;
		in_group(dir);
		remove_group(roots[i], dir);
	}
	if (!tried) {
		print_message("# no control group can be made here\n");
		skip();
	}
}

/* ---- the command line with --tree ---- */

static void test_command_line(void **state)
{
	const char *load[] = { scenario_bin("ugraft"), "load", "--tree", "--json=short", patch,
			       pid_text, NULL };
	const char *status[] = { scenario_bin("ugraft"), "status", "--tree", pid_text, NULL };
	const char *late[] = { scenario_bin("ugraft"), "load", "--tree", "--timeout=0.5", patch,
			       pid_text, NULL };
	const char *blocking[] = { scenario_bin("ugraft"), "blocking", "--tree", pid_text, NULL };
	struct ug_opts keep = { .timeout_ms = 300, .flags = UG_OPT_KEEP_ON_TIMEOUT };
	struct command c;

	born("fork");
	born("other");
	nap_us(50000);
	assert_int_equal(command_run(&c, load), 0);
	assert_non_null(strstr(c.output, "\"targets\":3,\"applied\":2,\"already\":0,"
			       "\"not-applicable\":1"));
	assert_non_null(strstr(c.output, "\"settled\":true"));
	assert_int_equal(command_run(&c, status), 0);
	assert_non_null(strstr(c.output, "3 processes: 2 patched, 1 not\n"));
	expect(run_job(UG_JOB_UNLOAD, NULL), 2, 0, 1, 0);
	scenario_ask(&v, "park");
	assert_int_equal(command_run(&c, late), UG_EXIT_PARTIAL);
	assert_non_null(strstr(c.output, "3 targets: 1 applied, 1 not-applicable, 1 failed"));
	ug_members_free(run_job(UG_JOB_LOAD, &keep));
	assert_int_equal(command_run(&c, blocking), 0);
	assert_non_null(strstr(c.output, "waiting for 1 of 2 threads"));
	scenario_ask(&v, "release");
	expect(run_job(UG_JOB_WAIT, NULL), 1, 2, 0, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_kind),
		TEST(fork_in_transition),
		TEST(fork_inside_wait),
		TEST(fork_inside_recover),
		TEST(timeout),
		TEST(storm),
		TEST(storm_of_programs),
		TEST(unit),
		TEST(command_line),
	};

	tap_correct_skips();
	program = scenario_bin("tests/victims/family");
	patch = scenario_build(scenario_src("tests/scenarios/family_fix.c"), program, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
