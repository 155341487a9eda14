/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From names to pins: where each function and each reference is in each build. */
#ifndef UG_BUILDER_RESOLVE_H
#define UG_BUILDER_RESOLVE_H

#include "builder/author.h"
#include "builder/build.h"
#include "builder/pack.h"
#include "builder/target.h"

typedef UG_VEC(struct ug_patch_pin) ug_pin_vec;

struct ug_resolved_func {
	const struct ug_declared_func *decl;
	size_t group;
	ug_pin_vec pins;
};

struct ug_resolved_ref {
	size_t symbol;			/* undefined, in the object */
	const char *name;		/* in the target */
	unsigned int pos;
	bool anywhere;			/* no target has it */
	size_t group;
	ug_pin_vec pins;
};

struct ug_resolution {
	const struct ug_objfile *o;
	const struct ug_author *author;
	struct ug_targets *targets;
	UG_VEC(struct ug_resolved_func) funcs;
	UG_VEC(struct ug_resolved_ref) refs;
};

int ug_resolve(struct ug_resolution *r, struct ug_build_report *report, struct ug_error *err) ug_must_check;
void ug_resolution_free(struct ug_resolution *r);

/* The reference made through that undefined symbol, or NULL. */
const struct ug_resolved_ref *ug_resolved_ref(const struct ug_resolution *r, size_t symbol);

/* abi.c: may the old function's callers notice the registers the new one changes? Also
 * aliases at the address. Every function, every build. */
int ug_check_abi(struct ug_resolution *r, bool assume_abi, struct ug_build_report *report,
		 struct ug_error *err) ug_must_check;

#endif
