/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Giving memory of the target back; the contract is in transition.h. */
#ifndef UG_ENGINE_RELEASE_H
#define UG_ENGINE_RELEASE_H

#include "engine/transition.h"

/*
 * Unmap what is proven empty and what is garbage, without a stop of the whole process; and
 * the registry when nothing is left in it.
 */
int ug_release_empty(struct ug_target *t, struct ug_error *err) ug_must_check;

#endif
