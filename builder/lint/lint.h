/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A look at a diff before anything is built: words and braces, no types, no preprocessor. It can
 * be wrong in both directions and says "may": only `ugraft build` knows.
 *
 *	lex.c		text becomes words
 *	decl.c		words become declarations
 *	compare.c	two versions of a file: what has come, gone, changed
 *	judge.c		what that means for a patch
 *	tree.c		the rest of the source: who includes, who calls
 *	lint.c		the files of the diff, one after the other
 *
 * Both branches of an #if are read, one after the other; braces are counted as if each were alone.
 */
#ifndef UG_BUILDER_LINT_LINT_H
#define UG_BUILDER_LINT_LINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/vec.h"
#include "builder/reason.h"

/* ---- lex.c ---- */

enum ug_token_kind {
	UG_TOKEN_WORD,			/* names, keywords, numbers */
	UG_TOKEN_STRING,		/* and characters */
	UG_TOKEN_PUNCT,			/* one character */
	UG_TOKEN_DIRECTIVE,		/* "#define X 1" whole, with its continuations */
};

struct ug_token {
	const char *at;			/* in the text */
	uint32_t len, line;
	enum ug_token_kind kind;
};

typedef UG_VEC(struct ug_token) ug_token_vec;

/* Comments are left out. False: out of memory. */
bool ug_lex(const char *text, ug_token_vec *ret);
bool ug_token_is(const struct ug_token *t, const char *word);
bool ug_tokens_equal(const struct ug_token *a, const struct ug_token *b);
/* Words of a directive: "define", "X"; the length, 0 when there is none. */
size_t ug_directive_word(const struct ug_token *t, unsigned int n, const char **ret);
bool ug_directive_is(const struct ug_token *t, const char *word);

/* ---- decl.c ---- */

enum ug_decl_kind {
	UG_DECL_FUNC,
	UG_DECL_VARIABLE,		/* also static ones in functions: `scope` */
	UG_DECL_TYPE,			/* struct, union, enum with its members */
	UG_DECL_MACRO,
	UG_DECL_ASM,			/* outside of functions */
	UG_DECL_DIRECTIVE,		/* conditions and pragmas */
};

enum {
	UG_DECL_STATIC = 1 << 0,
	UG_DECL_INLINE = 1 << 1,
	UG_DECL_TLS = 1 << 2,
	UG_DECL_CONST = 1 << 3,
	UG_DECL_STARTUP = 1 << 4,	/* constructor or destructor */
	UG_DECL_ENUM = 1 << 5,
};

/* Words [a, b). */
struct ug_span {
	size_t a, b;
};

struct ug_decl {
	enum ug_decl_kind kind;
	unsigned int flags;
	char *name;			/* owned */
	const char *scope;		/* of a static local: its function's name; else "" */
	unsigned int line;
	struct ug_span head;		/* a function's signature, a variable's type and name */
	struct ug_span body;		/* its braces; initialiser; members; empty: none */
};

typedef UG_VEC(struct ug_decl) ug_decl_vec;

struct ug_unit {			/* one version of a file */
	char *text;			/* not owned */
	ug_token_vec tokens;
	ug_decl_vec decls;
};

/* text stays the caller's and must live on. False: out of memory. */
bool ug_unit_read(struct ug_unit *u, char *text);
void ug_unit_free(struct ug_unit *u);

/* ---- compare.c ---- */

struct ug_decl_change {			/* one of them NULL: it has come, or gone */
	const struct ug_decl *before, *after;
	bool head, body;		/* what differs, when both are there */
};

typedef UG_VEC(struct ug_decl_change) ug_decl_changes;

bool ug_unit_compare(const struct ug_unit *before, const struct ug_unit *after, ug_decl_changes *ret);
bool ug_spans_equal(const struct ug_unit *x, struct ug_span a, const struct ug_unit *y, struct ug_span b);
/* Is the word in the span? */
bool ug_span_has(const struct ug_unit *u, struct ug_span s, const char *word);
/* The first member (of a type) or enumerator that differs, as "new member x"; "" : not found. */
void ug_members_differ(const struct ug_unit *before, const struct ug_decl *b, const struct ug_unit *after,
		       const struct ug_decl *a, char *buf, size_t size);
/* Are the enumerators of before the first ones of after? */
bool ug_enum_grows(const struct ug_unit *before, const struct ug_decl *b, const struct ug_unit *after,
		   const struct ug_decl *a);

/* ---- tree.c ---- */

struct ug_lint_source {
	char *name;			/* in the tree, owned */
	char *text;
	size_t len;
};

struct ug_lint_tree {
	UG_VEC(struct ug_lint_source) sources;	/* all C and C++ files */
};

int ug_lint_tree_read(const char *dir, struct ug_lint_tree *ret, struct ug_error *err) ug_must_check;
void ug_lint_tree_free(struct ug_lint_tree *t);
bool ug_lint_is_source(const char *name);
bool ug_lint_is_header(const char *name);
/* How many sources include a header of that name, also through others; names: the first ones. */
size_t ug_lint_includers(const struct ug_lint_tree *t, const char *header, char *names, size_t size);
/* Is the function called only by main() and by what main() alone calls, and in no loop? */
bool ug_lint_start_only(const struct ug_lint_tree *t, const char *function);

/* ---- judge.c ---- */

struct ug_lint_file {
	const char *name;
	const struct ug_unit *before, *after;
	const struct ug_lint_tree *tree;
	ug_finding_vec *findings;
};

/* What these changes of a file may mean. False: out of memory. */
bool ug_lint_judge(const struct ug_lint_file *f, const ug_decl_changes *changes);

#endif
