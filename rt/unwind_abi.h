/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layout shared by rt/find_object.S (in the target) and lib/text/hook.c (in the controller).
 * Usable from assembly: plain numbers only. */
#ifndef UG_RT_UNWIND_ABI_H
#define UG_RT_UNWIND_ABI_H

#define UG_HOOK_SIZE 256
#define UG_HOOK_ALIGN 64
#define UG_HOOK_CODE 208		/* bytes of code; then the literals */
#define UG_HOOK_LIT_ROOT 208
#define UG_HOOK_LIT_SELF 216
#define UG_HOOK_LIT_ORIGINAL 224

/* What the hook reads of the registry (registry_abi.h; compared in lib/text/hook.c). */
#define UG_HOOK_ROOT_USED 40
#define UG_HOOK_SLOT_OFF 12288
#define UG_HOOK_SLOT_SIZE 32
#define UG_HOOK_SLOT_ID 0
#define UG_HOOK_SLOT_READY 7
#define UG_HOOK_SLOT_CODE 24

/* A slot's `code`: page number << 16 | pages. */
#define UG_HOOK_CODE_SHIFT 16

/* The header of the unwind tables is the end of the code's last page. */
#define UG_HOOK_TABLES_SIZE 8

#endif
