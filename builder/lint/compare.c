// SPDX-License-Identifier: GPL-2.0-or-later
/* Declarations of the same kind, scope and name are the same one; the n-th with the n-th. */
#include <stdio.h>

#include "builder/lint/lint.h"

bool ug_spans_equal(const struct ug_unit *x, struct ug_span a, const struct ug_unit *y, struct ug_span b)
{
	if (a.b - a.a != b.b - b.a)
		return false;
	for (size_t i = 0; i < a.b - a.a; i++) {
		if (!ug_tokens_equal(&x->tokens.v[a.a + i], &y->tokens.v[b.a + i]))
			return false;
	}
	return true;
}

bool ug_span_has(const struct ug_unit *u, struct ug_span s, const char *word)
{
	for (size_t i = s.a; i < s.b; i++) {
		if (ug_token_is(&u->tokens.v[i], word))
			return true;
	}
	return false;
}

static bool same_place(const struct ug_decl *a, const struct ug_decl *b)
{
	return a->kind == b->kind && !strcmp(a->name, b->name) && !strcmp(a->scope, b->scope);
}

/* Which of its name it is, from 0. */
static size_t rank_of(const struct ug_unit *u, const struct ug_decl *d)
{
	size_t n = 0;

	for (const struct ug_decl *o = u->decls.v; o < d; o++)
		n += same_place(o, d);
	return n;
}

static const struct ug_decl *find(const struct ug_unit *u, const struct ug_decl *like, size_t rank)
{
	ug_vec_for_each(&u->decls, d) {
		if (same_place(d, like) && rank-- == 0)
			return d;
	}
	return NULL;
}

static bool add(ug_decl_changes *v, struct ug_decl_change c)
{
	struct ug_decl_change *slot = ug_vec_add(v);

	if (slot)
		*slot = c;
	return slot != NULL;
}

bool ug_unit_compare(const struct ug_unit *before, const struct ug_unit *after, ug_decl_changes *ret)
{
	bool ok = true;

	ug_vec_for_each(&after->decls, a) {
		const struct ug_decl *b = find(before, a, rank_of(after, a));
		struct ug_decl_change c = { .before = b, .after = a };

		c.head = b && (!ug_spans_equal(before, b->head, after, a->head) || b->flags != a->flags);
		c.body = b && !ug_spans_equal(before, b->body, after, a->body);
		if (!b || c.head || c.body)
			ok &= add(ret, c);
	}
	ug_vec_for_each(&before->decls, b) {
		if (!find(after, b, rank_of(before, b)))
			ok &= add(ret, (struct ug_decl_change){ .before = b });
	}
	return ok;
}

/* ---- members ---- */

/* The member that begins at s->a, without its end; s then begins behind it. False: no more. */
static bool next_member(const struct ug_unit *u, const char *end, struct ug_span *s, struct ug_span *ret)
{
	int depth = 0;
	size_t i;

	while (s->a < s->b && (u->tokens.v[s->a].kind == UG_TOKEN_DIRECTIVE ||
			       ug_token_is(&u->tokens.v[s->a], end)))
		s->a++;
	for (i = s->a; i < s->b; i++) {
		const struct ug_token *t = &u->tokens.v[i];

		if (t->kind == UG_TOKEN_PUNCT)
			depth += (*t->at == '{' || *t->at == '(' || *t->at == '[') -
				 (*t->at == '}' || *t->at == ')' || *t->at == ']');
		if (depth == 0 && ug_token_is(t, end))
			break;
	}
	*ret = (struct ug_span){ s->a, i };
	s->a = i < s->b ? i + 1 : i;
	return ret->a < ret->b;
}

static bool has_member(const struct ug_unit *u, struct ug_span members, const char *end,
		       const struct ug_unit *other, struct ug_span member)
{
	struct ug_span m;

	while (next_member(u, end, &members, &m)) {
		if (ug_spans_equal(u, m, other, member))
			return true;
	}
	return false;
}

static void say(const struct ug_unit *u, struct ug_span m, const char *what, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "%s '", what);

	for (size_t i = m.a; i < m.b && n < size; i++) {
		const struct ug_token *t = &u->tokens.v[i];
		bool gap = i > m.a && t->kind == UG_TOKEN_WORD && u->tokens.v[i - 1].kind == UG_TOKEN_WORD;

		gap |= i > m.a && t->kind == UG_TOKEN_PUNCT && *t->at == '*' &&
		       u->tokens.v[i - 1].kind == UG_TOKEN_WORD;
		n += (size_t)snprintf(buf + n, size - n, "%s%.*s", gap ? " " : "", (int)t->len, t->at);
	}
	if (n < size)
		snprintf(buf + n, size - n, "'");
}

void ug_members_differ(const struct ug_unit *before, const struct ug_decl *b, const struct ug_unit *after,
		       const struct ug_decl *a, char *buf, size_t size)
{
	const char *end = a->flags & UG_DECL_ENUM ? "," : ";";
	struct ug_span old = b->body, new = a->body, x, y;
	bool more_old = next_member(before, end, &old, &x), more_new = next_member(after, end, &new, &y);

	buf[0] = 0;
	while (more_old && more_new && ug_spans_equal(before, x, after, y)) {
		more_old = next_member(before, end, &old, &x);
		more_new = next_member(after, end, &new, &y);
	}
	if (more_new && !has_member(before, b->body, end, after, y))
		say(after, y, more_old && !has_member(after, a->body, end, before, x) ? "changed to" : "new", buf,
		    size);
	else if (more_old && !has_member(after, a->body, end, before, x))
		say(before, x, "without", buf, size);
	else if (more_old)
		say(before, x, "another order from", buf, size);
}

bool ug_enum_grows(const struct ug_unit *before, const struct ug_decl *b, const struct ug_unit *after,
		   const struct ug_decl *a)
{
	struct ug_span old = b->body, new = a->body, x, y;

	while (next_member(before, ",", &old, &x)) {
		if (!next_member(after, ",", &new, &y) || !ug_spans_equal(before, x, after, y))
			return false;
	}
	return true;
}
