// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long does a running thread stand still? Each round loads and unloads a patch, stops
 * the same threads barely (bare.h), and looks as long without doing anything.
 */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "bare.h"
#include "bench.h"
#include "gaps.h"

enum what { IDLE, LOAD, UNLOAD, BARE, WHATS };

static const char *const what_names[WHATS] = { "nothing", "load", "unload", "bare" };

struct measured {
	struct bench_series longest, stopped, held;	/* ms, seen by the target */
	struct bench_series tracer;		/* ms, seen by the one who stops */
	struct bench_series stops, wall;
};

struct setting {
	unsigned int threads, spin;
	bool main_spins;
};

struct run {
	struct setting setting;
	struct bench_victim victim;
	struct share *share;
	const char *patch;
	struct measured measured[WHATS];
};

static void note(struct run *run, enum what what, uint64_t start, uint64_t tracer_ns,
		 unsigned int stops)
{
	struct measured *m = &run->measured[what];
	uint64_t end = bench_now();
	struct gaps gaps = gaps_between(run->share, run->setting.spin, start, end);

	bench_add(&m->longest, gaps.longest_ms);
	bench_add(&m->stopped, gaps.stopped_ms);
	bench_add(&m->held, gaps.held_ms);
	bench_add(&m->tracer, (double)tracer_ns / 1e6);
	bench_add(&m->stops, stops);
	bench_add(&m->wall, (double)(end - start) / 1e6);
}

static void one_round(struct run *run)
{
	struct ug_opts opts = { .sz = sizeof(opts) };
	struct ug_report report;
	uint64_t start = bench_now(), wall;

	bench_load(&run->victim, run->patch, &opts, UG_DONE, &report);
	wall = bench_now() - start;
	note(run, LOAD, start, report.max_pause_ns, report.stops);

	start = bench_now();
	bench_unload(&run->victim, "bench-pause", &opts, &report);
	note(run, UNLOAD, start, report.max_pause_ns, report.stops);

	start = bench_now();
	note(run, BARE, start, bare_stop(run->victim.pid), 1);

	/* As long as the load: a longer look sees more of what others do. */
	start = bench_now();
	bench_nap(wall);
	note(run, IDLE, start, 0, 0);
}

static void measure(struct run *run, unsigned int rounds)
{
	char threads[16], spin[16];
	const char *args[] = { threads, spin, run->setting.main_spins ? "1" : "0", NULL };
	int fd = gaps_share(&run->share);

	snprintf(threads, sizeof(threads), "%u", run->setting.threads);
	snprintf(spin, sizeof(spin), "%u", run->setting.spin);
	bench_start(&run->victim, "bench-victim-pause", args, fd);
	close(fd);
	bench_nap(50000000);
	for (unsigned int i = 0; i < rounds; i++)
		one_round(run);
	bench_stop(&run->victim);
}

static double above(double value, double floor)
{
	return value > floor ? value - floor : 0;
}

static void tabulate(struct bench_table *t, const struct run *run)
{
	const struct setting *s = &run->setting;

	for (enum what what = 0; what < WHATS; what++) {
		const struct measured *m = &run->measured[what];
		double *v = bench_row(t, "%u threads, %u%s: %s", s->threads, s->spin,
				      s->main_spins ? " with main" : "", what_names[what]);

		v[0] = bench_median(&m->longest);
		v[1] = bench_max(&m->longest);
		/* Nothing was looked at for as long as the load; a bare stop is shorter. */
		if (what == LOAD || what == UNLOAD)
			v[2] = above(v[0], bench_median(&run->measured[IDLE].longest));
		v[3] = bench_median(&m->stopped);
		v[4] = bench_max(&m->stopped);
		v[5] = bench_median(&m->held);
		v[6] = bench_max(&m->held);
		if (what != IDLE) {
			v[7] = bench_median(&m->tracer);
			v[8] = bench_max(&m->tracer);
			v[9] = bench_median(&m->stops);
		}
		v[10] = bench_median(&m->wall);
	}
}

static void compare(struct bench_table *t, const struct run *run)
{
	const char *with = run->setting.main_spins ? " (main spins)" : "";
	double load = bench_median(&run->measured[LOAD].held);
	double bare = bench_median(&run->measured[BARE].held);

	if (run->setting.threads == 8)
		bench_budget(t, load, bare, "ms", "8 threads held%s, against bare", with);
	if (run->setting.threads == 1000)
		bench_budget(t, load, 2, "ms", "1000 threads held%s", with);
	if (run->setting.threads == 1000)
		bench_budget(t, bench_median(&run->measured[LOAD].tracer), 1, "ms",
			     "1000 threads%s, as the controller reports it", with);
}

static void columns(struct bench_table *t)
{
	bench_table_init(t, "pause");
	bench_column(t, "gap", "ms median");
	bench_column(t, "gap max", "ms");
	bench_column(t, "above", "ms");
	bench_column(t, "stop", "ms median");
	bench_column(t, "stop max", "ms");
	bench_column(t, "held", "ms median");
	bench_column(t, "held max", "ms");
	bench_column(t, "tracer", "ms median");
	bench_column(t, "tracer max", "ms");
	bench_column(t, "stops", "");
	bench_column(t, "wall", "ms median");
}

int main(int argc, char **argv)
{
	static const struct setting settings[] = {
		{ 1, 1, true }, { 8, 2, false }, { 8, 2, true }, { 100, 2, false },
		{ 100, 2, true }, { 1000, 2, false }, { 1000, 2, true },
	};
	struct bench_opts opts = { .rounds = 7 };
	static struct bench_table table;
	const char *patch;

	bench_options(argc, argv, &opts);
	if (opts.spin > SHARE_SPINNERS)
		bench_die("at most %d threads can spin", SHARE_SPINNERS);
	patch = bench_build("fix_pause.c", "bench-victim-pause");
	columns(&table);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		static struct run run;

		/* A number of one's own: the second and third setting, with that number. */
		if (opts.threads && settings[i].threads != 8)
			continue;
		memset(&run, 0, sizeof(run));
		run.setting = settings[i];
		if (opts.threads)
			run.setting.threads = opts.threads;
		if (opts.spin)
			run.setting.spin = opts.spin;
		if (run.setting.spin >= run.setting.threads)
			run.setting.spin = run.setting.threads - !run.setting.main_spins;
		if (!run.setting.spin)
			continue;
		run.patch = patch;
		measure(&run, opts.rounds);
		tabulate(&table, &run);
		compare(&table, &run);
	}
	bench_print(&table, &opts);
	return 0;
}
