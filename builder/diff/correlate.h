/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which function or variable of the one object is which of the other: fills `pair` of the
 * items of both.
 *
 * For functions any pairing is sound: whatever calls an unpaired or differently paired one is
 * not the same and becomes part of the patch. For variables the pairing says which live
 * variable new code gets, so it must be right or absent. The numbers in `x.123` say nothing:
 * adding a static local anywhere in a file renumbers the others.
 */
#ifndef UG_BUILDER_DIFF_CORRELATE_H
#define UG_BUILDER_DIFF_CORRELATE_H

#include "builder/diff/object.h"

int ug_correlate(struct ug_dobj *before, struct ug_dobj *after, struct ug_error *err) ug_must_check;

#endif
