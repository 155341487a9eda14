/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of all verbs, in one table; getopt's tables are made from it. */
#ifndef UG_CLI_OPTIONS_H
#define UG_CLI_OPTIONS_H

#include "cli.h"

struct option_def {
	const char *name;		/* NULL ends the table */
	char letter;			/* 0: none */
	const char *arg;		/* for the help; NULL: takes none */
	bool arg_optional;
	unsigned int takes;		/* which verbs know it: one bit of TAKES_* */
	const char *help;
	const char *values;		/* for the completion: words, or NULL */
	/* False: the argument is no good; `values` or `help` say what would be. */
	bool (*set)(struct cli *cli, const char *arg);
};

extern const struct option_def option_defs[];

static inline bool option_known(const struct option_def *def, const struct verb *verb)
{
	return def->takes == TAKES_COMMON || (verb && (verb->options & def->takes));
}

/*
 * Parse what follows the verb (argv[0] is the verb itself, or the program before any verb),
 * leaving the operands in cli->args. verb may be NULL: common options only.
 * 0, or UG_EXIT_USAGE with *err set.
 */
int options_parse(struct cli *cli, const struct verb *verb, int argc, char **argv,
		  struct ug_error *err);

#endif
