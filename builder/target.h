/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The --target files. Those with the same label (executable, or soname) are several builds
 * of one object and must have different build-ids.
 */
#ifndef UG_BUILDER_TARGET_H
#define UG_BUILDER_TARGET_H

#include "object/symbol.h"
#include "text/text.h"

struct ug_target {
	const char *path;
	struct ug_object *obj;
	struct ug_text *text;		/* opened on first use */
	size_t group, build;
};

struct ug_target_group {
	const char *label;		/* "" : the executable */
	UG_VEC(struct ug_build_id) builds;
};

struct ug_targets {
	UG_VEC(struct ug_target) files;
	UG_VEC(struct ug_target_group) groups;
};

int ug_targets_open(const char *const *paths, size_t n, struct ug_targets *ret,
		    struct ug_error *err) ug_must_check;
void ug_targets_close(struct ug_targets *t);

/* The group with that label; -UG_E_NO_OBJECT. */
int ug_targets_group(const struct ug_targets *t, const char *label, size_t *ret,
		     struct ug_error *err) ug_must_check;
/* For messages. */
const char *ug_target_label(const struct ug_target_group *g);

/* The decoded code of a target, opened once. */
int ug_target_text(struct ug_target *file, struct ug_text **ret, struct ug_error *err) ug_must_check;

#endif
