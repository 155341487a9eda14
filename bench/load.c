// SPDX-License-Identifier: GPL-2.0-or-later
/* How long do load and unload take, and what do they leave in the target? */
#include <math.h>

#include "bench.h"

#define WALL_BUDGET_MS 20
#define MEMORY_BUDGET_KIB 64

struct measured {
	struct bench_series load, unload;		/* ms, by the clock of the caller */
	struct bench_series load_stop, unload_stop;	/* ms, stopped in all */
	struct bench_series loaded, left;		/* KiB */
};

static double pause_ms(const struct ug_report *report)
{
	return (double)report->total_pause_ns / 1e6;
}

static void one_round(struct bench_victim *v, const char *file, const char *name,
		      struct measured *m)
{
	struct ug_opts opts = { .sz = sizeof(opts) };
	struct ug_report report;
	uint64_t start = bench_now();

	bench_load(v, file, &opts, UG_DONE, &report);
	bench_add(&m->load, (double)(bench_now() - start) / 1e6);
	bench_add(&m->load_stop, pause_ms(&report));
	bench_add(&m->loaded, (double)bench_mapped(v->pid) / 1024);
	start = bench_now();
	bench_unload(v, name, &opts, &report);
	bench_add(&m->unload, (double)(bench_now() - start) / 1e6);
	bench_add(&m->unload_stop, pause_ms(&report));
	bench_add(&m->left, (double)bench_mapped(v->pid) / 1024);
}

static void measure(const char *file, const char *name, unsigned int rounds, struct measured *m)
{
	static const char *const args[] = { NULL };
	struct bench_victim v;

	/* A process each: what an unload leaves does not count for the next. */
	for (unsigned int i = 0; i < rounds; i++) {
		bench_start(&v, "bench-victim-load", args, -1);
		bench_nap(20000000);
		one_round(&v, file, name, m);
		bench_stop(&v);
	}
}

static void tabulate(struct bench_table *t, const char *what, const struct bench_series *wall,
		     const struct bench_series *stop, const struct bench_series *memory)
{
	double *v = bench_row(t, "%s", what);

	v[0] = bench_median(wall);
	v[1] = bench_min(wall);
	v[2] = bench_max(wall);
	v[3] = bench_median(stop);
	v[4] = bench_median(memory);
}

int main(int argc, char **argv)
{
	static struct measured one, twenty;
	static struct bench_table t;
	struct bench_opts opts = { .rounds = 7 };

	bench_options(argc, argv, &opts);
	measure(bench_build("fix_load_1.c", "bench-victim-load"), "bench-load-1", opts.rounds, &one);
	measure(bench_build("fix_load_20.c", "bench-victim-load"), "bench-load-20", opts.rounds,
		&twenty);
	bench_table_init(&t, "load");
	bench_column(&t, "wall", "ms median");
	bench_column(&t, "min", "ms");
	bench_column(&t, "max", "ms");
	bench_column(&t, "stopped", "ms median");
	bench_column(&t, "mapped", "KiB after");
	tabulate(&t, "load, 1 function", &one.load, &one.load_stop, &one.loaded);
	tabulate(&t, "unload, 1 function", &one.unload, &one.unload_stop, &one.left);
	tabulate(&t, "load, 20 functions", &twenty.load, &twenty.load_stop, &twenty.loaded);
	tabulate(&t, "unload, 20 functions", &twenty.unload, &twenty.unload_stop, &twenty.left);
	bench_budget(&t, bench_median(&one.load), WALL_BUDGET_MS, "ms", "load of one function");
	bench_budget(&t, bench_median(&one.loaded), MEMORY_BUDGET_KIB, "KiB",
		     "memory of one function");
	bench_print(&t, &opts);
	return 0;
}
