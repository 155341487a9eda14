/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "cli.h"

#define CHANGES (TAKES_PAUSE | TAKES_CHANGE | TAKES_TREE)

const struct verb verbs[] = {
	{ "load", "FILE PROC...", "put a patch into running processes",
	  "Every thread is moved from the old functions to the new at a moment when it provably\n"
	  "executes neither. If not all of them can be moved in time, the load is reversed and\n"
	  "the process is as before. A patch applies only to the exact builds it was made for.",
	  TAKES_TIMEOUT | TAKES_ATOMIC | CHANGES, 2, -1, OPERAND_FILE, OPERAND_PROC,
	  verb_load },
	{ "unload", "NAME PROC...", "take a patch back",
	  "The same as a load in the other direction: afterwards the original functions run and\n"
	  "their code is byte for byte as before. Any loaded patch can be taken back: functions\n"
	  "that another one replaces as well keep that one's version, or fall back to it.",
	  TAKES_TIMEOUT | TAKES_ATOMIC | CHANGES, 2, -1, OPERAND_PATCH, OPERAND_PROC,
	  verb_unload },
	{ "wait", "PROC...", "drive a running transition on until it is complete",
	  "For one that 'load --on-timeout=keep' or a killed ugraft has left. When the time is up\n"
	  "it is left running again.",
	  TAKES_TIME | TAKES_PATCH | CHANGES, 1, -1, OPERAND_PROC, OPERAND_PROC, verb_wait },
	{ "reverse", "PROC...", "turn a running transition round",
	  "A load that is not complete is taken back; an unload is undone. It can be done again.",
	  TAKES_TIME | TAKES_NO_WAIT | TAKES_PATCH | CHANGES, 1, -1, OPERAND_PROC, OPERAND_PROC,
	  verb_reverse },
	{ "force", "--i-accept-inconsistency PROC...", "complete a transition without its last threads",
	  "Threads that are still inside the old functions are declared switched: until they have\n"
	  "left, they may mix old and new code, and nothing is known of what that does. Try\n"
	  "'reverse' first. What they are inside of stays mapped and is looked for in every later\n"
	  "transition; 'recover' releases it when they have left.",
	  TAKES_TIME | TAKES_PATCH | TAKES_FORCE | CHANGES, 1, -1, OPERAND_PROC,
	  OPERAND_PROC, verb_force },
	{ "blocking", "PROC...", "say which threads hold up a running transition",
	  "Where each of them is, in which version of which function, called from where, since\n"
	  "when, and what would help. The process is stopped once, as briefly as for a load.",
	  TAKES_PAUSE | TAKES_TREE, 1, -1, OPERAND_PROC, OPERAND_PROC, verb_blocking },
	{ "watch", "[PROC...]", "print what happens to processes, a JSON object a line",
	  "Until interrupted. Without PROC: to every process that is patched.",
	  0, 0, -1, OPERAND_PROC, OPERAND_PROC, verb_watch },
	{ "status", "[PROC...]", "say how processes are patched",
	  "Without PROC: every process that is patched. With -v also the log kept in it.",
	  TAKES_TREE, 0, -1, OPERAND_PROC, OPERAND_PROC, verb_status },
	{ "list", "[PROC...]", "list loaded patches, one line each",
	  "Without PROC: of every process that is patched.",
	  TAKES_TREE, 0, -1, OPERAND_PROC, OPERAND_PROC, verb_list },
	{ "log", "[PROC...]", "print the log that is kept in processes",
	  "What was done to them, in the words of the kernel's livepatch, oldest first. It goes\n"
	  "with the last patch. Without PROC: of every process that is patched.",
	  TAKES_TREE, 0, -1, OPERAND_PROC, OPERAND_PROC, verb_log },
	{ "info", "FILE", "say what a patch file contains", "",
	  0, 1, 1, OPERAND_FILE, OPERAND_NONE, verb_info },
	{ "plan", "FILE PROC...", "check whether a patch could be loaded, changing nothing",
	  "Each precondition with its verdict, and the pause to expect. The process is neither\n"
	  "stopped nor written to.",
	  TAKES_PAUSE | TAKES_CHANGE, 2, -1, OPERAND_FILE, OPERAND_PROC, verb_plan },
	{ "verify", "PROC...", "compare a process's memory with its registry",
	  "Whether the code in memory is what ugraft put there, and nothing of it is missing.",
	  TAKES_TREE, 1, -1, OPERAND_PROC, OPERAND_PROC, verb_verify },
	{ "recover", "PROC...", "finish or roll back what a killed ugraft left",
	  "Also releases what was left mapped because a thread still executed it.",
	  TAKES_TIMEOUT | CHANGES, 1, -1, OPERAND_PROC, OPERAND_PROC, verb_recover },
	{ "gdb", "PROC [-- GDB-ARGUMENT...]", "run gdb on a patched process",
	  "With the function names and the unwind tables of its patches, so that backtraces through\n"
	  "them are right. As long as gdb is attached no patch can be loaded or taken back.",
	  0, 1, -1, OPERAND_PROC, OPERAND_NONE, verb_gdb },
	{ "perf-map", "PROC...", "tell perf the functions of patches",
	  "Adds their names to /tmp/perf-PID.map, where perf looks for names of code that is in no\n"
	  "file; for a process in a container that is the container's /tmp.",
	  0, 1, -1, OPERAND_PROC, OPERAND_PROC, verb_perf_map },
	{ "build", "--src DIR --diff FILE --target FILE... -- COMMAND", "make a patch file from a fix",
	  "Builds a copy of the tree with COMMAND, compiles what the diff changes before and after,\n"
	  "and takes over the functions that differ. With --deb PACKAGE instead of tree and command: a\n"
	  "Debian package's source, in a chroot. With --source instead: a C file of replacement\n"
	  "functions written against <ugraft/patch.h>. --lint only looks at the diff.",
	  TAKES_BUILD, 0, -1, OPERAND_NONE, OPERAND_NONE, verb_build },
	{ "diff", "BEFORE.o AFTER.o", "say what differs between two objects, function by function",
	  "Both compiled with -ffunction-sections -fdata-sections. Compares what the code means:\n"
	  "moved strings, renumbered variables and other widths of jumps are no difference. What\n"
	  "a patch would have to contain is marked, and what would forbid one is named.",
	  0, 2, 2, OPERAND_FILE, OPERAND_FILE, verb_diff },
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
