/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/stacked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What must come to an end gets as long as a busy machine takes. */
#define LONG_MS 30000
#define SHORT_MS 200
#define POLLS 300
#define PATCHES_MAX 64

/* What is tested is who waits for whom, not how soon a busy machine stops its threads. */
#define PAUSE_US 500000

void stacked_start(struct stacked *s, unsigned int hot)
{
	char n[16], why[512];
	const char *argv[] = { scenario_bin("tests/victims/stacked"), n, NULL };

	memset(s, 0, sizeof(*s));
	s->hot = hot;
	(void)snprintf(n, sizeof(n), "%u", hot);
	scenario_start(&s->v, argv);
	if (victim_snapshot(s->v.pid, &s->before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

void stacked_stop(struct stacked *s)
{
	char why[512];
	int r = victim_compare(s->v.pid, &s->before, VICTIM_CLEAN, why, sizeof(why));

	/* Its hot threads would be in the way of the next one. */
	victim_state_free(&s->before);
	scenario_stop(&s->v);
	if (r < 0)
		fail_msg("%s", why);
}

/* ---- patches ---- */

static const char *module(void)
{
	return "stacked-mod.so";
}

static void write_source(const char *path, const char *name, int version, const char *funcs,
			 bool replace)
{
	FILE *out = fopen(path, "w");

	if (!out)
		scenario_die("cannot write %s", path);
	fprintf(out, "#include <ugraft/patch.h>\n#include \"stacked.h\"\n");
	for (const char *c = funcs; *c; c++)
		fprintf(out, "STACKED_%s(new_%c, %d)\nUG_FUNC(\"%s\", %c, new_%c);\n",
			*c == 'f' ? "CALLER" : "LEAF", *c, version, *c == 'm' ? module() : "", *c,
			*c);
	fprintf(out, "UG_PATCH(%s, .replace = %d, .unloadable = 1);\n", name, replace);
	fclose(out);
}

static const char *build_patch(const char *source)
{
	char victim[4200], library[4200], flags[4200];
	const char *targets[] = { victim, library };

	(void)snprintf(victim, sizeof(victim), "%s", scenario_bin("tests/victims/stacked"));
	(void)snprintf(library, sizeof(library), "%s/%s", scenario_bin("tests/victims"), module());
	(void)snprintf(flags, sizeof(flags), "-I%s", scenario_src("tests/victims"));
	return scenario_build_for(source, targets, 2, flags);
}

const char *stacked_patch(const char *name, int version, const char *funcs, bool replace)
{
	static struct {
		char source[128], patch[128];
	} built[PATCHES_MAX];
	static size_t n;
	char source[128];

	(void)snprintf(source, sizeof(source), "%s/%s-%d%s%s.c", scenario_dir(), name, version, funcs,
		       replace ? "-r" : "");
	for (size_t i = 0; i < n; i++)
		if (strcmp(built[i].source, source) == 0)
			return built[i].patch;
	if (n == PATCHES_MAX)
		scenario_die("more patches than expected");
	write_source(source, name, version, funcs, replace);
	(void)snprintf(built[n].source, sizeof(source), "%s", source);
	(void)snprintf(built[n].patch, sizeof(built[n].patch), "%s", build_patch(source));
	return built[n++].patch;
}

/* ---- calls ---- */

static void keep_line(int level, const char *line, void *ctx)
{
	static const char prefix[] = "livepatch: ";
	struct stacked *s = ctx;

	if (strncmp(line, prefix, sizeof(prefix) - 1) != 0)
		return;
	if (s->nlog == STACKED_LOG_MAX || s->nhistory == STACKED_LOG_MAX)
		scenario_die("more log lines than expected");
	(void)snprintf(s->log[s->nlog++], sizeof(s->log[0]), "%s", line + sizeof(prefix) - 1);
	(void)snprintf(s->history[s->nhistory++], sizeof(s->log[0]), "%s", line + sizeof(prefix) - 1);
}

static struct ug_opts options(struct stacked *s, unsigned int ms, unsigned int flags)
{
	memset(&s->report, 0, sizeof(s->report));
	memset(&s->err, 0, sizeof(s->err));
	return (struct ug_opts){
		.sz = sizeof(struct ug_opts), .timeout_ms = ms, .max_pause_us = PAUSE_US,
		.flags = flags, .log = keep_line, .ctx = s,
	};
}

int stacked_load(struct stacked *s, const char *patch, unsigned int ms, unsigned int flags)
{
	struct ug_opts opts = options(s, ms, flags);

	return ug_load(s->v.pid, patch, &opts, &s->report, &s->err);
}

int stacked_unload(struct stacked *s, const char *name, unsigned int ms, unsigned int flags)
{
	struct ug_opts opts = options(s, ms, flags);

	return ug_unload(s->v.pid, name, &opts, &s->report, &s->err);
}

int stacked_wait(struct stacked *s, unsigned int ms)
{
	struct ug_opts opts = options(s, ms, 0);

	return ug_wait(s->v.pid, NULL, &opts, &s->report, &s->err);
}

int stacked_reverse(struct stacked *s)
{
	struct ug_opts opts = options(s, LONG_MS, 0);

	return ug_reverse(s->v.pid, NULL, &opts, &s->report, &s->err);
}

int stacked_force(struct stacked *s, const char *name)
{
	struct ug_opts opts = options(s, LONG_MS, 0);

	return ug_force(s->v.pid, name, &opts, &s->report, &s->err);
}

int stacked_recover(struct stacked *s)
{
	struct ug_opts opts = options(s, LONG_MS, 0);

	return ug_recover(s->v.pid, &opts, &s->report, &s->err);
}

static void must(struct stacked *s, int r, enum ug_outcome outcome, const char *what,
		 const char *which)
{
	if (r < 0)
		fail_msg("%s %s: %s", what, which, s->err.message);
	if (s->report.outcome != outcome)
		fail_msg("%s %s: outcome %d instead of %d", what, which, s->report.outcome, outcome);
}

void stacked_enable(struct stacked *s, const char *patch)
{
	must(s, stacked_load(s, patch, LONG_MS, 0), UG_DONE, "load", patch);
}

void stacked_disable(struct stacked *s, const char *name)
{
	must(s, stacked_unload(s, name, LONG_MS, 0), UG_DONE, "unload", name);
}

void stacked_complete(struct stacked *s)
{
	must(s, stacked_wait(s, LONG_MS), UG_DONE, "wait", "");
}

void stacked_begin_enable(struct stacked *s, const char *patch)
{
	must(s, stacked_load(s, patch, LONG_MS, UG_OPT_NO_WAIT), UG_PENDING, "load", patch);
}

void stacked_begin_disable(struct stacked *s, const char *name)
{
	must(s, stacked_unload(s, name, LONG_MS, UG_OPT_NO_WAIT), UG_PENDING, "unload", name);
}

void stacked_begin_reverse(struct stacked *s)
{
	struct ug_opts opts = options(s, LONG_MS, UG_OPT_NO_WAIT);

	must(s, ug_reverse(s->v.pid, NULL, &opts, &s->report, &s->err), UG_PENDING, "reverse", "");
}

void stacked_must_force(struct stacked *s, unsigned int asleep)
{
	/* Hot threads that are just inside would be forced, too. */
	stacked_expect_pending(s, asleep);
	must(s, stacked_force(s, NULL), UG_DONE, "force", "");
	if (s->report.forced != asleep)
		fail_msg("%u threads were forced instead of %u", s->report.forced, asleep);
}

static bool any_left(struct stacked *s)
{
	struct ug_status *st;
	bool left = false;

	if (ug_status(s->v.pid, &st, &s->err) < 0)
		fail_msg("status: %s", s->err.message);
	for (size_t i = 0; i < st->npatches; i++)
		left |= st->patches[i].state == UG_PATCH_LEFT;
	ug_status_free(st);
	return left;
}

void stacked_drain(struct stacked *s)
{
	for (int i = 0; i < 100; i++) {
		if (stacked_recover(s) < 0)
			fail_msg("recover: %s", s->err.message);
		if (!any_left(s))
			return;
	}
	fail_msg("what is dead is not released");
}

/* ---- the log ---- */

static const struct {
	const char *token, *format;	/* the format has the patch's name, or nothing */
} lines[] = {
	{ "EN", "enabling patch '%s'" },
	{ "IP", "'%s': initializing patching transition" },
	{ "IU", "'%s': initializing unpatching transition" },
	{ "SP", "'%s': starting patching transition" },
	{ "SU", "'%s': starting unpatching transition" },
	{ "CP", "'%s': completing patching transition" },
	{ "CU", "'%s': completing unpatching transition" },
	{ "PC", "'%s': patching complete" },
	{ "UC", "'%s': unpatching complete" },
	{ "RU", "'%s': reversing transition from patching to unpatching" },
	{ "RP", "'%s': reversing transition from unpatching to patching" },
	{ "FP", "failed to patch object '%s'" },
	{ "FE", "failed to enable patch '%s'" },
	{ "CAN", "'%s': canceling patching transition, going to unpatch" },
	{ "FO", "forcing remaining tasks to the patched state" },
};

static const struct {
	const char *token, *all;
} sequences[] = {
	{ "PATCH", "EN IP SP CP PC" },
	{ "UNPATCH", "IU SU CU UC" },
};

static void expect_line(struct stacked *s, size_t *at, const char *token, const char *name)
{
	char want[128] = "";

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const char *slot = strstr(lines[i].format, "%s");

		if (strcmp(lines[i].token, token) != 0)
			continue;
		if (slot)
			(void)snprintf(want, sizeof(want), "%.*s%s%s", (int)(slot - lines[i].format),
				       lines[i].format, name, slot + 2);
		else
			(void)snprintf(want, sizeof(want), "%s", lines[i].format);
	}
	if (!want[0])
		scenario_die("no line is called %s", token);
	if (*at >= s->nlog)
		fail_msg("the log ends before: %s", want);
	if (strcmp(s->log[*at], want) != 0)
		fail_msg("log line %zu is: %s\ninstead of: %s", *at, s->log[*at], want);
	(*at)++;
}

static void expect_token(struct stacked *s, size_t *at, char *token)
{
	char *name = strchr(token, ':'), *save, *copy;

	if (name)
		*name++ = 0;
	for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
		if (strcmp(sequences[i].token, token) != 0)
			continue;
		copy = strdup(sequences[i].all);
		for (char *t = strtok_r(copy, " ", &save); t; t = strtok_r(NULL, " ", &save))
			expect_line(s, at, t, name);
		free(copy);
		return;
	}
	expect_line(s, at, token, name ? name : "");
}

void stacked_expect_log(struct stacked *s, const char *tokens)
{
	char *copy = strdup(tokens), *save;
	size_t at = 0;

	for (char *t = strtok_r(copy, " ", &save); t; t = strtok_r(NULL, " ", &save))
		expect_token(s, &at, t);
	free(copy);
	if (at < s->nlog)
		fail_msg("the log goes on: %s", s->log[at]);
	s->nlog = 0;
}

/* Each line of the ring is "SECONDS text". */
void stacked_expect_ring(struct stacked *s)
{
	struct ug_status *st;

	if (ug_status(s->v.pid, &st, &s->err) < 0)
		fail_msg("status: %s", s->err.message);
	if (st->nlog != s->nhistory)
		fail_msg("%zu lines are kept in the process instead of %zu", st->nlog, s->nhistory);
	for (size_t i = 0; i < st->nlog; i++) {
		const char *text = strchr(st->log[i], ' ');

		if (!text || strcmp(text + 1, s->history[i]) != 0)
			fail_msg("line %zu kept in the process: '%s' instead of '%s'", i, st->log[i],
				 s->history[i]);
	}
	ug_status_free(st);
}

/* ---- seats ---- */

static void ask(struct stacked *s, const char *verb, unsigned int seat, char func, int version,
		int below)
{
	const char *answer = func ? scenario_ask(&s->v, "%s %u %c", verb, seat, func) :
				    scenario_ask(&s->v, "%s %u", verb, seat);

	if (scenario_number(answer, "version") != (unsigned long)version ||
	    (below >= 0 && scenario_number(answer, "below") != (unsigned long)below))
		fail_msg("%s %u %c: '%s' instead of version %d, below %d", verb, seat,
			 func ? func : '-', answer, version, below);
}

void stacked_call(struct stacked *s, unsigned int seat, char func, int version, int below)
{
	ask(s, "call", seat, func, version, func == 'f' ? below : -1);
}

void stacked_enter(struct stacked *s, unsigned int seat, char func, int version)
{
	ask(s, "enter", seat, func, version, -1);
}

void stacked_nest(struct stacked *s, unsigned int seat, char func, int version)
{
	ask(s, "nest", seat, func, version, -1);
}

void stacked_again(struct stacked *s, unsigned int seat, int version)
{
	ask(s, "again", seat, 0, version, -1);
}

void stacked_swap(struct stacked *s, unsigned int seat, char func, int version)
{
	ask(s, "swap", seat, func, version, -1);
}

void stacked_spawn(struct stacked *s, unsigned int seat, char func, int version)
{
	ask(s, "spawn", seat, func, version, -1);
}

void stacked_exit(struct stacked *s, unsigned int seat)
{
	(void)scenario_ask(&s->v, "exit %u", seat);
}

unsigned long stacked_count(struct stacked *s, const char *what)
{
	return scenario_number(scenario_ask(&s->v, "stat"), what);
}

void stacked_leave(struct stacked *s, unsigned int seat, int version, int below)
{
	ask(s, "leave", seat, 0, version, below);
}

/* ---- how it is ---- */

static const char *state_name(enum ug_patch_state state)
{
	switch (state) {
	case UG_PATCH_ENABLED:
		return "";
	case UG_PATCH_PATCHING:
		return ":patching";
	case UG_PATCH_UNPATCHING:
		return ":unpatching";
	case UG_PATCH_PREPARED:
		return ":prepared";
	case UG_PATCH_LEFT:
		return ":left";
	case UG_PATCH_PINNED:
		return ":pinned";
	}
	return ":?";
}

static void describe(const struct ug_status *st, bool listed, char *buf, size_t size)
{
	for (size_t i = 0; i < st->npatches; i++) {
		const struct ug_patch_status *p = &st->patches[i];
		size_t n = strlen(buf);

		if ((p->order != 0) != listed)
			continue;
		(void)snprintf(buf + n, size - n, "%s%s%s%s%s%s", n ? " " : "", listed ? "" : "(",
			       p->name, state_name(p->state), p->forced ? ":forced" : "",
			       listed ? "" : ")");
	}
}

void stacked_expect_patches(struct stacked *s, const char *expected)
{
	struct ug_status *st;
	char is[1024] = "";

	if (ug_status(s->v.pid, &st, &s->err) < 0)
		fail_msg("status: %s", s->err.message);
	describe(st, true, is, sizeof(is));
	describe(st, false, is, sizeof(is));
	ug_status_free(st);
	if (strcmp(is, expected) != 0)
		fail_msg("patches are '%s' instead of '%s'", is, expected);
}

static unsigned int pending(struct stacked *s)
{
	struct ug_status *st;
	unsigned int n;

	if (ug_status(s->v.pid, &st, &s->err) < 0)
		fail_msg("status: %s", s->err.message);
	n = st->pending_threads;
	if (!st->in_transition)
		fail_msg("no transition is running");
	ug_status_free(st);
	return n;
}

void stacked_expect_pending(struct stacked *s, unsigned int n)
{
	unsigned int now = 0;

	for (int i = 0; i < POLLS; i++) {
		must(s, stacked_wait(s, SHORT_MS), UG_PENDING, "wait", "");
		now = pending(s);
		if (now < n)
			fail_msg("only %u threads wait instead of %u", now, n);
		if (now == n)
			return;
	}
	fail_msg("%u threads wait instead of %u", now, n);
}
