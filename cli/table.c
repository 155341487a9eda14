/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "table.h"

#include <libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>

#include "text.h"

static void *check(void *p)
{
	if (!p) {
		fputs("ugraft: out of memory\n", stderr);
		exit(UG_EXIT_FAILED);
	}
	return p;
}

void table_init(struct table *t, const struct cli *cli, const struct table_column *columns)
{
	t->cli = cli;
	t->t = check(scols_new_table());
	t->line = NULL;
	t->column = 0;
	scols_table_enable_ascii(t->t, !cli->utf8);
	scols_table_enable_colors(t->t, cli->color);
	for (; columns->name; columns++) {
		int flags = 0;

		if (columns->flags & TABLE_RIGHT)
			flags |= SCOLS_FL_RIGHT;
		if (columns->flags & TABLE_WRAP)
			flags |= SCOLS_FL_WRAP;
		check(scols_table_new_column(t->t, columns->name, 0, flags));
	}
}

void table_row(struct table *t)
{
	t->line = check(scols_table_new_line(t->t, NULL));
	t->column = 0;
}

void table_cell(struct table *t, const char *text, const char *color)
{
	unsigned int column = t->column++;
	char *clean = text_clean(t->cli, text);

	scols_line_refer_data(t->line, column, clean);
	if (color && t->cli->color)
		scols_cell_set_color(scols_line_get_cell(t->line, column), color);
}

void table_cellf(struct table *t, const char *fmt, ...)
{
	cli_autofree char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = check(NULL);
	va_end(ap);
	table_cell(t, text, NULL);
}

void table_print(struct table *t)
{
	if (scols_table_get_nlines(t->t))
		scols_print_table(t->t);
	scols_unref_table(t->t);
	t->t = NULL;
}
