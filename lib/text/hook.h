/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The replacement of _dl_find_object (rt/find_object.S), made for one process. */
#ifndef UG_TEXT_HOOK_H
#define UG_TEXT_HOOK_H

#include "base/types.h"
#include "rt/unwind_abi.h"

struct ug_hook {
	ug_raddr_t root;	/* the registry */
	ug_raddr_t self;	/* the function that is replaced */
	ug_raddr_t original;	/* its displaced original */
};

void ug_hook_encode(const struct ug_hook *hook, uint8_t buf[UG_HOOK_SIZE]);

/* A slot's `code` for a patch with unwind tables. */
uint64_t ug_hook_code(ug_raddr_t base, size_t rx_len);

#endif
