/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The code of patches in a process as objects (object/code.h): threads are unwound through it
 * as through any other code, and tools are told its names.
 */
#ifndef UG_ENGINE_OWN_H
#define UG_ENGINE_OWN_H

#include "engine/target.h"
#include "object/code.h"

/*
 * One object for each patch whose memory is there, by address, with unwind tables and names
 * loaded. A patch that cannot be read has none: threads inside it stay unreliable. Reads the
 * target, so before any stop. ug_objects_free.
 */
int ug_own_load(struct ug_target *t, struct ug_objects *ret, struct ug_error *err) ug_must_check;

/* A record of a patch whose memory is there. */
bool ug_own_has_code(const struct ug_seg *seg);

/* The image of one patch (from malloc), as a debugger wants it. */
int ug_own_image(struct ug_target *t, const struct ug_seg *seg, uint8_t **ret, size_t *ret_len,
		 struct ug_error *err) ug_must_check;

#endif
