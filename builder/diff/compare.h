/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Are two items the same, under a given pairing of the shared ones?
 *
 * Code is the same when it decodes to the same instructions (widths of branches inside the
 * function and padding apart), branches lead to the same instruction, and each relocation
 * means the same. Data is the same when its bytes and the meaning of its relocations are.
 * A paired function counts as the same target whether or not it changed: it is reached
 * through its entry in either case. That makes one pass enough.
 */
#ifndef UG_BUILDER_DIFF_COMPARE_H
#define UG_BUILDER_DIFF_COMPARE_H

#include "builder/diff/object.h"

/* Where a first difference was seen: offsets in the sections of the two items. */
struct ug_difference {
	bool found;
	uint64_t before, after;
	char text[200];			/* "calls g, called h" */
};

struct ug_equal {			/* what a literal was last compared with */
	size_t after_plus_1;		/* 0: with nothing yet */
	bool same;
};

struct ug_compare {
	struct ug_dobj *before, *after;
	struct ug_equal *memo;		/* one for each item of `before` */
	unsigned int depth;
};

/* Both of the same kind. ret may be NULL. */
bool ug_compare_items(struct ug_compare *c, size_t before, size_t after, struct ug_difference *ret);
bool ug_compare_places(struct ug_compare *c, struct ug_place before, struct ug_place after);

/* Data: the same section kind and size? (Content is another question.) */
bool ug_compare_same_shape(const struct ug_compare *c, size_t before, size_t after);

/* For messages: a name, "string \"...\"", "constant". Returns buf. */
const char *ug_item_describe(const struct ug_dobj *o, struct ug_place p, char *buf, size_t size);

#endif
