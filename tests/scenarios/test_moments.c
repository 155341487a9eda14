/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Things that happen to a process while it is being patched: at random system calls of a load
 * and of an unload it exits, is killed, executes another program (in its first thread, in
 * another one), forks, spawns, gets a thread more, loses its first one.
 *
 * The controller says that the process is gone (when it is), is done, or refuses. It never
 * hangs. The process ends as it would have ended without it; or it lives, nobody traces or
 * stops it, and it mixes nothing. So does the child, and `recover` settles what that has
 * inherited. The program executed knows nothing of all this.
 *
 * UG_TEST_SEED=N repeats a run, UG_TEST_ROUNDS=N makes it N times as long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define NAME "protocol-fix"

/* A busy machine takes its time for the script; the watchdog of a SEIZE allows a second. */
#define HELD_LONG_MS 200

enum end { LIVES, EXITS, DIES, EXECUTES };

static const struct event {
	const char *name;
	enum end end;
	bool many;		/* makes sense with several threads only */
	unsigned int rounds;	/* of a load, and of an unload */
} events[] = {
	{ "exit", EXITS, false, 8 },	{ "kill", DIES, false, 8 },
	{ "exec", EXECUTES, false, 8 }, { "texec", EXECUTES, true, 10 },
	{ "fork", LIVES, false, 10 },	{ "spawn", LIVES, false, 6 },
	{ "thread", LIVES, false, 6 },	{ "leave", LIVES, false, 6 },
};

static struct scenario_victim victim;
static struct victim_state before;
static const char *patch;
static unsigned long random_state, calls[2];
static char what[256];		/* what is being done, for the message of a failure */
static unsigned int outcomes[8], ended_by_us;

static unsigned long random_below(unsigned long n)
{
	random_state = random_state * 6364136223846793005UL + 1442695040888963407UL;
	return (random_state >> 33) % n;
}

static unsigned long ask(const char *name)
{
	return scenario_number(scenario_ask(&victim, "stat"), name);
}

static bool grows(const char *name)
{
	unsigned long then = ask(name);

	for (int i = 0; i < 3000; i++) {
		if (ask(name) > then)
			return true;
		nap_us(1000);
	}
	return false;
}

static void start_victim(const char *threads)
{
	const char *argv[] = { scenario_bin("tests/victims/moments"), threads, NULL };
	char why[512];

	scenario_start(&victim, argv);
	scenario_ask(&victim, "stat");
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static void stop_victim(void)
{
	scenario_stop(&victim);
	victim_state_free(&before);
}

/* ---- the controller ---- */

/* killat OPTIONS... ugraft load|unload ... PID; returns killat's exit status. */
static int run_killat(struct command *c, const char *const options[], bool unload)
{
	char pid[16];
	/* The watchdog allows 20 times as much: the script takes a while on a busy machine. */
	const char *verb[] = { unload ? "unload" : "load", "--max-pause=200ms",
			       unload ? NAME : patch, pid, NULL };

	snprintf(pid, sizeof(pid), "%d", victim.pid);
	return scenario_killat(c, options, verb);
}

static void count_calls(bool unload)
{
	static const char *const options[] = { "-c", NULL };
	struct command c;
	char *at;

	if (run_killat(&c, options, unload) != 0)
		fail_msg("killat -c: %s", c.output);
	c.output[c.len ? c.len - 1 : 0] = 0;
	at = strrchr(c.output, '\n');
	calls[unload] = strtoul(at ? at + 1 : c.output, NULL, 10);
	assert_true(calls[unload] > 20);
}

/* Load or unload with the event at the n-th call. Its exit status; -1: not so many calls. */
static int disturb(struct command *c, const struct event *e, bool unload, unsigned long n)
{
	char script[96], number[32];
	const char *const options[] = { "-x", script, number, NULL };
	char *status;
	int r;

	if (e->end == DIES)
		snprintf(script, sizeof(script), "kill -9 %d", victim.pid);
	else
		snprintf(script, sizeof(script), "echo %s >/proc/%d/fd/0", e->name, victim.pid);
	snprintf(number, sizeof(number), "%lu", n);
	r = run_killat(c, options, unload);
	if (r == 3)
		return -1;
	status = strstr(c->output, "status=");
	if (r != 0 || !status || strstr(c->output, "the script failed"))
		fail_msg("%s: killat: exit %d: %s", what, r, c->output);
	return atoi(status + 7);
}

/* ---- afterwards ---- */

static void assert_process(pid_t pid, const char *calls_name, const char *mixed_name)
{
	char why[512];

	if (victim_alive(pid, why, sizeof(why)) < 0)
		fail_msg("%s: %s", what, why);
	if (!grows(calls_name))
		fail_msg("%s: no call is made any more", what);
	if (ask(mixed_name))
		fail_msg("%s: %lu calls saw a mix", what, ask(mixed_name));
}

/* Settle, take back what is loaded, and compare. True when something was loaded. */
static bool settle(pid_t pid, const char *calls_name, const char *mixed_name)
{
	struct ug_error err = { 0 };
	struct ug_status *st;
	char why[512];
	bool loaded;

	assert_process(pid, calls_name, mixed_name);
	if (ug_recover(pid, NULL, NULL, &err) < 0)
		fail_msg("%s: recover of %d: %s", what, pid, err.message);
	if (ug_status(pid, &st, &err) < 0)
		fail_msg("%s: status of %d: %s", what, pid, err.message);
	loaded = st->npatches > 0;
	if (st->needs_recovery || st->is_copy || st->npatches > 1 ||
	    (loaded && st->patches[0].state != UG_PATCH_ENABLED))
		fail_msg("%s: %d is not settled: %zu patches", what, pid, st->npatches);
	ug_status_free(st);
	if (loaded && ug_unload(pid, NAME, NULL, NULL, &err) < 0)
		fail_msg("%s: unload of %d: %s", what, pid, err.message);
	assert_process(pid, calls_name, mixed_name);
	if (victim_compare(pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s: %d: %s", what, pid, why);
	return loaded;
}

/* The new program must be there soon: what waits for our tracees would wait for ever. */
static void await_execution(void)
{
	char path[64], line[4096];
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", victim.pid);
	for (int i = 0; i < 5000; i++) {
		FILE *f = fopen(path, "re");

		n = f ? fread(line, 1, sizeof(line) - 1, f) : 0;
		if (f)
			fclose(f);
		if (n > 2 && memcmp(line + n - 3, "\0001", 3) == 0)
			return;
		nap_us(1000);
	}
	fail_msg("%s: the next program was never executed", what);
}

static void await_end(const struct event *e)
{
	int status;
	pid_t got = 0;

	for (int i = 0; i < 5000 && !got; i++) {
		got = waitpid(victim.pid, &status, WNOHANG);
		if (!got)
			nap_us(1000);
	}
	if (got != victim.pid)
		fail_msg("%s: the process does not end", what);
	if (e->end == DIES ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL :
			     !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s: it ended with status %#x", what, (unsigned int)status);
	fclose(victim.in);
	fclose(victim.out);
	victim_state_free(&before);
}

static void judge(const struct event *e, int status, const struct command *c)
{
	bool gone = e->end != LIVES && status == UG_EXIT_ABSENT;

	const char *held = strstr(c->output, "held=");

	/* Held so long by us that the watchdog may have ended it, as it should. */
	if (status == UG_EXIT_FAILED && held && atoi(held + 5) >= HELD_LONG_MS &&
	    strstr(c->output, "helper process died")) {
		ended_by_us++;
		return;
	}
	/* A vfork parent cannot be stopped: to be told so is no failure. */
	if (status != 0 && !gone && !(strcmp(e->name, "spawn") == 0 && status == UG_EXIT_REFUSED))
		fail_msg("%s: exit %d: %s", what, status, c->output);
	if (strstr(c->output, "helper process died") || strstr(c->output, "warning"))
		fail_msg("%s: %s", what, c->output);
	outcomes[status]++;
}

static void one_round(const struct event *e, const char *threads, bool unload)
{
	unsigned long n = 1 + random_below(calls[unload]);
	struct ug_error err = { 0 };
	struct command c;
	int status;

	start_victim(threads);
	if (unload && ug_load(victim.pid, patch, NULL, NULL, &err) < 0)
		fail_msg("load: %s", err.message);
	snprintf(what, sizeof(what), "%s at call %lu of %lu of %s, %s threads", e->name, n,
		 calls[unload], unload ? "unload" : "load", threads);
	status = disturb(&c, e, unload, n);
	if (status < 0) {
		stop_victim();
		return;
	}
	snprintf(what + strlen(what), sizeof(what) - strlen(what), " (%.*s)",
		 (int)strcspn(c.output, "\n"), c.output);
	judge(e, status, &c);
	if (e->end == EXITS || e->end == DIES) {
		await_end(e);
		return;
	}
	if (e->end == EXECUTES)
		await_execution();
	(void)settle(victim.pid, "calls", "mixed");
	if (strcmp(e->name, "fork") == 0)
		(void)settle((pid_t)ask("child"), "ccalls", "cmixed");
	stop_victim();
}

static void test_event(void **state)
{
	const struct event *e = *state;
	const char *factor = getenv("UG_TEST_ROUNDS");
	unsigned int rounds = e->rounds * (factor ? (unsigned int)atoi(factor) : 1);
	time_t started = time(NULL);

	memset(outcomes, 0, sizeof(outcomes));
	ended_by_us = 0;
	for (unsigned int i = 0; i < rounds; i++)
		for (int unload = 0; unload < 2; unload++) {
			if (!e->many)
				one_round(e, "0", unload);
			one_round(e, "8", unload);
		}
	print_message("# %s: %u done, %u gone, %u refused, %u held too long, in %ld s\n", e->name,
		      outcomes[0], outcomes[UG_EXIT_ABSENT], outcomes[UG_EXIT_REFUSED], ended_by_us,
		      (long)(time(NULL) - started));
	assert_true(outcomes[0] + outcomes[UG_EXIT_ABSENT] > rounds);
}

static int set_up(void **state)
{
	const char *given = getenv("UG_TEST_SEED");

	random_state = given ? strtoul(given, NULL, 10) : (unsigned long)time(NULL);
	printf("# seed %lu\n", random_state);
	patch = scenario_build(scenario_src("tests/scenarios/protocol_fix.c"),
			       scenario_bin("tests/victims/moments"), NULL);
	start_victim("8");
	count_calls(false);
	count_calls(true);
	stop_victim();
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[sizeof(events) / sizeof(events[0])];

	memset(tests, 0, sizeof(tests));
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		tests[i] = (struct CMUnitTest){ .name = events[i].name, .test_func = test_event,
						.initial_state = (void *)(uintptr_t)&events[i] };
	return cmocka_run_group_tests(tests, set_up, NULL);
}
