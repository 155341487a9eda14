/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes to stderr, and errors as JSON. */
#ifndef UG_CLI_MESSAGE_H
#define UG_CLI_MESSAGE_H

#include <jansson.h>

#include "cli.h"

/* Set *err to a usage error (its exit code is UG_EXIT_USAGE), which is returned. */
int usage_error(struct ug_error *err, const char *fmt, ...) cli_printf(2, 3);

/* Set *err; returns code (negative). */
int set_error(struct ug_error *err, int code, const char *fmt, ...) cli_printf(3, 4);

/* The exit status of an error: usage errors, too. */
int error_exit(const struct ug_error *err);

/* The sentence for a person: the message, and what would help where the message does not
 * say. To be freed. */
char *error_sentence(const struct cli *cli, const struct ug_error *err);

/* {"code": "EPERM", "message": ..., "pid": ...}: what is known. */
json_t *error_json(const struct ug_error *err);

/* End a verb with an error: the sentence on stderr, or a JSON document. Returns the exit code. */
int fail(const struct cli *cli, const struct ug_error *err);

/* The same for an error about a file, which is named unless the message does so. */
int fail_file(const struct cli *cli, struct ug_error *err, const char *file);

/* A line on stderr, "ugraft: ...", after the progress line (if any) has been wiped. */
void message(const struct cli *cli, const char *fmt, ...) cli_printf(2, 3);

/* A line of the library's log, if -q and -v say that it is wanted. */
void log_line(const struct cli *cli, int level, const char *line);

/* Documents. root becomes {"schema": 1, "verb": ..., ...} and is released. */
json_t *document(const struct cli *cli);
void print_document(const struct cli *cli, json_t *root);
json_t *json_clean(const char *s);	/* a string that may come from anywhere */
json_t *json_lines(const char *s);	/* a text of several lines, as a list of them */
json_t *json_hex(uint64_t value);	/* addresses: JSON numbers are not wide enough everywhere */

#endif
