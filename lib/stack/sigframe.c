/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "stack/internal.h"

/* The two encodings in use of mov $__NR_rt_sigreturn to rax, then the system call. */
static const uint8_t mov_rax[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };
static const uint8_t mov_eax[] = { 0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05 };

#define NR_RT_SIGRETURN 15

bool ug_ucontext_plausible(const struct ug_maps *maps, const struct ug_ucontext *uc)
{
	const struct ug_map *text = ug_maps_find(maps, uc->gregs[UG_GREG_RIP]);
	const struct ug_map *stack = ug_maps_find(maps, uc->gregs[UG_GREG_RSP]);

	if (!ug_csgsfs_plausible(uc->gregs[UG_GREG_CSGSFS]))
		return false;
	return text && (text->prot & PROT_EXEC) && stack && ug_map_stackable(stack);
}

static bool executable(const struct ug_stack_ctx *ctx, ug_raddr_t addr)
{
	const struct ug_map *m = ug_maps_find(ctx->maps, addr);

	return m && (m->prot & PROT_EXEC);
}

bool ug_is_restorer(const struct ug_stack_ctx *ctx, ug_raddr_t addr)
{
	uint8_t b[sizeof(mov_rax)];

	if (!executable(ctx, addr))
		return false;
	if (ug_stack_mem_peek(ctx, addr, b, sizeof(mov_rax)))
		return !memcmp(b, mov_rax, sizeof(mov_rax)) || !memcmp(b, mov_eax, sizeof(mov_eax));
	return ug_stack_mem_peek(ctx, addr, b, sizeof(mov_eax)) &&
	       !memcmp(b, mov_eax, sizeof(mov_eax));
}

bool ug_in_restorer(const struct ug_stack_ctx *ctx, ug_raddr_t pc, uint64_t rax)
{
	uint8_t b[2];

	if (ug_is_restorer(ctx, pc))
		return true;
	return rax == NR_RT_SIGRETURN && executable(ctx, pc) &&
	       ug_stack_mem_peek(ctx, pc, b, sizeof(b)) && b[0] == 0x0f && b[1] == 0x05;
}
