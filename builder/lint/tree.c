// SPDX-License-Identifier: GPL-2.0-or-later
/* The sources beside the diff: by name and by word, nothing is compiled. */
#include <ctype.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "builder/capture/strings.h"
#include "builder/lint/lint.h"

static bool ends_in(const char *name, const char *const *ends)
{
	const char *dot = strrchr(name, '.');

	for (; dot && *ends; ends++) {
		if (!strcmp(dot, *ends))
			return true;
	}
	return false;
}

bool ug_lint_is_header(const char *name)
{
	static const char *const ends[] = { ".h", ".hh", ".hpp", ".hxx", ".H", ".inc", ".inl", NULL };

	return ends_in(name, ends);
}

bool ug_lint_is_source(const char *name)
{
	static const char *const ends[] = { ".c", ".cc", ".cpp", ".cxx", ".C", ".c++", NULL };

	return ends_in(name, ends);
}

/* ---- reading ---- */

static struct {				/* nftw() passes no context */
	struct ug_lint_tree *tree;
	size_t root;
} reading;

#define TEXT_MAX (16 << 20)

static int read_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct ug_lint_source *s;

	if (type != FTW_F || st->st_size > TEXT_MAX || (!ug_lint_is_source(path) && !ug_lint_is_header(path)))
		return 0;
	s = ug_vec_add(&reading.tree->sources);
	if (!s)
		return -ENOMEM;
	s->name = strdup(path + reading.root);
	s->text = ug_load_text(path, &s->len);
	if (s->name && s->text)
		return 0;
	free(s->name);
	free(s->text);
	reading.tree->sources.n--;
	return 0;
}

int ug_lint_tree_read(const char *dir, struct ug_lint_tree *ret, struct ug_error *err)
{
	*ret = (struct ug_lint_tree){ 0 };
	reading.tree = ret;
	reading.root = strlen(dir) + 1;
	return nftw(dir, read_file, 32, FTW_PHYS) != 0 ? ug_err_errno(err, "cannot read %s", dir) : 0;
}

void ug_lint_tree_free(struct ug_lint_tree *t)
{
	ug_vec_for_each(&t->sources, s) {
		free(s->name);
		free(s->text);
	}
	ug_vec_free(&t->sources);
}

/* ---- who includes ---- */

/* Does this directive include something of that name? */
static bool includes_by(const char *line, size_t len, const char *base)
{
	size_t n = strlen(base);

	for (size_t i = 0; i + n <= len; i++) {
		if (!memcmp(line + i, base, n) && i && (i + n == len || strchr("\">", line[i + n])) &&
		    strchr("\"</", line[i - 1]))
			return true;
	}
	return false;
}

static bool includes(const struct ug_lint_source *s, const char *base)
{
	for (const char *p = s->text; (p = strchr(p, '#')); p++) {
		const char *word = p + 1 + strspn(p + 1, " \t");

		if (!strncmp(word, "include", 7) && includes_by(word, strcspn(word, "\n"), base))
			return true;
	}
	return false;
}

/* From the header outwards: what includes something that was found is found. */
static void spread(const struct ug_lint_tree *t, const char *header, bool *found)
{
	size_t n = t->sources.n;
	ug_autofree const char **todo = calloc(n + 1, sizeof(*todo));
	size_t ntodo = 0;

	if (todo)
		todo[ntodo++] = basename(header);
	for (size_t k = 0; k < ntodo; k++) {
		for (size_t i = 0; i < n; i++) {
			if (found[i] || !includes(&t->sources.v[i], todo[k]))
				continue;
			found[i] = true;
			if (ug_lint_is_header(t->sources.v[i].name))
				todo[ntodo++] = basename(t->sources.v[i].name);
		}
	}
}

#define NAMES_MAX 3

size_t ug_lint_includers(const struct ug_lint_tree *t, const char *header, char *names, size_t size)
{
	ug_autofree bool *found = calloc(t->sources.n + 1, sizeof(*found));
	size_t n = 0, used = 0;

	names[0] = 0;
	if (!found)
		return 0;
	spread(t, header, found);
	for (size_t i = 0; i < t->sources.n; i++) {
		if (!found[i] || !ug_lint_is_source(t->sources.v[i].name))
			continue;
		if (n++ < NAMES_MAX && used < size)
			used += (size_t)snprintf(names + used, size - used, "%s%s", n > 1 ? ", " : "",
						 t->sources.v[i].name);
	}
	if (n > NAMES_MAX && used < size)
		snprintf(names + used, size - used, ", ...");
	return n;
}

/* ---- who calls ---- */

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool has_word(const struct ug_lint_source *s, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = s->text; (p = strstr(p, word)); p += n) {
		if ((p == s->text || !is_word_char(p[-1])) && !is_word_char(p[n]))
			return true;
	}
	return false;
}

#define DEPTH_MAX 4

static bool start_only(const struct ug_lint_tree *t, const char *function, unsigned int depth, size_t *mentions);

/* The function this word of a file is in; NULL: in none. */
static const struct ug_decl *around(const struct ug_unit *u, size_t word)
{
	ug_vec_for_each(&u->decls, d) {
		if (d->kind == UG_DECL_FUNC && word >= d->head.a && word < d->body.b)
			return d;
	}
	return NULL;
}

/* Behind the bracket that closes the one at `i`. */
static size_t behind(const struct ug_unit *u, size_t i, size_t end)
{
	int depth = 0;

	for (; i < end; i++) {
		const struct ug_token *t = &u->tokens.v[i];

		if (t->kind != UG_TOKEN_PUNCT)
			continue;
		depth += (*t->at == '{' || *t->at == '(') - (*t->at == '}' || *t->at == ')');
		if (depth <= 0)
			return i + 1;
	}
	return end;
}

/* Is the word in the head or the body of a loop of this function? */
static bool in_loop(const struct ug_unit *u, struct ug_span body, size_t word)
{
	const struct ug_token *t = u->tokens.v;

	for (size_t i = body.a; i < word; i++) {
		size_t end = i + 1;

		if (!ug_token_is(&t[i], "for") && !ug_token_is(&t[i], "while") && !ug_token_is(&t[i], "do"))
			continue;
		if (end < body.b && ug_token_is(&t[end], "("))
			end = behind(u, end, body.b);
		if (end < body.b && ug_token_is(&t[end], "{"))
			end = behind(u, end, body.b);
		else
			while (end < body.b && !ug_token_is(&t[end], ";"))
				end++;
		if (word < end)
			return true;
	}
	return false;
}

/* One mention: a prototype says nothing; a table, another function decide. */
static bool allows(const struct ug_lint_tree *t, const struct ug_unit *u, size_t word, const char *function,
		   unsigned int depth, size_t *mentions)
{
	const struct ug_decl *d = around(u, word);
	size_t unused = 0;

	if (d && (word < d->body.a || !strcmp(d->name, function)))
		return true;		/* its own name, a recursion */
	if (!d) {
		bool called = word + 1 < u->tokens.n && ug_token_is(&u->tokens.v[word + 1], "(");

		return called && word > 0 && !ug_token_is(&u->tokens.v[word - 1], "=");
	}
	(*mentions)++;
	/* A mention that is no call passes its address on. */
	if (word + 1 >= u->tokens.n || !ug_token_is(&u->tokens.v[word + 1], "(") || in_loop(u, d->body, word))
		return false;
	if (!strcmp(d->name, "main") || (d->flags & UG_DECL_STARTUP))
		return true;
	return depth < DEPTH_MAX && start_only(t, d->name, depth + 1, &unused) && unused;
}

static bool start_only(const struct ug_lint_tree *t, const char *function, unsigned int depth, size_t *mentions)
{
	bool ok = true;

	ug_vec_for_each(&t->sources, s) {
		struct ug_unit u;

		if (!ok || !has_word(s, function))
			continue;
		ok = ug_unit_read(&u, s->text);
		for (size_t i = 0; i < u.tokens.n && ok; i++) {
			const struct ug_token *token = &u.tokens.v[i];
			const char *end = token->at + token->len;

			if (token->kind == UG_TOKEN_DIRECTIVE)
				ok = !memmem(token->at, (size_t)(end - token->at), function, strlen(function));
			else if (ug_token_is(token, function))
				ok = allows(t, &u, i, function, depth, mentions);
		}
		ug_unit_free(&u);
	}
	return ok;
}

bool ug_lint_start_only(const struct ug_lint_tree *t, const char *function)
{
	size_t mentions = 0;

	return start_only(t, function, 0, &mentions) && mentions;
}
