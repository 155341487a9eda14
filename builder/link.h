/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From an extracted object to a patch file: every reference gets its place in the targets. */
#ifndef UG_BUILDER_LINK_H
#define UG_BUILDER_LINK_H

#include "builder/build.h"
#include "builder/extract.h"
#include "builder/match.h"
#include "builder/pack.h"
#include "builder/target.h"

struct ug_placed {			/* a comparison whose object is in a target */
	const struct ug_diff *diff;
	size_t target;			/* index into targets->files */
	uint32_t group;
	bool old;			/* from ug_diff_open_left() */
	size_t pair;			/* of objects */
};

struct ug_link_unit {			/* a source, for the patch to say how it was compiled */
	size_t target;
	struct ug_pack_unit unit;	/* its object is filled in */
};

struct ug_link_in {
	const struct ug_placed *placed;
	size_t nplaced;
	const struct ug_targets *targets;
	const struct ug_linked *linked;	/* one for each target file */
	const char *name, *description, *cves;
	const struct ug_link_unit *units;
	size_t nunits;
};

/*
 * *ret is malloc'ed, *ret_patch (ug_patch_close) is the same file read back the way `load` reads it:
 * what that would refuse is refused now. Findings (something is not there, or too far away) are added
 * to `findings`.
 */
int ug_link(const struct ug_link_in *in, ug_finding_vec *findings, uint8_t **ret, size_t *ret_size,
	    struct ug_patch **ret_patch, struct ug_error *err) ug_must_check;

#endif
