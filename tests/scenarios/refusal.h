/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a refusal must be like: its own code, one clear sentence, the exit status that belongs
 * to it, and a target which is unchanged byte for byte.
 */
#ifndef UG_TESTS_REFUSAL_H
#define UG_TESTS_REFUSAL_H

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

static inline void assert_sentence(const struct ug_error *err, int code)
{
	const char *m = err->message;

	if (err->code != code)
		fail_msg("the error says %d, the call %d: %s", err->code, code, m);
	if (strlen(m) < 15 || strchr(m, '\n') || isspace((unsigned char)m[0]) ||
	    isspace((unsigned char)m[strlen(m) - 1]))
		fail_msg("no sentence: '%s'", m);
}

/* Load must fail with this code. */
static inline void assert_load_fails(pid_t pid, const char *file, int code)
{
	struct ug_error err = { 0 };
	int r = ug_load(pid, file, NULL, NULL, &err);

	if (r != code)
		fail_msg("load: %s (%s), expected %s; it says: %s", ug_error_name(r),
			 r < 0 ? "refused" : "loaded", ug_error_name(code), err.message);
	assert_sentence(&err, r);
	print_message("# %s: %s\n", ug_error_name(r), err.message);
}

/* ... and the target, which does nothing by itself, is exactly as it was. */
static inline void assert_refused(pid_t pid, const char *file, int code)
{
	struct victim_state before;
	char why[512];

	if (victim_snapshot(pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	assert_load_fails(pid, file, code);
	if (victim_compare(pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s: %s", ug_error_name(code), why);
	victim_state_free(&before);
}

/* Behind the lines that the kernel's livepatch would have logged, too. */
static inline const char *skip_log(const char *output)
{
	while (strncmp(output, "ugraft: livepatch: ", 19) == 0 && strchr(output, '\n'))
		output = strchr(output, '\n') + 1;
	return output;
}

/* The command line says one line on it, and exits with this status. */
static inline void assert_cli_fails(pid_t pid, const char *file, int status)
{
	char text[16];
	const char *argv[] = { scenario_bin("ugraft"), "load", file, text, NULL };
	const char *said;
	struct command c;
	int got;

	snprintf(text, sizeof(text), "%d", pid);
	got = command_run(&c, argv);
	said = skip_log(c.output);
	if (got != status || strncmp(said, "ugraft: ", 8) != 0 ||
	    strchr(said, '\n') != c.output + c.len - 1)
		fail_msg("exit %d, expected %d: %s", got, status, c.output);
}

#endif
