// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "builder/code.h"
#include "builder/match.h"

struct check {
	const struct ug_diff *d;
	const struct ug_dobj *o;
	const struct ug_linked *l;
	struct ug_object *binary;
	uint32_t group;
	struct ug_code_walk walk;
	struct ug_match *m;
};

const struct ug_linked_symbol *ug_match_symbol(const struct ug_diff *d, const struct ug_linked *l,
					       uint32_t group, size_t item)
{
	const struct ug_item *i = &d->before->items.v[item];
	const struct ug_linked_symbol *s;

	if (i->bind != STB_LOCAL) {
		s = ug_linked_find(l, 0, i->name);
		return s ? s : ug_linked_find_hidden(l, i->name);
	}
	return ug_linked_find(l, group, i->name);
}

/* ---- references ---- */

static bool same_literal(const struct check *c, const struct ug_item *item, int64_t off, uint64_t addr)
{
	const uint8_t *bytes = ug_item_bytes(c->o, item);
	ug_autofree uint8_t *buf = NULL;
	const struct ug_rel *rels;
	size_t n;

	ug_dobj_rels(c->o, item->section, item->value, item->value + item->size, &rels, &n);
	if (!bytes || n || off < 0 || (uint64_t)off >= item->size)
		return true;		/* its pointers are relocated: not to be compared like this */
	buf = malloc(item->size);
	if (!buf || ug_object_read_file(c->binary, addr, buf, item->size - (uint64_t)off, NULL) < 0)
		return true;		/* in a segment that is not code: not readable this way */
	return !memcmp(buf, bytes + off, item->size - (uint64_t)off);
}

/* Does the address in the binary's instruction belong to what the object names? */
static bool same_address(struct ug_code_walk *w, const struct ug_op *op, const struct ug_rel *rel,
			 struct ug_place p, uint64_t addr, bool direct)
{
	const struct check *c = w->ctx;
	const struct ug_linked_symbol *s;
	const struct ug_item *item;
	char name[96];

	(void)direct;
	if (ug_rel_is_tls(rel->type) || ug_rel_is_got(rel->type))
		return true;
	if (p.item == UG_NO_ITEM)
		return true;		/* through PLT, GOT or a copy: the dynamic linker's business */
	item = &c->o->items.v[p.item];
	if (item->literal)
		return same_literal(c, item, p.off, addr) ||
		       ug_code_differs(w, op, "another %s", ug_item_describe(c->o, p, name, sizeof(name)));
	if (item->kind != UG_ITEM_FUNC && !item->name[0])
		return true;
	if (item->kind == UG_ITEM_FUNC && p.off)
		return true;		/* a label of a cold part, or of its parent */
	s = ug_match_symbol(c->d, c->l, c->group, p.item);
	if (!s)
		return ug_code_differs(w, op, "the binary has no symbol %s", item->name);
	if (s->value + (uint64_t)p.off == addr || item->bind != STB_LOCAL)
		return true;		/* a global one may be reached through the PLT */
	return ug_code_differs(w, op, "%s is not where the symbols say", item->name);
}

static int check_function(struct check *c, size_t item, bool *ret)
{
	const struct ug_linked_symbol *sym = ug_match_symbol(c->d, c->l, c->group, item);
	struct ug_code_walk *w = &c->walk;
	ug_autofree uint8_t *buf = NULL;
	int rc;

	w->o = c->o;
	w->f = &c->o->items.v[item];
	w->address = same_address;
	w->ctx = c;
	*ret = false;
	buf = malloc(sym ? sym->size + 1 : 1);
	if (!buf)
		return -ENOMEM;
	if (!sym || ug_object_read_file(c->binary, sym->value, buf, sym->size, NULL) < 0) {
		ug_code_differs(w, NULL, sym ? "the binary has no code there" : "the binary has no such symbol");
	} else {
		w->addr = sym->value;
		w->size = sym->size;
		rc = ug_code_compare(w, buf, ret);
		if (rc < 0)
			return rc;
	}
	if (!*ret)
		snprintf(c->m->text, sizeof(c->m->text), "%s", w->text);
	return 0;
}

/* ---- placing an object ---- */

/* The functions that tell: those that change; where none does, all that are in both versions. */
static bool tells(const struct ug_diff *d, size_t i, bool any_changed)
{
	const struct ug_item *item = &d->before->items.v[i];

	if (d->left[i])
		return true;
	if (item->kind != UG_ITEM_FUNC || item->parent != UG_NO_ITEM || item->pair == UG_NO_ITEM)
		return false;
	return !any_changed || d->kept[item->pair];
}

/* Where a function is; rather one that is of this object for certain. */
static void note_address(struct ug_match *m, const struct ug_linked_symbol *s)
{
	if (!s || (m->address && (!m->shared || s->bind == STB_WEAK)))
		return;
	m->address = s->value;
	m->shared = s->bind == STB_WEAK;
}

static int try_group(struct check *c, struct ug_match *m)
{
	bool any = false;

	c->m = m;
	*m = (struct ug_match){ .group = c->group, .result = UG_MATCH_OK };
	for (size_t i = 0; i < c->o->items.n; i++) {
		const struct ug_linked_symbol *s;
		bool same = false;
		int rc;

		if (!tells(c->d, i, ug_diff_changes_code(c->d)))
			continue;
		s = ug_match_symbol(c->d, c->l, c->group, i);
		any |= s != NULL;
		note_address(m, s);
		if (m->result != UG_MATCH_OK)
			continue;
		rc = check_function(c, i, &same);
		if (rc < 0)
			return rc;
		if (!same) {
			m->result = UG_MATCH_DIFFERENT;
			m->function = i;
		}
	}
	if (!any)
		m->result = UG_MATCH_ABSENT;
	return 0;
}

/* Do both groups give the same addresses for the functions concerned? */
static bool same_places(const struct check *c, uint32_t g, uint32_t h)
{
	for (size_t i = 0; i < c->o->items.n; i++) {
		const struct ug_linked_symbol *a, *b;

		if (!tells(c->d, i, ug_diff_changes_code(c->d)))
			continue;
		a = ug_match_symbol(c->d, c->l, g, i);
		b = ug_match_symbol(c->d, c->l, h, i);
		if (!a || !b || a->value != b->value)
			return false;
	}
	return true;
}

/* Local symbols the patch uses beside those of the functions: how many does a group have? */
static size_t count_locals(const struct check *c, uint32_t group)
{
	size_t n = 0;

	ug_vec_for_each(&c->o->items, item) {
		if (item->bind == STB_LOCAL && item->name[0] && !item->literal)
			n += ug_linked_find(c->l, group, item->name) != NULL;
	}
	return n;
}

static int try_all(struct check *c, struct ug_match *ret, struct ug_error *err)
{
	const char *name = ug_dobj_source(c->o);
	bool seen = false;

	*ret = (struct ug_match){ .result = UG_MATCH_ABSENT };
	for (uint32_t g = 1; g <= c->l->groups.n + 1; g++) {
		struct ug_match m;

		/* Group 0, no file at all, only when no group has the name. */
		c->group = g <= c->l->groups.n ? g : 0;
		if (g <= c->l->groups.n ? strcmp(basename(c->l->groups.v[g - 1]), basename(name)) : seen)
			continue;
		seen = true;
		if (try_group(c, &m) < 0)
			return ug_err(err, -ENOMEM, "out of memory");
		if (m.result == UG_MATCH_OK && ret->result == UG_MATCH_OK) {
			if (!same_places(c, m.group, ret->group))
				return ug_err(err, -UG_E_AMBIGUOUS, "%s fits several places of %s",
					      c->o->path, c->l->path);
			if (count_locals(c, m.group) > count_locals(c, ret->group))
				*ret = m;
			continue;
		}
		if (m.result == UG_MATCH_OK ||
		    (m.result == UG_MATCH_DIFFERENT && ret->result == UG_MATCH_ABSENT))
			*ret = m;
	}
	return 0;
}

int ug_match_diff(const struct ug_diff *d, struct ug_object *binary, const struct ug_linked *l,
		    struct ug_match *ret, struct ug_error *err)
{
	struct check c = { .d = d, .o = d->before, .l = l, .binary = binary };
	int rc = try_all(&c, ret, err);

	ug_code_free(&c.walk);
	return rc;
}
