/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sources whose code is in a patch, each with its compiler and flags. */
#ifndef UG_BUILDER_UNITS_H
#define UG_BUILDER_UNITS_H

#include "builder/link.h"
#include "builder/maker.h"

struct ug_units {
	struct ug_link_unit *v;
	size_t n;
	struct ug_maker *makers;	/* of each pair: v points into it */
	size_t nmakers;
};

/* pairs and diffs: npairs each. False: out of memory; ret is to be freed in any case. */
bool ug_units_make(const struct ug_object_pair *pairs, struct ug_diff *const *diffs, size_t npairs,
		   const struct ug_placed *placed, size_t nplaced, struct ug_units *ret);
void ug_units_free(struct ug_units *u);

#endif
