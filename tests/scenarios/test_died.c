/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Controllers that die in the midst of what is more than a load of one patch, and what every
 * verb of a later controller makes of it. Two stacked patches are in force; the controller
 * is killed at random system calls (all of it, or its worker only) while it
 *
 *	load	loads a patch that replaces both
 *	reverse	reverses that load, which waits for a thread asleep in the middle version
 *	force	forces it
 *
 * and then one of status, wait, reverse, force, unload, recover is used on what was left. In
 * between and afterwards a call runs one patch's functions, never two; in the end either the
 * two patches are in force or the one that replaces them (or none, when the later verb was to
 * unload that), and when they are unloaded nothing is left.
 *
 * UG_TEST_SEED=N repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/command.h"
#include "lib/stacked.h"

#define SHORT_MS 100
#define TRIALS 12		/* of each, two for each later verb */

enum { LOAD, REVERSE, FORCE };

static const char *const verbs[] = { "load", "reverse", "force" };

static const char *const later[] = { "status", "wait", "reverse", "force", "unload", "recover" };

#define NLATER (sizeof(later) / sizeof(later[0]))

static struct stacked s;
static const char *replacing;
static char pid_text[16], what[160];
static unsigned long random_state, seed;

static unsigned long random_below(unsigned long n)
{
	random_state = random_state * 6364136223846793005UL + 1442695040888963407UL;
	return (random_state >> 33) % n;
}

static int set_up(void **state)
{
	stacked_start(&s, 1);
	(void)snprintf(pid_text, sizeof(pid_text), "%d", s.v.pid);
	replacing = stacked_patch("r", 3, "fg", true);
	return 0;
}

static int tear_down(void **state)
{
	stacked_stop(&s);
	return 0;
}

/* ---- the controller that dies ---- */

/* [killat OPTIONS... N] ugraft VERB ...; `n` 0: only count. */
static int run_killed(int verb, bool worker_only, unsigned long n, struct command *c)
{
	const char *argv[COMMAND_ARGS_MAX + 1], *options[] = { "--max-pause=500ms", "--no-wait" };
	char number[24];
	int i = 0;

	(void)snprintf(number, sizeof(number), "%lu", n);
	argv[i++] = scenario_bin("tests/tools/killat");
	argv[i++] = "-p";
	if (worker_only) {
		argv[i++] = "-w";
		argv[i++] = "ugraft-worker";
	}
	argv[i++] = n ? number : "-c";
	argv[i++] = scenario_bin("ugraft");
	argv[i++] = verbs[verb];
	argv[i++] = options[0];
	if (verb == LOAD) {
		argv[i++] = options[1];
		argv[i++] = replacing;
	}
	if (verb == FORCE)
		argv[i++] = "--i-accept-inconsistency";
	argv[i++] = pid_text;
	argv[i] = NULL;
	return command_run(c, argv);
}

/* The verb runs to its end under killat; how many calls it makes is the last line. */
static unsigned long count_calls(int verb, bool worker_only)
{
	struct command c;
	int status = run_killed(verb, worker_only, 0, &c);
	unsigned long n;
	char *at;

	while (c.len && c.output[c.len - 1] == '\n')
		c.output[--c.len] = 0;
	at = strrchr(c.output, '\n');
	n = strtoul(at ? at + 1 : c.output, NULL, 10);
	if (status != 0 || n < 20)
		fail_msg("killat -c %s: exit %d: %s", verbs[verb], status, c.output);
	return n;
}

static bool kill_it(int verb, bool worker_only, unsigned long n, unsigned long calls, const char *then)
{
	struct command c;
	int status = run_killed(verb, worker_only, n, &c);

	(void)snprintf(what, sizeof(what), "seed %lu: %s of %s killed at call %lu of %lu (%.*s), then %s",
		       seed, worker_only ? "worker" : "all", verbs[verb], n, calls,
		       (int)strcspn(c.output, "\n"), c.output, then);
	if (status != 0 && status != 3)
		fail_msg("%s: killat: exit %d: %s", what, status, c.output);
	return status == 0;
}

/* ---- what holds at any time ---- */

static void assert_lives(void)
{
	unsigned long calls = stacked_count(&s, "calls");
	char why[512];

	if (victim_alive(s.v.pid, why, sizeof(why)) < 0)
		fail_msg("%s: %s", what, why);
	for (int i = 0; i < 5000 && stacked_count(&s, "calls") == calls; i++)
		nap_us(1000);
	if (stacked_count(&s, "calls") == calls)
		fail_msg("%s: no call is made any more", what);
}

/* A call is of one patch; which. */
static int version_of_call(const char *verb, unsigned int seat)
{
	const char *answer = scenario_ask(&s.v, "%s %u f", verb, seat);
	unsigned long version = scenario_number(answer, "version");

	if (version != scenario_number(answer, "below") || version == 1 || version > 3)
		fail_msg("%s: %s: '%s' is a mix", what, verb, answer);
	return (int)version;
}

/* Also while a controller is at work: it may hold a thread at any moment. */
static void assert_not_mixed(bool asleep, bool forced)
{
	int version;

	(void)version_of_call("call", 1);
	if (!asleep)
		return;
	version = version_of_call("nest", 0);
	if (!forced && version != 2)
		fail_msg("%s: who sleeps in version 2 calls version %d", what, version);
}

static void assert_consistent(bool asleep, bool forced)
{
	assert_lives();
	assert_not_mixed(asleep, forced);
}

/* ---- the later controller ---- */

static int use(const char *verb)
{
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = SHORT_MS, .max_pause_us = 500000 };

	if (strcmp(verb, "status") == 0) {
		struct ug_status *st;
		int r = ug_status(s.v.pid, &st, &s.err);

		if (r == 0)
			ug_status_free(st);
		return r;
	}
	if (strcmp(verb, "wait") == 0)
		return stacked_wait(&s, SHORT_MS);
	if (strcmp(verb, "reverse") == 0)
		return stacked_reverse(&s);
	if (strcmp(verb, "force") == 0)
		return stacked_force(&s, NULL);
	if (strcmp(verb, "unload") == 0)
		return stacked_unload(&s, "r", SHORT_MS, 0);
	return ug_recover(s.v.pid, &opts, NULL, &s.err);
}

/* Not in time is an answer, and that there is nothing of the kind. */
static void use_later(const char *verb)
{
	int r = use(verb);

	if (r < 0 && r != -UG_E_TIMEOUT && r != -UG_E_NO_TRANSITION && r != -UG_E_NO_PATCH &&
	    r != -UG_E_REVERSED)
		fail_msg("%s: %s", what, s.err.message);
}

/* ---- before and after ---- */

static void begin(int verb)
{
	stacked_enable(&s, stacked_patch("p1", 1, "fg", false));
	stacked_enable(&s, stacked_patch("p2", 2, "fg", false));
	if (verb == LOAD)
		return;
	stacked_enter(&s, 0, 'f', 2);
	stacked_begin_enable(&s, replacing);
	stacked_expect_pending(&s, 1);
}

static bool in_force(const char *name)
{
	struct ug_status *st;
	bool found = false;

	if (ug_status(s.v.pid, &st, &s.err) < 0)
		fail_msg("%s: %s", what, s.err.message);
	for (size_t i = 0; i < st->npatches; i++) {
		const struct ug_patch_status *p = &st->patches[i];

		if (p->state != UG_PATCH_ENABLED)
			fail_msg("%s: %s is not enabled (%d)", what, p->name, p->state);
		found |= strcmp(p->name, name) == 0;
	}
	ug_status_free(st);
	return found;
}

/* Settled, it is one of the states; nothing is left when that is taken back. */
static void expect_settled(bool may_be_none)
{
	bool old, new;
	int version;

	stacked_drain(&s);
	assert_lives();
	old = in_force("p1") && in_force("p2");
	new = in_force("r");
	if (old == new && (old || !may_be_none || in_force("p1") || in_force("p2")))
		fail_msg("%s: p1 %d, p2 %d, r %d", what, in_force("p1"), in_force("p2"), new);
	version = version_of_call("call", 1);
	if (version != (old ? 2 : new ? 3 : 0))
		fail_msg("%s: version %d is executed", what, version);
	if (old) {
		stacked_disable(&s, "p1");
		stacked_disable(&s, "p2");
	} else if (new) {
		stacked_disable(&s, "r");
	}
	stacked_drain(&s);
}

static void expect_clean(void)
{
	char why[512];

	if (victim_compare(s.v.pid, &s.before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s: %s", what, why);
	s.nlog = s.nhistory = 0;
}

/* How many calls it makes while it waits differs: one that ends earlier corrects the count. */
static bool trial(int verb, unsigned int i, unsigned long calls[2])
{
	const char *then = later[i % NLATER];
	bool worker_only = i / NLATER % 2, asleep = verb != LOAD, killed;
	bool forced = verb == FORCE || strcmp(then, "force") == 0;
	unsigned long n = 1 + random_below(calls[worker_only]), mixed = stacked_count(&s, "mixed");

	begin(verb);
	killed = kill_it(verb, worker_only, n, calls[worker_only], then);
	if (!killed && n > 1)
		calls[worker_only] = n - 1;
	assert_consistent(asleep, verb == FORCE);
	use_later(then);
	assert_consistent(asleep, forced);
	if (asleep)
		(void)scenario_ask(&s.v, "leave 0");
	expect_settled(strcmp(then, "unload") == 0);
	expect_clean();
	if (!forced && stacked_count(&s, "mixed") != mixed)
		fail_msg("%s: calls were mixed", what);
	return killed;
}

static void kill_all_over(int verb)
{
	unsigned long calls[2];
	unsigned int killed = 0;

	for (int worker_only = 0; worker_only < 2; worker_only++) {
		(void)snprintf(what, sizeof(what), "counting");
		begin(verb);
		calls[worker_only] = count_calls(verb, worker_only);
		if (verb != LOAD)
			(void)scenario_ask(&s.v, "leave 0");
		expect_settled(false);
		expect_clean();
	}
	for (unsigned int i = 0; i < TRIALS; i++)
		killed += trial(verb, i, calls);
	print_message("# seed %lu: %u of %u controllers were killed in %s, of %lu and %lu calls\n",
		      seed, killed, TRIALS, verbs[verb], calls[0], calls[1]);
	assert_true(killed > TRIALS / 2);
}

static void test_load(void **state)
{
	kill_all_over(LOAD);
}

static void test_reverse(void **state)
{
	kill_all_over(REVERSE);
}

static void test_force(void **state)
{
	kill_all_over(FORCE);
}

/* ---- two at once ---- */

/* Every verb that changes something is refused while another controller is at work, and what
 * only looks is not; the one at work notices nothing. */
static void test_two_at_once(void **state)
{
	const char *argv[] = { scenario_bin("ugraft"), "load", "--max-pause=500ms", replacing,
			       pid_text, NULL };
	struct command c;

	(void)snprintf(what, sizeof(what), "two at once");
	stacked_enable(&s, stacked_patch("p1", 1, "fg", false));
	stacked_enable(&s, stacked_patch("p2", 2, "fg", false));
	stacked_enter(&s, 0, 'f', 2);
	command_start(&c, argv);
	for (int i = 0; i < 10000 && version_of_call("call", 1) != 3; i++)
		nap_us(1000);
	for (size_t i = 1; i < NLATER; i++)
		assert_int_equal(use(later[i]), -UG_E_LOCKED);
	assert_int_equal(stacked_load(&s, stacked_patch("p1", 1, "fg", false), SHORT_MS, 0),
			 -UG_E_LOCKED);
	assert_int_equal(use("status"), 0);
	assert_not_mixed(true, false);
	stacked_leave(&s, 0, 2, 2);
	assert_int_equal(command_wait(&c), 0);
	assert_int_equal(stacked_count(&s, "mixed"), 0);
	expect_settled(false);
	expect_clean();
}

#define WITH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_load), WITH(test_reverse), WITH(test_force), WITH(test_two_at_once),
	};
	const char *given = getenv("UG_TEST_SEED");

	seed = given ? strtoul(given, NULL, 10) : (unsigned long)time(NULL);
	random_state = seed;
	printf("# seed %lu\n", seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
