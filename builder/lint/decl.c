// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>

#include "builder/lint/lint.h"

struct parser {
	struct ug_unit *u;
	size_t at, n;
	UG_VEC(int) depths;		/* at each open #if */
	bool failed;
};

static const struct ug_token *tok(const struct parser *p, size_t i)
{
	return &p->u->tokens.v[i];
}

static bool is(const struct parser *p, size_t i, const char *word)
{
	return i < p->n && ug_token_is(tok(p, i), word);
}

static bool is_any(const struct parser *p, size_t i, const char *const *words)
{
	for (; *words; words++) {
		if (is(p, i, *words))
			return true;
	}
	return false;
}

/* Each branch of an #if begins at the depth the first one began at. */
static void follow_condition(struct parser *p, const struct ug_token *t, int *depth)
{
	if (ug_directive_is(t, "if") || ug_directive_is(t, "ifdef") || ug_directive_is(t, "ifndef")) {
		int *slot = ug_vec_add(&p->depths);

		p->failed |= !slot;
		if (slot)
			*slot = *depth;
	} else if (p->depths.n && (ug_directive_is(t, "else") || ug_directive_is(t, "elif"))) {
		*depth = p->depths.v[p->depths.n - 1];
	} else if (p->depths.n && ug_directive_is(t, "endif")) {
		p->depths.n--;
	}
}

/* Behind the bracket that closes the one at `i`. */
static size_t skip_brackets(struct parser *p, size_t i)
{
	size_t open = p->depths.n;
	int depth = 0;

	for (; i < p->n; i++) {
		const struct ug_token *t = tok(p, i);

		if (t->kind == UG_TOKEN_DIRECTIVE)
			follow_condition(p, t, &depth);
		if (t->kind != UG_TOKEN_PUNCT)
			continue;
		depth += (*t->at == '{' || *t->at == '(' || *t->at == '[') -
			 (*t->at == '}' || *t->at == ')' || *t->at == ']');
		if (depth <= 0) {
			p->depths.n = p->depths.n < open ? p->depths.n : open;
			return i + 1;
		}
	}
	return p->n;
}

/* ---- one declaration ---- */

static const char *const attribute_words[] = { "__attribute__", "__attribute", "__declspec", "_Alignas",
					       "alignas", "__asm__", "asm", "__typeof__", "typeof",
					       "_Static_assert", "static_assert", NULL };
static const char *const asm_words[] = { "asm", "__asm__", "__asm", NULL };
static const char *const type_words[] = { "struct", "union", "enum", "class", NULL };

struct shape {				/* of what lies between two ends of declarations */
	struct ug_span all;
	size_t parameters;		/* '(' of the last group that may be a list of parameters; 0: none */
	size_t equals;			/* first '=' outside of brackets; 0 */
	size_t braces;			/* first '{' outside of them; 0 */
	size_t type_word;		/* + 1; 0: none */
};

static struct ug_decl *add(struct parser *p, enum ug_decl_kind kind, size_t name)
{
	struct ug_decl *d = ug_vec_add(&p->u->decls);
	const struct ug_token *t = tok(p, name);

	if (!d) {
		p->failed = true;
		return NULL;
	}
	d->kind = kind;
	d->scope = "";
	d->line = t->line;
	d->name = strndup(t->at, t->len);
	p->failed |= !d->name;
	return d;
}

static unsigned int flags_of(const struct parser *p, struct ug_span s)
{
	static const struct { const char *word; unsigned int flag; } words[] = {
		{ "static", UG_DECL_STATIC }, { "inline", UG_DECL_INLINE }, { "__inline", UG_DECL_INLINE },
		{ "__inline__", UG_DECL_INLINE }, { "__thread", UG_DECL_TLS },
		{ "_Thread_local", UG_DECL_TLS }, { "thread_local", UG_DECL_TLS },
		{ "const", UG_DECL_CONST }, { "constructor", UG_DECL_STARTUP },
		{ "destructor", UG_DECL_STARTUP }, { "__constructor__", UG_DECL_STARTUP },
	};
	unsigned int flags = 0;

	for (size_t i = s.a; i < s.b; i++) {
		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
			if (is(p, i, words[k].word))
				flags |= words[k].flag;
		}
	}
	return flags;
}

/* The pointers of "const char *x" are not constant. */
static bool is_constant(const struct parser *p, struct ug_span s)
{
	size_t star = s.a;

	for (size_t i = s.a; i < s.b; i++) {
		if (is(p, i, "*"))
			star = i;
	}
	for (size_t i = star; i < s.b; i++) {
		if (is(p, i, "const"))
			return true;
	}
	return false;
}

#define NO_NAME SIZE_MAX

/* The name a declarator declares: before its first '[' or '=', or in "(*name)". */
static size_t declared_name(struct parser *p, struct ug_span s)
{
	size_t name = NO_NAME;

	for (size_t i = s.a; i < s.b; i++) {
		const struct ug_token *t = tok(p, i);

		if (is_any(p, i, attribute_words) && is(p, i + 1, "(")) {
			i = skip_brackets(p, i + 1) - 1;
		} else if (is(p, i, "(") && is(p, i + 1, "*")) {
			for (i += 2; i < s.b && !is(p, i, ")"); i++) {
				if (tok(p, i)->kind == UG_TOKEN_WORD && !is(p, i, "const"))
					return i;
			}
		} else if (is(p, i, "[") || is(p, i, "=") || is(p, i, "(")) {
			break;
		} else if (is(p, i, "{")) {
			i = skip_brackets(p, i) - 1;
		} else if (t->kind == UG_TOKEN_WORD) {
			name = i;
		}
	}
	return name;
}

static void add_variable(struct parser *p, struct ug_span base, struct ug_span s, const char *scope)
{
	size_t name = declared_name(p, s), equals = s.b;
	struct ug_decl *d;

	for (size_t i = s.a; i < s.b && equals == s.b; i++) {
		if (is(p, i, "("))
			i = skip_brackets(p, i) - 1;
		else if (is(p, i, "="))
			equals = i;
	}
	/* One word alone is a macro, or the type of a member-less declaration. */
	if (name == NO_NAME || (name == base.a && s.a == base.a))
		return;
	d = add(p, UG_DECL_VARIABLE, name);
	if (!d)
		return;
	d->scope = scope;
	d->head = (struct ug_span){ s.a, equals };
	d->body = (struct ug_span){ equals < s.b ? equals + 1 : s.b, s.b };
	d->flags = flags_of(p, (struct ug_span){ base.a, equals });
	if (!is_constant(p, (struct ug_span){ base.a, equals }))
		d->flags &= ~(unsigned int)UG_DECL_CONST;
}

/* "static int a, *b = &a;": a variable each. */
static void add_variables(struct parser *p, struct ug_span s, const char *scope)
{
	size_t from = s.a;

	for (size_t i = s.a; i < s.b; i++) {
		if (is(p, i, "(") || is(p, i, "{") || is(p, i, "[")) {
			i = skip_brackets(p, i) - 1;
		} else if (is(p, i, ",")) {
			add_variable(p, s, (struct ug_span){ from, i }, scope);
			from = i + 1;
		}
	}
	add_variable(p, s, (struct ug_span){ from, s.b }, scope);
}

static void add_type(struct parser *p, const struct shape *s)
{
	size_t end = skip_brackets(p, s->braces), word = s->type_word - 1, name = s->braces - 1;
	bool is_typedef = is(p, s->all.a, "typedef");
	struct ug_decl *d;

	/* typedef struct { } name; */
	if (tok(p, name)->kind != UG_TOKEN_WORD || name == word)
		name = declared_name(p, (struct ug_span){ end, s->all.b });
	d = add(p, UG_DECL_TYPE, name == NO_NAME ? word : name);
	if (!d)
		return;
	d->head = (struct ug_span){ word, word + 1 };
	d->body = (struct ug_span){ s->braces + 1, end ? end - 1 : end };
	d->flags = is(p, word, "enum") ? UG_DECL_ENUM : 0;
	if (!is_typedef && declared_name(p, (struct ug_span){ end, s->all.b }) != NO_NAME)
		add_variables(p, (struct ug_span){ end, s->all.b }, "");
}

/* The static variables inside a function. */
static void add_locals(struct parser *p, struct ug_span body, const char *function)
{
	for (size_t i = body.a; i < body.b; i++) {
		size_t end = i;

		if (!is(p, i, "static") || is(p, i + 1, "_Static_assert"))
			continue;
		while (end < body.b && !is(p, end, ";"))
			end = is(p, end, "{") || is(p, end, "(") ? skip_brackets(p, end) : end + 1;
		add_variables(p, (struct ug_span){ i, end }, function);
		i = end;
	}
}

static void add_function(struct parser *p, const struct shape *s, size_t end)
{
	struct ug_decl *d = add(p, UG_DECL_FUNC, s->parameters - 1);
	struct ug_span body = { s->braces, end };

	if (!d)
		return;
	d->head = (struct ug_span){ s->all.a, s->braces };
	d->body = body;
	d->flags = flags_of(p, d->head);
	if (d->name)
		add_locals(p, body, d->name);
}

/* ---- all of them ---- */

static void add_directive(struct parser *p, size_t i)
{
	const struct ug_token *t = tok(p, i);
	bool macro = ug_directive_is(t, "define");
	struct ug_decl *d;
	const char *name;
	size_t n;

	if (!macro && !ug_directive_is(t, "if") && !ug_directive_is(t, "ifdef") &&
	    !ug_directive_is(t, "ifndef") && !ug_directive_is(t, "elif") && !ug_directive_is(t, "pragma"))
		return;
	n = ug_directive_word(t, macro ? 1 : 0, &name);
	d = ug_vec_add(&p->u->decls);
	p->failed |= !d;
	if (!d)
		return;
	*d = (struct ug_decl){ .kind = macro ? UG_DECL_MACRO : UG_DECL_DIRECTIVE, .scope = "",
			       .line = t->line, .body = { i, i + 1 } };
	d->name = macro ? strndup(name, n) : strndup(t->at, t->len < 60 ? t->len : 60);
	p->failed |= !d->name;
}

static void look_at(struct parser *p, struct shape *s, size_t i)
{
	/* "int (*f)(int)" is a variable. */
	bool typed = i > s->all.a && (is_any(p, i - 1, attribute_words) || is(p, i + 1, "*"));

	if (is(p, i, "(") && i > s->all.a && tok(p, i - 1)->kind == UG_TOKEN_WORD && !typed && !s->equals)
		s->parameters = i;
	else if (is(p, i, "=") && !s->equals)
		s->equals = i;
	else if (!s->type_word && is_any(p, i, type_words))
		s->type_word = i + 1;
}

static bool is_function(const struct parser *p, const struct shape *s)
{
	if (!s->parameters || s->equals)
		return false;
	/* struct ALIGNED(8) x { */
	return !(s->type_word && s->parameters - 1 == s->type_word);
}

/* extern "C" {, namespace x {: what is inside counts as if it were outside. */
static bool is_transparent(const struct parser *p, size_t from, size_t brace)
{
	return (is(p, from, "extern") && brace == from + 2 && tok(p, from + 1)->kind == UG_TOKEN_STRING) ||
	       (is(p, from, "namespace") && brace <= from + 2);
}

static void finish(struct parser *p, const struct shape *s)
{
	struct ug_decl *d;

	if (s->all.a == s->all.b)
		return;
	if (is_any(p, s->all.a, asm_words)) {
		d = add(p, UG_DECL_ASM, s->all.a);
		if (d)
			d->body = s->all;
	} else if (s->type_word && s->braces && (!s->equals || s->braces < s->equals)) {
		add_type(p, s);
	} else if (!is(p, s->all.a, "typedef") && !is(p, s->all.a, "extern") && !is(p, s->all.a, "using") &&
		   (s->equals || !s->parameters)) {
		add_variables(p, s->all, "");
	}
}

/* From p->at; returns false at the end of the text. */
static bool read_one(struct parser *p)
{
	struct shape s = { .all = { p->at, p->at } };
	int depth = 0;
	size_t i;

	for (i = p->at; i < p->n && !is(p, i, ";"); i++) {
		const struct ug_token *t = tok(p, i);

		if (t->kind == UG_TOKEN_DIRECTIVE) {
			follow_condition(p, t, &depth);
			if (i == s.all.a)
				s.all.a = i + 1;
		} else if (is(p, i, "{") && is_transparent(p, s.all.a, i)) {
			p->at = i + 1;
			return true;
		} else if (is(p, i, "{") && is_function(p, &s)) {
			s.braces = i;
			p->at = skip_brackets(p, i);
			add_function(p, &s, p->at);
			return true;
		} else if (is(p, i, "}")) {
			p->at = i + 1;	/* of a transparent brace */
			return true;
		} else if (is(p, i, "{") || is(p, i, "(") || is(p, i, "[")) {
			look_at(p, &s, i);
			if (is(p, i, "{") && !s.braces)
				s.braces = i;
			i = skip_brackets(p, i) - 1;
		} else {
			look_at(p, &s, i);
		}
	}
	s.all.b = i;
	p->at = i + 1;
	finish(p, &s);
	return i < p->n;
}

bool ug_unit_read(struct ug_unit *u, char *text)
{
	struct parser p = { .u = u };
	bool ok;

	*u = (struct ug_unit){ .text = text };
	ok = ug_lex(text, &u->tokens);
	p.n = u->tokens.n;
	for (size_t i = 0; i < p.n; i++) {
		if (tok(&p, i)->kind == UG_TOKEN_DIRECTIVE)
			add_directive(&p, i);
	}
	while (ok && p.at < p.n && read_one(&p))
		;
	ug_vec_free(&p.depths);
	return ok && !p.failed;
}

void ug_unit_free(struct ug_unit *u)
{
	ug_vec_for_each(&u->decls, d)
		free(d->name);
	ug_vec_free(&u->decls);
	ug_vec_free(&u->tokens);
}
