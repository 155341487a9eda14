// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A function that is gone needs nothing when it was called: whoever is in it has a frame of its
 * caller on the stack, and that is one of the patch. When it was reached by a jump, a thread may
 * be in it of which the stack does not tell that the caller is there: it would count as switched
 * and still run old code. So the function goes into the patch as a version of its own, with
 * the code it had: the transition then waits for such threads, and who comes there later (through
 * a pointer, or after a force) finds what was always there.
 */
#include <errno.h>

#include "builder/diff/diff.h"

static void mark_jumped(struct ug_diff *d, const struct ug_item *f)
{
	for (size_t i = f->first_insn; i < f->first_insn + f->ninsns; i++) {
		const struct ug_op *op = &d->before->ops.v[i];
		const struct ug_item *to;
		const struct ug_rel *rels;
		struct ug_place p;
		size_t n;

		if (op->kind != UG_INSN_JMP && op->kind != UG_INSN_JCC)
			continue;
		ug_dobj_rels(d->before, f->section, op->off, op->off + op->len, &rels, &n);
		if (n != 1)
			continue;
		p = ug_dobj_place(d->before, rels, op->off + op->len, 0);
		to = p.item == UG_NO_ITEM ? NULL : &d->before->items.v[p.item];
		if (to && to != f && to->kind == UG_ITEM_FUNC && to->pair == UG_NO_ITEM && !p.off &&
		    to->parent == UG_NO_ITEM)
			d->left[p.item] = true;
	}
}

int ug_diff_find_left(struct ug_diff *d)
{
	d->left = calloc(d->before->items.n + 1, sizeof(*d->left));
	if (!d->left)
		return -ENOMEM;
	ug_vec_for_each(&d->before->items, f) {
		if (f->kind == UG_ITEM_FUNC)
			mark_jumped(d, f);
	}
	return 0;
}

static int pair_with_itself(const struct ug_diff *d, struct ug_diff *old)
{
	old->kept = calloc(old->after->items.n + 1, sizeof(*old->kept));
	old->left = calloc(old->before->items.n + 1, sizeof(*old->left));
	if (!old->kept || !old->left)
		return -ENOMEM;
	for (size_t i = 0; i < old->after->items.n; i++) {
		old->before->items.v[i].pair = old->after->items.v[i].pair = i;
		old->kept[i] = d->left[i];
	}
	return ug_diff_keep(old);
}

int ug_diff_open_left(const struct ug_diff *d, struct ug_diff **ret, struct ug_error *err)
{
	struct ug_diff *old;
	bool any = false;
	int rc;

	*ret = NULL;
	for (size_t i = 0; i < d->before->items.n; i++)
		any |= d->left[i];
	if (!any)
		return 0;
	old = calloc(1, sizeof(*old));
	if (!old)
		return ug_err(err, -ENOMEM, "out of memory");
	rc = ug_dobj_open(d->before->path, &old->before, err);
	if (rc == 0)
		rc = ug_dobj_open(d->before->path, &old->after, err);
	if (rc == 0 && pair_with_itself(d, old) < 0)
		rc = ug_err(err, -ENOMEM, "out of memory");
	if (rc < 0)
		ug_diff_close(old);
	else
		*ret = old;
	return rc;
}
