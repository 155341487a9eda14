// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What do the users of a server notice while patches come and go? Request latency of real
 * servers, in phases that take turns: without ugraft, with a load a minute, with a hundred,
 * with a hundred by a controller that leaves the processor to the server (nice 10), and with a
 * hundred a minute into another instance, which nobody asks: what the controller takes of the
 * processors, without what it does to the server.
 */
#include <math.h>
#include <string.h>
#include <sys/resource.h>

#include "bench.h"
#include "paced.h"
#include "server.h"

#define CONNECTIONS 16
#define WARM_UP_NS 500000000U
#define CAPACITY_NS 2000000000U
#define CONNECT_NS 200000000U

enum { NONE, SELDOM, OFTEN, NICE, ELSEWHERE, SETTINGS };

static const struct {
	const char *name;
	double period;		/* of loads, in seconds; 0: none */
	int nice;		/* of the controller */
} settings[SETTINGS] = {
	{ "none", 0, 0 },
	{ "1 a minute", 60, 0 },
	{ "100 a minute", 0.6, 0 },
	{ "100, nice", 0.6, 10 },
	{ "100 elsewhere", 0.6, 0 },
};

enum { P50, P99, P999, MAX, QUANTITIES };

static const char *const quantities[QUANTITIES] = { "p50", "p99", "p99.9", "max" };

struct measured {
	double clock;		/* measured until now, in seconds: see changes_until() */
	struct bench_series us[QUANTITIES], ratio[QUANTITIES];
	uint64_t requests, errors, new_;
	unsigned int loads, refused;
	double stop_ms;
};

/* The server at hand. */
struct subject {
	struct server server, elsewhere;
	const char *file;
	double rate;
	bool loaded;
	struct measured m[SETTINGS];
};

/* ---- loads ---- */

/* The worker that does it inherits it, and has real-time priority during a stop all the same. */
static void be_nice(int nice)
{
	if (setpriority(PRIO_PROCESS, 0, nice) < 0)
		bench_die("cannot set the priority to %d: it takes root to come back", nice);
}

/* False: refused, and the process is as before. */
static bool change_one(struct subject *s, pid_t pid, bool load, struct ug_report *report)
{
	struct ug_opts opts = { .sz = sizeof(opts) };
	struct ug_error err = { 0 };
	int r = load ? ug_load(pid, s->file, &opts, report, &err) :
		ug_unload(pid, s->server.kind->patch, &opts, report, &err);

	/* Taken back in the one process, refused by the other, and now tried again. */
	if (r == 0 || (!load && r == -UG_E_NO_PATCH))
		return true;
	fprintf(stderr, "%s: %s: %s\n", s->server.kind->name, load ? "load" : "unload", err.message);
	return false;
}

static bool change(struct subject *s, int setting, bool load, struct measured *m)
{
	const struct server *to = setting == ELSEWHERE ? &s->elsewhere : &s->server;
	bool done = true;

	be_nice(settings[setting].nice);
	for (unsigned int i = 0; i < to->nserving; i++) {
		struct ug_report report = { 0 };
		double stop;

		done = change_one(s, to->serving[i], load, &report) && done;
		stop = (double)report.max_pause_ns / 1e6;
		m->stop_ms = stop > m->stop_ms ? stop : m->stop_ms;
	}
	be_nice(0);
	s->loaded = load;
	return done;
}

/* Between phases: it has to succeed, and does not count. */
static void bring_to(struct subject *s, int setting, bool load)
{
	struct measured ignored = { 0 };

	for (int i = 0; s->loaded != load; i++) {
		if (change(s, setting, load, &ignored))
			break;
		if (i == 10)
			bench_die("%s cannot be brought back", s->server.kind->name);
		s->loaded = !load;
		bench_nap(100000000);
	}
}

/*
 * A setting has a clock of its own, which stands still while the others are measured: its
 * phases, put together, show each minute as it would be without the others. The n'th change
 * of the clock is at a quarter of the period, and then every half: even ones are loads.
 */
static long changes_until(double clock, double period)
{
	return (long)floor((clock - period / 4) / (period / 2)) + 1;
}

static double change_at(long n, double period)
{
	return period / 4 + (double)n * period / 2;
}

static bool patched_at(double clock, double period)
{
	return period > 0 && changes_until(clock, period) % 2 != 0;
}

static void sleep_until(uint64_t then)
{
	uint64_t now = bench_now();

	if (then > now)
		bench_nap(then - now);
}

/* The changes that fall into the phase; one that is late moves those behind it. */
static void make_changes(struct subject *s, int setting, uint64_t from, unsigned int seconds)
{
	struct measured *m = &s->m[setting];
	double period = settings[setting].period, end = m->clock + seconds;

	if (!(period > 0))
		return;
	for (long n = changes_until(m->clock, period); change_at(n, period) < end; n++) {
		bool load = n % 2 == 0;

		sleep_until(from + (uint64_t)((change_at(n, period) - m->clock) * 1e9));
		if (bench_now() >= from + seconds * UINT64_C(1000000000))
			break;
		if (!change(s, setting, load, m))
			m->refused++;
		else
			m->loads += load;
	}
}

/* ---- phases ---- */

static void plan(struct paced_plan *p, const struct subject *s, double rate, uint64_t ns)
{
	*p = (struct paced_plan){
		.protocol = &s->server.kind->protocol, .port = s->server.port,
		.connections = CONNECTIONS, .rate = rate, .start = bench_now() + CONNECT_NS,
	};
	p->from = p->start + WARM_UP_NS;
	p->until = p->from + ns;
}

/* As many as it takes from clients that wait for each answer; what is measured is half. */
static void find_rate(struct subject *s)
{
	static struct paced_result result;
	struct paced_plan p;
	struct paced load;

	plan(&p, s, 0, CAPACITY_NS);
	paced_start(&load, &p);
	paced_end(&load, &result);
	if (result.errors || result.latency.n < 100)
		bench_die("%s under full load: %s", s->server.kind->name,
			  result.errors ? result.why : "hardly any answers");
	s->rate = (double)result.latency.n * 1e9 / CAPACITY_NS / 2;
	fprintf(stderr, "%s: %.0f requests a second, half of what it takes\n",
		s->server.kind->name, s->rate);
}

static void keep(struct subject *s, int setting, const struct paced_result *result,
		 double us[QUANTITIES])
{
	struct measured *m = &s->m[setting];

	us[P50] = (double)histogram_percentile(&result->latency, 50) / 1e3;
	us[P99] = (double)histogram_percentile(&result->latency, 99) / 1e3;
	us[P999] = (double)histogram_percentile(&result->latency, 99.9) / 1e3;
	us[MAX] = (double)result->latency.max / 1e3;
	for (int q = 0; q < QUANTITIES; q++)
		bench_add(&m->us[q], us[q]);
	m->requests += result->latency.n;
	m->errors += result->errors;
	m->new_ += result->new_;
	if (result->errors)
		fprintf(stderr, "%s, %s: %s\n", s->server.kind->name, settings[setting].name,
			result->why);
}

static void phase(struct subject *s, int setting, unsigned int seconds, double us[QUANTITIES])
{
	static struct paced_result result;
	struct paced_plan p;
	struct paced load;

	bring_to(s, setting, patched_at(s->m[setting].clock, settings[setting].period));
	plan(&p, s, s->rate, seconds * UINT64_C(1000000000));
	paced_start(&load, &p);
	make_changes(s, setting, p.from, seconds);
	paced_end(&load, &result);
	s->m[setting].clock += seconds;
	bring_to(s, setting, false);
	keep(s, setting, &result, us);
}

static void one_round(struct subject *s, unsigned int round, unsigned int seconds)
{
	double us[SETTINGS][QUANTITIES];

	/* Another one first each time: who comes after what must not matter. */
	for (unsigned int i = 0; i < SETTINGS; i++) {
		int setting = (int)((round + i) % SETTINGS);

		phase(s, setting, seconds, us[setting]);
	}
	for (int setting = 0; setting < SETTINGS; setting++)
		for (int q = 0; q < QUANTITIES; q++)
			bench_add(&s->m[setting].ratio[q], us[setting][q] / us[NONE][q]);
}

/* ---- the result ---- */

static void add_columns(struct bench_table *t)
{
	for (int q = 0; q < QUANTITIES; q++)
		bench_column(t, quantities[q], "us");
	bench_column(t, "worst", "us");
	for (int q = 0; q < QUANTITIES; q++)
		bench_column(t, quantities[q], "of none");
	bench_column(t, "requests", "count");
	bench_column(t, "errors", "count");
	bench_column(t, "patched", "%");
	bench_column(t, "loads", "count");
	bench_column(t, "refused", "count");
	bench_column(t, "stop", "ms max");
}

static void tabulate(struct bench_table *t, const struct subject *s)
{
	for (int setting = 0; setting < SETTINGS; setting++) {
		const struct measured *m = &s->m[setting];
		double *v = bench_row(t, "%s, %s", s->server.kind->name, settings[setting].name);

		for (int q = 0; q < QUANTITIES; q++) {
			v[q] = bench_median(&m->us[q]);
			v[QUANTITIES + 1 + q] = bench_median(&m->ratio[q]);
		}
		v[QUANTITIES] = bench_max(&m->us[MAX]);
		v += 2 * QUANTITIES + 1;
		v[0] = (double)m->requests;
		v[1] = (double)m->errors;
		v[2] = (double)m->new_ * 100 / (double)(m->requests ? m->requests : 1);
		v[3] = m->loads;
		v[4] = m->refused;
		if (setting != NONE)
			v[5] = m->stop_ms;
	}
}

static double failures(const struct subject *s)
{
	double n = 0;

	for (int setting = 0; setting < SETTINGS; setting++)
		n += (double)s->m[setting].errors;
	return n;
}

static void measure(const struct server_kind *kind, const struct bench_opts *opts,
		    struct bench_table *t)
{
	static struct subject s;

	memset(&s, 0, sizeof(s));
	if (!server_start(&s.server, kind) || !server_start(&s.elsewhere, kind)) {
		(void)bench_row(t, "%s is not installed", kind->program);
		return;
	}
	s.file = bench_build_for(kind->source, s.server.path);
	find_rate(&s);
	for (unsigned int i = 0; i < opts->rounds; i++)
		one_round(&s, i, opts->seconds);
	/* Phases too short, or a machine too busy, for a load: the figures say nothing. */
	if (!s.m[OFTEN].new_)
		fprintf(stderr, "%s: no answer came from the patch\n", kind->name);
	server_stop(&s.server);
	server_stop(&s.elsewhere);
	tabulate(t, &s);
	bench_budget(t, failures(&s), 0, "requests", "%s, errors", kind->name);
}

int main(int argc, char **argv)
{
	static struct bench_table t;
	struct bench_opts opts = { .rounds = 3, .seconds = 20 };
	bool found = false;

	bench_options(argc, argv, &opts);
	bench_table_init(&t, "latency");
	add_columns(&t);
	for (unsigned int i = 0; i < server_nkinds; i++) {
		if (opts.server && strcmp(opts.server, server_kinds[i].name) != 0)
			continue;
		found = true;
		measure(&server_kinds[i], &opts, &t);
	}
	if (!found)
		bench_die("no such server: %s", opts.server);
	bench_print(&t, &opts);
	return 0;
}
