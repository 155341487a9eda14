/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An object against the binary that runs: is this the code that is there, and where is what
 * the object names? Nothing is believed because of a name: each function that will be
 * replaced is compared instruction by instruction with the bytes of the binary, and each
 * address its instructions hold must be the one the symbols give.
 *
 * The object was compiled with a section for each function, the binary was not: widths of
 * branches and padding may differ, and the linker may have relaxed instructions.
 */
#ifndef UG_BUILDER_MATCH_H
#define UG_BUILDER_MATCH_H

#include "builder/diff/diff.h"
#include "builder/symbols.h"
#include "object/object.h"

enum ug_match_result {
	UG_MATCH_OK,
	UG_MATCH_ABSENT,		/* the binary has no such functions */
	UG_MATCH_DIFFERENT,		/* it has, but their code is another */
};

struct ug_match {
	enum ug_match_result result;
	uint32_t group;			/* of the object's local symbols in the table */
	uint64_t address;		/* of a function that tells; 0: of none */
	bool shared;			/* it may be from another object: inline */
	bool maker;			/* DIFFERENT: another compiler or other flags made it */
	size_t function;		/* DIFFERENT: the first that is */
	char text[256];			/* how */
};

/*
 * Place the object `d->before` in the binary. All functions the patch replaces are compared;
 * when it replaces none of this object, all that stay.
 * -UG_E_AMBIGUOUS when several groups of local symbols fit, at different addresses.
 */
int ug_match_diff(const struct ug_diff *d, struct ug_object *binary, const struct ug_linked *l,
		    struct ug_match *ret, struct ug_error *err) ug_must_check;

/* Where an item of `before` is, once the object is placed; NULL when the table has it not. */
const struct ug_linked_symbol *ug_match_symbol(const struct ug_diff *d, const struct ug_linked *l,
					       uint32_t group, size_t item);

#endif
