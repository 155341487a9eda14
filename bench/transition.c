// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How do the time to completion and the stops grow: with threads, functions, patches that are
 * stacked already, and the depth of stacks?
 */
#include <math.h>
#include <sys/resource.h>

#include "bench.h"

#define VICTIM "bench-victim-transition"

/* Doubling the size should not do more than double the time; the rest is noise. */
#define GROWTH_MAX 1.15

enum value { WALL, CPU, PAUSE, STOPPED, STOPS, VALUES };
/* More columns: the longest pause, and how much faster than its size a value has grown. */
enum { PAUSE_MAX = VALUES, GROWTH_WALL, GROWTH_CPU };

struct measured {
	struct bench_series v[VALUES];
};

/* The same at each size of a sweep. */
struct sweep {
	const char *what;
	unsigned int sizes[8];
	size_t n;
	struct measured at[8];
};

static struct bench_table table;
static const struct ug_opts defaults = { .sz = sizeof(defaults), .timeout_ms = 120000 };

/* ---- patches ---- */

/* `n` functions from number `first` on. */
static const char *write_patch(const char *name, unsigned int first, unsigned int n, bool replace)
{
	FILE *f = bench_write();

	fprintf(f, "UG_PATCH(%s, .replace = %d);\n", name, replace);
	for (unsigned int i = first; i < first + n; i++)
		fprintf(f,
			"int new_%03u(int x);\n"
			"int new_%03u(int x) { return x * %u; }\n"
			"UG_FUNC(UG_EXE, fn_%03u, new_%03u);\n",
			i, i, i + 3, i, i);
	return bench_build_text(f, VICTIM);
}

static const char *write_parked(void)
{
	FILE *f = bench_write();

	fprintf(f, "UG_PATCH(parked);\n"
		   "int new_parked(int x);\n"
		   "int new_parked(int x) { return x + 2; }\n"
		   "UG_FUNC(UG_EXE, parked, new_parked);\n");
	return bench_build_text(f, VICTIM);
}

/* ---- what is measured ---- */

static void start(struct bench_victim *v, unsigned int threads, unsigned int depth, bool stale)
{
	char number[2][16];
	const char *args[] = { number[0], number[1], stale ? "1" : "0", NULL };

	snprintf(number[0], sizeof(number[0]), "%u", threads);
	snprintf(number[1], sizeof(number[1]), "%u", depth);
	bench_start(v, VICTIM, args, -1);
	bench_nap(50000000);
}

/* Processor time of the controller, which is a child of its own: other work does not show. */
static double cpu_ms(void)
{
	static const int whose[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
	struct rusage usage;
	double sum = 0;

	for (size_t i = 0; i < sizeof(whose) / sizeof(whose[0]); i++) {
		getrusage(whose[i], &usage);
		sum += (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
		       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
	}
	return sum;
}

struct begin {
	uint64_t wall_ns;
	double cpu_ms;
};

static struct begin begin(void)
{
	return (struct begin){ bench_now(), cpu_ms() };
}

static void add(struct measured *m, const struct begin *from, const struct ug_report *report)
{
	bench_add(&m->v[WALL], (double)(bench_now() - from->wall_ns) / 1e6);
	bench_add(&m->v[CPU], cpu_ms() - from->cpu_ms);
	bench_add(&m->v[PAUSE], (double)report->max_pause_ns / 1e6);
	bench_add(&m->v[STOPPED], (double)report->total_pause_ns / 1e6);
	bench_add(&m->v[STOPS], report->stops);
}

static void load(struct bench_victim *v, const char *file, struct measured *m)
{
	struct ug_report report;
	struct begin from = begin();

	bench_load(v, file, &defaults, UG_DONE, &report);
	if (m)
		add(m, &from, &report);
}

static void unload(struct bench_victim *v, const char *name, struct measured *m)
{
	struct ug_report report;
	struct begin from = begin();

	bench_unload(v, name, &defaults, &report);
	if (m)
		add(m, &from, &report);
}

/* All threads are in the function when its transition begins; from when they leave. */
static void leave(struct bench_victim *v, const char *file, struct measured *m)
{
	struct ug_opts opts = defaults;
	struct ug_report report;
	struct ug_error err = { 0 };
	struct begin from;

	opts.flags = UG_OPT_NO_WAIT;
	bench_ask(v, "enter");
	bench_load(v, file, &opts, UG_PENDING, &report);
	bench_ask(v, "leave");
	from = begin();
	if (ug_wait(v->pid, NULL, &defaults, &report, &err) < 0 || report.outcome != UG_DONE)
		bench_die("wait: %s", err.message);
	add(m, &from, &report);
}

/* ---- the sweeps ---- */

static double growth(const struct sweep *s, size_t i, enum value k)
{
	double last = bench_median(&s->at[i].v[k]), before = bench_median(&s->at[i - 1].v[k]);

	return log(last / before) / log((double)s->sizes[i] / s->sizes[i - 1]);
}

static void sweep_print(const struct sweep *s)
{
	for (size_t i = 0; i < s->n; i++) {
		double *v = bench_row(&table, "%s: %u", s->what, s->sizes[i]);

		for (enum value k = 0; k < VALUES; k++)
			v[k] = bench_median(&s->at[i].v[k]);
		v[PAUSE_MAX] = bench_max(&s->at[i].v[PAUSE]);
		if (i == 0)
			continue;
		v[GROWTH_WALL] = growth(s, i, WALL);
		v[GROWTH_CPU] = growth(s, i, CPU);
	}
	bench_budget(&table, growth(s, s->n - 1, CPU), GROWTH_MAX, "exponent", "%s", s->what);
}

static void threads(unsigned int rounds, const char *one, const char *parked)
{
	static struct sweep sweeps[] = {
		{ "threads, load", { 1, 10, 100, 1000, 5000 }, 5, { { { { 0 } } } } },
		{ "threads, unload", { 1, 10, 100, 1000, 5000 }, 5, { { { { 0 } } } } },
		{ "threads, all must leave", { 1, 10, 100, 1000, 5000 }, 5, { { { { 0 } } } } },
	};
	struct bench_victim v;

	for (size_t i = 0; i < sweeps[0].n; i++) {
		start(&v, sweeps[0].sizes[i], 4, false);
		for (unsigned int n = 0; n < rounds; n++) {
			load(&v, one, &sweeps[0].at[i]);
			unload(&v, "one", &sweeps[1].at[i]);
			leave(&v, parked, &sweeps[2].at[i]);
			unload(&v, "parked", NULL);
		}
		bench_stop(&v);
	}
	for (size_t i = 0; i < sizeof(sweeps) / sizeof(sweeps[0]); i++)
		sweep_print(&sweeps[i]);
}

static void functions(unsigned int rounds)
{
	static struct sweep up = { "functions, load", { 1, 10, 100, 500 }, 4, { { { { 0 } } } } };
	static struct sweep down = { "functions, unload", { 1, 10, 100, 500 }, 4, { { { { 0 } } } } };
	struct bench_victim v;

	start(&v, 8, 4, false);
	for (size_t i = 0; i < up.n; i++) {
		const char *patch = write_patch("some", 0, up.sizes[i], false);

		for (unsigned int n = 0; n < rounds; n++) {
			load(&v, patch, &up.at[i]);
			unload(&v, "some", &down.at[i]);
		}
	}
	bench_stop(&v);
	sweep_print(&up);
	sweep_print(&down);
}

#define STACKED 100
#define OVERLAP 5	/* functions of a patch; the next begins one further */

static void patches(unsigned int rounds)
{
	static struct sweep up = { "patches, one more", { 1, 10, 50, 100 }, 4, { { { { 0 } } } } };
	static struct sweep down = { "patches, its unload", { 1, 10, 50, 100 }, 4, { { { { 0 } } } } };
	static struct sweep all = { "patches, replaced", { 1, 10, 50, 100 }, 4, { { { { 0 } } } } };
	const char *files[STACKED], *top = write_patch("top", 0, OVERLAP, false);
	const char *replace = write_patch("all", 0, OVERLAP, true);
	struct bench_victim v;
	char name[16];

	for (unsigned int i = 0; i < STACKED; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		files[i] = write_patch(name, i % 50, OVERLAP, false);
	}
	for (size_t i = 0; i < up.n; i++)
		for (unsigned int n = 0; n < rounds; n++) {
			start(&v, 8, 4, false);
			for (unsigned int k = 0; k < up.sizes[i]; k++)
				load(&v, files[k], NULL);
			load(&v, top, &up.at[i]);
			unload(&v, "top", &down.at[i]);
			load(&v, replace, &all.at[i]);
			bench_stop(&v);
		}
	sweep_print(&up);
	sweep_print(&down);
	sweep_print(&all);
}

/* What is on the stacks, and the same with a word that only unwinding can explain. */
static void depth(unsigned int rounds, const char *parked)
{
	static struct sweep sweeps[] = {
		{ "frames, scanned", { 10, 100, 1000, 10000 }, 4, { { { { 0 } } } } },
		{ "frames, unwound", { 10, 100, 1000, 10000 }, 4, { { { { 0 } } } } },
	};
	struct bench_victim v;

	for (size_t stale = 0; stale < 2; stale++) {
		struct sweep *s = &sweeps[stale];

		for (size_t i = 0; i < s->n; i++) {
			start(&v, 8, s->sizes[i], stale);
			for (unsigned int n = 0; n < rounds; n++) {
				load(&v, parked, &s->at[i]);
				unload(&v, "parked", NULL);
			}
			bench_stop(&v);
		}
		sweep_print(s);
	}
}

int main(int argc, char **argv)
{
	struct bench_opts opts = { .rounds = 5 };
	const char *one, *parked;

	bench_options(argc, argv, &opts);
	bench_table_init(&table, "transition");
	bench_column(&table, "wall", "ms median");
	bench_column(&table, "cpu", "ms median");
	bench_column(&table, "pause", "ms median");
	bench_column(&table, "stopped", "ms median");
	bench_column(&table, "stops", "");
	bench_column(&table, "pause max", "ms");
	bench_column(&table, "growth", "of wall");
	bench_column(&table, "growth", "of cpu");
	one = write_patch("one", 0, 1, false);
	parked = write_parked();
	threads(opts.rounds, one, parked);
	functions(opts.rounds);
	patches(opts.rounds);
	depth(opts.rounds, parked);
	bench_print(&table, &opts);
	return 0;
}
