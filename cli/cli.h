/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program ugraft: a thin wrapper around the control API. It parses, asks, and prints;
 * every decision about a target is the library's.
 *
 * Everything a user can type is in two tables: the options (options.c) and the verbs
 * (verbs.c). Help texts and the shell completion are generated from them.
 *
 * Nothing that comes from a target (names, paths) or from a patch file is printed raw: see
 * text.h.
 */
#ifndef UG_CLI_H
#define UG_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "ugraft/ugraft.h"

#define cli_printf(f, a) __attribute__((format(printf, f, a)))
#define cli_cleanup(f) __attribute__((cleanup(f)))

enum json_mode {
	JSON_OFF,
	JSON_PRETTY,
	JSON_SHORT,
};

struct verb;

/* What the command line says, and what the terminal can do. */
struct cli {
	const struct verb *verb;
	char **args;			/* operands of the verb */
	int nargs;

	unsigned int timeout_ms;	/* 0: the library's default, as for all below */
	unsigned int max_pause_us;
	unsigned int flags;		/* enum ug_opt_flags */
	enum json_mode json;
	int verbosity;			/* -1 quiet, 0, 1 verbose, 2 debug */
	bool help;
	bool version;

	bool tree;			/* PROC means its descendants, too */
	bool atomic;			/* all processes, or none */
	const char *patch;		/* wait, reverse, force: whose transition it must be */
	bool accept_inconsistency;	/* force */

	const char *source;		/* build */
	const char *output;
	const char *compiler;
	const char **targets;
	size_t ntargets;
	const char **cflags;
	size_t ncflags;
	bool assume_abi;
	const char **before, **after;	/* pairs of objects */
	size_t nbefore, nafter;
	const char *debug;
	const char *name, *description, *cves;
	const char **layout_ok;
	size_t nlayout_ok;
	bool compiler_ok;
	const char *explain;
	const char *src;
	const char *database;		/* compile_commands.json */
	bool lint;
	const char *deb, *cache, *work;
	const char **deb_env;
	size_t ndeb_env;
	int from, to;			/* stages of a build; 0: all */
	const char **diffs, **ignore;
	size_t ndiffs, nignore;
	bool keep;

	bool utf8;			/* the locale's encoding */
	bool color;			/* stdout is a terminal that wants it */
	bool progress;			/* stderr is a terminal */
};

/* Bits of struct verb.options: which options beyond the common ones a verb takes. */
enum {
	TAKES_TIME = 1 << 0,
	TAKES_PAUSE = 1 << 1,
	TAKES_CHANGE = 1 << 2,		/* the options of calls that switch threads */
	TAKES_BUILD = 1 << 3,
	TAKES_COMMON = 1 << 4,		/* all verbs */
	TAKES_PATCH = 1 << 5,		/* --patch */
	TAKES_FORCE = 1 << 6,
	TAKES_ON_TIMEOUT = 1 << 7,
	TAKES_NO_WAIT = 1 << 8,
	TAKES_TREE = 1 << 9,
	TAKES_ATOMIC = 1 << 10,
	TAKES_TIMEOUT = TAKES_TIME | TAKES_ON_TIMEOUT | TAKES_NO_WAIT,
};

/* How the completion fills in an operand. */
enum operand {
	OPERAND_NONE,
	OPERAND_FILE,
	OPERAND_PATCH,			/* name of a loaded patch */
	OPERAND_PROC,
};

struct verb {
	const char *name;
	const char *args;		/* for the usage line */
	const char *summary;		/* one line, lower case, no full stop */
	const char *text;		/* what one must know to use it */
	unsigned int options;		/* TAKES_* */
	int min_args;
	int max_args;			/* -1: no limit */
	enum operand first, rest;	/* of the operands */
	int (*fn)(struct cli *cli);	/* returns an exit code */
};

extern const struct verb verbs[];	/* ends with a NULL name */
const struct verb *verb_find(const char *name);

/* A verb's options for the library; the caller adds callbacks. */
struct ug_opts cli_opts(const struct cli *cli);

int verb_load(struct cli *cli);
int verb_unload(struct cli *cli);
int verb_wait(struct cli *cli);
int verb_reverse(struct cli *cli);
int verb_force(struct cli *cli);
int verb_blocking(struct cli *cli);
int verb_watch(struct cli *cli);
int verb_recover(struct cli *cli);
int verb_status(struct cli *cli);
int verb_list(struct cli *cli);
int verb_log(struct cli *cli);
int verb_info(struct cli *cli);
int verb_plan(struct cli *cli);
int verb_verify(struct cli *cli);
int verb_build(struct cli *cli);
int verb_diff(struct cli *cli);
int verb_gdb(struct cli *cli);
int verb_perf_map(struct cli *cli);

/* Memory that runs out ends the program with a message: nothing is ever half done by it,
 * because allocations of the CLI never happen inside a call of the library. */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) cli_printf(1, 2);

static inline void cli_free_p(void *p)
{
	free(*(void **)p);
}

#define cli_autofree cli_cleanup(cli_free_p)

#endif
