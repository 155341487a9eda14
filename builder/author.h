/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the author declared with the macros of ugraft/patch.h. */
#ifndef UG_BUILDER_AUTHOR_H
#define UG_BUILDER_AUTHOR_H

#include "builder/objfile.h"
#include "ugraft/patch.h"

struct ug_declared_func {
	struct ug_author_func rec;	/* strings terminated, quotes removed; new_func unused */
	size_t symbol;			/* the new body in the object */
};

struct ug_author {
	struct ug_author_patch patch;
	UG_VEC(struct ug_declared_func) funcs;
	UG_VEC(struct ug_author_symbol) symbols;
};

int ug_author_read(const struct ug_objfile *o, struct ug_author *ret, struct ug_error *err) ug_must_check;
void ug_author_free(struct ug_author *a);

/* The declaration of where `symbol` is, or NULL. */
const struct ug_author_symbol *ug_author_symbol(const struct ug_author *a, const char *symbol);

#endif
