/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signals and job control of a process that is patched all the time.
 *
 *  - Queued signals with running numbers, to threads and to the process, received by handlers
 *    (computing, or asleep in several calls), sigwaitinfo and signalfd: none is lost, invented
 *    or out of order; signal mask, alternate stack and errno are what the threads have set.
 *  - SIGSTOP, SIGTSTP and SIGCONT, also at chosen system calls of a load and an unload: the
 *    parent is told of each stop and each continuation once, with the right signal, and the
 *    process stays stopped as long as it should, while loads go on.
 *  - A fault in a patched process, and one while it is being patched, end it as usual, with a
 *    core dump.
 *
 * test_signals [-n SIGNALS] [-r HERTZ]: without, as many as are handled in 5 seconds.
 * UG_TEST_SEED=N repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/tap.h"
#include "lib/victim.h"
#include "tests/victims/signalled.h"
#include "ugraft/ugraft.h"

#define STORM_S 5
#define QUEUED_MAX 400		/* on their way, of one receiver: below any RLIMIT_SIGPENDING */
#define STOPS 60
#define PHASES 24

static struct scenario_victim victim;
static struct victim_state before;
static struct signalled_shared *sh;
static const char *patch;
static char pid_text[16];
static unsigned long wanted, hertz, random_state;
static struct ug_error err;

static unsigned long random_below(unsigned long n)
{
	random_state = random_state * 6364136223846793005UL + 1442695040888963407UL;
	return (random_state >> 33) % n;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- the victim ---- */

static int set_up_victim(void **state)
{
	const char *argv[] = { scenario_bin("tests/victims/signalled"), NULL, NULL };
	char why[512];

	sh = scenario_share(sizeof(*sh), &argv[1]);
	scenario_start(&victim, argv);
	snprintf(pid_text, sizeof(pid_text), "%d", victim.pid);
	assert_string_equal(scenario_ask(&victim, "value"), "value=41");
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	return 0;
}

static void forget_victim(void)
{
	victim_state_free(&before);
	munmap(sh, sizeof(*sh));
}

static int tear_down(void **state)
{
	scenario_stop(&victim);
	forget_victim();
	return 0;
}

static void assert_clean(void)
{
	char why[512];

	if (victim_compare(victim.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static void load_and_unload(void)
{
	if (ug_load(victim.pid, patch, NULL, NULL, &err) < 0)
		fail_msg("load: %s", err.message);
	if (ug_unload(victim.pid, "blocked-fix", NULL, NULL, &err) < 0)
		fail_msg("unload: %s", err.message);
}

/* ---- queued signals ---- */

struct storm {
	pthread_t thread;
	atomic_bool stop, done;
	uint32_t sent[SIGNALLED_RECEIVERS];
	int error;
};

static int send_one(int r, uint32_t number)
{
	siginfo_t si = { .si_code = SI_QUEUE };

	si.si_pid = getpid();
	si.si_uid = getuid();
	si.si_value.sival_int = (int)number;
	return (int)syscall(SYS_rt_tgsigqueueinfo, victim.pid, sh->counts[r].tid,
			    SIGNALLED_SIGNAL(r), &si);
}

static int send_to_process(int r, uint32_t number)
{
	const union sigval value = { .sival_int = (int)number };

	return sigqueue(victim.pid, SIGNALLED_SIGNAL(r), value);
}

/* False: the queue is full, or enough are on their way. */
static bool send_next(struct storm *s, int r)
{
	uint32_t next = s->sent[r] + 1;

	if (next - sh->counts[r].got > QUEUED_MAX)
		return false;
	if ((r < SIGNALLED_PROCESS ? send_one(r, next) : send_to_process(r, next)) < 0) {
		if (errno != EAGAIN)
			s->error = errno;
		return false;
	}
	s->sent[r] = next;
	return true;
}

static void *send_storm(void *arg)
{
	struct storm *s = arg;
	struct timespec next;
	unsigned long total = 0;

	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!s->stop && !s->error && (!wanted || total < wanted)) {
		bool sent = send_next(s, (int)(total % SIGNALLED_RECEIVERS));

		total += sent;
		if (hertz) {
			next.tv_nsec += 1000000000L / (long)hertz;
			if (next.tv_nsec >= 1000000000L) {
				next.tv_nsec -= 1000000000L;
				next.tv_sec++;
			}
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		} else if (!sent || total % 16 == 0) {
			nap_us(500);
		}
	}
	s->done = true;
	return NULL;
}

static unsigned long await_signals(const struct storm *s)
{
	unsigned long total = 0;

	for (int r = 0; r < SIGNALLED_RECEIVERS; r++) {
		for (int i = 0; i < 10000 && sh->counts[r].got != s->sent[r]; i++)
			nap_us(1000);
		total += s->sent[r];
	}
	return total;
}

static void judge_receiver(int r, uint32_t sent)
{
	static const char *const names[] = { "computes", "sleeps", "polls", "futex", "process",
					     "sigwaitinfo", "signalfd" };
	const struct signalled_counts *c = &sh->counts[r];

	print_message("# | %s | %u | %u | %u | %u | %u | %u | %u |\n", names[r], sent, sent - c->got,
		      c->wrong, c->sender, c->stack, c->mask, c->error);
	if (sent != c->got || c->wrong || c->sender || c->stack || c->mask || c->error)
		fail_msg("%s: %u sent, %u came last, %u out of order, %u from somebody else, %u times a "
			 "wrong stack, %u times a wrong mask, %u errors", names[r], sent, c->got,
			 c->wrong, c->sender, c->stack, c->mask, c->error);
	assert_true(sent > 0);
}

static void test_storm(void **state)
{
	struct storm s = { .error = 0 };
	double start = now_s();
	unsigned long total, cycles = 0;

	assert_int_equal(pthread_create(&s.thread, NULL, send_storm, &s), 0);
	while (!s.done && (wanted || now_s() - start < STORM_S)) {
		load_and_unload();
		cycles++;
	}
	s.stop = true;
	pthread_join(s.thread, NULL);
	assert_int_equal(s.error, 0);
	total = await_signals(&s);
	print_message("# %lu signals in %.1f s, %lu loads and unloads\n", total, now_s() - start,
		      cycles);
	print_message("# | receiver | sent | lost | order | sender | stack | mask | errors |\n");
	for (int r = 0; r < SIGNALLED_RECEIVERS; r++)
		judge_receiver(r, s.sent[r]);
	assert_true(cycles > 5 && total > 1000);
	assert_clean();
}

/* ---- job control ---- */

/* What the parent is told next, within 10 s: "stopped 19", "continued", ...; never too much. */
static const char *told(void)
{
	static char text[64];
	int status;
	pid_t r = 0;

	for (int i = 0; i < 10000 && r == 0; i++) {
		r = waitpid(victim.pid, &status, WUNTRACED | WCONTINUED | WNOHANG);
		if (r == 0)
			nap_us(1000);
	}
	if (r == 0)
		return "nothing";
	if (r < 0)
		snprintf(text, sizeof(text), "error %d", errno);
	else if (WIFSTOPPED(status))
		snprintf(text, sizeof(text), "stopped by %s", sigabbrev_np(WSTOPSIG(status)));
	else
		snprintf(text, sizeof(text), "%s", WIFCONTINUED(status) ? "continued" : "ended");
	return text;
}

static bool told_more(void)
{
	int status;

	return waitpid(victim.pid, &status, WUNTRACED | WCONTINUED | WNOHANG) != 0;
}

static char process_state(void)
{
	char path[64], line[512], *end = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", victim.pid);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f))
		end = strrchr(line, ')');
	if (f)
		fclose(f);
	return end ? end[2] : '?';
}

struct jobs {
	pthread_t thread;
	atomic_bool stop, done;
	unsigned int stops;
	char wrong[256];
};

#define WRONG(j, ...) (snprintf((j)->wrong, sizeof((j)->wrong), __VA_ARGS__), false)

/* No round of the computing thread is made in the meantime. */
static bool stays_stopped(struct jobs *j)
{
	uint32_t rounds;

	nap_us(2000);
	rounds = sh->counts[SIGNALLED_COMPUTES].rounds;
	nap_us(30000);
	if (sh->counts[SIGNALLED_COMPUTES].rounds != rounds)
		return WRONG(j, "a stopped process runs");
	return true;
}

static bool stop_and_go(struct jobs *j, int sig)
{
	char expected[64];
	const char *what;

	snprintf(expected, sizeof(expected), "stopped by %s", sigabbrev_np(sig));
	kill(victim.pid, sig);
	what = told();
	if (strcmp(what, expected) != 0)
		return WRONG(j, "%s: told: %s", expected, what);
	if (j->stops % 3 == 0 && !stays_stopped(j))
		return false;
	if (told_more())
		return WRONG(j, "%s: told twice", expected);
	kill(victim.pid, SIGCONT);
	what = told();
	if (strcmp(what, "continued") != 0)
		return WRONG(j, "SIGCONT: told: %s", what);
	return true;
}

static void *control_jobs(void *arg)
{
	struct jobs *j = arg;

	for (; j->stops < STOPS && !j->stop; j->stops++) {
		nap_us(1000 + j->stops * 7919 % 20000);
		if (!stop_and_go(j, j->stops % 2 ? SIGTSTP : SIGSTOP))
			break;
		if (told_more() && !WRONG(j, "told after it was continued"))
			break;
	}
	j->done = true;
	return NULL;
}

static void test_job_control(void **state)
{
	struct jobs j = { .stops = 0 };
	unsigned int cycles = 0;

	assert_int_equal(pthread_create(&j.thread, NULL, control_jobs, &j), 0);
	while (!j.done) {
		load_and_unload();
		cycles++;
	}
	pthread_join(j.thread, NULL);
	print_message("# stopped and continued %u times during %u loads and unloads\n", j.stops,
		      cycles);
	if (j.wrong[0])
		fail_msg("%s", j.wrong);
	assert_int_equal(j.stops, STOPS);
	assert_true(cycles > 5);
	assert_clean();
	assert_string_equal(scenario_ask(&victim, "value"), "value=41");
}

/* ---- at chosen calls of the controller ---- */

/* killat OPTIONS... ugraft VERB; its exit status. */
static int run_killat(struct command *c, const char *script, const char *number, bool unload)
{
	const char *argv[COMMAND_ARGS_MAX + 1] = { scenario_bin("tests/tools/killat"), "-p", "-w",
						   "ugraft-worker" };
	int n = 4;

	if (script) {
		argv[n++] = "-x";
		argv[n++] = script;
	}
	argv[n++] = number;
	argv[n++] = scenario_bin("ugraft");
	argv[n++] = unload ? "unload" : "load";
	/* The watchdog allows 20 times as much: the script takes a while on a busy machine. */
	argv[n++] = "--max-pause=200ms";
	argv[n++] = unload ? "blocked-fix" : patch;
	argv[n] = pid_text;
	return command_run(c, argv);
}

static unsigned long count_calls(bool unload)
{
	struct command c;
	unsigned long n;
	char *at;

	if (run_killat(&c, NULL, "-c", unload) != 0)
		fail_msg("killat -c: %s", c.output);
	c.output[c.len ? c.len - 1 : 0] = 0;
	at = strrchr(c.output, '\n');
	n = strtoul(at ? at + 1 : c.output, NULL, 10);
	assert_true(n > 20);
	return n;
}

static void stop_at(unsigned long call, const char *sig, bool unload)
{
	char script[64], number[24], what[160];
	struct jobs j = { .stops = 0 };
	struct command c;
	int r;

	snprintf(script, sizeof(script), "kill -%s %d", sig, victim.pid);
	snprintf(number, sizeof(number), "%lu", call);
	r = run_killat(&c, script, number, unload);
	snprintf(what, sizeof(what), "%s at call %lu of %s (%.*s)", sig, call,
		 unload ? "unload" : "load", (int)strcspn(c.output, "\n"), c.output);
	if (r == 3)
		return;		/* not so many calls this time */
	if (r != 0 || !strstr(c.output, "status=0"))
		fail_msg("%s: %s", what, c.output);
	snprintf(script, sizeof(script), "stopped by %s", sig);
	if (strcmp(told(), script) != 0 || told_more() || process_state() != 'T' ||
	    !stays_stopped(&j))
		fail_msg("%s: not stopped once (%c) %s", what, process_state(), j.wrong);
	kill(victim.pid, SIGCONT);
	if (strcmp(told(), "continued") != 0 || told_more())
		fail_msg("%s: not continued once", what);
}

static void test_stop_in_phases(void **state)
{
	unsigned long calls[2];

	calls[0] = count_calls(false);
	calls[1] = count_calls(true);
	for (int i = 0; i < PHASES; i++)
		for (int unload = 0; unload < 2; unload++) {
			/* All over it, not only where most calls are. */
			unsigned long call = 1 + (calls[unload] * (unsigned long)i +
						  random_below(calls[unload])) / PHASES;

			stop_at(call, i % 2 ? "TSTP" : "STOP", unload);
			if (strcmp(scenario_ask(&victim, "value"), unload ? "value=41" :
				   "value=1041") != 0)
				fail_msg("call %lu: another version", call);
		}
	print_message("# stopped at %d calls of %lu of a load, of %lu of an unload\n", PHASES,
		      calls[0], calls[1]);
	assert_clean();
}

/* ---- death by a fault ---- */

static bool cores_are_files(void)
{
	char pattern[128] = "";
	FILE *f = fopen("/proc/sys/kernel/core_pattern", "re");

	if (f && !fgets(pattern, sizeof(pattern), f))
		pattern[0] = 0;
	if (f)
		fclose(f);
	/* Relative to the directory it runs in, and without the pid. */
	return strcmp(pattern, "core\n") == 0;
}

static int core_victim(void **state)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char *home = getcwd(NULL, 0);
	int r;

	assert_int_equal(chdir(scenario_dir()), 0);
	r = set_up_victim(state);
	assert_int_equal(chdir(home), 0);
	free(home);
	assert_int_equal(prlimit(victim.pid, RLIMIT_CORE, &unlimited, NULL), 0);
	return r;
}

static int core_tear_down(void **state)
{
	forget_victim();
	return 0;
}

static void assert_core(const char *what)
{
	char path[128];
	unsigned char head[18] = "";
	int status, fd;

	assert_int_equal(waitpid(victim.pid, &status, 0), victim.pid);
	fclose(victim.in);
	fclose(victim.out);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
		fail_msg("%s: ended with status %#x", what, (unsigned int)status);
	if (!cores_are_files()) {
		print_message("# SKIPPED: core files: kernel.core_pattern sends them elsewhere\n");
		skip();
	}
	if (!WCOREDUMP(status))
		fail_msg("%s: no core dump", what);
	snprintf(path, sizeof(path), "%s/core", scenario_dir());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(path, sizeof(path), "%s/core.%d", scenario_dir(), victim.pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0 || read(fd, head, sizeof(head)) != sizeof(head) ||
	    memcmp(head, "\177ELF", 4) != 0 || head[16] != 4 /* ET_CORE */)
		fail_msg("%s: %s is no core dump", what, path);
	close(fd);
	unlink(path);
}

static void test_core_of_patched(void **state)
{
	if (ug_load(victim.pid, patch, NULL, NULL, &err) < 0)
		fail_msg("load: %s", err.message);
	assert_string_equal(scenario_ask(&victim, "value"), "value=1041");
	fputs("crash\n", victim.in);
	fflush(victim.in);
	assert_core("patched");
}

static void *crash_soon(void *arg)
{
	nap_us(*(unsigned long *)arg);
	kill(victim.pid, SIGSEGV);
	return NULL;
}

/* The controller says that the process is gone; what it was told to do is of no importance. */
static void test_core_while_patching(void **state)
{
	pthread_t t;
	int r = 0;

	for (unsigned long i = 0; i < 12; i++) {
		unsigned long us = random_below(60000);

		if (i)
			core_victim(state);
		assert_int_equal(pthread_create(&t, NULL, crash_soon, &us), 0);
		do {
			r = ug_load(victim.pid, patch, NULL, NULL, &err);
			if (r == 0)
				r = ug_unload(victim.pid, "blocked-fix", NULL, NULL, &err);
		} while (r == 0);
		pthread_join(t, NULL);
		if (r != -UG_E_GONE)
			fail_msg("%s: %s", ug_error_name(r), err.message);
		assert_core("while patching");
		if (i < 11)
			forget_victim();
	}
}

static int set_up(void **state)
{
	patch = scenario_build(scenario_src("tests/scenarios/blocked_fix.c"),
			       scenario_bin("tests/victims/signalled"), NULL);
	return 0;
}

#define WITH(name) cmocka_unit_test_setup_teardown(name, set_up_victim, tear_down)
#define CORE(name) cmocka_unit_test_setup_teardown(name, core_victim, core_tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WITH(test_storm),
		WITH(test_job_control),
		WITH(test_stop_in_phases),
		CORE(test_core_of_patched),
		CORE(test_core_while_patching),
	}, storm[] = { WITH(test_storm) };
	const char *given = getenv("UG_TEST_SEED");
	int opt;

	random_state = given ? strtoul(given, NULL, 10) : (unsigned long)time(NULL);
	while ((opt = getopt(argc, argv, "n:r:")) != -1)
		*(opt == 'n' ? &wanted : &hertz) = strtoul(optarg, NULL, 10);
	/* A hang is a failure, too. */
	alarm(wanted ? (unsigned int)(wanted / (hertz ? hertz : 1000)) * 3 + 120 : 280);
	printf("# seed %lu\n", random_state);
	tap_correct_skips();
	return wanted ? cmocka_run_group_tests(storm, set_up, NULL) :
			cmocka_run_group_tests(tests, set_up, NULL);
}
