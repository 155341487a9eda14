// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What does a call cost? The victim measures itself, before the load, after it, and while
 * the transition is kept open by threads that sit in a function of the patch.
 */
#include <math.h>
#include <stdlib.h>

#include "bench.h"
#include "gatecall.h"

#define WAIT_MS 300	/* then the transition is left open */
#define GATE_BUDGET_NS 4

static void sample(struct bench_victim *v, const char *what, unsigned int rounds,
		   struct bench_series *ret)
{
	ret->n = 0;
	for (unsigned int i = 0; i < rounds; i++)
		bench_add(ret, strtod(bench_ask(v, "%s", what), NULL));
}

/* The call's median; returns it. */
static double tabulate(struct bench_table *t, const char *label, const struct bench_series *s,
		       double unpatched)
{
	double *v = bench_row(t, "%s", label);

	v[0] = bench_median(s);
	v[1] = bench_min(s);
	v[2] = bench_max(s);
	if (unpatched > 0) {
		v[3] = v[0] - unpatched;
		v[4] = v[0] / unpatched;
	}
	return v[0];
}

static double steady(struct bench_table *t, const char *patch, unsigned int rounds)
{
	const char *const args[] = { "1", NULL };
	struct ug_opts opts = { .sz = sizeof(opts) };
	struct ug_report report;
	struct bench_series s = { 0 };
	struct bench_victim v;
	double unpatched;

	bench_start(&v, "bench-victim-call", args, -1);
	sample(&v, "control", rounds, &s);
	tabulate(t, "control, never patched", &s, 0);
	sample(&v, "time", rounds, &s);
	unpatched = tabulate(t, "unpatched", &s, 0);
	bench_load(&v, patch, &opts, UG_DONE, &report);
	sample(&v, "time", rounds, &s);
	tabulate(t, "patched", &s, unpatched);
	sample(&v, "control", rounds, &s);
	tabulate(t, "control, another one patched", &s, unpatched);
	bench_unload(&v, "bench-call", &opts, &report);
	sample(&v, "time", rounds, &s);
	tabulate(t, "unloaded", &s, unpatched);
	bench_stop(&v);
	return unpatched;
}

/* With a transition open: the main thread's calls, and those of a thread in its way. */
static void in_transition(struct bench_table *t, const char *parked, const char *patch,
			  unsigned int rounds, double unpatched)
{
	const char *const args[] = { parked, NULL };
	struct ug_opts opts = {
		.sz = sizeof(opts), .flags = UG_OPT_KEEP_ON_TIMEOUT, .timeout_ms = WAIT_MS,
	};
	struct ug_report report;
	struct bench_series s = { 0 };
	struct bench_victim v;
	char label[64];

	bench_start(&v, "bench-victim-call", args, -1);
	if (atoi(bench_ask(&v, "park")) != 0)
		bench_die("cannot start %s threads", parked);
	bench_load(&v, patch, &opts, UG_PENDING, &report);
	sample(&v, "time", rounds, &s);
	snprintf(label, sizeof(label), "transition, table of %s, not listed", parked);
	tabulate(t, label, &s, unpatched);
	sample(&v, "inside", rounds, &s);
	snprintf(label, sizeof(label), "transition, table of %s, listed", parked);
	tabulate(t, label, &s, unpatched);
	bench_stop(&v);
}

/* The gate alone, in this process: gatecall.h says why. */
static void alone(struct bench_table *t, unsigned int rounds)
{
	static const char *const labels[] = {
		[GATE_NONE] = "own function, no gate", [GATE_ALL] = "own gate, word ALL",
		[GATE_NULL] = "own gate, word NULL", [GATE_TABLE] = "own gate, table",
	};
	double none = 0;

	for (enum gate_word word = GATE_NONE; word <= GATE_TABLE; word++) {
		struct bench_series s = { 0 };
		double ns;

		for (unsigned int i = 0; i < rounds; i++)
			bench_add(&s, gatecall_time(word));
		ns = tabulate(t, labels[word], &s, none);
		if (word == GATE_NONE)
			none = ns;
		else if (word != GATE_TABLE)
			bench_budget(t, ns - none, GATE_BUDGET_NS, "ns", "%s, more",
				     labels[word]);
	}
}

int main(int argc, char **argv)
{
	struct bench_opts opts = { .rounds = 7 };
	static struct bench_table t;
	double unpatched, patched;
	const char *patch;

	bench_options(argc, argv, &opts);
	patch = bench_build("fix_call.c", "bench-victim-call");
	bench_table_init(&t, "call");
	bench_column(&t, "call", "ns median");
	bench_column(&t, "min", "ns");
	bench_column(&t, "max", "ns");
	bench_column(&t, "more", "ns");
	bench_column(&t, "ratio", "");
	unpatched = steady(&t, patch, opts.rounds);
	patched = t.rows[2].v[0];
	in_transition(&t, "1", patch, opts.rounds, unpatched);
	in_transition(&t, "200", patch, opts.rounds, unpatched);
	alone(&t, opts.rounds);
	/* One direct jump: two cycles at most where it is predicted. */
	bench_budget(&t, patched - unpatched, 1, "ns", "more when patched (one direct jump)");
	bench_print(&t, &opts);
	return 0;
}
