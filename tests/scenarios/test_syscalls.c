/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that sleeps in every system call in which programs sleep (tests/victims/blocked.c)
 * is patched again and again, and cannot tell.
 *
 *  - No call is ended with EINTR, those without timeout by nothing but what they wait for.
 *  - What the kernel resumes keeps its timeout, but for the length of the stops.
 *  - Class E (docs/stopping.md) is never early and at most one full timeout late for each stop
 *    of the process. It ends while a load waits and looks again and again.
 *  - A signal whose handler sets a flag ends the epoll_pwait that lets it in, always.
 *  - Transfers that are half done return short, as after SIGSTOP and SIGCONT; they are counted
 *    in the report, nothing is lost; and with --no-short-transfers they are left alone.
 *  - Without the cure the calls of class E do fail: this test can.
 *
 * Times are compared with the stops that a call can have met. SLACK_MS is for a busy machine;
 * a call that had begun anew once a load would exceed it many times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/tap.h"
#include "lib/victim.h"
#include "process/internal.h"
#include "tests/victims/blocked.h"
#include "ugraft/ugraft.h"

#define CYCLES 100
#define GAP_US 80000	/* between an unload and the next load: more than the shorter timeouts */
#define SLACK_MS 350
#define PENDING_MS 2000

/* A timeout counted in ticks begins within one: 10 ms with the slowest clock. */
#define JIFFY_MS 10

/* One load or unload: when, and what it did to the process. */
struct visit {
	uint64_t begin, end, pause_ns;
	unsigned int stops;
};

static struct scenario_victim victim;
static struct victim_state before;
static struct blocked_shared *sh;
static struct visit visits[8 * CYCLES];
static unsigned int nvisits;
static const char *patch;
static struct ug_report report;
static struct ug_error err;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- the victim ---- */

/* Every thread sleeps: none is still on its way to its first call. */
static bool all_asleep(void)
{
	char path[400], line[512], *end;
	bool asleep = true;
	struct dirent *de;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", victim.pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((de = readdir(dir))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", victim.pid, de->d_name);
		f = de->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (!f)
			continue;
		end = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
		asleep &= end && end[2] == 'S';
		fclose(f);
	}
	closedir(dir);
	return asleep;
}

static void start_victim(const char *mode)
{
	const char *argv[] = { scenario_bin("tests/victims/blocked"), NULL, mode, NULL };
	char why[512];

	sh = scenario_share(sizeof(*sh), &argv[1]);
	scenario_start(&victim, argv);
	for (uint32_t i = 0; i < sh->nseats; i++)
		for (int j = 0; j < 5000 && !sh->seats[i].sleeps; j++)
			nap_us(1000);
	for (int i = 0; i < 5000 && !all_asleep(); i++)
		nap_us(1000);
	assert_string_equal(scenario_ask(&victim, "value"), "value=41");
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	nvisits = 0;
}

static int set_up_calls(void **state)
{
	start_victim(NULL);
	return 0;
}

static int set_up_transfers(void **state)
{
	start_victim("transfers");
	return 0;
}

static int tear_down(void **state)
{
	scenario_stop(&victim);
	victim_state_free(&before);
	munmap(sh, sizeof(*sh));
	return 0;
}

static void assert_clean(void)
{
	char why[512];

	if (victim_compare(victim.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

/* ---- loads ---- */

static int visit(bool unload, unsigned int timeout_ms, unsigned int flags)
{
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = timeout_ms, .flags = flags };
	struct visit *v = &visits[nvisits++];
	int r;

	assert_true(nvisits <= sizeof(visits) / sizeof(visits[0]));
	memset(&report, 0, sizeof(report));
	v->begin = now_ns();
	r = unload ? ug_unload(victim.pid, "blocked-fix", &opts, &report, &err) :
		     ug_load(victim.pid, patch, &opts, &report, &err);
	v->end = now_ns();
	v->stops = report.stops;
	v->pause_ns = report.total_pause_ns;
	return r;
}

static void must(bool unload)
{
	if (visit(unload, 0, 0) < 0)
		fail_msg("%s: %s", unload ? "unload" : "load", err.message);
	assert_int_equal(report.outcome, UG_DONE);
}

static void cycle(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		must(false);
		assert_string_equal(scenario_ask(&victim, "value"), "value=1041");
		must(true);
		assert_string_equal(scenario_ask(&victim, "value"), "value=41");
		nap_us(GAP_US);
	}
	assert_clean();
}

/* ---- the judge ---- */

struct tally {
	unsigned int calls, interrupted, early, late, odd;
	double latest_ms;	/* beyond what the stops allow */
};

static bool is_end_of_timeout(int error)
{
	return error == EAGAIN || error == ETIMEDOUT || error == ETIME;
}

/* How much later than its timeout it may return, for the stops it can have met. */
static double allowance_ms(const struct blocked_seat *s, const struct blocked_call *c)
{
	double ms = 0;

	for (unsigned int i = 0; i < nvisits; i++) {
		const struct visit *v = &visits[i];

		if (v->begin > c->end || v->end < c->begin)
			continue;
		ms += (double)v->pause_ns / 1e6;
		if (s->class_e)
			ms += (double)v->stops * s->ms;
	}
	return ms;
}

static void judge_time(const struct blocked_seat *s, const struct blocked_call *c, struct tally *t)
{
	double took = (double)(c->end - c->begin) / 1e6, over;

	if (took < s->ms - (s->jiffies ? JIFFY_MS : 0.0))
		t->early++;
	over = took - s->ms - allowance_ms(s, c);
	if (over > t->latest_ms)
		t->latest_ms = over;
	t->late += over > SLACK_MS;
}

static void judge(uint32_t seat, struct tally *t)
{
	const struct blocked_seat *s = &sh->seats[seat];
	uint32_t n = sh->ncalls < BLOCKED_CALLS ? sh->ncalls : BLOCKED_CALLS;

	memset(t, 0, sizeof(*t));
	for (uint32_t i = 0; i < n; i++) {
		const struct blocked_call *c = &sh->calls[i];

		if (c->seat != seat || !c->done)
			continue;
		t->calls++;
		if (c->ret < 0 && c->error == EINTR && !s->handled)
			t->interrupted++;
		else if (s->ms)
			judge_time(s, c, t);
		if (c->ret < 0 && c->error != EINTR && !is_end_of_timeout(c->error))
			t->odd++;
	}
}

/* What docs/without-a-trace.md shows. */
static void print_table(void)
{
	print_message("# | call | timeout ms | class | returns | EINTR | early | late at most, ms |\n");
	for (uint32_t i = 0; i < sh->nseats; i++) {
		const struct blocked_seat *s = &sh->seats[i];
		struct tally t;

		judge(i, &t);
		print_message("# | %s | %u | %s | %u | %u | %u | %.1f |\n", s->name, s->ms,
			      s->class_e ? "E" : "resumed", t.calls, t.interrupted, t.early,
			      t.latest_ms);
	}
}

/*
 * Every seat. Those without a timeout have returned `ends` times, those with one at least so
 * often; class E of more than longest_ms need not have, as loads closer together hold it up.
 */
static void judge_all(unsigned int ends, unsigned int at_least, unsigned int longest_ms)
{
	for (uint32_t i = 0; i < sh->nseats; i++) {
		const struct blocked_seat *s = &sh->seats[i];
		bool held_up = s->class_e && s->ms > longest_ms;
		struct tally t;

		judge(i, &t);
		if (t.interrupted || t.early || t.late || t.odd)
			fail_msg("%s: %u calls, %u EINTR, %u early, %u late (by %.1f ms), %u other errors",
				 s->name, t.calls, t.interrupted, t.early, t.late, t.latest_ms, t.odd);
		if (s->ms ? !held_up && t.calls < at_least : t.calls != ends)
			fail_msg("%s: %u calls have returned", s->name, t.calls);
	}
	assert_true(sh->ncalls < BLOCKED_CALLS);
}

static bool have(const char *name)
{
	for (uint32_t i = 0; i < sh->nseats; i++)
		if (strncmp(sh->seats[i].name, name, strlen(name)) == 0)
			return true;
	return false;
}

static unsigned int waiting_for_ever(void)
{
	unsigned int n = 0;
	struct tally t;

	for (uint32_t i = 0; i < sh->nseats; i++) {
		judge(i, &t);
		n += !sh->seats[i].ms && !t.calls;
	}
	return n;
}

/* Who sleeps without a timeout is woken by what it waits for, once, and properly. */
static void wake_and_judge(unsigned int at_least, unsigned int longest_ms)
{
	judge_all(0, at_least, longest_ms);
	assert_string_equal(scenario_ask(&victim, "wake"), "woken");
	for (int i = 0; i < 5000 && waiting_for_ever(); i++)
		nap_us(1000);
	judge_all(1, at_least, longest_ms);
}

/* ---- tests: calls ---- */

static void test_hundred_loads(void **state)
{
	uint64_t start = now_ns(), pause = 0;
	unsigned int stops = 0, at_least;

	if (!have("io_uring_enter"))
		print_message("# SKIPPED: io_uring, which is switched off here\n");
	cycle(CYCLES);
	for (unsigned int i = 0; i < nvisits; i++) {
		stops += visits[i].stops;
		pause += visits[i].pause_ns;
	}
	print_message("# %u loads and unloads, %u threads, %u stops, %.1f ms in all, in %.1f s\n",
		      CYCLES, report.threads, stops, (double)pause / 1e6,
		      (double)(now_ns() - start) / 1e9);
	/* Half of what they would return undisturbed, or one for every second gap. */
	at_least = (unsigned int)((now_ns() - start) / 1000000 / 400 / 2);
	if (at_least > CYCLES / 2)
		at_least = CYCLES / 2;
	nap_us(500000);
	print_table();
	wake_and_judge(at_least, GAP_US / 1000);
}

static unsigned int returned(const char *name)
{
	unsigned int n = 0;
	struct tally t;

	for (uint32_t i = 0; i < sh->nseats; i++)
		if (strcmp(sh->seats[i].name, name) == 0) {
			judge(i, &t);
			n += t.calls;
		}
	return n;
}

/* A load that has to wait for a thread, looks at it again and again, and gives up in the end. */
static void test_refused_loads(void **state)
{
	assert_string_equal(scenario_ask(&victim, "hold"), "held");
	for (int i = 0; i < 2; i++) {
		unsigned int ticks = returned("epoll_wait"), longer = returned("epoll_wait long");
		unsigned int sockets = returned("recv timeout long");

		assert_int_equal(visit(false, PENDING_MS, 0), -UG_E_REVERSED);
		print_message("# pending for %d ms: %u and %u returns of epoll_wait, %u stops, "
			      "%u single checks\n", PENDING_MS, returned("epoll_wait") - ticks,
			      returned("epoll_wait long") - longer, report.stops, report.attempts);
		/* Undisturbed they would return 33 and 6 times. */
		assert_true(returned("epoll_wait") - ticks >= 10);
		assert_true(returned("epoll_wait long") - longer >= 2);
		assert_true(returned("recv timeout long") - sockets >= 2);
		assert_string_equal(scenario_ask(&victim, "value"), "value=41");
	}
	assert_int_equal(visit(false, 100, UG_OPT_KEEP_ON_TIMEOUT), 0);
	assert_int_equal(report.outcome, UG_PENDING);
	assert_string_equal(scenario_ask(&victim, "release"), "released");
	must(false);
	assert_string_equal(scenario_ask(&victim, "value"), "value=1041");
	must(true);
	assert_clean();
	wake_and_judge(4, UINT_MAX);
}

/* ---- the flag of a handler ---- */

struct sender {
	pthread_t thread;
	atomic_bool stop;
	unsigned int sent;
	bool lost;
};

/* One signal at a time, at any moment; the next when the first has been seen. */
static void *send_signals(void *arg)
{
	struct sender *s = arg;
	unsigned int nap = 1;

	while (!atomic_load(&s->stop) && !s->lost) {
		unsigned int seen = atomic_load(&sh->wakeups);

		nap = nap * 1103515245 + 12345;
		nap_us(nap / 65536 % 3000);
		kill(victim.pid, SIGUSR1);
		s->sent++;
		for (int i = 0; i < 50000 && atomic_load(&sh->wakeups) == seen; i++)
			nap_us(200);
		s->lost = atomic_load(&sh->wakeups) == seen;
	}
	return NULL;
}

static void test_flag(void **state)
{
	struct sender s = { .lost = false };

	assert_int_equal(pthread_create(&s.thread, NULL, send_signals, &s), 0);
	for (unsigned int i = 0; i < CYCLES && !s.lost; i++) {
		must(false);
		must(true);
	}
	atomic_store(&s.stop, true);
	pthread_join(s.thread, NULL);
	print_message("# %u wake-ups by a handler's flag during %u loads\n", s.sent, CYCLES);
	assert_false(s.lost);
	assert_int_equal(atomic_load(&sh->wakeups), s.sent);
	assert_true(s.sent > CYCLES);
	assert_clean();
	judge_all(0, 0, UINT_MAX);
}

/* ---- the counter-test ---- */

static void test_without_cure(void **state)
{
	unsigned int seats = 0;

	ug_cure_enabled = false;
	for (int i = 0; i < 3; i++) {
		must(false);
		must(true);
	}
	ug_cure_enabled = true;
	for (uint32_t i = 0; i < sh->nseats; i++) {
		const struct blocked_seat *s = &sh->seats[i];
		struct tally t;

		judge(i, &t);
		if (s->class_e ? t.interrupted == 0 : t.interrupted != 0)
			fail_msg("%s: %u EINTR without the cure", s->name, t.interrupted);
		seats += s->class_e;
	}
	print_message("# %u calls of class E fail without the cure\n", seats);
	assert_true(seats > 10);
}

/* ---- transfers ---- */

/* What the only call of this seat so far returned; -1: it has not. */
static int first_return(const char *name)
{
	for (uint32_t i = 0; i < sh->ncalls; i++)
		if (sh->calls[i].done && strncmp(sh->seats[sh->calls[i].seat].name, name,
						 strlen(name)) == 0)
			return sh->calls[i].ret;
	return -1;
}

static void await_short(void)
{
	for (int i = 0; i < 3000 && (first_return("recv all") < 0 || first_return("write big") < 0);
	     i++)
		nap_us(1000);
	assert_int_equal(first_return("recv all"), 10);
	assert_true(first_return("write big") > 0 && first_return("write big") < 1 << 20);
	/* Nothing had come yet: nothing to return. */
	assert_int_equal(first_return("read"), -1);
}

static void test_short_transfers(void **state)
{
	must(false);
	assert_int_equal(report.short_transfers, 2);
	await_short();
	must(true);
	assert_string_equal(scenario_ask(&victim, "drain"), "whole");
	assert_clean();
}

/* The same without ugraft. */
static void test_short_natively(void **state)
{
	kill(victim.pid, SIGSTOP);
	nap_us(20000);
	kill(victim.pid, SIGCONT);
	await_short();
	assert_string_equal(scenario_ask(&victim, "drain"), "whole");
}

static void test_no_short_transfers(void **state)
{
	int r = visit(false, 300, UG_OPT_NO_SHORT_TRANSFERS);

	if (r != -UG_E_TRANSFER)
		fail_msg("%s: %s", ug_error_name(r), err.message);
	print_message("# %s\n", err.message);
	nap_us(20000);
	assert_int_equal(sh->ncalls, 0);
	assert_clean();
	assert_string_equal(scenario_ask(&victim, "value"), "value=41");
}

static int set_up(void **state)
{
	alarm(280);	/* a hang is a failure, too */
	patch = scenario_build(scenario_src("tests/scenarios/blocked_fix.c"),
			       scenario_bin("tests/victims/blocked"), NULL);
	return 0;
}

#define CALLS(name) cmocka_unit_test_setup_teardown(name, set_up_calls, tear_down)
#define TRANSFERS(name) cmocka_unit_test_setup_teardown(name, set_up_transfers, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CALLS(test_hundred_loads),
		CALLS(test_refused_loads),
		CALLS(test_flag),
		CALLS(test_without_cure),
		TRANSFERS(test_short_natively),
		TRANSFERS(test_short_transfers),
		TRANSFERS(test_no_short_transfers),
	};

	tap_correct_skips();
	return cmocka_run_group_tests(tests, set_up, NULL);
}
