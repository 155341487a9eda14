/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Matching a patch with a process: its objects by build-id, its functions and references by
 * pinned offset where the patch has one for the build that runs, else by symbol tables.
 */
#ifndef UG_ENGINE_RESOLVE_H
#define UG_ENGINE_RESOLVE_H

#include "engine/target.h"
#include "patchfile/patch.h"
#include "text/text.h"

struct ug_match_object {
	struct ug_object *obj;		/* NULL: not in the process (only its references may need it) */
	uint32_t build;			/* which of the builds of the patch object */
};

struct ug_match_func {
	struct ug_object *obj;
	ug_raddr_t addr;
	uint64_t size;			/* 0: not known */
};

struct ug_match {
	struct ug_target *t;
	struct ug_patch *patch;
	struct ug_match_object *objects;	/* patch->nobjects */
	struct ug_match_func *funcs;		/* patch->nfuncs */
};

/*
 * Objects and functions. -UG_E_NO_OBJECT (none of the builds is in the process),
 * -UG_E_NO_SYMBOL, -UG_E_AMBIGUOUS; *err names object and function.
 */
int ug_match_init(struct ug_match *m, struct ug_target *t, struct ug_patch *patch,
		  struct ug_error *err) ug_must_check;
void ug_match_deinit(struct ug_match *m);

/* One function or object alone, for plan. */
int ug_match_object(struct ug_match *m, size_t i, struct ug_error *err) ug_must_check;
int ug_match_func(struct ug_match *m, size_t i, struct ug_error *err) ug_must_check;

/* The linker's questions answered from the match. */
void ug_match_resolver(struct ug_match *m, struct ug_resolver *ret);

#endif
