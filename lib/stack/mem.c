/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "stack/internal.h"

/* Absent pages of such a mapping are zeros that nobody has touched yet. */
static bool anonymous(const struct ug_map *m)
{
	return m->inode == 0 && !m->shared;
}

void ug_stack_mem_init(struct ug_stack_mem *m, const struct ug_stack_ctx *ctx)
{
	m->ctx = ctx;
	m->base = 0;
	m->len = 0;
}

size_t ug_stack_mem_fill(struct ug_stack_mem *m, ug_raddr_t addr, ug_raddr_t hi)
{
	const struct ug_map *map = ug_maps_find(m->ctx->maps, addr);
	size_t len;

	m->len = 0;
	if (!map || !(map->prot & PROT_READ) || hi <= addr)
		return 0;
	if (hi > map->end)
		hi = map->end;
	len = hi - addr < UG_STACK_CHUNK ? hi - addr : UG_STACK_CHUNK;
	if (ug_proc_read_present(m->ctx->proc, addr, m->buf, len, anonymous(map), NULL) < 0)
		return 0;
	m->base = addr;
	m->len = len;
	return len;
}

bool ug_stack_mem_read(struct ug_stack_mem *m, ug_raddr_t addr, void *buf, size_t len)
{
	/* Unwinding goes up: a page is enough for most threads, a chunk too much. */
	ug_raddr_t hi = ug_align_down(addr, UG_PAGE_SIZE) + 2 * UG_PAGE_SIZE;

	if (addr < m->base || m->len < len || addr - m->base > m->len - len) {
		if (hi < addr || ug_stack_mem_fill(m, addr, hi) < len)
			return false;
	}
	memcpy(buf, (const char *)m->buf + (addr - m->base), len);
	return true;
}

bool ug_stack_mem_peek(const struct ug_stack_ctx *ctx, ug_raddr_t addr, void *buf, size_t len)
{
	char *dst = buf;

	while (len) {
		const struct ug_map *map = ug_maps_find(ctx->maps, addr);
		size_t n;

		if (!map || !(map->prot & PROT_READ))
			return false;
		n = map->end - addr < len ? map->end - addr : len;
		if (ug_proc_read_present(ctx->proc, addr, dst, n, anonymous(map), NULL) < 0)
			return false;
		dst += n;
		addr += n;
		len -= n;
	}
	return true;
}
