/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of strings, and lines that become words. Used by the wrapper too, which is a program alone. */
#ifndef UG_BUILDER_CAPTURE_STRINGS_H
#define UG_BUILDER_CAPTURE_STRINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/vec.h"

typedef UG_VEC(char *) ug_string_vec;	/* owned */

bool ug_strings_add(ug_string_vec *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ug_strings_free(ug_string_vec *v);

bool ug_ends_with(const char *s, const char *end);

/* What compilers take for a source, by its name. */
bool ug_is_source_name(const char *s);

/* The whole of a file, terminated; NULL: cannot be read. malloc'ed. */
char *ug_load_text(const char *path, size_t *ret_len);

enum ug_words {
	UG_WORDS_SHELL,		/* in '' a backslash is one */
	UG_WORDS_RESPONSE,	/* @file of compilers: it escapes there too */
};

/* Words at blanks, quoting undone; adds to *ret. Nothing is expanded. False: out of memory. */
bool ug_words_split(const char *text, enum ug_words style, ug_string_vec *ret);

/* Adds a copy of each argument; of @file its content, as the compiler will read it from cwd. */
bool ug_words_expand(const char *const *argv, size_t n, ug_string_vec *ret);

#endif
