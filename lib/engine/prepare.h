/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recording a transition: everything that can be known is computed without touching the
 * target, then memory is mapped and written and the records are published. Up to here
 * nothing the target executes has changed; a failure leaves nothing behind.
 */
#ifndef UG_ENGINE_PREPARE_H
#define UG_ENGINE_PREPARE_H

#include "engine/resolve.h"
#include "engine/target.h"

/* Each returns the id of the recorded transition (published as OPEN, word ALL); the registry
 * of t has been read anew. */
int ug_prepare_load(struct ug_target *t, struct ug_match *match, uint32_t *ret_id,
		    struct ug_error *err) ug_must_check;
int ug_prepare_unload(struct ug_target *t, const struct ug_seg *patch, uint32_t *ret_id,
		      struct ug_error *err) ug_must_check;
int ug_prepare_reversal(struct ug_target *t, const struct ug_seg *trans, uint32_t *ret_id,
			struct ug_error *err) ug_must_check;

#endif
