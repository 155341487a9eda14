/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The controller may die, or stop, at any instruction.
 *
 *  - SIGKILL of the whole controller, and of its worker process only, at 50 random system
 *    calls of a load and 50 of an unload: the victim lives, is not stopped, mixes nothing;
 *    `recover` finishes or rolls back, and the result is entirely old or entirely new.
 *  - SIGKILL of `recover` itself, as often as it takes.
 *  - A worker that dies is reported; what it left is visible and goes on being consistent.
 *  - A worker stopped by SIGSTOP does not keep the victim stopped: the watchdog ends it.
 *  - Ctrl-C, and the death of the command line alone, take a waiting transition back.
 *  - A second controller is told that there is one.
 *
 * UG_TEST_SEED=N repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <dirent.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define WORKER "ugraft-worker"

/*
 * The watchdog ends a stop of the whole process after 20 times its budget (200 ms); it gives
 * one single thread more (2 s for a check, 5 s for a borrowed one).
 */
#define STUCK_MAX_MS 6000

static struct scenario_victim victim;
static struct victim_state before;
static const char *patch;
static char pid_text[16], seed_text[32];
static unsigned long random_state;
static struct command cmd;

static unsigned long random_below(unsigned long n)
{
	random_state = random_state * 6364136223846793005UL + 1442695040888963407UL;
	return (random_state >> 33) % n;
}

/* ---- the victim ---- */

static void start_victim(const char *program, const char *arg1, const char *arg2)
{
	const char *argv[] = { scenario_bin(program), arg1, arg2, NULL };
	char why[512];

	scenario_start(&victim, argv);
	snprintf(pid_text, sizeof(pid_text), "%d", victim.pid);
	patch = scenario_build(scenario_src("tests/scenarios/protocol_fix.c"), argv[0], NULL);
	/* A few rounds first: what is only mapped at the first answer is there then. */
	scenario_ask(&victim, "stat");
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static int tear_down(void **state)
{
	scenario_stop(&victim);
	victim_state_free(&before);
	return 0;
}

static int set_up_busy(void **state)
{
	start_victim("tests/victims/protocol", "8", NULL);
	return 0;
}

static int set_up_two(void **state)
{
	start_victim("tests/victims/protocol", "2", NULL);
	return 0;
}

static int set_up_single(void **state)
{
	start_victim("tests/victims/protocol-calm", "0", "0");
	return 0;
}

static int set_up_sleeping(void **state)
{
	start_victim("tests/victims/protocol-calm", "8", "500");
	return 0;
}

static unsigned long ask(const char *name)
{
	return scenario_number(scenario_ask(&victim, "stat"), name);
}

static bool grows(const char *name)
{
	unsigned long then = ask(name);

	for (int i = 0; i < 2000; i++) {
		if (ask(name) > then)
			return true;
		nap_us(1000);
	}
	return false;
}

/* `what` goes into the message of a failure. */
static void assert_lives(const char *what)
{
	char why[512];

	if (victim_alive(victim.pid, why, sizeof(why)) < 0)
		fail_msg("%s: %s", what, why);
	if (!grows("calls"))
		fail_msg("%s: no call is made any more", what);
	if (ask("mixed"))
		fail_msg("%s: %lu calls saw a mix", what, ask("mixed"));
}

static void assert_runs(const char *version, const char *other, const char *what)
{
	unsigned long then = ask(other);

	if (!grows(version))
		fail_msg("%s: no %s call", what, version);
	if (ask(other) != then)
		fail_msg("%s: still %s calls", what, other);
}

static void assert_clean(const char *what)
{
	char why[512];

	if (victim_compare(victim.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s: %s", what, why);
}

/* ---- the controller ---- */

/* The command line of a verb: [killat OPTIONS... N] ugraft VERB ARGS... PID */
struct line {
	const char *argv[COMMAND_ARGS_MAX + 1];
	int n;
};

static void add(struct line *l, const char *arg)
{
	assert_true(l->n < COMMAND_ARGS_MAX);
	l->argv[l->n++] = arg;
	l->argv[l->n] = NULL;
}

static void add_verb(struct line *l, const char *verb)
{
	add(l, scenario_bin("ugraft"));
	add(l, verb);
	if (strcmp(verb, "load") == 0)
		add(l, patch);
	else if (strcmp(verb, "unload") == 0)
		add(l, "protocol-fix");
	add(l, pid_text);
}

static void do_plain(const char *verb)
{
	struct line l = { .n = 0 };
	int status;

	add_verb(&l, verb);
	status = command_run(&cmd, l.argv);
	if (status != 0)
		fail_msg("%s: exit %d: %s", verb, status, cmd.output);
}

static void add_killat(struct line *l, bool worker_only)
{
	add(l, scenario_bin("tests/tools/killat"));
	/* What precedes the first touch of the victim is of no interest. */
	add(l, "-p");
	if (worker_only) {
		add(l, "-w");
		add(l, WORKER);
	}
}

static unsigned long count_calls(const char *verb, bool worker_only)
{
	struct line l = { .n = 0 };
	char *at;

	add_killat(&l, worker_only);
	add(&l, "-c");
	add_verb(&l, verb);
	if (command_run(&cmd, l.argv) != 0)
		fail_msg("killat -c %s: %s", verb, cmd.output);
	/* The number is on the last line. */
	cmd.output[strcspn(cmd.output, "\n") ? cmd.len - 1 : 0] = 0;
	at = strrchr(cmd.output, '\n');
	return strtoul(at ? at + 1 : cmd.output, NULL, 10);
}

/* True when it was killed; `what` is set to what was done. */
static bool do_killed(const char *verb, bool worker_only, unsigned long n, char *what, size_t size)
{
	char number[32];
	struct line l = { .n = 0 };
	int status;

	snprintf(number, sizeof(number), "%lu", n);
	add_killat(&l, worker_only);
	add(&l, number);
	add_verb(&l, verb);
	status = command_run(&cmd, l.argv);
	snprintf(what, size, "%s of %s, %s killed at call %lu (%.*s)", seed_text, verb,
		 worker_only ? "worker" : "all", n, (int)strcspn(cmd.output, "\n"), cmd.output);
	if (status != 0 && status != 3)
		fail_msg("%s: killat: exit %d: %s", what, status, cmd.output);
	/* At its last call it has told all already. */
	if (status == 0 && worker_only && !strstr(cmd.output, "exit_group\n") &&
	    (!strstr(cmd.output, "status=1\n") || !strstr(cmd.output, "the helper process died")))
		fail_msg("%s: not reported: %s", what, cmd.output);
	return status == 0;
}

/* Finish or roll back. True: the patch is there, entirely; false: nothing is. */
static bool recover(const char *what)
{
	struct ug_error err = { 0 };
	struct ug_status *st;
	bool loaded;

	do_plain("recover");
	assert_lives(what);
	if (ug_status(victim.pid, &st, &err) < 0)
		fail_msg("%s: status: %s", what, err.message);
	if (st->needs_recovery || st->busy || st->npatches > 1 ||
	    (st->npatches && st->patches[0].state != UG_PATCH_ENABLED))
		fail_msg("%s: not settled after recover: %zu patches, needs_recovery %d", what,
			 st->npatches, st->needs_recovery);
	loaded = st->npatches == 1;
	ug_status_free(st);
	if (loaded)
		assert_runs("new", "old", what);
	else
		assert_runs("old", "new", what);
	if (!loaded)
		assert_clean(what);
	return loaded;
}

static void restore(const char *what)
{
	if (recover(what))
		do_plain("unload");
	assert_clean(what);
}

/* ---- SIGKILL ---- */

static void kill_times(const char *verb, unsigned int times)
{
	bool unloading = strcmp(verb, "unload") == 0;
	unsigned long calls[2];
	unsigned int killed = 0;
	char what[256];

	for (int worker_only = 0; worker_only < 2; worker_only++) {
		if (unloading)
			do_plain("load");
		calls[worker_only] = count_calls(verb, worker_only);
		assert_true(calls[worker_only] > 20);
		if (!unloading)
			do_plain("unload");
	}
	for (unsigned int i = 0; i < times; i++) {
		bool worker_only = i % 2;

		if (unloading)
			do_plain("load");
		killed += do_killed(verb, worker_only, 1 + random_below(calls[worker_only]), what,
				    sizeof(what));
		assert_lives(what);
		restore(what);
	}
	/* The number of calls varies; but most numbers must have been reached. */
	assert_true(killed >= times / 2);
}

static void test_busy_load(void **state)
{
	kill_times("load", 8);
}

static void test_busy_unload(void **state)
{
	kill_times("unload", 8);
}

static void test_single_load(void **state)
{
	kill_times("load", 12);
}

static void test_single_unload(void **state)
{
	kill_times("unload", 12);
}

static void test_sleeping_load(void **state)
{
	kill_times("load", 30);
}

static void test_sleeping_unload(void **state)
{
	kill_times("unload", 30);
}

/* Each recover is killed a little later than the one before, until one has not been. */
static void test_kill_recover(void **state)
{
	unsigned long calls = count_calls("load", false), n;
	char what[256];

	do_plain("unload");
	for (int i = 0; i < 8; i++) {
		const char *verb = i % 2 ? "unload" : "load";

		if (i % 2)
			do_plain("load");
		(void)do_killed(verb, false, calls / 2 + random_below(calls / 2), what, sizeof(what));
		n = 1 + random_below(30);
		while (do_killed("recover", random_below(2), n, what, sizeof(what))) {
			assert_lives(what);
			n += 1 + random_below(60);
		}
		restore(what);
	}
}

/* ---- during a transition that waits ---- */

static void start_waiting_load(struct line *l)
{
	l->n = 0;
	add_verb(l, "load");
	assert_string_equal(scenario_ask(&victim, "park 1"), "parked");
	command_start(&cmd, l->argv);
	for (int i = 0; i < 5000 && !ask("new"); i++)
		nap_us(1000);
	assert_true(ask("new") > 0);
	nap_us(50000);
}

static void release(void)
{
	assert_string_equal(scenario_ask(&victim, "release"), "released");
}

static void assert_says(int status, int want, const char *sentence)
{
	if (status != want || !strstr(cmd.output, sentence))
		fail_msg("exit %d (want %d), said: %s", status, want, cmd.output);
}

static void test_worker_killed_while_waiting(void **state)
{
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 300 };
	struct ug_error err = { 0 };
	struct ug_status *st;
	struct line l;
	pid_t worker;

	start_waiting_load(&l);
	worker = command_await_child(cmd.pid, WORKER);
	assert_true(worker > 0);
	kill(worker, SIGKILL);
	assert_says(command_wait(&cmd), UG_EXIT_FAILED, "the helper process died");
	assert_lives("worker killed while a thread is parked");
	assert_int_equal(ug_status(victim.pid, &st, NULL), 0);
	assert_true(st->needs_recovery);
	assert_false(st->busy);
	assert_int_equal(st->patches[0].state, UG_PATCH_PATCHING);
	ug_status_free(st);
	/* The parked thread still holds it up. */
	assert_int_equal(ug_recover(victim.pid, &opts, NULL, &err), -UG_E_TIMEOUT);
	assert_lives("recover with a parked thread");
	release();
	restore("worker killed while waiting");
}

static void test_interrupted(void **state)
{
	struct line l;

	start_waiting_load(&l);
	/* As Ctrl-C does: to the whole foreground group. */
	kill(-cmd.pid, SIGINT);
	assert_says(command_wait(&cmd), UG_EXIT_FAILED, "interrupted");
	assert_lives("SIGINT");
	assert_runs("old", "new", "SIGINT");
	assert_clean("SIGINT");
	release();
}

static void test_host_killed_while_waiting(void **state)
{
	struct line l;

	start_waiting_load(&l);
	kill(cmd.pid, SIGKILL);
	/* The worker has our end of the output, too: this waits for it. */
	assert_int_equal(command_wait(&cmd), 128 + SIGKILL);
	assert_lives("host killed");
	assert_runs("old", "new", "host killed");
	assert_clean("host killed");
	release();
}

static void test_host_killed(void **state)
{
	for (int i = 0; i < 12; i++) {
		struct line l = { .n = 0 };
		struct ug_status *st;
		char what[64];
		unsigned long us = random_below(25000);

		snprintf(what, sizeof(what), "%s: host killed after %lu us", seed_text, us);
		add_verb(&l, "load");
		command_start(&cmd, l.argv);
		nap_us(us);
		kill(cmd.pid, SIGKILL);
		(void)command_wait(&cmd);
		assert_lives(what);
		assert_int_equal(ug_status(victim.pid, &st, NULL), 0);
		/* The worker has finished or taken it back by itself. */
		assert_false(st->needs_recovery);
		if (st->npatches)
			do_plain("unload");
		ug_status_free(st);
		assert_clean(what);
	}
}

static void test_locked(void **state)
{
	struct ug_opts opts = { .sz = sizeof(opts) };
	struct command second;
	struct ug_error err = { 0 };
	struct line l, m = { .n = 0 };
	int status;

	start_waiting_load(&l);
	assert_int_equal(ug_load(victim.pid, patch, &opts, NULL, &err), -UG_E_LOCKED);
	assert_int_equal(ug_unload(victim.pid, "protocol-fix", &opts, NULL, &err), -UG_E_LOCKED);
	assert_int_equal(ug_recover(victim.pid, &opts, NULL, &err), -UG_E_LOCKED);
	add_verb(&m, "unload");
	status = command_run(&second, m.argv);
	if (status != UG_EXIT_FAILED || !strstr(second.output, "another controller is at work"))
		fail_msg("exit %d: %s", status, second.output);
	release();
	assert_int_equal(command_wait(&cmd), 0);
	assert_runs("new", "old", "first of two");
	restore("two controllers");
}

/* ---- SIGSTOP ---- */

/* Is any thread of the victim in a stop? Being traced alone does not hold it up. */
static bool any_stopped(void)
{
	char path[300], line[512], *state;
	struct dirent *e;
	bool stopped = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", victim.pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/stat", victim.pid, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (!f)
			continue;
		state = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
		stopped |= state && (state[2] == 't' || state[2] == 'T');
		fclose(f);
	}
	closedir(dir);
	return stopped;
}

/* The worker is a grandchild: below killat and ugraft. */
static pid_t find_worker(void)
{
	pid_t cli = command_child(cmd.pid, "ugraft");

	return cli ? command_child(cli, WORKER) : 0;
}

static bool stop_worker_at(unsigned long n, const char *what)
{
	struct line l = { .n = 0 };
	char number[32];
	pid_t worker;

	snprintf(number, sizeof(number), "%lu", n);
	add_killat(&l, true);
	add(&l, "-s");
	add(&l, "19");
	add(&l, number);
	add_verb(&l, "load");
	command_start(&cmd, l.argv);
	/* Longer than anything takes but a stop that the watchdog ends. */
	nap_us(300000);
	for (int i = 0; i < STUCK_MAX_MS && any_stopped(); i++)
		nap_us(1000);
	if (any_stopped())
		fail_msg("%s: a thread is still stopped", what);
	if (!grows("calls"))
		fail_msg("%s: no call is made", what);
	worker = find_worker();
	if (worker)
		kill(worker, SIGCONT);
	(void)command_wait(&cmd);
	if (!worker && strstr(cmd.output, "status=") && !strstr(cmd.output, "status=0") &&
	    !strstr(cmd.output, "the helper process died"))
		fail_msg("%s: not reported: %s", what, cmd.output);
	return !worker && strstr(cmd.output, "status=1");
}

static void test_worker_stopped(void **state)
{
	unsigned long calls = count_calls("load", true);
	unsigned int ended = 0;

	do_plain("unload");
	for (int i = 0; i < 10; i++) {
		unsigned long n = 1 + random_below(calls);
		char what[96];

		snprintf(what, sizeof(what), "%s: worker stopped at call %lu of %lu", seed_text, n,
			 calls);
		ended += stop_worker_at(n, what);
		assert_lives(what);
		restore(what);
	}
	print_message("# the watchdog ended %u workers of 10\n", ended);
	assert_true(ended > 0);
}

static void seed(void)
{
	const char *given = getenv("UG_TEST_SEED");

	random_state = given ? strtoul(given, NULL, 10) : (unsigned long)time(NULL);
	snprintf(seed_text, sizeof(seed_text), "seed %lu", random_state);
	printf("# %s\n", seed_text);
}

#define WITH(victim_, name_) cmocka_unit_test_setup_teardown(name_, set_up_##victim_, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(sleeping, test_sleeping_load),
		WITH(sleeping, test_sleeping_unload),
		WITH(sleeping, test_kill_recover),
		WITH(sleeping, test_host_killed),
		WITH(sleeping, test_worker_stopped),
		WITH(two, test_worker_killed_while_waiting),
		WITH(two, test_interrupted),
		WITH(two, test_host_killed_while_waiting),
		WITH(two, test_locked),
		WITH(single, test_single_load),
		WITH(single, test_single_unload),
		WITH(busy, test_busy_load),
		WITH(busy, test_busy_unload),
	};

	seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
