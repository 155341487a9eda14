/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the benchmarks share: options, a victim that takes commands on its standard input,
 * patches, statistics, and the result: a table on standard output or, with --json, JSON.
 *
 * A benchmark that cannot measure ends with 1 and a message; one that misses its budget
 * says so and ends with 0: these are measurements, not tests.
 */
#ifndef UG_BENCH_BENCH_H
#define UG_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "ugraft/ugraft.h"

struct bench_opts {
	bool json;
	unsigned int rounds;
	unsigned int threads;	/* 0: the default set */
	unsigned int spin;
	unsigned int seconds;
	const char *server;	/* NULL: all */
};

/* Parse and keep; ends the program on --help and bad usage. */
void bench_options(int argc, char **argv, struct bench_opts *opts);

void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- victims ---- */

struct bench_victim {
	pid_t pid;
	FILE *in, *out;
};

/*
 * Start the program `name` that lies beside this one; waits for its "ready". `share` becomes
 * its descriptor 3 when it is not negative. args ends with NULL and does not hold argv[0].
 */
void bench_start(struct bench_victim *v, const char *name, const char *const args[], int share);
/* Send a line; the answer without its newline, valid until the next call. */
const char *bench_ask(struct bench_victim *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void bench_stop(struct bench_victim *v);

/* Build bench/SOURCE for the victim `name`; the path of the .ugp, removed at exit. */
const char *bench_build(const char *source, const char *name);
/* The same for any program, by its path. */
const char *bench_build_for(const char *source, const char *program);
/* And for a source that is written on the spot: bench_write, print to it, bench_build_text. */
FILE *bench_write(void);
const char *bench_build_text(FILE *source, const char *name);

/* Load and unload; they end the program unless the outcome is the one given. */
void bench_load(struct bench_victim *v, const char *file, const struct ug_opts *opts,
		enum ug_outcome outcome, struct ug_report *report);
void bench_unload(struct bench_victim *v, const char *patch, const struct ug_opts *opts,
		  struct ug_report *report);

/* Bytes of the target that are mapped for ugraft. */
uint64_t bench_mapped(pid_t pid);

/* ---- numbers ---- */

#define BENCH_SAMPLES 256

struct bench_series {
	size_t n;
	double v[BENCH_SAMPLES];
};

void bench_add(struct bench_series *s, double value);
double bench_median(const struct bench_series *s);
double bench_max(const struct bench_series *s);
double bench_min(const struct bench_series *s);

uint64_t bench_now(void);
void bench_nap(uint64_t ns);

/* ---- the result ---- */

#define BENCH_COLUMNS 16
#define BENCH_ROWS 64

struct bench_table {
	const char *name;
	size_t ncolumns, nrows;
	struct {
		const char *name, *unit;
	} columns[BENCH_COLUMNS];
	struct {
		char label[64];
		double v[BENCH_COLUMNS];	/* NAN: does not apply */
	} rows[BENCH_ROWS];
	size_t nbudgets;
	struct {
		char what[96];
		double value, limit;
		const char *unit;
	} budgets[16];
};

void bench_table_init(struct bench_table *t, const char *name);
void bench_column(struct bench_table *t, const char *name, const char *unit);
/* The values of a new row, all NAN. */
double *bench_row(struct bench_table *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A line of section "budget" of bench/README.md: value should not be above limit. */
void bench_budget(struct bench_table *t, double value, double limit, const char *unit,
		  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void bench_print(const struct bench_table *t, const struct bench_opts *opts);

#endif
