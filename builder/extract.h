/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From comparisons to the relocatable object of a patch: into an empty object go only the
 * items that are kept, each in a section of its own, and the unwind entries of kept functions.
 * Whatever else they refer to becomes an undefined symbol with a description of what it is.
 * The entries are in the order of the objects and of their items: the same input gives the
 * same bytes.
 */
#ifndef UG_BUILDER_EXTRACT_H
#define UG_BUILDER_EXTRACT_H

#include "builder/diff/diff.h"
#include "builder/emit.h"

/* Something of the running program the patch refers to. */
struct ug_extern {
	size_t symbol;			/* in emit */
	size_t diff;			/* whose `before` the item is in */
	size_t item;			/* UG_NO_ITEM: known by name only */
	const char *name;		/* in the program */
	bool weak, tls;
};

struct ug_replaced {
	size_t symbol;			/* of the new body, in emit */
	size_t diff, item;		/* of `before` */
	size_t after;
};

struct ug_extract {
	const struct ug_diff *const *diffs;
	size_t ndiffs;
	struct ug_emit emit;
	UG_VEC(struct ug_extern) externs;
	UG_VEC(struct ug_replaced) replaced;
	size_t **out;			/* of each diff: item of `after` -> section in emit */
	size_t **body;			/* ... -> its symbol */
};

/* -UG_E_CHANGE for what cannot be taken over; ret is to be freed in any case. */
int ug_extract(const struct ug_diff *const *diffs, size_t n, struct ug_extract *ret,
	       struct ug_error *err) ug_must_check;
void ug_extract_free(struct ug_extract *x);

/* A relocation outside of all items, of .eh_frame: for a copy of its field at another place. */
int ug_extract_rel(struct ug_extract *x, size_t diff, const struct ug_rel *rel, size_t section,
		   uint64_t offset, struct ug_error *err) ug_must_check;

/* unwind.c: the entries of .eh_frame for the kept functions of one diff. */
int ug_extract_unwind(struct ug_extract *x, size_t diff, struct ug_buf *frame, size_t section,
		      struct ug_error *err) ug_must_check;

#endif
