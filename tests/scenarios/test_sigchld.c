/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A child ends while its parent is patched. SIGCHLD, which a program that does not handle it never
 * sees, is not ignored while the thread that has forked is traced; while that one is stopped the
 * kernel wakes another one for it, and there it ends an epoll_wait (docs/stopping.md).
 *
 * Two rules keep that from happening. The thread that waits for a child is borrowed only when no
 * other can be; and sleepers of class E are the last to be let go. Here a child is killed, the
 * controller being held meanwhile, before each ptrace(2) by which a thread is let go, and before
 * others by which all are stopped and one is borrowed. With -a before every system call of a load
 * and of an unload.
 *
 * On a busy machine no other thread may stop in time. Then the rules promise nothing, and the same
 * is tried again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/victim.h"
#include "tests/victims/parent.h"
#include "ugraft/ugraft.h"

#define NAME "protocol-fix"
#define POINTS_MAX 2000
#define TRIES 5

/* Where the child ends: before the nth time that the step is made (killat -k), or the nth call. */
struct point {
	char step[20];
	unsigned int nth;
	char what[160];
};

struct points {
	struct point v[POINTS_MAX];
	unsigned int n;
};

static struct parent_shared *sh;
static struct scenario_victim victim;
static struct victim_state before;
static const char *patch;
static bool all_calls, loaded;
static unsigned int killed[2], eintr, given_up, seen_parent;

/* The number of the call it sleeps in; -1: none. */
static long call_of(int tid)
{
	char path[64], line[32];
	long nr = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", victim.pid, tid);
	f = fopen(path, "re");
	if (!f)
		fail_msg("thread %d is gone", tid);
	if (!fgets(line, sizeof(line), f) || sscanf(line, "%ld", &nr) != 1)
		nr = -1;
	fclose(f);
	return nr;
}

/* All three sleep where they should, and a new child lives. */
static void await_calm(int last_child)
{
	for (int i = 0; i < 10000; i++) {
		if (sh->child != last_child && call_of(sh->tids[PARENT_FORKER]) == SYS_wait4 &&
		    call_of(sh->tids[PARENT_SLEEPER]) == SYS_epoll_wait &&
		    call_of(sh->tids[PARENT_OTHER]) == SYS_pause)
			return;
		nap_us(500);
	}
	fail_msg("the victim does not come to rest");
}

/* killat OPTIONS... ugraft load|unload PID */
static int run_killat(struct command *c, const char *const options[], bool unload)
{
	char pid[16];
	/* The watchdog allows 20 times as much: the script takes a while on a busy machine. */
	const char *verb[] = { "-vv", unload ? "unload" : "load", "--max-pause=200ms",
			       unload ? NAME : patch, pid, NULL };

	snprintf(pid, sizeof(pid), "%d", victim.pid);
	return scenario_killat(c, options, verb);
}

/* Where threads are let go each time, where they are stopped together once; a few of the others. */
static void add_points(struct points *p, const char *line)
{
	static unsigned int others;
	struct point point = { .nth = 1 };
	unsigned int times;

	if (sscanf(line, "%16s %*d %u%159[^\n]", point.step, &times, point.what) != 3)
		fail_msg("killat: %s", line);
	if (!strstr(line, "ug_tracee_detach"))
		times = strstr(line, "ug_stop_all") || others++ % 6 == 0;
	for (; point.nth <= times && p->n < POINTS_MAX; point.nth++)
		p->v[p->n++] = point;
}

static void list_points(struct points *p, bool unload)
{
	char path[256], line[512];
	const char *const options[] = { "-n101", "-l", path, "-c", NULL };
	struct command c;
	FILE *f;

	snprintf(path, sizeof(path), "%s/steps", scenario_dir());
	if (run_killat(&c, options, unload) != 0)
		fail_msg("killat -c: %s", c.output);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		add_points(p, line);
	fclose(f);
	loaded = !unload;
	await_calm(0);
}

/* The n-th of all calls. */
static void every_call(struct points *p)
{
	for (p->n = 0; p->n < POINTS_MAX; p->n++)
		p->v[p->n].nth = p->n + 1;
}

/*
 * Load or unload; at that point the child is killed, and has ended. False: it was not reached;
 * the rest has been done undisturbed.
 */
static bool disturb(const struct point *at, bool unload, struct command *c)
{
	char script[128], number[16];
	const char *const every[] = { "-x", script, number, NULL };
	const char *const step[] = { "-x", script, "-n101", "-k", at->step, number, NULL };
	int child = sh->child, r;

	snprintf(script, sizeof(script),
		 "kill -9 %d; while grep -q ') [RSDt]' /proc/%d/stat; do :; done 2>/dev/null", child,
		 child);
	snprintf(number, sizeof(number), "%u", at->nth);
	r = run_killat(c, at->step[0] ? step : every, unload);
	if ((r != 0 && r != 3) || strstr(c->output, "the script failed") ||
	    (r == 0 && !strstr(c->output, "status=0")))
		fail_msg("%s, %u%s: killat: exit %d: %s", unload ? "unload" : "load", at->nth, at->what, r,
			 c->output);
	await_calm(r == 0 ? child : 0);
	return r == 0;
}

/* No other thread could be borrowed in time. */
static bool tried_parent(const struct command *c)
{
	char line[64];

	snprintf(line, sizeof(line), "thread %d of process", sh->tids[PARENT_FORKER]);
	return strstr(c->output, line);
}

/* Put it into the state from which the verb begins. */
static void prepare(bool unload)
{
	struct ug_error err = { 0 };

	if (loaded != unload &&
	    (unload ? ug_load(victim.pid, patch, NULL, NULL, &err) :
		      ug_unload(victim.pid, NAME, NULL, NULL, &err)) < 0)
		fail_msg("%s", err.message);
	await_calm(0);
}

static void assert_loaded(bool want, const struct command *c)
{
	struct ug_error err = { 0 };
	struct ug_status *st;

	if (ug_status(victim.pid, &st, &err) < 0)
		fail_msg("status: %s", err.message);
	if (st->npatches != want || st->needs_recovery)
		fail_msg("%zu patches: %s", st->npatches, c->output);
	ug_status_free(st);
}

/* False: the point was not reached. */
static bool try_point(const struct point *at, bool unload)
{
	for (int i = 0; i < TRIES; i++) {
		unsigned int seen = sh->eintr;
		struct command c;
		bool reached;

		prepare(unload);
		reached = disturb(at, unload, &c);
		loaded = !unload;
		assert_loaded(loaded, &c);
		if (!reached)
			return false;
		if (tried_parent(&c)) {
			seen_parent += sh->eintr - seen;
			continue;
		}
		killed[unload]++;
		if (sh->eintr != seen) {
			eintr++;
			print_message("# %s, %u%s: EINTR\n", unload ? "unload" : "load", at->nth, at->what);
		}
		return true;
	}
	given_up++;
	return true;
}

static void test_child_ends(void **state)
{
	static struct points points[2];
	bool more[2] = { true, true };
	char why[512];

	for (int unload = 0; unload < 2; unload++)
		if (all_calls)
			every_call(&points[unload]);
		else
			list_points(&points[unload], unload);
	for (unsigned int i = 0; more[0] || more[1]; i++)
		for (int unload = 0; unload < 2; unload++) {
			more[unload] = more[unload] && i < points[unload].n;
			if (more[unload] && !try_point(&points[unload].v[i], unload) && all_calls)
				more[unload] = false;
		}
	prepare(false);
	print_message("# %u children ended during loads, %u during unloads: %u EINTR\n", killed[0],
		      killed[1], eintr);
	print_message("# their parent was borrowed: %u of the points given up, %u EINTR\n", given_up,
		      seen_parent);
	assert_int_equal(eintr, 0);
	assert_true(killed[0] >= 10 && killed[1] >= 10);
	assert_true(given_up < (killed[0] + killed[1]) / 4);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static int set_up(void **state)
{
	const char *argv[] = { scenario_bin("tests/victims/parent"), NULL, NULL };
	char why[512];

	sh = scenario_share(sizeof(*sh), &argv[1]);
	patch = scenario_build(scenario_src("tests/scenarios/protocol_fix.c"), argv[0], NULL);
	scenario_start(&victim, argv);
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	await_calm(0);
	return 0;
}

static int tear_down(void **state)
{
	scenario_stop(&victim);
	victim_state_free(&before);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_child_ends) };

	all_calls = argc > 1 && !strcmp(argv[1], "-a");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
