/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "stack/internal.h"

/*
 * mlock, madvise, mbind or mprotect of a part split the mapping of a stack, so a stack goes on
 * through everything that adjoins. A file mapping that cannot be written (text, read-only data
 * of an object) was never a stack, and what the kernel maps ([vvar], [vdso], [vsyscall]) is
 * not either; without this the stack of the first thread would seem to go on into the
 * libraries which the kernel happened to place right above.
 */
bool ug_map_stackable(const struct ug_map *m)
{
	if (!(m->prot & PROT_READ))
		return false;
	if (m->inode && !(m->prot & PROT_WRITE))
		return false;
	return !m->name || strncmp(m->name, "[v", 2) != 0;
}

bool ug_stack_run(const struct ug_maps *maps, ug_raddr_t addr, struct ug_region *ret)
{
	const struct ug_map *m = ug_maps_find(maps, addr), *lo = m, *hi = m;

	if (!m || !ug_map_stackable(m))
		return false;
	while (lo > maps->v && lo[-1].end == lo->start && ug_map_stackable(lo - 1))
		lo--;
	while (hi + 1 < maps->v + maps->n && hi[1].start == hi->end && ug_map_stackable(hi + 1))
		hi++;
	ret->lo = lo->start;
	ret->hi = hi->end;
	return true;
}

/*
 * The main thread: everything mapped without a gap below the known top. The kernel keeps
 * other mappings away from this stack (stack_guard_gap), so whatever adjoins is a part of it,
 * readable or not.
 */
static bool main_home(const struct ug_stack_ctx *ctx, struct ug_home *ret)
{
	const struct ug_maps *maps = ctx->maps;
	const struct ug_map *m;

	if (!ctx->main_stack_top)
		return false;
	m = ug_maps_find(maps, ctx->main_stack_top - 1);
	if (!m)
		return false;
	while (m > maps->v && m[-1].end == m->start)
		m--;
	ret->r.lo = m->start;
	ret->r.hi = ctx->main_stack_top;
	ret->tp = 0;
	ret->holes = true;
	return true;
}

bool ug_stack_home(const struct ug_stack_ctx *ctx, const struct ug_thread *t,
		   struct ug_home *ret)
{
	ug_raddr_t tp = t->regs.fs_base;

	if (t->tid == ctx->proc->pid)
		return main_home(ctx, ret);
	if (!tp || !ug_stack_run(ctx->maps, tp, &ret->r))
		return false;
	/*
	 * glibc and musl put the control block at the top of the stack: frames lie below the
	 * page of the thread pointer. The scan verifies that a control block is there.
	 */
	ret->r.hi = ug_align_down(tp, UG_PAGE_SIZE) + UG_PAGE_SIZE;
	ret->tp = tp;
	ret->holes = false;
	return true;
}

/* Fields of /proc/PID/stat, counted from 1 as proc(5) does. */
enum { STAT_STATE = 3, STAT_START_STACK = 28, STAT_ARG_END = 49, STAT_ENV_END = 51 };

static int read_stat(struct ug_proc *p, char *buf, size_t size, struct ug_error *err)
{
	ug_autoclose int fd = openat(p->dirfd, "stat", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return ug_err(err, -UG_E_GONE, "process %d is gone", p->pid);
	n = read(fd, buf, size - 1);
	if (n <= 0)
		return ug_err(err, -UG_E_GONE, "process %d is gone", p->pid);
	buf[n] = 0;
	return 0;
}

static uint64_t stat_field(const char *stat, int field)
{
	/* The name in parentheses may hold anything; the last one closes it. */
	const char *s = strrchr(stat, ')');

	for (int i = STAT_STATE - 1; s && i < field; i++) {
		s = strchr(s, ' ');
		if (s)
			s++;
	}
	return s ? strtoull(s, NULL, 10) : 0;
}

static const struct ug_map *named_stack(const struct ug_maps *maps)
{
	ug_maps_for_each(maps, m)
		if (m->name && !strcmp(m->name, "[stack]"))
			return m;
	return NULL;
}

int ug_stack_main_top(struct ug_proc *p, const struct ug_maps *maps, ug_raddr_t *ret,
		      struct ug_error *err)
{
	const struct ug_map *m = named_stack(maps);
	uint64_t start, top;
	char stat[2048];
	int rc;

	if (!m)
		return ug_err(err, -UG_E_UNREADABLE, "process %d has no [stack]", p->pid);
	rc = read_stat(p, stat, sizeof(stat), err);
	if (rc < 0)
		return rc;
	while (m + 1 < maps->v + maps->n && m[1].start == m->end)
		m++;
	/*
	 * prctl(PR_SET_MM) lets a process move its strings, or claim to. Believed only when
	 * they lie where exec puts them: above the initial stack pointer, in the same mapping.
	 */
	start = stat_field(stat, STAT_START_STACK);
	top = stat_field(stat, STAT_ENV_END);
	if (!top)
		top = stat_field(stat, STAT_ARG_END);
	if (!start || top <= start || top > m->end || m->start > start)
		top = m->end;
	*ret = ug_align_up(top, UG_PAGE_SIZE) < m->end ? ug_align_up(top, UG_PAGE_SIZE) : m->end;
	return 0;
}
