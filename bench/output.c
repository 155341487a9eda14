// SPDX-License-Identifier: GPL-2.0-or-later
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

void bench_table_init(struct bench_table *t, const char *name)
{
	memset(t, 0, sizeof(*t));
	t->name = name;
}

void bench_column(struct bench_table *t, const char *name, const char *unit)
{
	if (t->ncolumns == BENCH_COLUMNS)
		bench_die("too many columns");
	t->columns[t->ncolumns].name = name;
	t->columns[t->ncolumns++].unit = unit;
}

double *bench_row(struct bench_table *t, const char *fmt, ...)
{
	va_list ap;

	if (t->nrows == BENCH_ROWS)
		bench_die("too many rows");
	va_start(ap, fmt);
	vsnprintf(t->rows[t->nrows].label, sizeof(t->rows[0].label), fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < BENCH_COLUMNS; i++)
		t->rows[t->nrows].v[i] = NAN;
	return t->rows[t->nrows++].v;
}

void bench_budget(struct bench_table *t, double value, double limit, const char *unit,
		  const char *fmt, ...)
{
	size_t n = t->nbudgets++;
	va_list ap;

	if (n == sizeof(t->budgets) / sizeof(t->budgets[0]))
		bench_die("too many budgets");
	va_start(ap, fmt);
	vsnprintf(t->budgets[n].what, sizeof(t->budgets[n].what), fmt, ap);
	va_end(ap);
	t->budgets[n].value = value;
	t->budgets[n].limit = limit;
	t->budgets[n].unit = unit;
}

/* ---- text ---- */

static int label_width(const struct bench_table *t)
{
	size_t width = 0;

	for (size_t i = 0; i < t->nrows; i++)
		if (strlen(t->rows[i].label) > width)
			width = strlen(t->rows[i].label);
	return (int)width;
}

static int column_width(const struct bench_table *t, size_t i)
{
	size_t width = strlen(t->columns[i].name);

	if (strlen(t->columns[i].unit) > width)
		width = strlen(t->columns[i].unit);
	return width < 9 ? 9 : (int)width;
}

static void print_heading(const struct bench_table *t)
{
	printf("%-*s", label_width(t), t->name);
	for (size_t i = 0; i < t->ncolumns; i++)
		printf("  %*s", column_width(t, i), t->columns[i].name);
	printf("\n%-*s", label_width(t), "");
	for (size_t i = 0; i < t->ncolumns; i++)
		printf("  %*s", column_width(t, i), t->columns[i].unit);
	putchar('\n');
}

static void print_text(const struct bench_table *t)
{
	print_heading(t);
	for (size_t row = 0; row < t->nrows; row++) {
		printf("%-*s", label_width(t), t->rows[row].label);
		for (size_t i = 0; i < t->ncolumns; i++) {
			if (isnan(t->rows[row].v[i]))
				printf("  %*s", column_width(t, i), "-");
			else
				printf("  %*.2f", column_width(t, i), t->rows[row].v[i]);
		}
		putchar('\n');
	}
	for (size_t i = 0; i < t->nbudgets; i++)
		printf("budget: %s: %.2f of %.2f %s: %s\n", t->budgets[i].what,
		       t->budgets[i].value, t->budgets[i].limit, t->budgets[i].unit,
		       t->budgets[i].value <= t->budgets[i].limit ? "met" : "MISSED");
}

/* ---- JSON ---- */

static json_t *json_rows(const struct bench_table *t)
{
	json_t *rows = json_array();

	for (size_t row = 0; row < t->nrows; row++) {
		json_t *o = json_object();

		json_object_set_new(o, "what", json_string(t->rows[row].label));
		for (size_t i = 0; i < t->ncolumns; i++) {
			char key[96];

			snprintf(key, sizeof(key), "%s (%s)", t->columns[i].name,
				 t->columns[i].unit);
			json_object_set_new(o, key, isnan(t->rows[row].v[i]) ?
					    json_null() : json_real(t->rows[row].v[i]));
		}
		json_array_append_new(rows, o);
	}
	return rows;
}

static json_t *json_budgets(const struct bench_table *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->nbudgets; i++)
		json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:s, s:b}",
			"what", t->budgets[i].what, "value", t->budgets[i].value,
			"limit", t->budgets[i].limit, "unit", t->budgets[i].unit,
			"met", t->budgets[i].value <= t->budgets[i].limit));
	return list;
}

static void print_json(const struct bench_table *t, const struct bench_opts *opts)
{
	struct utsname u;
	json_t *root;

	if (uname(&u) < 0)
		bench_die("uname failed");
	root = json_pack("{s:s, s:s, s:i, s:i, s:o, s:o}", "benchmark", t->name,
			 "kernel", u.release, "processors", (int)sysconf(_SC_NPROCESSORS_ONLN),
			 "rounds", (int)opts->rounds, "rows", json_rows(t), "budget",
			 json_budgets(t));
	if (!root || json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) < 0)
		bench_die("out of memory");
	putchar('\n');
	json_decref(root);
}

void bench_print(const struct bench_table *t, const struct bench_opts *opts)
{
	if (opts->json)
		print_json(t, opts);
	else
		print_text(t);
}
