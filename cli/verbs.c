/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "cli.h"

#define CHANGES (TAKES_PAUSE | TAKES_CHANGE)

const struct verb verbs[] = {
	{ "load", "FILE PROC...", "put a patch into running processes",
	  "Every thread is moved from the old functions to the new at a moment when it provably\n"
	  "executes neither. If not all of them can be moved in time, the load is reversed and\n"
	  "the process is as before. A patch applies only to the exact builds it was made for.",
	  TAKES_TIMEOUT | CHANGES, 2, -1, OPERAND_FILE, OPERAND_PROC, verb_load },
	{ "unload", "NAME PROC...", "take a patch back",
	  "The same as a load in the other direction: afterwards the original functions run and\n"
	  "their code is byte for byte as before.",
	  TAKES_TIMEOUT | CHANGES, 2, -1, OPERAND_PATCH, OPERAND_PROC, verb_unload },
	{ "status", "[PROC...]", "say how processes are patched",
	  "Without PROC: every process that is patched. With -v also the log kept in it.",
	  0, 0, -1, OPERAND_PROC, OPERAND_PROC, verb_status },
	{ "list", "[PROC...]", "list loaded patches, one line each",
	  "Without PROC: of every process that is patched.",
	  0, 0, -1, OPERAND_PROC, OPERAND_PROC, verb_list },
	{ "info", "FILE", "say what a patch file contains", "",
	  0, 1, 1, OPERAND_FILE, OPERAND_NONE, verb_info },
	{ "plan", "FILE PROC...", "check whether a patch could be loaded, changing nothing",
	  "Each precondition with its verdict, and the pause to expect. The process is neither\n"
	  "stopped nor written to.",
	  TAKES_PAUSE | TAKES_CHANGE, 2, -1, OPERAND_FILE, OPERAND_PROC, verb_plan },
	{ "verify", "PROC...", "compare a process's memory with its registry",
	  "Whether the code in memory is what ugraft put there, and nothing of it is missing.",
	  0, 1, -1, OPERAND_PROC, OPERAND_PROC, verb_verify },
	{ "recover", "PROC...", "finish or roll back what a killed ugraft left",
	  "Also releases what was left mapped because a thread still executed it.",
	  TAKES_TIMEOUT | CHANGES, 1, -1, OPERAND_PROC, OPERAND_PROC, verb_recover },
	{ "build", "--source FILE --target FILE...", "make a patch file from replacement functions",
	  "Compiles a C file written against <ugraft/patch.h>. Functions and variables of the\n"
	  "target, static ones too, are used by plain extern declarations.",
	  TAKES_BUILD, 0, 0, OPERAND_NONE, OPERAND_NONE, verb_build },
	{ NULL },
};

const struct verb *verb_find(const char *name)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

struct ug_opts cli_opts(const struct cli *cli)
{
	struct ug_opts opts = {
		.sz = sizeof(opts),
		.flags = cli->flags,
		.timeout_ms = cli->timeout_ms,
		.max_pause_us = cli->max_pause_us,
	};

	return opts;
}
