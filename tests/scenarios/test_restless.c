/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that exec, vfork, share their memory, create threads, lose their first one or change
 * their user all the time (tests/victims/restless.c), patched all the time: nobody ever hangs,
 * nothing fails in them, no tracee is left. A load may fail: the program is gone, a vfork child
 * or a sharer is there, the threads do not stop. When calm has come, a load succeeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/victim.h"
#include "tests/victims/restless.h"
#include "ugraft/ugraft.h"

#define STORM_S 4
#define LONGEST_S 30		/* on a busy machine there are few visits and rounds in that time */
#define ROUNDS 20
#define HANG_S 30		/* far more than any single call may take */
#define OUTCOMES 16

static struct scenario_victim victim;
static struct restless_shared *sh;
static const char *patch;
static struct ug_error err;

static struct outcome {
	int code;
	unsigned int n;
} outcomes[OUTCOMES];

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool grows(atomic_ulong *counter)
{
	unsigned long then = *counter;

	for (int i = 0; i < 10000 && *counter == then; i++)
		nap_us(1000);
	return *counter != then;
}

static bool await_value(int value)
{
	for (int i = 0; i < 5000 && sh->value != value; i++)
		nap_us(1000);
	return sh->value == value;
}

/* ---- one call ---- */

static bool may_fail_with(int code)
{
	static const int codes[] = {
		UG_E_GONE, UG_E_NO_PATCH, UG_E_VFORK, UG_E_SHARED_MM, UG_E_UNSTOPPABLE,
		UG_E_NO_THREAD, UG_E_REVERSED, UG_E_TIMEOUT, UG_E_TRANSITION, UG_E_STACK_BUSY,
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (code == -codes[i])
			return true;
	return code == 0;
}

static void count(int code)
{
	size_t i = 0;

	while (i < OUTCOMES - 1 && outcomes[i].n && outcomes[i].code != code)
		i++;
	outcomes[i].code = code;
	outcomes[i].n++;
}

static int once(pid_t pid, bool unload)
{
	/* A busy machine takes its time: no reason for the watchdog. */
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 500, .max_pause_us = 200000 };
	double start = now_s();
	int r;

	alarm(HANG_S);
	r = unload ? ug_unload(pid, "blocked-fix", &opts, NULL, &err) :
		     ug_load(pid, patch, &opts, NULL, &err);
	alarm(0);
	if (!may_fail_with(r))
		fail_msg("%s: %s after %.1f s: %s", unload ? "unload" : "load", ug_error_name(r),
			 now_s() - start, err.message);
	count(r);
	return r;
}

static void print_outcomes(const char *kind, unsigned long rounds)
{
	char text[512] = "";

	for (size_t i = 0; i < OUTCOMES && outcomes[i].n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s %u",
			 outcomes[i].code ? ug_error_name(outcomes[i].code) : "done",
			 outcomes[i].n);
	print_message("# | %s | %lu |%s |\n", kind, rounds, text);
}

/* ---- a kind ---- */

static pid_t next_pid(unsigned int i)
{
	return sh->pids[0] ? sh->pids[i % RESTLESS_PROCESSES] : victim.pid;
}

/* An answer that must have been given, or the kind has shown nothing; 0: none in particular. */
static int expected_of(const char *kind)
{
	if (strcmp(kind, "share") == 0)
		return -UG_E_SHARED_MM;
	if (strcmp(kind, "vfork") == 0)
		return -UG_E_VFORK;
	return strstr(kind, "-exec") ? -UG_E_GONE : 0;
}

static bool has_been(int code)
{
	for (size_t i = 0; i < OUTCOMES && outcomes[i].n; i++)
		if (outcomes[i].code == code)
			return true;
	return false;
}

static void visit_all_the_time(const char *kind)
{
	double start = now_s();
	unsigned long rounds = sh->rounds;
	int expected = expected_of(kind);

	memset(outcomes, 0, sizeof(outcomes));
	for (unsigned int i = 0; now_s() - start < STORM_S ||
	     ((!has_been(expected) || sh->rounds - rounds <= ROUNDS) && now_s() - start < LONGEST_S);
	     i++)
		if (once(next_pid(i), false) == 0)
			(void)once(next_pid(i), true);
	rounds = sh->rounds - rounds;
	print_outcomes(kind, rounds);
	assert_true(rounds > ROUNDS);
	assert_true(has_been(expected));
	assert_int_equal(sh->wrong, 0);
}

/* It is calm now: what has not been unloaded is, and a load succeeds. */
static void assert_whole(pid_t pid)
{
	struct ug_opts opts = { .sz = sizeof(opts), .max_pause_us = 200000 };
	char why[512];
	int r;

	if (victim_alive(pid, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	if (ug_recover(pid, &opts, NULL, &err) < 0)
		fail_msg("recover: %s", err.message);
	r = ug_unload(pid, "blocked-fix", &opts, NULL, &err);
	if (r < 0 && r != -UG_E_NO_PATCH)
		fail_msg("unload: %s", err.message);
	if (ug_load(pid, patch, &opts, NULL, &err) < 0)
		fail_msg("load: %s", err.message);
}

static void assert_unloads(pid_t pid)
{
	char why[512];
	struct victim_state none = { 0 };

	if (ug_unload(pid, "blocked-fix", NULL, NULL, &err) < 0)
		fail_msg("unload: %s", err.message);
	if (victim_compare(pid, &none, VICTIM_NO_UGRAFT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static void test_kind(void **state)
{
	const char *argv[] = { scenario_bin("tests/victims/restless"), NULL, *state, NULL };
	bool apart = strcmp(*state, "processes-exec") == 0;

	sh = scenario_share(sizeof(*sh), &argv[1]);
	scenario_start(&victim, argv);
	for (int i = 0; apart && i < 5000 && !sh->pids[RESTLESS_PROCESSES - 1]; i++)
		nap_us(1000);
	assert_true(grows(&sh->rounds));
	visit_all_the_time(*state);
	/* Nobody of them waits for us. */
	assert_true(grows(&sh->rounds));
	assert_true(grows(&sh->beats));
	sh->calm = 1;
	nap_us(200000);
	for (int i = 0; i < (apart ? RESTLESS_PROCESSES : 1); i++) {
		pid_t pid = next_pid((unsigned int)i);

		assert_whole(pid);
		if (!apart)
			assert_true(await_value(1041));
		assert_unloads(pid);
	}
	if (!apart)
		assert_true(grows(&sh->beats) && await_value(41));
	assert_int_equal(sh->wrong, 0);
}

static int tear_down(void **state)
{
	scenario_stop(&victim);
	munmap(sh, sizeof(*sh));
	return 0;
}

static int set_up(void **state)
{
	patch = scenario_build(scenario_src("tests/scenarios/blocked_fix.c"),
			       scenario_bin("tests/victims/restless"), NULL);
	return 0;
}

#define KIND(name) { name, test_kind, NULL, tear_down, (void *)(uintptr_t)name }

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIND("threads-exec"), KIND("processes-exec"), KIND("vfork"), KIND("share"),
		KIND("storm"), KIND("leaderless"), KIND("identity"), KIND("children"),
	};

	if (getenv("UG_TEST_ONLY"))
		cmocka_set_test_filter(getenv("UG_TEST_ONLY"));
	return cmocka_run_group_tests(tests, set_up, NULL);
}
