/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes at the entry of a patched function: reading what they are, and writing them.
 * Written only at a full stop; every write is verified by reading it back.
 */
#ifndef UG_ENGINE_ENTRY_H
#define UG_ENGINE_ENTRY_H

#include "engine/target.h"

/*
 * Where calls of the function go now: the displaced copy (standing for the original, when
 * the original bytes are there), or where the jump leads. -UG_E_ENTRY_BUSY when the bytes are
 * neither: a breakpoint, a foreign hook.
 */
int ug_entry_read(struct ug_proc *p, const struct ug_reg_site *site, ug_raddr_t *ret,
		  struct ug_error *err) ug_must_check;

/*
 * Let the entry lead to `to`; the displaced copy means: put the original bytes back. The
 * caller holds a full stop in which no thread is inside the bytes.
 */
int ug_entry_write(struct ug_proc *p, const struct ug_reg_site *site, ug_raddr_t to,
		   struct ug_error *err) ug_must_check;

#endif
