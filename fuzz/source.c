/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: two versions of a source file, whatever is in them: what `build --lint` makes of
 * them, the neutral text for the compiler, and both as a command line. The input is one after the
 * other, with a NUL between.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builder/capture/capture.h"
#include "builder/lint/lint.h"
#include "fuzz/driver.h"

/* A text of exactly its length, terminated. */
static char *text_of(const uint8_t *data, size_t size)
{
	size_t n = strnlen((const char *)data, size);
	char *text = malloc(n + 1);

	if (!text)
		abort();
	memcpy(text, data, n);
	text[n] = 0;
	return text;
}

static void judge(const struct ug_unit *before, const struct ug_unit *after, char *text)
{
	char name[] = "x.c";
	struct ug_lint_source source = { .name = name, .text = text, .len = strlen(text) };
	struct ug_lint_tree tree = { .sources = { .v = &source, .n = 1 } };
	ug_finding_vec findings = { 0 };
	ug_decl_changes changes = { 0 };
	char names[40];

	if (ug_unit_compare(before, after, &changes))
		(void)ug_lint_judge(&(struct ug_lint_file){ .name = name, .before = before, .after = after,
							    .tree = &tree, .findings = &findings },
				    &changes);
	(void)ug_lint_includers(&tree, "x.h", names, sizeof(names));
	ug_vec_free(&changes);
	ug_vec_free(&findings);
}

static void split(const char *text)
{
	ug_string_vec words = { 0 };

	(void)ug_words_split(text, UG_WORDS_SHELL, &words);
	(void)ug_words_split(text, UG_WORDS_RESPONSE, &words);
	ug_strings_free(&words);
}

/* All that is in `after` is in the neutral text. */
static void neutral(const char *before, const char *after)
{
	size_t len = 0;
	char *text = ug_neutral(before, after, &len);

	promise(!text || (len >= strlen(after) && strlen(text) == len));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *before = text_of(data, size), *after;
	size_t n = strlen(before) + 1;
	struct ug_unit b = { 0 }, a = { 0 };

	after = text_of(data + (n < size ? n : size), n < size ? size - n : 0);
	if (ug_unit_read(&b, before) && ug_unit_read(&a, after))
		judge(&b, &a, after);
	ug_unit_free(&b);
	ug_unit_free(&a);
	neutral(before, after);
	split(after);
	free(before);
	free(after);
	return 0;
}
