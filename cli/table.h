/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables on stdout: a little less of libsmartcols to see. */
#ifndef UG_CLI_TABLE_H
#define UG_CLI_TABLE_H

#include "cli.h"

struct libscols_table;

enum {
	TABLE_RIGHT = 1 << 0,		/* numbers */
	TABLE_WRAP = 1 << 1,		/* long text, on a terminal */
	TABLE_COLUMNS_MAX = 8,
};

struct table {
	const struct cli *cli;
	struct libscols_table *t;
	struct libscols_line *line;
	unsigned int column;
};

struct table_column {
	const char *name;		/* NULL ends the list */
	int flags;
};

void table_init(struct table *t, const struct cli *cli, const struct table_column *columns);
void table_row(struct table *t);
/* The next cell of the row; cleaned. The color is a name as in "red", or NULL. */
void table_cell(struct table *t, const char *text, const char *color);
/* The same from a format, never coloured. */
void table_cellf(struct table *t, const char *fmt, ...) cli_printf(2, 3);
/* Print (nothing, when there are no rows) and release. */
void table_print(struct table *t);

#endif
