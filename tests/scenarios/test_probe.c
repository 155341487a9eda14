/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The probe: patches of tests/victims/probe.c are loaded, stacked, replaced, reversed, forced
 * and recovered at random, by controllers that are killed at random, while its threads look
 * for an activation that mixes versions.
 *
 *	scenario-probe [-s SEED] [-n ACTIVATIONS] [-t SECONDS] [-c] [-m] [-v]
 *
 * It ends when there were both so many activations and so many seconds. -m: a mix must be
 * found, for this is a program with a mistake in it (probe_*_mutant.c); seconds are the limit
 * then. -c: the victim with coroutines. -v: print each operation.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define FAMILIES 2
#define NPATCHES 12
#define PAUSE_US 500000
#define LONG_MS 30000

/* Number i + 1 is the generation of its versions. */
struct patch {
	char name[16];
	char *file;
	bool has[FAMILIES], replace;
};

static const char *const shapes[NPATCHES] = {
	"A", "A", "A", "AB", "AB", "AB", "B", "B", "Ar", "ABr", "ABr", "Br",
};

static struct {
	unsigned long seed, activations, seconds;
	bool contexts, large, mutant, verbose;
} args = { .activations = 2000000, .seconds = 40 };

static struct patch patches[NPATCHES];
static struct scenario_victim victim;
static struct victim_state before;
static struct command cmd;
static uint64_t random_state;
static bool just_forced;		/* somebody is inside what was left by force */

static struct {
	unsigned long operations, done, pending, reversed, refused, forced, kills, stops;
	unsigned long per_code[UG_E_END - UG_E_FIRST];
	unsigned long loads[FAMILIES];
	uint64_t max_pause_ns;
} count;

static unsigned long random_below(unsigned long n)
{
	random_state = random_state * 6364136223846793005UL + 1442695040888963407UL;
	return (random_state >> 33) % n;
}

/* What the registry says, for whoever has to understand a failure. */
static void print_status(void)
{
	struct ug_status *st;

	if (!victim.pid || ug_status(victim.pid, &st, NULL) < 0)
		return;
	for (size_t i = 0; i < st->npatches; i++)
		printf("# %s: state %d, order %u%s\n", st->patches[i].name, st->patches[i].state,
		       st->patches[i].order, st->patches[i].forced ? ", forced" : "");
	for (size_t i = st->nlog > 24 ? st->nlog - 24 : 0; i < st->nlog; i++)
		printf("# %s\n", st->log[i]);
	ug_status_free(st);
}

/* One point of TAP is all there is. */
static void end(bool ok, const char *why)
{
	printf("# seed %lu: %lu operations: %lu complete, %lu left running, %lu reversed, "
	       "%lu refused; %lu forced, %lu controllers killed, longest pause %.1f ms\n", args.seed,
	       count.operations, count.done, count.pending, count.reversed, count.refused,
	       count.forced, count.kills, (double)count.max_pause_ns / 1e6);
	for (int i = 1; i < UG_E_END - UG_E_FIRST; i++)
		if (count.per_code[i])
			printf("#   %s: %lu\n", ug_error_name(-(UG_E_FIRST + i)),
			       count.per_code[i]);
	if (!ok)
		print_status();
	printf("%sok 1 - seed %lu: %s\n", ok ? "" : "not ", args.seed, why);
	fflush(stdout);
	exit(ok ? 0 : 1);
}

/* ---- patches ---- */

static void write_source(const struct patch *p, const char *path, int gen)
{
	static const char *const funcs[FAMILIES] = { "abcde", "xy" };
	FILE *out = fopen(path, "w");

	if (!out)
		scenario_die("cannot write %s", path);
	fprintf(out, "#include <ugraft/patch.h>\n#include \"probe.h\"\n");
	for (int f = 0; f < FAMILIES; f++) {
		if (!p->has[f])
			continue;
		for (const char *c = funcs[f]; *c; c++)
			fprintf(out, "probe_fn new_%c;\n", *c);
		fprintf(out, "PROBE_VERSIONS_%c(new_, %d)\n", "AB"[f], gen);
		for (const char *c = funcs[f]; *c; c++)
			fprintf(out, "UG_FUNC(UG_EXE, probe_%c, new_%c);\n", *c, *c);
	}
	fprintf(out, "UG_PATCH(%s, .replace = %d, .unloadable = 1);\n", p->name, p->replace);
	fclose(out);
}

static void make_patches(const char *target)
{
	char path[512], flags[4200];

	(void)snprintf(flags, sizeof(flags), "-I%s", scenario_src("tests/victims"));
	for (int i = 0; i < NPATCHES; i++) {
		struct patch *p = &patches[i];

		(void)snprintf(p->name, sizeof(p->name), "p%d-%s", i + 1, shapes[i]);
		p->has[0] = strchr(shapes[i], 'A');
		p->has[1] = strchr(shapes[i], 'B');
		p->replace = strchr(shapes[i], 'r');
		(void)snprintf(path, sizeof(path), "%s/%s.c", scenario_dir(), p->name);
		write_source(p, path, i + 1);
		p->file = strdup(scenario_build(path, target, flags));
	}
}

static int patch_index(const char *name)
{
	for (int i = 0; i < NPATCHES; i++)
		if (strcmp(patches[i].name, name) == 0)
			return i;
	end(false, "a patch that is not ours");
	return -1;
}

/* ---- how it is ---- */

struct view {
	bool running, patching;
	int moving;			/* index of the patch of the transition */
	int listed[NPATCHES];		/* in force or in transition, oldest first */
	int nlisted;
};

static struct view look(void)
{
	struct view v = { .moving = -1 };
	struct ug_error err = { 0 };
	struct ug_status *st;
	int at[NPATCHES + 1] = { 0 };

	if (ug_status(victim.pid, &st, &err) < 0)
		end(false, err.message);
	v.running = st->in_transition;
	v.patching = st->transition_patching;
	if (v.running)
		v.moving = patch_index(st->transition_patch);
	for (size_t i = 0; i < st->npatches; i++)
		if (st->patches[i].order && st->patches[i].order <= NPATCHES)
			at[st->patches[i].order] = patch_index(st->patches[i].name) + 1;
	ug_status_free(st);
	for (int i = 1; i <= NPATCHES; i++)
		if (at[i])
			v.listed[v.nlisted++] = at[i] - 1;
	return v;
}

static int gen_of(int patch, int family)
{
	return patches[patch].has[family] ? patch + 1 : 0;
}

/* Between which generations a family moves, with this transition; false: it does not. */
static bool edge_of(const struct view *v, int family, int *from, int *to)
{
	int with = gen_of(v->moving, family), without = 0, at = 0;

	while (at < v->nlisted && v->listed[at] != v->moving)
		at++;
	for (int i = 0; i < at; i++)
		if (patches[v->listed[i]].has[family])
			without = v->listed[i] + 1;
	for (int i = at + 1; i < v->nlisted; i++)
		if (patches[v->listed[i]].has[family])
			return false;
	if (!with && !patches[v->moving].replace)
		return false;
	*from = v->patching ? without : with;
	*to = v->patching ? with : without;
	return *from != *to;
}

/* Who is inside now may see both sides of the running transition from here on. */
static void announce_force(void)
{
	struct view v = look();
	int from, to;

	for (int f = 0; v.running && f < FAMILIES; f++)
		if (edge_of(&v, f, &from, &to))
			(void)scenario_number(scenario_ask(&victim, "edge %d %d %d", f, from, to),
					      "edges");
}

/* ---- operations ---- */

/* What may happen, in this or that order, to whoever works on a busy process. */
static bool expected(int r)
{
	switch (-r) {
	case EBUSY:			/* the name of a patch that is left is taken */
	case UG_E_EXISTS:
	case UG_E_NO_PATCH:
	case UG_E_NO_TRANSITION:
	case UG_E_TRANSITION:
	case UG_E_LOCKED:		/* by a killed one's helper, which is on its way out */
	case UG_E_UNSTOPPABLE:
	case UG_E_TIMEOUT:
	case UG_E_REVERSED:
	case UG_E_STACK_BUSY:
	case UG_E_STACK_UNRELIABLE:
	case UG_E_NO_THREAD:
		return true;
	default:
		return false;
	}
}

static void note(int r, const struct ug_report *report, const struct ug_error *err)
{
	char why[640];

	count.operations++;
	count.forced += report->forced;
	if (report->max_pause_ns > count.max_pause_ns)
		count.max_pause_ns = report->max_pause_ns;
	if (r >= 0) {
		count.done += report->outcome != UG_PENDING;
		count.pending += report->outcome == UG_PENDING;
		return;
	}
	if (!expected(r)) {
		(void)snprintf(why, sizeof(why), "%s: %s", ug_error_name(r), err->message);
		end(false, why);
	}
	if (-r > UG_E_FIRST)
		count.per_code[-r - UG_E_FIRST]++;
	count.reversed += r == -UG_E_REVERSED;
	count.refused += r != -UG_E_REVERSED;
}

enum verb { LOAD, UNLOAD, WAIT, REVERSE, FORCE, RECOVER };

static const char *const verbs[] = { "load", "unload", "wait", "reverse", "force", "recover" };

struct operation {
	enum verb verb;
	int patch;
	unsigned int flags, ms;
};

static void tell(const struct operation *op, const char *how, int r, const char *detail)
{
	if (args.verbose)
		printf("# %s %s, flags %#x, %u ms%s: %d %.*s\n", verbs[op->verb],
		       op->verb <= UNLOAD ? patches[op->patch].name : "", op->flags, op->ms, how, r,
		       (int)strcspn(detail, "\n"), detail);
}

static void operate(const struct operation *op)
{
	struct ug_opts opts = {
		.sz = sizeof(opts), .timeout_ms = op->ms, .max_pause_us = PAUSE_US,
		.flags = op->flags,
	};
	struct ug_report report = { 0 };
	struct ug_error err = { 0 };
	int r = 0;

	switch (op->verb) {
	case LOAD:
		r = ug_load(victim.pid, patches[op->patch].file, &opts, &report, &err);
		break;
	case UNLOAD:
		r = ug_unload(victim.pid, patches[op->patch].name, &opts, &report, &err);
		break;
	case WAIT:
		r = ug_wait(victim.pid, NULL, &opts, &report, &err);
		break;
	case REVERSE:
		r = ug_reverse(victim.pid, NULL, &opts, &report, &err);
		break;
	case FORCE:
		r = ug_force(victim.pid, NULL, &opts, &report, &err);
		break;
	case RECOVER:
		r = ug_recover(victim.pid, &opts, &report, &err);
		break;
	}
	tell(op, "", r < 0 ? r : (int)report.outcome, err.message);
	note(r, &report, &err);
	for (int f = 0; op->verb == LOAD && r == 0 && f < FAMILIES; f++)
		count.loads[f] += patches[op->patch].has[f];
	if (op->verb == FORCE)
		just_forced = report.forced;
	else if (op->verb != LOAD)
		just_forced = false;
}

/* The same by the command line, killed when it makes one of its system calls. */
static void operate_killed(const struct operation *op)
{
	const char *argv[COMMAND_ARGS_MAX + 1];
	char number[16], pid[16], seconds[16], why[512];
	int n = 0, status;

	(void)snprintf(number, sizeof(number), "%lu",
		       1 + random_below(random_below(2) ? 4000 : 300));
	(void)snprintf(pid, sizeof(pid), "%d", victim.pid);
	(void)snprintf(seconds, sizeof(seconds), "%u.%03u", op->ms / 1000, op->ms % 1000);
	argv[n++] = scenario_bin("tests/tools/killat");
	argv[n++] = "-p";
	if (random_below(2)) {
		argv[n++] = "-w";
		argv[n++] = "ugraft-worker";
	}
	argv[n++] = number;
	argv[n++] = scenario_bin("ugraft");
	argv[n++] = verbs[op->verb];
	argv[n++] = "--max-pause=500ms";
	if (op->verb == FORCE)
		argv[n++] = "--i-accept-inconsistency";
	else if (op->verb != RECOVER) {
		argv[n++] = "-t";
		argv[n++] = seconds;
	}
	if (op->verb == LOAD)
		argv[n++] = patches[op->patch].file;
	else if (op->verb == UNLOAD)
		argv[n++] = patches[op->patch].name;
	argv[n++] = pid;
	argv[n] = NULL;
	status = command_run(&cmd, argv);
	tell(op, ", killed", status, cmd.output);
	count.operations++;
	count.kills += status == 0;
	if ((status != 0 && status != 3) || strstr(cmd.output, "Usage")) {
		(void)snprintf(why, sizeof(why), "killat %s: exit %d: %.300s", verbs[op->verb], status,
			       cmd.output);
		end(false, why);
	}
	if (victim_alive(victim.pid, why, sizeof(why)) < 0)
		end(false, why);
}

static struct operation choose(const struct view *v)
{
	static const unsigned int times[] = { 50, 300, 2000 };
	struct operation op = {
		.patch = (int)random_below(NPATCHES),
		.ms = times[random_below(3)],
		.flags = random_below(2) ? UG_OPT_NO_WAIT : random_below(2) ? UG_OPT_KEEP_ON_TIMEOUT : 0,
	};
	unsigned long dice = random_below(100);

	if (v->running) {
		op.verb = dice < 35 ? WAIT : dice < 65 ? REVERSE : dice < 92 ? FORCE :
			  dice < 95 ? RECOVER : LOAD;
		return op;
	}
	op.verb = dice < 60 ? LOAD : dice < 92 ? UNLOAD : RECOVER;
	if (op.verb == UNLOAD && v->nlisted)
		op.patch = v->listed[random_below((unsigned long)v->nlisted)];
	return op;
}

/* While somebody is inside what a force has left behind: the next one at once. */
static struct operation choose_after_force(const struct view *v)
{
	struct operation op = { .verb = v->running ? FORCE : LOAD, .ms = 300, .flags = UG_OPT_NO_WAIT };
	bool listed[NPATCHES] = { false };

	for (int i = 0; i < v->nlisted; i++)
		listed[v->listed[i]] = true;
	do {
		op.patch = (int)random_below(NPATCHES);
	} while (listed[op.patch] && v->nlisted < NPATCHES);
	return op;
}

static void one_operation(void)
{
	struct view v = look();
	struct operation op = just_forced && random_below(5) ? choose_after_force(&v) : choose(&v);

	if (op.verb == FORCE)
		announce_force();
	/* The mistake of a mutant is not in the program the command line runs. */
	if (!args.mutant && random_below(5) == 0)
		operate_killed(&op);
	else
		operate(&op);
	if (op.verb == FORCE)
		(void)scenario_number(scenario_ask(&victim, "closed"), "closed");
}

/* ---- the end ---- */

static bool any_left(void)
{
	struct ug_error err = { 0 };
	struct ug_status *st;
	bool left;

	if (ug_status(victim.pid, &st, &err) < 0)
		end(false, err.message);
	left = st->patched;
	ug_status_free(st);
	return left;
}

/* Everything taken back, everything dead released: as if nobody had been there. */
static void settle(void)
{
	struct operation op = { .ms = LONG_MS };
	char why[512];

	for (int i = 0; i < 200 && any_left(); i++) {
		struct view v = look();

		op.verb = v.running ? WAIT : v.nlisted ? UNLOAD : RECOVER;
		op.patch = v.nlisted ? v.listed[v.nlisted - 1] : 0;
		operate(&op);
	}
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		end(false, why);
}

static unsigned long elapsed_s(void)
{
	static time_t began;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!began)
		began = now.tv_sec;
	return (unsigned long)(now.tv_sec - began);
}

/* Every kind of thread must have had its share, every family its loads. */
static void check_kinds(const char *stat)
{
	static const char *const table[] = { "plain", "signal", "park", "storm", "clone", "step",
					     "gates", NULL };
	static const char *const contexts[] = { "plain", "coroutine", NULL };

	for (const char *const *k = args.contexts ? contexts : table; *k; k++)
		if (!scenario_number(stat, *k))
			end(false, *k);
	for (int f = 0; f < FAMILIES; f++)
		if (!count.loads[f])
			end(false, "no patch of one of the families could be loaded");
}

static void report_mixes(void)
{
	char text[3000];

	(void)snprintf(text, sizeof(text), "%s", scenario_ask(&victim, "mixes"));
	end(args.mutant, text);
}

static void probe(void)
{
	char text[3000];
	const char *stat;

	for (;;) {
		one_operation();
		stat = scenario_ask(&victim, "stat");
		if (scenario_number(stat, "mixed"))
			report_mixes();
		if (elapsed_s() >= args.seconds &&
		    (args.mutant || scenario_number(stat, "calls") >= args.activations))
			break;
	}
	if (args.mutant)
		end(false, "no mix was found, though there must be one");
	settle();
	(void)snprintf(text, sizeof(text), "%s", scenario_ask(&victim, "stat"));
	if (scenario_number(text, "mixed"))
		report_mixes();
	check_kinds(text);
	end(true, text);
}

static void parse(int argc, char **argv)
{
	const char *seed = getenv("UG_TEST_SEED");
	int opt;

	args.seed = seed ? strtoul(seed, NULL, 10) : (unsigned long)time(NULL);
	while ((opt = getopt(argc, argv, "s:n:t:clmv")) != -1) {
		if (opt == 's')
			args.seed = strtoul(optarg, NULL, 10);
		else if (opt == 'n')
			args.activations = strtoul(optarg, NULL, 10);
		else if (opt == 't')
			args.seconds = strtoul(optarg, NULL, 10);
		else if (opt == '?')
			scenario_die("usage: scenario-probe [-s SEED] [-n ACTIVATIONS] [-t SECONDS] "
				     "[-c [-l]] [-m] [-v]");
		args.contexts |= opt == 'c';
		args.large |= opt == 'l';
		args.mutant |= opt == 'm';
		args.verbose |= opt == 'v';
	}
	random_state = args.seed;
}

int main(int argc, char **argv)
{
	const char *target[3] = { NULL };
	char why[512];

	parse(argc, argv);
	printf("1..1\n# seed %lu\n", args.seed);
	fflush(stdout);
	target[0] = scenario_bin(args.contexts ? "tests/victims/probe-contexts" :
						 "tests/victims/probe");
	target[1] = args.large ? "large" : NULL;
	make_patches(target[0]);
	scenario_start(&victim, target);
	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		scenario_die("%s", why);
	(void)elapsed_s();
	probe();
	return 0;
}
