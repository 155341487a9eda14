// SPDX-License-Identifier: GPL-2.0-or-later
/* What cannot be seen item by item: code without functions, start-up code, linker tables. */
#include <ctype.h>
#include <errno.h>

#include "builder/diff/diff.h"

#define FIND(d, reason, item, ...)                                                                 \
	(ug_finding_add(&(d)->findings, UG_REASON_##reason, (item)->file, (item)->line, __VA_ARGS__) ? \
	 0 : -ENOMEM)

/* ---- assembler ---- */

/* Does something but padding lie outside of all functions with a size? */
static bool has_bare_code(const struct ug_dobj *o, size_t section)
{
	const uint8_t *code = o->file.r.data + o->file.sh[section].sh_offset;
	uint64_t at = 0, size = o->file.sh[section].sh_size;

	for (size_t i = o->first_item[section]; i <= o->first_item[section + 1]; i++) {
		bool last = i == o->first_item[section + 1];
		uint64_t end = last ? size : o->items.v[i].value;

		while (at < end) {
			struct ug_insn insn;

			if (!ug_insn_decode(code + at, end - at, at, &insn) ||
			    (!insn.is_nop && insn.kind != UG_INSN_TRAP))
				return true;
			at += insn.len;
		}
		if (!last && o->items.v[i].value + o->items.v[i].size > at)
			at = o->items.v[i].value + o->items.v[i].size;
	}
	return false;
}

static bool same_section(const struct ug_diff *d, size_t b, size_t a)
{
	const struct ug_dobj *ob = d->before, *oa = d->after;
	const Elf64_Shdr *sb = &ob->file.sh[b], *sa = &oa->file.sh[a];
	size_t nb = ob->first_rel[b + 1] - ob->first_rel[b], na = oa->first_rel[a + 1] - oa->first_rel[a];

	if (sb->sh_size != sa->sh_size || nb != na ||
	    memcmp(ob->file.r.data + sb->sh_offset, oa->file.r.data + sa->sh_offset, sa->sh_size))
		return false;
	for (size_t i = 0; i < na; i++) {
		const struct ug_rel *rb = &ob->rels.v[ob->first_rel[b] + i];
		const struct ug_rel *ra = &oa->rels.v[oa->first_rel[a] + i];

		if (rb->type != ra->type || rb->offset != ra->offset || rb->addend != ra->addend ||
		    strcmp(ug_objfile_symbol_name(&ob->file, rb->sym),
			   ug_objfile_symbol_name(&oa->file, ra->sym)))
			return false;
	}
	return true;
}

static int check_bare_code(struct ug_diff *d)
{
	for (size_t a = 1; a < d->after->file.nsh; a++) {
		const char *name = ug_objfile_section_name(&d->after->file, a);
		size_t b;

		if (!ug_dobj_is_code(&d->after->file, a) || !has_bare_code(d->after, a))
			continue;
		b = ug_objfile_section(&d->before->file, name);
		if (b && same_section(d, b, a))
			continue;
		if (!ug_finding_add(&d->findings, UG_REASON_ASM, "", 0,
				    "section %s has code outside of functions, and it differs", name))
			return -ENOMEM;
	}
	return 0;
}

/*
 * Into the function; or to its end, with nothing behind it. clang does that after a call that
 * does not return but might throw (-O0: what follows such an `invoke` is an empty block).
 */
static bool stays(const struct ug_diff *d, const struct ug_item *f, uint64_t target)
{
	uint64_t end = f->value + f->size;

	return target >= f->value &&
	       (target < end || (target == end && end == d->after->file.sh[f->section].sh_size));
}

/* A kept function with a branch the assembler resolved to a neighbour cannot be moved alone. */
static int check_branches(struct ug_diff *d, const struct ug_item *f)
{
	for (size_t i = f->first_insn; i < f->first_insn + f->ninsns; i++) {
		const struct ug_op *op = &d->after->ops.v[i];
		const struct ug_rel *rels;
		size_t n;

		if (op->kind != UG_INSN_JMP && op->kind != UG_INSN_JCC && op->kind != UG_INSN_CALL)
			continue;
		ug_dobj_rels(d->after, f->section, op->off, op->off + op->len, &rels, &n);
		if (!n && !stays(d, f, op->target))
			return FIND(d, ASM, f, "%s branches into a neighbour of its section", f->name);
	}
	return f->opaque ? FIND(d, ASM, f, "%s does not decode", f->name) : 0;
}

/* ---- what runs at start and end ---- */

static bool is_start_table(const char *name)
{
	static const char *const names[] = { ".init_array", ".fini_array", ".preinit_array", ".ctors",
					     ".dtors" };

	for (size_t i = 0; i < UG_ARRAY_SIZE(names); i++) {
		size_t len = strlen(names[i]);

		if (!strncmp(name, names[i], len) && (!name[len] || name[len] == '.'))
			return true;
	}
	return false;
}

/* The n-th function of all such tables. */
static size_t started(const struct ug_dobj *o, size_t n)
{
	for (size_t s = 1; s < o->file.nsh; s++) {
		if (!is_start_table(ug_objfile_section_name(&o->file, s)))
			continue;
		for (size_t i = o->first_rel[s]; i < o->first_rel[s + 1]; i++) {
			if (n-- == 0)
				return ug_dobj_place(o, &o->rels.v[i], 0, 0).item;
		}
	}
	return UG_NO_ITEM;
}

static bool is_started(const struct ug_dobj *o, size_t item)
{
	size_t s;

	for (size_t n = 0; (s = started(o, n)) != UG_NO_ITEM; n++) {
		if (s == item)
			return true;
	}
	return false;
}

static int check_start_tables(struct ug_diff *d)
{
	for (size_t n = 0;; n++) {
		size_t b = started(d->before, n), a = started(d->after, n);
		const struct ug_item *item;

		if (a == UG_NO_ITEM && b == UG_NO_ITEM)
			return 0;
		if (a != UG_NO_ITEM && b != UG_NO_ITEM && d->after->items.v[a].pair == b)
			continue;
		item = a == UG_NO_ITEM ? &d->before->items.v[b] : &d->after->items.v[a];
		return FIND(d, CONSTRUCTOR, item, "%s %s a constructor or destructor", item->name,
			    a == UG_NO_ITEM ? "is no longer" : "has become");
	}
}

/* ---- kept functions ---- */

/* What runs the constructors of a file's variables: called by a constructor of the file. */
static bool is_initializer(const char *name)
{
	static const char *const names[] = { "_Z41__static_initialization_and_destruction_0",
					     "__cxx_global_var_init", "_GLOBAL__sub_I_" };

	for (size_t i = 0; i < UG_ARRAY_SIZE(names); i++) {
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	}
	return false;
}

static int check_function(struct ug_diff *d, size_t i)
{
	const struct ug_item *f = &d->after->items.v[i];
	int rc;

	if (f->ifunc)
		return FIND(d, IFUNC, f, "%s is an indirect function", f->name);
	if (f->pair != UG_NO_ITEM && !strcmp(f->name, "main"))
		return FIND(d, STARTUP, f, "main has changed");
	if (is_initializer(f->name) || (f->pair != UG_NO_ITEM && is_started(d->after, i)))
		return FIND(d, STARTUP, f, "%s is a constructor or destructor", f->name);
	rc = check_branches(d, f);
	return rc;
}

static int check_variable(struct ug_diff *d, size_t i)
{
	const struct ug_item *v = &d->after->items.v[i];

	if (v->kind == UG_ITEM_TLS)
		return FIND(d, TLS_NEW, v, "%s is new and thread-local", v->name);
	if (!v->name[0] && !v->literal)
		return FIND(d, STATIC_LOCAL, v, "a variable without a name in section %s",
			    ug_objfile_section_name(&d->after->file, v->section));
	return 0;
}

/* See left.c. */
static int check_left(struct ug_diff *d)
{
	for (size_t i = 0; i < d->before->items.n; i++) {
		const struct ug_item *f = &d->before->items.v[i];

		if (d->left[i] && FIND(d, OLD_CODE, f, "%s", f->name) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int check_kept(struct ug_diff *d)
{
	for (size_t i = 0; i < d->after->items.n; i++) {
		int rc = 0;

		if (d->kept[i])
			rc = d->after->items.v[i].kind == UG_ITEM_FUNC ? check_function(d, i) :
			     check_variable(d, i);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- variables that came and went ---- */

static bool is_linker_table(const struct ug_dobj *o, const struct ug_item *item)
{
	const char *name = ug_objfile_section_name(&o->file, item->section);

	if (!name[0] || isdigit((unsigned char)name[0]))
		return false;
	while (isalnum((unsigned char)*name) || *name == '_')
		name++;
	return !*name;		/* an identifier: the linker defines __start_ and __stop_ for it */
}

/* Same function and source name on the other side, but not paired. */
static const struct ug_item *namesake(const struct ug_dobj *o, const struct ug_item *like)
{
	ug_vec_for_each(&o->items, i) {
		if (i->kind == like->kind && i->pair == UG_NO_ITEM && !i->literal && i->scope &&
		    like->scope && i->var && like->var && !strcmp(i->var, like->var) &&
		    !strcmp(i->scope, like->scope))
			return i;
	}
	return NULL;
}

static const struct ug_item *gone_of_scope(const struct ug_dobj *o, const struct ug_item *like)
{
	ug_vec_for_each(&o->items, i) {
		if (i->kind == like->kind && i->pair == UG_NO_ITEM && !i->literal && i->scope &&
		    like->scope && !strcmp(i->scope, like->scope))
			return i;
	}
	return NULL;
}

static int check_new(struct ug_diff *d, size_t a)
{
	const struct ug_item *item = &d->after->items.v[a], *old;

	if (is_linker_table(d->after, item))
		return FIND(d, SECTION_ENTRY, item, "%s is new in section %s", item->name,
			    ug_objfile_section_name(&d->after->file, item->section));
	if (!d->kept[a])
		return 0;
	old = namesake(d->before, item);
	if (old)
		return FIND(d, STATIC_LOCAL, item, "%s has no certain counterpart (%s before)",
			    item->name, old->name);
	old = gone_of_scope(d->before, item);
	if (old)
		return FIND(d, STATIC_GONE, item, "%s is new, %s is gone", item->var, old->var);
	return 0;
}

static int check_variables(struct ug_diff *d)
{
	for (size_t i = 0; i < d->changes.n; i++) {
		const struct ug_change c = d->changes.v[i];
		int rc = 0;

		if (c.kind == UG_ITEM_FUNC)
			continue;
		if (c.verdict == UG_DIFF_NEW)
			rc = check_new(d, c.after);
		else if (c.verdict == UG_DIFF_GONE &&
			 is_linker_table(d->before, &d->before->items.v[c.before]))
			rc = FIND(d, SECTION_ENTRY, &d->before->items.v[c.before], "%s is gone from a "
				  "section", c.name);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int ug_diff_checks(struct ug_diff *d)
{
	int rc = check_bare_code(d);

	if (rc == 0)
		rc = check_start_tables(d);
	if (rc == 0)
		rc = check_kept(d);
	if (rc == 0)
		rc = check_left(d);
	return rc < 0 ? rc : check_variables(d);
}
