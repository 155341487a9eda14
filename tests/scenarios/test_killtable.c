/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The controller is killed at each of its system calls, in targets of all kinds:
 *
 *	load, unload, recover  x  computing, blocked, signals, forking, storm, unwinding
 *			       x  1, 8, 100 threads
 *
 * (tests/victims/killed.c). After each death the target must live, not be stopped, not be traced,
 * go on with what it does, and mix nothing; then another controller settles it, the result is
 * entirely old or entirely new, and once it is unloaded nothing is left. One row of the table
 * for each combination:
 *
 *	test_killtable [-s] [-t SECONDS | -k STRIDE] [-g NICE] [-n MIN-MAX] [-o KIND] [-v VERB]
 *
 * -t: as many calls as there is time for, evenly spread, a row. -k: each k-th. None: all, with
 * 100 threads each 25th. -n, -o, -v: only targets of so many threads, of that kind, that verb.
 * -g: the target runs at that nice value, and the controllers at 0: a hundred threads that do nothing
 * but fork, or end, leave a controller little of two processors, and a row takes hours.
 *
 * -s: each step (tests/tools/steps.h) that changes anything but the controller itself, the first
 * time and the last that it is made. With many threads most calls repeat a step for another
 * thread; and between two calls that change something it is all the same where it dies. With -k
 * or -t only a k-th of these, or as many as there is time for, from all over the list.
 *
 * EINTR, where a stop may end a call of class E with it: a kill between interrupt and cure, once a
 * thread; and in "forking", whose first thread may be woken by the SIGCHLD of another one that
 * is traced (docs/stopping.md, limits). It is no harm there, but counted.
 */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define NAME "protocol-fix"
#define MANY_STRIDE 25
#define GROW_MS 20000
#define STEPS_MAX 4096

/* What is wrong with a target; one is enough. */
enum harm { NONE, DEAD, STOPPED, TRACED, MIXED, STUCK, SIGNAL, UNSETTLED, HARMS };

struct row {
	const char *verb, *kind;
	int threads;
	unsigned long calls, stride;
	unsigned long done;	/* steps */
	unsigned int trials, killed, harms[HARMS];
	unsigned int interrupted;	/* kills that ended a call of class E with EINTR */
	unsigned int old, new;		/* what was found settled */
	char first[700];		/* what was seen of the first harm */
};

static struct scenario_victim victim;
static struct victim_state before;
static const char *patch;
static char pid_text[16];
static double seconds;
static unsigned long stride;
static bool by_steps;
static const char *only_kind, *only_verb;
static int min_threads = 1, max_threads = 100, target_nice;

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- the target ---- */

static bool is_asleep(const char *tid)
{
	char path[300], line[256], *name_end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", victim.pid, tid);
	f = fopen(path, "re");
	if (!f)
		return true;
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	fclose(f);
	name_end = strrchr(line, ')');
	return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

static bool all_asleep(void)
{
	struct dirent *e;
	bool all = true;
	char path[32];
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", victim.pid);
	d = opendir(path);
	while (d && all && (e = readdir(d)))
		all = e->d_name[0] == '.' || is_asleep(e->d_name);
	if (d)
		closedir(d);
	return all;
}

/* A thread whose call has returned EINTR counts it when it gets a processor, which may take time. */
static void await_blocked(const struct row *row)
{
	double start = now_s();

	while (strcmp(row->kind, "blocked") == 0 && !all_asleep() && now_s() - start < 20)
		nap_us(1000);
}

/* Of this process; what it starts has the same. */
static void set_nice(int value)
{
	if (setpriority(PRIO_PROCESS, 0, value) < 0)
		scenario_die("nice value %d: %m", value);
}

static void start_victim(const struct row *row)
{
	char threads[16];
	const char *argv[] = { scenario_bin("tests/victims/killed"), row->kind, threads, NULL };
	char why[600];

	snprintf(threads, sizeof(threads), "%d", row->threads);
	if (target_nice)
		set_nice(target_nice);
	scenario_start(&victim, argv);
	if (target_nice)
		set_nice(0);
	snprintf(pid_text, sizeof(pid_text), "%d", victim.pid);
	(void)scenario_ask(&victim, "stat");
	nap_us(20000);
	await_blocked(row);
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		scenario_die("%s", why);
}

static void stop_victim(void)
{
	scenario_stop(&victim);
	victim_state_free(&before);
}

static unsigned long ask(const char *name)
{
	return scenario_number(scenario_ask(&victim, "stat"), name);
}

static bool grows(const char *name)
{
	unsigned long then = ask(name);
	double start = now_s();

	while (now_s() - start < GROW_MS / 1000.0) {
		if (ask(name) > then)
			return true;
		nap_us(500);
	}
	return false;
}

static enum harm look(const struct row *row, char *why, size_t size)
{
	if (victim_alive(victim.pid, why, size) < 0)
		return strstr(why, "stopped") ? STOPPED : strstr(why, "traced") ? TRACED : DEAD;
	if (!grows("calls") || (strcmp(row->kind, "blocked") != 0 && !grows("rounds"))) {
		snprintf(why, size, "it does not go on");
		return STUCK;
	}
	if (ask("mixed")) {
		snprintf(why, size, "%lu calls were mixed", ask("mixed"));
		return MIXED;
	}
	if (ask("wrong")) {
		snprintf(why, size, "%lu signals or unwinds went wrong", ask("wrong"));
		return SIGNAL;
	}
	return NONE;
}

/* All calls of a while are of one version. */
static bool runs_only(bool new, char *why, size_t size)
{
	const char *other = new ? "old" : "new";
	unsigned long then = ask(other);

	if (!grows(new ? "new" : "old") || ask(other) != then) {
		snprintf(why, size, "%s calls after it was settled", other);
		return false;
	}
	return true;
}

/* A busy machine takes its time: no reason for the watchdog. */
static const struct ug_opts patient = { .sz = sizeof(patient), .max_pause_us = 200000 };

enum state { UNPATCHED, PATCHED, BEING_LEFT, UNCLEAR };

static enum state state_of(const struct ug_status *st, char *why, size_t size)
{
	if (!st->needs_recovery && !st->busy && st->npatches == 0)
		return UNPATCHED;
	if (!st->busy && st->npatches == 1 && st->patches[0].state == UG_PATCH_LEFT)
		return BEING_LEFT;
	if (!st->needs_recovery && !st->busy && st->npatches == 1 &&
	    st->patches[0].state == UG_PATCH_ENABLED)
		return PATCHED;
	snprintf(why, size, "not settled by recover: %s%s%zu patches, state %d",
		 st->busy ? "busy, " : "", st->needs_recovery ? "needs recovery, " : "", st->npatches,
		 st->npatches ? (int)st->patches[0].state : -1);
	return UNCLEAR;
}

/* On a busy machine a thread may be inside of what was removed for longer than recover waits. */
static enum state recover(char *why, size_t size)
{
	enum state state = BEING_LEFT;
	double start = now_s();

	snprintf(why, size, "a removed patch is not released");
	while (state == BEING_LEFT && now_s() - start < GROW_MS / 1000.0) {
		struct ug_error err = { 0 };
		struct ug_status *st;

		if (ug_recover(victim.pid, &patient, NULL, &err) < 0 ||
		    ug_status(victim.pid, &st, &err) < 0) {
			snprintf(why, size, "recover: %s", err.message);
			return UNCLEAR;
		}
		state = state_of(st, why, size);
		ug_status_free(st);
	}
	return state == BEING_LEFT ? UNCLEAR : state;
}

/* Another controller finishes or rolls back; then what is loaded is unloaded. */
static enum harm settle(struct row *row, char *why, size_t size)
{
	enum state state = recover(why, size);
	bool loaded = state == PATCHED;
	struct ug_error err = { 0 };

	if (state == UNCLEAR)
		return UNSETTLED;
	if (!runs_only(loaded, why, size))
		return MIXED;
	*(loaded ? &row->new : &row->old) += 1;
	if (loaded && ug_unload(victim.pid, NAME, &patient, NULL, &err) < 0) {
		snprintf(why, size, "unload: %s", err.message);
		return UNSETTLED;
	}
	return victim_compare(victim.pid, &before, VICTIM_CLEAN, why, size) < 0 ? UNSETTLED : NONE;
}

/* ---- the controller ---- */

/* Where the controller dies: before the n-th call, of all or of those that are one step. */
struct moment {
	unsigned long n;
	const char *step;	/* NULL: any */
	long nr;		/* 0: any */
	unsigned int run;	/* with a step: the way to prepare that was seen to lead to it */
};

/* killat OPTION... ugraft VERB ...; its exit status. */
static int run_killat(struct command *c, const char *const options[], const char *verb,
		      const char *max_pause)
{
	const char *argv[COMMAND_ARGS_MAX + 1] = { scenario_bin("tests/tools/killat"), "-p" };
	int n = 2;

	while (*options)
		argv[n++] = *options++;
	argv[n++] = scenario_bin("ugraft");
	argv[n++] = verb;
	argv[n++] = max_pause;
	if (strcmp(verb, "recover") != 0)
		argv[n++] = strcmp(verb, "load") == 0 ? patch : NAME;
	argv[n++] = pid_text;
	argv[n] = NULL;
	return command_run(c, argv);
}

static int kill_at(struct command *c, const struct moment *m, const char *verb)
{
	char number[24], nr[24];
	const char *any[] = { number, NULL };
	const char *one[] = { "-f", "-n", nr, number, NULL };
	const char *step[] = { "-f", "-n", nr, "-k", m->step, number, NULL };

	snprintf(number, sizeof(number), "%lu", m->n);
	snprintf(nr, sizeof(nr), "%ld", m->nr);
	return run_killat(c, m->step ? step : m->nr ? one : any, verb, "--max-pause=200ms");
}

static void must_load(void)
{
	struct ug_error err = { 0 };

	if (ug_load(victim.pid, patch, &patient, NULL, &err) < 0)
		scenario_die("load: %s", err.message);
}

/*
 * Before the commit, which is where recover goes back, and behind it. By stores to the target: how
 * many other calls are made before one is a matter of chance.
 */
static void leave_something(unsigned long stores_of_load, unsigned int trial)
{
	static const unsigned int parts[] = { 30, 45, 55, 65, 80, 92 };
	const struct moment at = {
		.n = stores_of_load * parts[trial % 6] / 100, .nr = SYS_pwrite64,
	};
	struct command c;

	(void)kill_at(&c, &at, "load");
}

static unsigned long number_at_end(struct command *c)
{
	char *at;

	while (c->len && c->output[c->len - 1] == '\n')
		c->output[--c->len] = 0;
	at = strrchr(c->output, '\n');
	return strtoul(at ? at + 1 : c->output, NULL, 10);
}

/* nr: of calls with that number, 0: of all. */
static unsigned long count_calls(const char *verb, long nr)
{
	char number[24];
	const char *any[] = { "-c", NULL };
	const char *one[] = { "-f", "-n", number, "-c", NULL };
	struct command c;

	snprintf(number, sizeof(number), "%ld", nr);
	if (run_killat(&c, nr ? one : any, verb, "--max-pause=200ms") != 0)
		scenario_die("killat -c %s: %s", verb, c.output);
	return number_at_end(&c);
}

/* What the verb finds, before it is counted or killed. */
static void prepare(const struct row *row, unsigned long stores_of_load, unsigned int trial)
{
	if (strcmp(row->verb, "unload") == 0)
		must_load();
	else if (strcmp(row->verb, "recover") == 0)
		leave_something(stores_of_load, trial);
	await_blocked(row);
}

/* ---- a trial ---- */

static void note(struct row *row, enum harm harm, const struct moment *at, const char *name,
		 const char *why)
{
	row->harms[harm]++;
	if (!row->first[0])
		snprintf(row->first, sizeof(row->first), "call %lu%s%s (%s): %s", at->n,
			 at->step ? " of step " : "", at->step ? at->step : "", name, why);
}

/* EINTR: one a thread, and only where there was a kill; never in a call the kernel resumes. */
static enum harm look_for_eintr(struct row *row, bool killed, char *why, size_t size)
{
	const char *answer;
	unsigned long worst;

	if (strcmp(row->kind, "signals") == 0)
		return NONE;
	await_blocked(row);
	answer = scenario_ask(&victim, "reset");
	worst = scenario_number(answer, "worst");
	row->interrupted += worst > 0;
	if ((worst <= killed || strcmp(row->kind, "forking") == 0) && !scenario_number(answer, "other"))
		return NONE;
	snprintf(why, size, "EINTR where there must be none: %s", answer);
	return SIGNAL;
}

/* True when the verb was over before its n-th call. */
static bool trial(struct row *row, unsigned long stores_of_load, const struct moment *at)
{
	char why[600] = "", name[64];
	struct command c;
	enum harm harm;
	bool died;
	int status;

	prepare(row, stores_of_load, at->step ? at->run : row->trials);
	(void)scenario_ask(&victim, "reset");
	status = kill_at(&c, at, row->verb);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(c.output, "\n"), c.output);
	row->trials++;
	row->killed += status == 0;
	/* On a busy machine also by its own watchdog. */
	died = status == 0 || strstr(c.output, "died of signal");
	harm = look(row, why, sizeof(why));
	if (!harm)
		harm = look_for_eintr(row, died, why, sizeof(why));
	if (!harm)
		harm = settle(row, why, sizeof(why));
	if (!harm)
		harm = look(row, why, sizeof(why));
	if (!harm)
		harm = look_for_eintr(row, false, why, sizeof(why));
	if (harm) {
		note(row, harm, at, name, why);
		stop_victim();
		start_victim(row);
	}
	return status != 0;
}

static unsigned long count_and_settle(struct row *row, const char *verb, long nr)
{
	unsigned long n = count_calls(verb, nr);
	char why[600] = "";

	if (settle(row, why, sizeof(why)))
		scenario_die("%s", why);
	return n;
}

static void count_row(struct row *row, unsigned long *ret_stores)
{
	bool load = strcmp(row->verb, "load") == 0, recover = strcmp(row->verb, "recover") == 0;

	*ret_stores = count_and_settle(row, "load", SYS_pwrite64);
	/* A recover finds more or less to do, or nothing: the least that is not nothing. */
	for (unsigned int i = 0; i < (recover ? 6 : 1); i++) {
		unsigned long n;

		if (!load)
			prepare(row, *ret_stores, i);
		n = count_and_settle(row, row->verb, 0);
		if (i == 0 || row->calls < 20 || (n >= 20 && n < row->calls))
			row->calls = n;
	}
	if (row->calls < 20)
		scenario_die("%s makes %lu system calls", row->verb, row->calls);
	row->old = row->new = 0;
}

/* ---- a row of steps ---- */

struct step {
	char id[17];
	long nr;
	unsigned long times;
	unsigned int run;	/* of the listing in which it was made that often */
};

static struct step steps[STEPS_MAX];
static size_t nsteps;

/*
 * Calls that change nothing but the controller: its memory, its descriptors (a death closes
 * them all), what it knows. Dying before one is the same as dying behind it.
 */
static bool is_inert(long nr)
{
	static const long inert[] = {
		SYS_read, SYS_pread64, SYS_openat, SYS_close, SYS_fstat, SYS_newfstatat, SYS_lseek,
		SYS_fcntl, SYS_futex, SYS_getdents64, SYS_readlinkat, SYS_brk, SYS_mmap, SYS_munmap,
		SYS_mprotect, SYS_madvise, SYS_prctl, SYS_poll, SYS_clock_nanosleep, SYS_sched_getparam,
		SYS_sched_getscheduler, SYS_recvfrom,
	};

	for (size_t i = 0; i < sizeof(inert) / sizeof(inert[0]); i++)
		if (inert[i] == nr)
			return true;
	return false;
}

static void add_step(const struct step *new)
{
	if (is_inert(new->nr))
		return;
	for (size_t i = 0; i < nsteps; i++)
		if (strcmp(steps[i].id, new->id) == 0) {
			if (new->times > steps[i].times)
				steps[i] = *new;
			return;
		}
	if (nsteps == STEPS_MAX)
		scenario_die("more than %d steps", STEPS_MAX);
	steps[nsteps++] = *new;
}

static void read_steps(const char *path, unsigned int run)
{
	char line[512];
	FILE *f = fopen(path, "re");
	struct step new = { .run = run };

	if (!f)
		scenario_die("%s: no list", path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%16s %ld %lu", new.id, &new.nr, &new.times) == 3)
			add_step(&new);
	fclose(f);
}

/* Of several runs: what there is to do differs, most of all for a recover. */
static void list_steps(struct row *row, unsigned long stores_of_load)
{
	char path[64], why[600] = "";
	const char *options[] = { "-l", path, "-c", NULL };
	struct command c;

	snprintf(path, sizeof(path), "/tmp/ugraft-steps-%d", getpid());
	nsteps = 0;
	for (unsigned int i = 0; i < 6; i++) {
		prepare(row, stores_of_load, i);
		/* Its stack is looked at before each call, which takes time. */
		if (run_killat(&c, options, row->verb, "--max-pause=2s") != 0)
			scenario_die("killat -l %s: %s", row->verb, c.output);
		read_steps(path, i);
		if (settle(row, why, sizeof(why)))
			scenario_die("%s", why);
	}
	unlink(path);
	if (nsteps < 10)
		scenario_die("%s has %zu steps", row->verb, nsteps);
	row->old = row->new = 0;
}

/*
 * A step that is not made in one run may be made in the next, which finds another thing to do;
 * nor is it made as often each time.
 */
static void until_killed(struct row *row, unsigned long stores_of_load, struct moment *at)
{
	for (unsigned int i = 0; i < 6; i++, at->run++)
		if (!trial(row, stores_of_load, at))
			return;
}

static void kill_step(struct row *row, unsigned long stores_of_load, const struct step *step)
{
	struct moment at = { .n = 1, .step = step->id, .nr = step->nr, .run = step->run };

	until_killed(row, stores_of_load, &at);
	at.n = step->times;
	at.run = step->run;
	if (at.n > 1)
		(void)trial(row, stores_of_load, &at);
}

static size_t common_divisor(size_t a, size_t b)
{
	return b ? common_divisor(b, a % b) : a;
}

/* All over the list, however soon it ends: by leaps of a length that comes to each of them. */
static void each_step(struct row *row, unsigned long stores_of_load)
{
	size_t at = 0, leap, jobs;
	double start;

	list_steps(row, stores_of_load);
	row->calls = nsteps;
	leap = nsteps * 5 / 8;
	while (common_divisor(nsteps, leap) != 1)
		leap--;
	jobs = stride ? (nsteps + stride - 1) / stride : nsteps;
	start = now_s();
	for (row->done = 0; row->done < jobs; row->done++, at = (at + leap) % nsteps) {
		if (seconds && now_s() - start > seconds)
			break;
		kill_step(row, stores_of_load, &steps[at]);
	}
}

/* ---- a row of calls ---- */

static unsigned long choose_stride(const struct row *row, double each_s)
{
	double room = seconds / each_s;

	if (stride)
		return stride;
	if (!seconds)
		return row->threads < 100 ? 1 : MANY_STRIDE;
	return room < 1 ? row->calls : (unsigned long)((double)row->calls / room) + 1;
}

static void each_call(struct row *row, unsigned long stores_of_load)
{
	struct moment at = { .n = 1 + row->calls / 2 };
	double start = now_s();

	/* The first trial tells what one takes. */
	(void)trial(row, stores_of_load, &at);
	row->stride = choose_stride(row, now_s() - start);
	/* How many calls it takes differs from time to time. */
	for (at.n = 1 + row->stride / 2; at.n < 4 * row->calls; at.n += row->stride)
		if (trial(row, stores_of_load, &at) && at.n > row->calls)
			break;
}

static void do_row(struct row *row)
{
	unsigned long stores_of_load;

	start_victim(row);
	count_row(row, &stores_of_load);
	if (by_steps)
		each_step(row, stores_of_load);
	else
		each_call(row, stores_of_load);
	stop_victim();
}

static bool harmless(const struct row *row)
{
	unsigned int all = 0;

	for (int i = NONE + 1; i < HARMS; i++)
		all += row->harms[i];
	/* What a recover finds to do, and how many calls that takes, is a matter of chance. */
	return all == 0 && (row->killed > 0 || strcmp(row->verb, "recover") == 0);
}

static void print_row(const struct row *row)
{
	printf("# | %s | %s | %d | %lu | %lu | %u | %u | %u | %u | %u | %u | %u | %u | %u | %u/%u |\n",
	       row->verb, row->kind, row->threads, row->calls,
	       by_steps ? row->done : row->stride, row->killed,
	       row->harms[DEAD], row->harms[STOPPED], row->harms[TRACED], row->harms[MIXED],
	       row->harms[STUCK], row->harms[SIGNAL], row->harms[UNSETTLED], row->interrupted,
	       row->old, row->new);
	if (row->first[0])
		printf("# first harm: %s\n", row->first);
	fflush(stdout);
}

static bool table(void)
{
	static const char *const verbs[] = { "load", "unload", "recover" };
	static const char *const kinds[] = { "computing", "blocked", "signals", "forking", "storm",
					     "unwinding" };
	static const int threads[] = { 1, 8, 100 };
	unsigned int nr = 0;
	bool good = true;

	printf("# | verb | target | threads | %s | killed | dead | stopped | traced | mixed | "
	       "stuck | signals | unsettled | EINTR | settled old/new |\n",
	       by_steps ? "steps | done" : "calls | each");
	for (size_t t = 0; t < 3; t++)
		for (size_t k = 0; k < 6; k++)
			for (size_t v = 0; v < 3; v++) {
				struct row row = { .verb = verbs[v], .kind = kinds[k],
						   .threads = threads[t] };

				if (threads[t] < min_threads || threads[t] > max_threads ||
				    (only_kind && strcmp(kinds[k], only_kind) != 0) ||
				    (only_verb && strcmp(verbs[v], only_verb) != 0))
					continue;
				do_row(&row);
				print_row(&row);
				printf("%sok %u - %s killed, %s, %d threads\n",
				       harmless(&row) ? "" : "not ", ++nr, row.verb, row.kind,
				       row.threads);
				fflush(stdout);
				good &= harmless(&row);
			}
	printf("1..%u\n", nr);
	return good;
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "st:k:g:n:o:v:")) != -1) {
		if (opt == 's')
			by_steps = true;
		else if (opt == 't')
			seconds = atof(optarg);
		else if (opt == 'k')
			stride = strtoul(optarg, NULL, 10);
		else if (opt == 'g')
			target_nice = atoi(optarg);
		else if (opt == 'o')
			only_kind = optarg;
		else if (opt == 'v')
			only_verb = optarg;
		else if (opt != 'n' || sscanf(optarg, "%d-%d", &min_threads, &max_threads) != 2)
			return 2;
	}
	patch = scenario_build(scenario_src("tests/scenarios/protocol_fix.c"),
			       scenario_bin("tests/victims/killed"), NULL);
	return table() ? 0 : 1;
}
