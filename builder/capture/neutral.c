// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Line numbers are in the code: assert(), logging macros, allocation tracing. A diff that adds
 * one line changes every such use below it. The changed file gets line directives, so that each
 * line that is in both versions has its old number.
 *
 * The two texts are compared here, not the diff: a directive goes only where a line begins
 * outside of comments, strings, macro continuations and the arguments of a macro; otherwise
 * it waits for the next such line.
 */
#include <stdio.h>

#include "builder/buf.h"
#include "builder/capture/capture.h"

struct line {
	const char *at;
	size_t len;			/* with its end */
	bool safe;			/* a directive may stand before it */
};

typedef UG_VEC(struct line) line_vec;

static bool split(const char *text, line_vec *ret)
{
	while (*text) {
		struct line *l = ug_vec_add(ret);

		if (!l)
			return false;
		l->at = text;
		l->len = strcspn(text, "\n");
		l->len += text[l->len] == '\n';
		text += l->len;
	}
	return true;
}

/* ---- where a line begins ---- */

struct lexer {
	bool comment, directive;
	int parens;
};

static const char *skip_literal(const char *p, const char *end)
{
	char quote = *p++;

	while (p < end && *p != quote) {
		if (*p == '\\' && p + 1 < end)
			p++;
		p++;
	}
	return p < end ? p + 1 : end;
}

static bool continues(const struct line *l)
{
	size_t n = l->len;

	while (n && (l->at[n - 1] == '\n' || l->at[n - 1] == '\r'))
		n--;
	return n && l->at[n - 1] == '\\';
}

static void lex(struct lexer *x, const struct line *l)
{
	const char *p = l->at, *end = p + l->len;

	while (p < end) {
		if (x->comment) {
			if (*p == '*' && p + 1 < end && p[1] == '/') {
				x->comment = false;
				p++;
			}
			p++;
		} else if (*p == '/' && p + 1 < end && p[1] == '/') {
			break;
		} else if (*p == '/' && p + 1 < end && p[1] == '*') {
			x->comment = true;
			p += 2;
		} else if (*p == '"' || *p == '\'') {
			p = skip_literal(p, end);
		} else {
			/* Parentheses of a directive are its own: an #if in the middle counts none. */
			if (!x->directive)
				x->parens += (*p == '(') - (*p == ')');
			p++;
		}
	}
	if (x->parens < 0)
		x->parens = 0;
}

static void find_safe(line_vec *v)
{
	struct lexer x = { 0 };
	bool continued = false;

	ug_vec_for_each(v, l) {
		size_t blank = strspn(l->at, " \t");

		l->safe = !x.comment && !continued && x.parens == 0;
		if (!continued)
			x.directive = !x.comment && l->at[blank] == '#';
		lex(&x, l);
		continued = continues(l);
	}
}

/* ---- which lines are in both ---- */

static bool same_line(const struct line *a, const struct line *b)
{
	return a->len == b->len && !memcmp(a->at, b->at, a->len);
}

/*
 * match[i]: line i of `after` is that line of `before`, or SIZE_MAX. The longest common
 * subsequence of what lies between the common start and end (Myers, greedy, with the trace of
 * each step kept).
 */
struct common {
	const struct line *b, *a;
	size_t nb, na;
	size_t off;			/* of the first, in both files */
	size_t *match;
};

static bool walk_back(struct common *c, int **trace, int d, int k)
{
	int x = (int)c->nb, y = (int)c->na;

	for (; d >= 0; d--) {
		const int *v = trace[d];
		int off = d + 1, prev, px, py;

		k = x - y;
		prev = k == -d || (k != d && v[off + k - 1] < v[off + k + 1]) ? k + 1 : k - 1;
		px = d ? v[off + prev] : 0;
		py = px - prev;
		if (!d)
			py = 0;
		while (x > px && y > py && x > 0 && y > 0 && same_line(&c->b[x - 1], &c->a[y - 1])) {
			x--;
			y--;
			c->match[y] = (size_t)x + c->off;
		}
		x = px;
		y = py;
	}
	return true;
}

static bool step(struct common *c, int *v, int off, int d, int *found)
{
	int nb = (int)c->nb, na = (int)c->na;

	for (int k = -d; k <= d; k += 2) {
		int x = k == -d || (k != d && v[off + k - 1] < v[off + k + 1]) ? v[off + k + 1] :
			v[off + k - 1] + 1;
		int y = x - k;

		while (x < nb && y < na && same_line(&c->b[x], &c->a[y])) {
			x++;
			y++;
		}
		v[off + k] = x;
		if (x >= nb && y >= na) {
			*found = k;
			return true;
		}
	}
	return false;
}

#define EDITS_MAX 4000

static bool longest(struct common *c)
{
	int max = (int)(c->nb + c->na), k = 0;
	int **trace, *v;
	bool ok = true, done = false;

	if (max > EDITS_MAX)
		max = EDITS_MAX;
	trace = calloc((size_t)max + 1, sizeof(*trace));
	v = calloc(2 * (size_t)max + 3, sizeof(*v));
	for (int d = 0; trace && v && d <= max && ok && !done; d++) {
		/* What walk_back() needs of v before the step: the diagonals of the last one. */
		trace[d] = malloc((2 * (size_t)d + 3) * sizeof(**trace));
		ok = trace[d] != NULL;
		if (!ok)
			break;
		memcpy(trace[d], v + max + 1 - d - 1, (2 * (size_t)d + 3) * sizeof(**trace));
		done = step(c, v, max + 1, d, &k);
		if (done)
			ok = walk_back(c, trace, d, k);
	}
	ok = ok && trace && v;
	for (int d = 0; trace && d <= max; d++)
		free(trace[d]);
	free(trace);
	free(v);
	return ok;
}

static size_t *match_lines(const line_vec *b, const line_vec *a)
{
	size_t *match = malloc((a->n + 1) * sizeof(*match)), head = 0, tail = 0;
	struct common c = { 0 };

	if (!match)
		return NULL;
	for (size_t i = 0; i < a->n; i++)
		match[i] = SIZE_MAX;
	while (head < a->n && head < b->n && same_line(&a->v[head], &b->v[head])) {
		match[head] = head;
		head++;
	}
	while (tail < a->n - head && tail < b->n - head &&
	       same_line(&a->v[a->n - 1 - tail], &b->v[b->n - 1 - tail])) {
		match[a->n - 1 - tail] = b->n - 1 - tail;
		tail++;
	}
	c = (struct common){ b->v + head, a->v + head, b->n - head - tail, a->n - head - tail, head,
			     match + head };
	if (!longest(&c)) {
		free(match);
		return NULL;
	}
	return match;
}

/* ---- the new text ---- */

char *ug_neutral(const char *before, const char *after, size_t *ret_len)
{
	line_vec b = { 0 }, a = { 0 };
	struct ug_buf out = { 0 };
	size_t *match = NULL, number = 0;	/* of the line last written, from 0 */
	bool ok = split(before, &b) && split(after, &a);

	if (ok) {
		find_safe(&a);
		match = match_lines(&b, &a);
	}
	for (size_t i = 0; match && i < a.n; i++) {
		if (match[i] != SIZE_MAX && match[i] != number && a.v[i].safe) {
			char text[40];
			int len = snprintf(text, sizeof(text), "#line %zu\n", match[i] + 1);

			ug_buf_add(&out, text, (size_t)len);
			number = match[i];
		}
		ug_buf_add(&out, a.v[i].at, a.v[i].len);
		number++;
	}
	*ret_len = out.n;
	ug_buf_add(&out, "", 1);
	ok = match && !out.failed;
	free(match);
	ug_vec_free(&b);
	ug_vec_free(&a);
	if (!ok) {
		ug_buf_free(&out);
		return NULL;
	}
	return (char *)out.v;
}
