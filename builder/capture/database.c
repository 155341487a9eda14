// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A compilation database (compile_commands.json) says how the tree was compiled; then nothing is
 * built. What it does not have is what compiles read: they are asked.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "builder/capture/capture.h"

struct database {
	const char *from;		/* the tree's path in it */
	const char *to;			/* where it is compiled again */
	const char *file;
	struct ug_error *err;
};

/* A word with the tree's path replaced: "-I/src/include". Copied; NULL without memory. */
static char *moved(const struct database *d, const char *word)
{
	const char *at = strstr(word, d->from);
	size_t n = strlen(d->from);
	char *s;

	if (!at || !strcmp(d->from, d->to) || (at[n] && at[n] != '/'))
		return strdup(word);
	return asprintf(&s, "%.*s%s%s", (int)(at - word), word, d->to, at + n) < 0 ? NULL : s;
}

static int add_word(const struct database *d, const char *word, ug_string_vec *ret)
{
	ug_autofree char *s = NULL;

	s = moved(d, word);
	return s && ug_strings_add(ret, "%s", s) ? 0 : -ENOMEM;
}

static int bad_entry(const struct database *d, size_t i)
{
	return ug_err(d->err, -EINVAL, "%s: entry %zu has no directory and command", d->file, i);
}

/* {"directory": ..., "arguments": [...]} or {"directory": ..., "command": "..."} */
static int read_entry(const struct database *d, size_t i, const json_t *entry, ug_record_vec *ret)
{
	const char *dir = json_string_value(json_object_get(entry, "directory"));
	const char *command = json_string_value(json_object_get(entry, "command"));
	const json_t *list = json_object_get(entry, "arguments"), *word;
	struct ug_record *r = ug_vec_add(ret);
	ug_string_vec words = { 0 };
	size_t k;
	int rc = r ? 0 : -ENOMEM;

	if (!dir || (!command && !json_is_array(list)))
		return bad_entry(d, i);
	json_array_foreach(list, k, word) {
		const char *w = json_string_value(word);

		if (rc == 0 && !ug_strings_add(&words, "%s", w ? w : ""))
			rc = -ENOMEM;
	}
	if (!json_is_array(list) && !ug_words_split(command, UG_WORDS_SHELL, &words))
		rc = -ENOMEM;
	if (rc == 0)
		rc = add_word(d, dir, &r->strings);
	for (k = 0; k < words.n && rc == 0; k++)
		rc = add_word(d, words.v[k], &r->strings);
	ug_strings_free(&words);
	return rc < 0 ? ug_err(d->err, rc, "out of memory") : 0;
}

int ug_database_read(const struct ug_sandbox *s, const char *path, const char *src, ug_record_vec *ret,
		     struct ug_error *err)
{
	ug_autofree char *from = realpath(src, NULL);
	struct database d = { .from = from, .to = s->path, .file = path, .err = err };
	json_error_t why;
	json_t *root, *entry;
	size_t i;
	int rc = 0;

	if (!from)
		return ug_err_errno(err, "cannot open %s", src);
	root = json_load_file(path, 0, &why);
	if (!json_is_array(root)) {
		rc = ug_err(err, -EINVAL, "%s is no compilation database: %s", path,
			    root ? "not a list" : why.text);
		json_decref(root);
		return rc;
	}
	json_array_foreach(root, i, entry) {
		if (rc == 0)
			rc = read_entry(&d, i, entry, ret);
	}
	json_decref(root);
	return rc;
}
