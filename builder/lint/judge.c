// SPDX-License-Identifier: GPL-2.0-or-later
/* From what has changed in a file to what may stand in the way of a patch. */
#include <stdarg.h>
#include <stdio.h>

#include "builder/lint/lint.h"

struct judge {
	const struct ug_lint_file *f;
	const ug_decl_changes *changes;
	bool ok;			/* memory */
};

static void say(struct judge *j, enum ug_reason reason, const struct ug_decl *d, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void say(struct judge *j, enum ug_reason reason, const struct ug_decl *d, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	j->ok &= ug_finding_add(j->f->findings, reason, j->f->name, d->line, "%s", text);
}

/* "table" or "f.counter" */
static const char *label(const struct ug_decl *d, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", d->scope, d->scope[0] ? "." : "", d->name);
	return buf;
}

/* ---- variables ---- */

/* Another static variable of that function that has come, or gone. */
static const struct ug_decl *counterpart(const struct judge *j, const struct ug_decl *d, bool came)
{
	ug_vec_for_each(j->changes, c) {
		const struct ug_decl *o = came ? c->after : c->before;

		if (o && !(came ? c->before : c->after) && o->kind == UG_DECL_VARIABLE && d->scope[0] &&
		    !strcmp(o->scope, d->scope))
			return o;
	}
	return NULL;
}

static void judge_new_variable(struct judge *j, const struct ug_decl *d)
{
	char name[128];

	label(d, name, sizeof(name));
	if (d->flags & UG_DECL_TLS)
		say(j, UG_REASON_TLS_NEW, d, "%s", name);
	else if (!(d->flags & UG_DECL_CONST) && !counterpart(j, d, false))
		say(j, UG_REASON_NEW_VARIABLE, d, "%s", name);
}

static void judge_gone_variable(struct judge *j, const struct ug_decl *d)
{
	const struct ug_decl *other = counterpart(j, d, true);
	char name[128], now[128];

	label(d, name, sizeof(name));
	if (other)
		say(j, UG_REASON_STATIC_GONE, other, "%s has gone, %s has come", name,
		    label(other, now, sizeof(now)));
	else if (!(d->flags & UG_DECL_CONST))
		say(j, UG_REASON_VARIABLE_GONE, d, "%s (the line is the old one)", name);
}

static void judge_head(struct judge *j, const struct ug_decl_change *c, const char *name)
{
	unsigned int differ = c->before->flags ^ c->after->flags;

	if (differ & UG_DECL_TLS)
		say(j, c->after->flags & UG_DECL_TLS ? UG_REASON_TLS_NEW : UG_REASON_DATA_SIZE, c->after,
		    "%s is %s thread-local", name, c->after->flags & UG_DECL_TLS ? "now" : "no longer");
	else if (differ & UG_DECL_CONST)
		say(j, UG_REASON_SECTION_KIND, c->after, "%s", name);
	else if (!ug_spans_equal(j->f->before, c->before->head, j->f->after, c->after->head))
		say(j, UG_REASON_DATA_SIZE, c->after, "%s is declared otherwise", name);
}

static void judge_variable(struct judge *j, const struct ug_decl_change *c)
{
	char name[128];

	if (!c->before)
		return judge_new_variable(j, c->after);
	if (!c->after)
		return judge_gone_variable(j, c->before);
	label(c->after, name, sizeof(name));
	if (c->head)
		judge_head(j, c, name);
	if (c->body && c->after->flags & UG_DECL_TLS)
		say(j, UG_REASON_TLS_CHANGED, c->after, "%s", name);
	else if (c->body)
		say(j, UG_REASON_DATA_CHANGED, c->after, "%s has another initialiser%s", name,
		    c->after->flags & UG_DECL_CONST ? "; a constant without pointers in it is copied" : "");
}

/* ---- types ---- */

static void judge_type(struct judge *j, const struct ug_decl_change *c)
{
	char what[160];

	if (!c->before || !c->after)
		return;			/* who used it differs by itself */
	ug_members_differ(j->f->before, c->before, j->f->after, c->after, what, sizeof(what));
	if (!(c->after->flags & UG_DECL_ENUM))
		say(j, UG_REASON_LAYOUT, c->after, "%s: %s", c->after->name,
		    what[0] ? what : "its definition differs");
	else if (ug_enum_grows(j->f->before, c->before, j->f->after, c->after))
		say(j, UG_REASON_ENUM_GROWS, c->after, "%s: %s", c->after->name, what);
	else
		say(j, UG_REASON_ENUM, c->after, "%s: %s", c->after->name, what[0] ? what : "its values");
}

/* ---- functions ---- */

/* "for (;;)", "while (1)" */
static bool loops_forever(const struct ug_unit *u, struct ug_span s)
{
	const struct ug_token *t = u->tokens.v;

	for (size_t i = s.a; i + 4 < s.b; i++) {
		if (ug_token_is(&t[i], "for") && ug_token_is(&t[i + 2], ";") && ug_token_is(&t[i + 3], ";"))
			return true;
		if (ug_token_is(&t[i], "while") && ug_token_is(&t[i + 3], ")") &&
		    (ug_token_is(&t[i + 2], "1") || ug_token_is(&t[i + 2], "true")))
			return true;
	}
	return false;
}

/* "pthread_mutex_lock", "unlockRegion": a part of the name is the word. */
static bool is_lock_word(const struct ug_token *t)
{
	static const char *const words[] = { "lock", "unlock", "trylock", "mutex", "rwlock", "spinlock",
					     "Lock", "Unlock", "Mutex", "LOCK", "UNLOCK", "MUTEX" };

	for (size_t k = 0; t->kind == UG_TOKEN_WORD && k < sizeof(words) / sizeof(words[0]); k++) {
		size_t n = strlen(words[k]);

		for (size_t i = 0; i + n <= t->len; i++) {
			bool starts = i == 0 || t->at[i - 1] == '_' || (words[k][0] >= 'A' && words[k][0] <= 'Z');
			bool ends = i + n == t->len || !(t->at[i + n] >= 'a' && t->at[i + n] <= 'z');

			if (starts && ends && !memcmp(t->at + i, words[k], n))
				return true;
		}
	}
	return false;
}

/* The next such word from *i on; NULL: none. */
static const struct ug_token *next_lock(const struct ug_unit *u, struct ug_span s, size_t *i)
{
	for (*i = *i < s.a ? s.a : *i; *i < s.b; (*i)++) {
		if (is_lock_word(&u->tokens.v[*i]))
			return &u->tokens.v[(*i)++];
	}
	return NULL;
}

static bool same_locks(const struct judge *j, const struct ug_decl_change *c)
{
	const struct ug_token *x, *y;
	size_t b = 0, a = 0;

	do {
		x = next_lock(j->f->before, c->before->body, &b);
		y = next_lock(j->f->after, c->after->body, &a);
	} while (x && y && ug_tokens_equal(x, y));
	return !x && !y;
}

static bool has_asm(const struct ug_unit *u, struct ug_span s)
{
	return ug_span_has(u, s, "asm") || ug_span_has(u, s, "__asm__") || ug_span_has(u, s, "__asm");
}

static void judge_header_function(struct judge *j, const struct ug_decl *d)
{
	char names[160];
	size_t n = ug_lint_includers(j->f->tree, j->f->name, names, sizeof(names));

	say(j, UG_REASON_HEADER_INLINE, d, "%s: %zu source files may include it%s%s", d->name, n,
	    n ? ": " : "", names);
}

static void judge_body(struct judge *j, const struct ug_decl_change *c)
{
	const struct ug_decl *d = c->after;

	if (!strcmp(d->name, "main") || (d->flags & UG_DECL_STARTUP))
		say(j, UG_REASON_STARTUP, d, "%s", d->name);
	else if (ug_lint_start_only(j->f->tree, d->name))
		say(j, UG_REASON_START_ONLY, d, "%s", d->name);
	if (ug_lint_is_header(j->f->name))
		judge_header_function(j, d);
	if (loops_forever(j->f->after, d->body) || loops_forever(j->f->before, c->before->body))
		say(j, UG_REASON_LONG_RUNNING, d, "%s", d->name);
	if (!same_locks(j, c))
		say(j, UG_REASON_LOCKS, d, "%s", d->name);
	if (has_asm(j->f->after, d->body))
		say(j, UG_REASON_ASM_INLINE, d, "%s", d->name);
}

static bool is_storage(const struct ug_token *t)
{
	return ug_token_is(t, "static") || ug_token_is(t, "inline") || ug_token_is(t, "extern");
}

/* Storage words are no part of what callers see. */
static bool same_signature(const struct judge *j, const struct ug_decl_change *c)
{
	struct ug_span b = c->before->head, a = c->after->head;

	while (b.a < b.b && is_storage(&j->f->before->tokens.v[b.a]))
		b.a++;
	while (a.a < a.b && is_storage(&j->f->after->tokens.v[a.a]))
		a.a++;
	return ug_spans_equal(j->f->before, b, j->f->after, a);
}

static void judge_function(struct judge *j, const struct ug_decl_change *c)
{
	const struct ug_decl *d = c->after ? c->after : c->before;

	if (!c->before || !c->after) {
		if (d->flags & UG_DECL_STARTUP)
			say(j, UG_REASON_CONSTRUCTOR, d, "%s", d->name);
		return;
	}
	if ((c->before->flags ^ c->after->flags) & UG_DECL_STARTUP)
		say(j, UG_REASON_CONSTRUCTOR, d, "%s", d->name);
	if (c->head && !same_signature(j, c))
		say(j, UG_REASON_SIGNATURE, d, "%s", d->name);
	judge_body(j, c);
}

/* ---- macros and the rest ---- */

/* What is laid out or initialised with the macro in this file: it changes with it. */
static void judge_uses(struct judge *j, const struct ug_decl *macro)
{
	ug_vec_for_each(&j->f->after->decls, d) {
		char name[128];

		if (d->kind != UG_DECL_VARIABLE && d->kind != UG_DECL_TYPE)
			continue;
		label(d, name, sizeof(name));
		if (d->kind == UG_DECL_TYPE && ug_span_has(j->f->after, d->body, macro->name))
			say(j, d->flags & UG_DECL_ENUM ? UG_REASON_ENUM : UG_REASON_LAYOUT, d, "%s, by the macro %s",
			    name, macro->name);
		else if (d->kind == UG_DECL_VARIABLE && ug_span_has(j->f->after, d->head, macro->name))
			say(j, UG_REASON_DATA_SIZE, d, "%s, by the macro %s", name, macro->name);
		else if (d->kind == UG_DECL_VARIABLE && ug_span_has(j->f->after, d->body, macro->name))
			say(j, UG_REASON_DATA_CHANGED, d, "%s, by the macro %s", name, macro->name);
	}
}

static void judge_macro(struct judge *j, const struct ug_decl_change *c)
{
	const struct ug_decl *d = c->after ? c->after : c->before;
	char names[160];
	size_t n;

	if (c->before && c->after)
		judge_uses(j, d);
	if (!ug_lint_is_header(j->f->name))
		return;
	n = ug_lint_includers(j->f->tree, j->f->name, names, sizeof(names));
	if (c->before)
		say(j, UG_REASON_HEADER_MACRO, d, "%s: %zu source files may include it%s%s", d->name, n,
		    n ? ": " : "", names);
}

/* One that was rewritten has gone and come: said once. */
static void judge_directive(struct judge *j, const struct ug_decl_change *c)
{
	const struct ug_decl *d = c->after ? c->after : c->before;

	ug_vec_for_each(j->changes, o) {
		if (!c->after && o->after && !o->before && o->after->kind == UG_DECL_DIRECTIVE)
			return;
	}
	say(j, UG_REASON_CONDITION, d, "%.*s", (int)strcspn(d->name, "\n"), d->name);
}

static void judge_change(struct judge *j, const struct ug_decl_change *c)
{
	const struct ug_decl *d = c->after ? c->after : c->before;

	switch (d->kind) {
	case UG_DECL_FUNC:
		return judge_function(j, c);
	case UG_DECL_VARIABLE:
		return judge_variable(j, c);
	case UG_DECL_TYPE:
		return judge_type(j, c);
	case UG_DECL_MACRO:
		return judge_macro(j, c);
	case UG_DECL_ASM:
		return say(j, UG_REASON_ASM, d, "assembler outside of functions");
	case UG_DECL_DIRECTIVE:
		return judge_directive(j, c);
	}
}

/* Words that differ although no declaration does. */
static bool differs(const struct ug_unit *b, const struct ug_unit *a)
{
	return !ug_spans_equal(b, (struct ug_span){ 0, b->tokens.n }, a, (struct ug_span){ 0, a->tokens.n });
}

bool ug_lint_judge(const struct ug_lint_file *f, const ug_decl_changes *changes)
{
	struct judge j = { .f = f, .changes = changes, .ok = true };

	ug_vec_for_each(changes, c)
		judge_change(&j, c);
	if (!changes->n && differs(f->before, f->after))
		j.ok &= ug_finding_add(f->findings, UG_REASON_UNCLEAR, f->name, 0, "%s", f->name);
	return j.ok;
}
