/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Call frame information of an object: .eh_frame of the mapped file (plus .debug_frame of
 * the file or its debug file where .eh_frame has nothing), through libdw's CFI tables. The
 * tables are opened and every FDE range listed before any stop; the lookups below then read
 * only memory of the controller.
 */
#ifndef UG_OBJECT_CFI_H
#define UG_OBJECT_CFI_H

#include "object/object.h"

struct ug_fde {
	ug_raddr_t start, end;	/* run-time range of code */
	bool signal_frame;	/* augmentation 'S' */
	ug_raddr_t lsda;	/* run-time address of the LSDA, 0 for none */
};

/* Open and index (idempotent, may be slow). An object without CFI: 0, and no FDEs. */
int ug_object_cfi(struct ug_object *obj, struct ug_error *err) ug_must_check;

/* The FDE that covers addr, or NULL. In a stop. */
const struct ug_fde *ug_cfi_fde(const struct ug_object *obj, ug_raddr_t addr);
size_t ug_cfi_count(const struct ug_object *obj);
const struct ug_fde *ug_cfi_at(const struct ug_object *obj, size_t i);	/* sorted by start */

/*
 * libdw's frame for addr (caller frees it with free(3)); NULL when there is none. In a stop.
 * addr is a run-time address; libdw gets the link-time one.
 */
Dwarf_Frame *ug_cfi_frame(struct ug_object *obj, ug_raddr_t addr);

#endif
