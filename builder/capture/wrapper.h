/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The compiler wrapper: what it is told through its environment (record.c), and what it writes.
 *
 * A record of the log is `struct ug_record_head`, then strings: the directory, the file with what
 * was read ("" : not known; empty: look at the one of clang), the compiler's path, `args` arguments with response files replaced by
 * their content, `env` variables as "NAME=value", or "NAME" when it was not set.
 */
#ifndef UG_BUILDER_CAPTURE_WRAPPER_H
#define UG_BUILDER_CAPTURE_WRAPPER_H

#include <stdbool.h>
#include <stdint.h>

#define UG_RECORD_LOG "UGRAFT_RECORD_LOG"	/* file to append to */
#define UG_RECORD_DIR "UGRAFT_RECORD_DIR"	/* where the wrappers are: not the real compiler */
#define UG_RECORD_DEPS ".deps"			/* behind the log's name: directory for what was read */
#define UG_RECORD_LINES ".lines"		/* behind the name of a file there: of clang */

struct ug_record_head {
	uint32_t args, env;
	uint32_t size;				/* of the strings */
};

/* ccache and the like, by the name of the program: what is behind it is the compiler. */
bool ug_is_launcher(const char *path);

#endif
