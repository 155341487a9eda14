/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mappings of ours in the target: made all together by one borrowed thread, recognised by
 * name, unmapped when nothing accounts for them.
 *
 * Each is a private mapping of a memfd called "ugraft" at an address chosen beforehand
 * (MAP_FIXED_NOREPLACE): the name makes garbage of a dead controller recognisable from the
 * moment it exists; an anonymous mapping would be nameless for a moment. The descriptor is
 * open in the target only while they are made.
 */
#ifndef UG_ENGINE_MAPPING_H
#define UG_ENGINE_MAPPING_H

#include "engine/target.h"

struct ug_mapping {
	ug_raddr_t addr;
	size_t len;
	int prot;
	const uint8_t *image;		/* written once mapped; NULL: stays zero */
	size_t image_len;
};

/*
 * Map all and write their images, verified by reading back; or none. -EEXIST: an address was
 * taken meanwhile, choose again.
 */
int ug_mapping_create(struct ug_target *t, const struct ug_mapping *v, size_t n,
		      struct ug_error *err) ug_must_check;

/*
 * Before anything is given back: no call that a dead controller has left to be made is made after
 * this. (Looks for threads with such a call only where something of it is left, or may be.)
 * *ret_leaked: a descriptor is.
 */
int ug_mapping_disarm(struct ug_target *t, bool *ret_leaked, struct ug_error *err) ug_must_check;

/* Unmap ranges that are ours, and close descriptors that a dead controller left open. */
int ug_mapping_remove(struct ug_target *t, const struct ug_reg_area *v, size_t n, bool leaked,
		      struct ug_error *err) ug_must_check;

/*
 * Ranges of our mappings that no ready segment accounts for (nor the registry itself, while
 * it is ready): *ret malloc'ed.
 */
int ug_mapping_garbage(struct ug_target *t, struct ug_reg_area **ret, size_t *ret_n,
		       struct ug_error *err) ug_must_check;

#endif
