/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two versions of one object: what has changed, whether a patch can be made of it, and what
 * would have to be in the patch.
 *
 *	object.c	an object cut into items
 *	dwarf.c		what debug information adds
 *	correlate.c	which item is which
 *	compare.c	are two items the same?
 *	types.c		structures and enumerations
 *	diff.c		verdicts, findings, and what is kept
 *	left.c		functions that are gone while threads may be in them
 */
#ifndef UG_BUILDER_DIFF_DIFF_H
#define UG_BUILDER_DIFF_DIFF_H

#include "builder/diff/compare.h"
#include "builder/reason.h"

enum ug_diff_verdict {
	UG_DIFF_SAME,
	UG_DIFF_CHANGED,
	UG_DIFF_NEW,
	UG_DIFF_GONE,
};

struct ug_change {
	enum ug_diff_verdict verdict;
	enum ug_item_kind kind;
	size_t before, after;		/* items; UG_NO_ITEM for what is new, or gone */
	const char *name;
	char reason[96];		/* "changed", "new", "inlines parse_uri" */
	char detail[200];		/* "has other instructions" */
	char file[128];
	unsigned int line;
};

struct ug_diff {
	struct ug_dobj *before, *after;
	struct ug_compare cmp;
	UG_VEC(struct ug_change) changes;	/* functions first, each kind by name */
	ug_finding_vec findings;
	bool *kept;			/* items of `after` that become part of the patch */
	bool *left;			/* functions of `before` that are gone, and were jumped to */
	size_t ncompared;		/* functions */
};

struct ug_diff_opts {
	const char *const *layout_ok;	/* structures whose change is accepted */
	size_t nlayout_ok;
};

int ug_diff_open(const char *before, const char *after, const struct ug_diff_opts *opts,
		 struct ug_diff **ret, struct ug_error *err) ug_must_check;
void ug_diff_close(struct ug_diff *d);

/* Is there code that must be replaced? (When not, findings may still refuse.) */
bool ug_diff_changes_code(const struct ug_diff *d);
/*
 * The functions `d->left` as a comparison of `before` with itself: they replace themselves, and
 * nothing else changes. *ret NULL: there are none.
 */
int ug_diff_open_left(const struct ug_diff *d, struct ug_diff **ret, struct ug_error *err) ug_must_check;
/* Does something in it forbid a patch? The first such finding, or NULL. */
const struct ug_finding *ug_diff_refused(const struct ug_diff *d);

const char *ug_diff_verdict_name(enum ug_diff_verdict v);
const char *ug_kind_name(enum ug_item_kind k);

/* types.c */
int ug_diff_types(struct ug_diff *d, const struct ug_diff_opts *opts) ug_must_check;

/* left.c: fills d->left. */
int ug_diff_find_left(struct ug_diff *d) ug_must_check;
/* diff.c: makes d->kept anew; `without` (one for each change, or NULL): the changes to leave out. */
int ug_diff_find_kept(struct ug_diff *d, const bool *without) ug_must_check;
/* diff.c: with the items marked in d->kept whatever they need. */
int ug_diff_keep(struct ug_diff *d) ug_must_check;

/* checks.c: what cannot be seen item by item. */
int ug_diff_checks(struct ug_diff *d) ug_must_check;

#endif
