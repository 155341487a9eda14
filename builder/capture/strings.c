// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/read.h"
#include "builder/buf.h"
#include "builder/capture/strings.h"

bool ug_strings_add(ug_string_vec *v, const char *fmt, ...)
{
	char **slot = ug_vec_add(v);
	va_list ap;
	int n;

	if (!slot)
		return false;
	va_start(ap, fmt);
	n = vasprintf(slot, fmt, ap);
	va_end(ap);
	if (n >= 0)
		return true;
	v->n--;
	return false;
}

void ug_strings_free(ug_string_vec *v)
{
	ug_vec_for_each(v, s)
		free(*s);
	ug_vec_free(v);
}

bool ug_ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

bool ug_is_source_name(const char *s)
{
	static const char *const ends[] = { ".c", ".cc", ".cp", ".cpp", ".cxx", ".c++", ".C", ".CPP",
					    ".i", ".ii", ".S", ".s" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (ug_ends_with(s, ends[i]))
			return true;
	}
	return false;
}

char *ug_load_text(const char *path, size_t *ret_len)
{
	ug_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n;
	char *data;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		return NULL;
	n = ug_read_all(fd, data, (size_t)st.st_size);
	if (n < 0) {
		free(data);
		return NULL;
	}
	data[n] = 0;
	*ret_len = (size_t)n;
	return data;
}

/* ---- words ---- */

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Does the backslash at p take the meaning of what follows it? */
static bool escapes(const char *p, char quote, enum ug_words style)
{
	if (*p != '\\' || !p[1])
		return false;
	if (style == UG_WORDS_RESPONSE || !quote)
		return true;
	return quote == '"' && strchr("\\\"$`\n", p[1]);
}

/* One word into the buffer; what follows it. */
static const char *read_word(const char *p, enum ug_words style, struct ug_buf *word)
{
	char quote = 0;

	for (; *p && (quote || !is_blank(*p)); p++) {
		if (escapes(p, quote, style))
			ug_buf_add(word, ++p, 1);
		else if (quote ? *p == quote : *p == '\'' || *p == '"')
			quote = quote ? 0 : *p;
		else
			ug_buf_add(word, p, 1);
	}
	return p;
}

bool ug_words_split(const char *text, enum ug_words style, ug_string_vec *ret)
{
	bool ok = true;

	for (;;) {
		struct ug_buf word = { 0 };

		while (is_blank(*text))
			text++;
		if (!*text || !ok)
			return ok;
		text = read_word(text, style, &word);
		ug_buf_add(&word, "", 1);
		ok = !word.failed && ug_strings_add(ret, "%s", (char *)word.v);
		ug_buf_free(&word);
	}
}

#define NESTED_MAX 8

static bool expand(const char *word, unsigned int depth, ug_string_vec *ret)
{
	ug_string_vec words = { 0 };
	ug_autofree char *text = NULL;
	size_t n;
	bool ok;

	/* What cannot be read is an argument of that name. */
	text = word[0] == '@' && depth < NESTED_MAX ? ug_load_text(word + 1, &n) : NULL;
	if (!text)
		return ug_strings_add(ret, "%s", word);
	ok = ug_words_split(text, UG_WORDS_RESPONSE, &words);
	for (size_t i = 0; i < words.n && ok; i++)
		ok = expand(words.v[i], depth + 1, ret);
	ug_strings_free(&words);
	return ok;
}

bool ug_words_expand(const char *const *argv, size_t n, ug_string_vec *ret)
{
	for (size_t i = 0; i < n; i++) {
		if (!expand(argv[i], 0, ret))
			return false;
	}
	return true;
}
