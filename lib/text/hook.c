/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text/hook.h"

#include <stddef.h>
#include <string.h>

#include "rt/registry_abi.h"

extern const uint8_t ug_rt_find_object[UG_HOOK_SIZE];

_Static_assert(UG_HOOK_ROOT_USED == offsetof(struct ug_reg_header, slots_used), "header");
_Static_assert(UG_HOOK_SLOT_OFF == UG_REG_SLOT_OFF, "slots");
_Static_assert(UG_HOOK_SLOT_SIZE == sizeof(struct ug_reg_slot), "slot");
_Static_assert(UG_HOOK_SLOT_ID == offsetof(struct ug_reg_slot, id), "id");
_Static_assert(UG_HOOK_SLOT_READY == offsetof(struct ug_reg_slot, ready), "ready");
_Static_assert(UG_HOOK_SLOT_CODE == offsetof(struct ug_reg_slot, code), "code");

void ug_hook_encode(const struct ug_hook *hook, uint8_t buf[UG_HOOK_SIZE])
{
	memcpy(buf, ug_rt_find_object, UG_HOOK_SIZE);
	memcpy(buf + UG_HOOK_LIT_ROOT, &hook->root, 8);
	memcpy(buf + UG_HOOK_LIT_SELF, &hook->self, 8);
	memcpy(buf + UG_HOOK_LIT_ORIGINAL, &hook->original, 8);
}

uint64_t ug_hook_code(ug_raddr_t base, size_t rx_len)
{
	return base / UG_PAGE_SIZE << UG_HOOK_CODE_SHIFT | rx_len / UG_PAGE_SIZE;
}
