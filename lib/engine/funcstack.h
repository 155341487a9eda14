/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The func stack of a function: its original at the bottom, above it the versions of the
 * enabled patches that replace it, in the order they were enabled. It is not stored anywhere:
 * the registry's records say which patches are enabled and in which order, and that is it.
 *
 * "Unpatched" means the next lower version, not the original.
 */
#ifndef UG_ENGINE_FUNCSTACK_H
#define UG_ENGINE_FUNCSTACK_H

#include "engine/registry.h"

/* A patch's version of the function at func, or NULL. */
const struct ug_reg_func *ug_patch_version(const struct ug_seg *patch, ug_raddr_t func);

/*
 * Where calls of the function lead when no transition runs, besides patch `except` (NULL:
 * none): the newest enabled version, or the displaced original. 0: it has no entry of ours.
 */
ug_raddr_t ug_func_top(const struct ug_registry *reg, ug_raddr_t func, const struct ug_seg *except);

/*
 * Does enabling `patch` take `other` out of force? A replace patch takes over from every
 * patch that was enabled before it.
 */
bool ug_patch_replaces(const struct ug_seg *patch, const struct ug_seg *other);

#endif
