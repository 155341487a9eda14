// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>

#include "builder/diff/correlate.h"
#include "builder/diff/diff.h"

const char *ug_diff_verdict_name(enum ug_diff_verdict v)
{
	static const char *const names[] = { "same", "changed", "new", "gone" };

	return names[v];
}

const char *ug_kind_name(enum ug_item_kind k)
{
	static const char *const names[] = { "function", "variable", "thread-local variable" };

	return names[k];
}

static struct ug_change *add_change(struct ug_diff *d, enum ug_diff_verdict verdict, size_t before,
				    size_t after)
{
	const struct ug_dobj *o = after == UG_NO_ITEM ? d->before : d->after;
	const struct ug_item *item = &o->items.v[after == UG_NO_ITEM ? before : after];
	struct ug_change *c = ug_vec_add(&d->changes);

	if (!c)
		return NULL;
	*c = (struct ug_change){ .verdict = verdict, .kind = item->kind, .before = before,
				 .after = after, .name = item->name, .line = item->line };
	snprintf(c->reason, sizeof(c->reason), "%s", ug_diff_verdict_name(verdict));
	snprintf(c->file, sizeof(c->file), "%s", item->file);
	return c;
}

static struct ug_change *change_of(struct ug_diff *d, size_t after)
{
	ug_vec_for_each(&d->changes, c) {
		if (c->after == after && after != UG_NO_ITEM)
			return c;
	}
	return NULL;
}

/* ---- functions ---- */

/* Where the first difference is tells why it is there. */
static void explain(struct ug_diff *d, struct ug_change *c, size_t item, const struct ug_difference *diff)
{
	const char *file, *inlined;
	unsigned int line;

	snprintf(c->detail, sizeof(c->detail), "%s", diff->text);
	inlined = ug_dobj_inlined_at(d->after, d->after->items.v[item].section, diff->after, &file, &line);
	if (inlined && strcmp(inlined, c->name))
		snprintf(c->reason, sizeof(c->reason), "inlines %s", inlined);
	if (line) {
		snprintf(c->file, sizeof(c->file), "%s", file);
		c->line = line;
	}
}

static int compare_function(struct ug_diff *d, size_t a)
{
	const struct ug_item *item = &d->after->items.v[a];
	struct ug_difference diff = { 0 };
	struct ug_change *c;

	if (item->pair == UG_NO_ITEM)
		return add_change(d, UG_DIFF_NEW, UG_NO_ITEM, a) ? 0 : -ENOMEM;
	d->ncompared++;
	if (ug_compare_items(&d->cmp, item->pair, a, &diff))
		return 0;
	c = add_change(d, UG_DIFF_CHANGED, item->pair, a);
	if (!c)
		return -ENOMEM;
	explain(d, c, a, &diff);
	return 0;
}

/* A function and its cold part are one: the function speaks for both. */
static int compare_cold(struct ug_diff *d, size_t a)
{
	const struct ug_item *cold = &d->after->items.v[a];
	const struct ug_item *f = &d->after->items.v[cold->parent];
	struct ug_difference diff = { 0 };
	struct ug_change *c;

	if (cold->pair != UG_NO_ITEM && ug_compare_items(&d->cmp, cold->pair, a, &diff))
		return 0;
	if (change_of(d, cold->parent))
		return 0;
	c = add_change(d, UG_DIFF_CHANGED, f->pair, cold->parent);
	if (!c)
		return -ENOMEM;
	if (diff.found)
		explain(d, c, a, &diff);
	return 0;
}

static int compare_functions(struct ug_diff *d)
{
	int rc = 0;

	for (size_t i = 0; i < d->after->items.n && rc == 0; i++) {
		if (d->after->items.v[i].kind == UG_ITEM_FUNC && d->after->items.v[i].parent == UG_NO_ITEM)
			rc = compare_function(d, i);
	}
	for (size_t i = 0; i < d->after->items.n && rc == 0; i++) {
		if (d->after->items.v[i].kind == UG_ITEM_FUNC && d->after->items.v[i].parent != UG_NO_ITEM)
			rc = compare_cold(d, i);
	}
	/* A cold part that is gone shows in its parent: it no longer jumps there. */
	for (size_t i = 0; i < d->before->items.n && rc == 0; i++) {
		const struct ug_item *b = &d->before->items.v[i];

		if (b->kind == UG_ITEM_FUNC && b->parent == UG_NO_ITEM && b->pair == UG_NO_ITEM)
			rc = add_change(d, UG_DIFF_GONE, i, UG_NO_ITEM) ? 0 : -ENOMEM;
	}
	return rc;
}

/* ---- data ---- */

static bool has_relocations(const struct ug_dobj *o, const struct ug_item *item)
{
	const struct ug_rel *rels;
	size_t n;

	ug_dobj_rels(o, item->section, item->value, item->value + item->size, &rels, &n);
	return n != 0;
}

/* A changed variable is refused; a changed local constant without pointers can be copied. */
static bool judge_data(struct ug_diff *d, const struct ug_change *c, bool same_shape)
{
	struct ug_item *b = &d->before->items.v[c->before], *a = &d->after->items.v[c->after];
	enum ug_reason reason = UG_REASON_DATA_CHANGED;

	if (a->kind == UG_ITEM_DATA && a->readonly && b->readonly && a->bind == STB_LOCAL &&
	    !has_relocations(d->after, a) && !has_relocations(d->before, b)) {
		a->copied = true;
		return ug_finding_add(&d->findings, UG_REASON_CONST_COPIED, c->file, c->line, "%s %s",
				      c->name, c->detail);
	}
	if (a->kind == UG_ITEM_TLS)
		reason = UG_REASON_TLS_CHANGED;
	else if (a->readonly != b->readonly)
		reason = UG_REASON_SECTION_KIND;
	else if (!same_shape && a->size != b->size)
		reason = UG_REASON_DATA_SIZE;
	return ug_finding_add(&d->findings, reason, c->file, c->line, "%s %s", c->name, c->detail);
}

static int compare_variable(struct ug_diff *d, size_t a)
{
	const struct ug_item *item = &d->after->items.v[a];
	bool same_shape = item->pair != UG_NO_ITEM && ug_compare_same_shape(&d->cmp, item->pair, a);
	struct ug_difference diff = { 0 };
	struct ug_change *c;

	if (item->pair == UG_NO_ITEM)
		return add_change(d, UG_DIFF_NEW, UG_NO_ITEM, a) ? 0 : -ENOMEM;
	if (ug_compare_items(&d->cmp, item->pair, a, &diff) &&
	    (same_shape || item->readonly == d->before->items.v[item->pair].readonly))
		return 0;
	c = add_change(d, UG_DIFF_CHANGED, item->pair, a);
	if (!c)
		return -ENOMEM;
	snprintf(c->detail, sizeof(c->detail), "%s", diff.found ? diff.text : "has moved");
	return judge_data(d, c, same_shape) ? 0 : -ENOMEM;
}

static int compare_data(struct ug_diff *d)
{
	int rc = 0;

	for (size_t i = 0; i < d->after->items.n && rc == 0; i++) {
		const struct ug_item *a = &d->after->items.v[i];

		if (a->kind != UG_ITEM_FUNC && !a->literal && a->name[0])
			rc = compare_variable(d, i);
	}
	for (size_t i = 0; i < d->before->items.n && rc == 0; i++) {
		const struct ug_item *b = &d->before->items.v[i];

		if (b->kind != UG_ITEM_FUNC && !b->literal && b->name[0] && b->pair == UG_NO_ITEM)
			rc = add_change(d, UG_DIFF_GONE, i, UG_NO_ITEM) ? 0 : -ENOMEM;
	}
	return rc;
}

/* ---- what belongs into the patch ---- */

static bool is_taken(const struct ug_item *item)
{
	return item->literal || item->copied || item->pair == UG_NO_ITEM || !item->name[0];
}

static void keep(struct ug_diff *d, size_t i, size_t *todo, size_t *n)
{
	if (d->kept[i])
		return;
	d->kept[i] = true;
	todo[(*n)++] = i;
}

/* A function that handles exceptions: its table, and the routine that reads it. */
static void keep_handlers(struct ug_diff *d, size_t lsda, size_t *todo, size_t *n)
{
	const struct ug_dobj *o = d->after;
	size_t eh = ug_objfile_section(&o->file, ".eh_frame");

	keep(d, lsda, todo, n);
	for (size_t i = o->first_rel[eh]; eh && i < o->first_rel[eh + 1]; i++) {
		struct ug_place p = ug_dobj_place(o, &o->rels.v[i], 0, o->rels.v[i].offset);

		if (p.item != UG_NO_ITEM && o->items.v[p.item].kind == UG_ITEM_DATA &&
		    !o->items.v[p.item].literal && is_taken(&o->items.v[p.item]))
			keep(d, p.item, todo, n);
	}
}

static void keep_referred(struct ug_diff *d, size_t i, size_t *todo, size_t *n)
{
	const struct ug_item *item = &d->after->items.v[i];
	const struct ug_rel *rels;
	size_t nrels;

	if (item->lsda != UG_NO_ITEM)
		keep_handlers(d, item->lsda, todo, n);
	ug_dobj_rels(d->after, item->section, item->value, item->value + item->size, &rels, &nrels);
	for (size_t j = 0; j < nrels; j++) {
		bool code = item->kind == UG_ITEM_FUNC;
		struct ug_place p = ug_dobj_place(d->after, &rels[j],
						  code ? ug_dobj_insn_end(d->after, &rels[j]) : 0,
						  item->value);
		const struct ug_item *to = p.item == UG_NO_ITEM ? NULL : &d->after->items.v[p.item];

		if (to && (is_taken(to) || to->parent == i || item->parent == p.item))
			keep(d, p.item, todo, n);
	}
}

int ug_diff_keep(struct ug_diff *d)
{
	size_t *todo = calloc(d->after->items.n + 1, sizeof(*todo));
	size_t n = 0;

	if (!todo)
		return -ENOMEM;
	for (size_t i = 0; i < d->after->items.n; i++) {
		if (d->kept[i])
			todo[n++] = i;
	}
	while (n)
		keep_referred(d, todo[--n], todo, &n);
	free(todo);
	return 0;
}

int ug_diff_find_kept(struct ug_diff *d, const bool *without)
{
	d->kept = calloc(d->after->items.n + 1, sizeof(*d->kept));
	if (!d->kept)
		return -ENOMEM;
	ug_vec_for_each(&d->changes, c) {
		if (without && without[c - d->changes.v])
			continue;
		if (c->kind == UG_ITEM_FUNC && c->verdict == UG_DIFF_CHANGED)
			d->kept[c->after] = true;
		/* A new global function may be what another object's changed code calls. */
		if (c->kind == UG_ITEM_FUNC && c->verdict == UG_DIFF_NEW &&
		    d->after->items.v[c->after].bind != STB_LOCAL)
			d->kept[c->after] = true;
	}
	return ug_diff_keep(d);
}

static int compare_changes(const void *pa, const void *pb)
{
	const struct ug_change *a = pa, *b = pb;
	int c;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	c = strcmp(a->name, b->name);
	return c ? c : (int)a->verdict - (int)b->verdict;
}

static int run(struct ug_diff *d, const struct ug_diff_opts *opts, struct ug_error *err)
{
	int rc;

	rc = ug_correlate(d->before, d->after, err);
	if (rc < 0)
		return rc;
	d->cmp.before = d->before;
	d->cmp.after = d->after;
	d->cmp.memo = calloc(d->before->items.n + 1, sizeof(*d->cmp.memo));
	rc = d->cmp.memo ? compare_functions(d) : -ENOMEM;
	if (rc == 0)
		rc = compare_data(d);
	if (rc == 0)
		rc = ug_diff_find_kept(d, NULL);
	if (rc == 0)
		rc = ug_diff_find_left(d);
	if (rc == 0)
		rc = ug_diff_types(d, opts);
	if (rc == 0)
		rc = ug_diff_checks(d);
	if (d->changes.n)
		qsort(d->changes.v, d->changes.n, sizeof(*d->changes.v), compare_changes);
	return rc < 0 ? ug_err(err, rc, "out of memory") : 0;
}

int ug_diff_open(const char *before, const char *after, const struct ug_diff_opts *opts,
		 struct ug_diff **ret, struct ug_error *err)
{
	struct ug_diff *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return ug_err(err, -ENOMEM, "out of memory");
	rc = ug_dobj_open(before, &d->before, err);
	if (rc == 0)
		rc = ug_dobj_open(after, &d->after, err);
	if (rc == 0)
		rc = run(d, opts, err);
	if (rc < 0) {
		ug_diff_close(d);
		return rc;
	}
	*ret = d;
	return 0;
}

void ug_diff_close(struct ug_diff *d)
{
	if (!d)
		return;
	ug_dobj_close(d->before);
	ug_dobj_close(d->after);
	free(d->cmp.memo);
	ug_vec_free(&d->changes);
	ug_vec_free(&d->findings);
	free(d->kept);
	free(d->left);
	free(d);
}

bool ug_diff_changes_code(const struct ug_diff *d)
{
	ug_vec_for_each(&d->changes, c) {
		if (c->kind == UG_ITEM_FUNC && c->verdict == UG_DIFF_CHANGED)
			return true;
	}
	return false;
}

const struct ug_finding *ug_diff_refused(const struct ug_diff *d)
{
	ug_vec_for_each(&d->findings, f) {
		if (ug_reason_refuses(f->reason))
			return f;
	}
	return NULL;
}
