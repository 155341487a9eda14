// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>

#include "builder/lint/lint.h"

struct lexer {
	const char *p;
	uint32_t line;
	bool fresh;			/* nothing but blanks on this line yet */
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static void skip_block_comment(struct lexer *x)
{
	for (x->p += 2; *x->p && !(x->p[0] == '*' && x->p[1] == '/'); x->p++)
		x->line += *x->p == '\n';
	if (*x->p)
		x->p += 2;
}

/* Blanks, ends of lines, comments. */
static void skip(struct lexer *x)
{
	for (;;) {
		if (*x->p == '\n') {
			x->line++;
			x->fresh = true;
			x->p++;
		} else if (*x->p == '\\' && x->p[1] == '\n') {
			x->line++;
			x->p += 2;
		} else if (isspace((unsigned char)*x->p)) {
			x->p++;
		} else if (x->p[0] == '/' && x->p[1] == '/') {
			x->p += strcspn(x->p, "\n");
		} else if (x->p[0] == '/' && x->p[1] == '*') {
			skip_block_comment(x);
		} else {
			return;
		}
	}
}

static void skip_literal(struct lexer *x)
{
	char quote = *x->p++;

	while (*x->p && *x->p != quote && *x->p != '\n') {
		if (*x->p == '\\' && x->p[1]) {
			x->line += x->p[1] == '\n';
			x->p++;
		}
		x->p++;
	}
	if (*x->p == quote)
		x->p++;
}

/* To the end of its last line; comments in it may go over lines of their own. */
static void skip_directive(struct lexer *x)
{
	while (*x->p && *x->p != '\n') {
		if (x->p[0] == '\\' && x->p[1] == '\n') {
			x->line++;
			x->p += 2;
		} else if (x->p[0] == '\\' && x->p[1] == '\r' && x->p[2] == '\n') {
			x->line++;
			x->p += 3;
		} else if (x->p[0] == '/' && x->p[1] == '*') {
			skip_block_comment(x);
		} else if (x->p[0] == '/' && x->p[1] == '/') {
			x->p += strcspn(x->p, "\n");
		} else {
			x->p++;
		}
	}
}

static enum ug_token_kind take(struct lexer *x)
{
	if (*x->p == '#' && x->fresh) {
		skip_directive(x);
		return UG_TOKEN_DIRECTIVE;
	}
	if (*x->p == '"' || *x->p == '\'') {
		skip_literal(x);
		return UG_TOKEN_STRING;
	}
	if (!is_word(*x->p)) {
		x->p++;
		return UG_TOKEN_PUNCT;
	}
	while (is_word(*x->p))
		x->p++;
	return UG_TOKEN_WORD;
}

bool ug_lex(const char *text, ug_token_vec *ret)
{
	struct lexer x = { .p = text, .line = 1, .fresh = true };

	for (skip(&x); *x.p; skip(&x)) {
		struct ug_token *t = ug_vec_add(ret);

		if (!t)
			return false;
		t->at = x.p;
		t->line = x.line;
		t->kind = take(&x);
		t->len = (uint32_t)(x.p - t->at);
		x.fresh = false;
	}
	return true;
}

bool ug_token_is(const struct ug_token *t, const char *word)
{
	return t->kind != UG_TOKEN_DIRECTIVE && t->len == strlen(word) && !memcmp(t->at, word, t->len);
}

/* Two texts of a directive are the same when their words are: blanks do not count. */
static bool same_but_blanks(const char *a, size_t na, const char *b, size_t nb)
{
	size_t i = 0, j = 0;

	for (;;) {
		while (i < na && (isspace((unsigned char)a[i]) || a[i] == '\\'))
			i++;
		while (j < nb && (isspace((unsigned char)b[j]) || b[j] == '\\'))
			j++;
		if (i == na || j == nb)
			return i == na && j == nb;
		if (a[i++] != b[j++])
			return false;
	}
}

bool ug_tokens_equal(const struct ug_token *a, const struct ug_token *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == UG_TOKEN_DIRECTIVE)
		return same_but_blanks(a->at, a->len, b->at, b->len);
	return a->len == b->len && !memcmp(a->at, b->at, a->len);
}

size_t ug_directive_word(const struct ug_token *t, unsigned int n, const char **ret)
{
	const char *p = t->at + 1, *end = t->at + t->len;
	size_t len = 0;

	for (;; n--) {
		for (p += len; p < end && !is_word(*p); p++)
			;
		for (len = 0; p + len < end && is_word(p[len]); len++)
			;
		if (!n || !len) {
			*ret = p;
			return len;
		}
	}
}

bool ug_directive_is(const struct ug_token *t, const char *word)
{
	const char *p;
	size_t n;

	if (t->kind != UG_TOKEN_DIRECTIVE)
		return false;
	n = ug_directive_word(t, 0, &p);
	return n == strlen(word) && !memcmp(p, word, n);
}
