// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The instructions we borrow. Nothing is written to the text of the target: tails of text
 * pages hold file bytes, would survive in a forked child, and make the page private.
 *
 * Only file-backed private mappings that are not writable count: a JIT's code may change under us,
 * and memory of our own making may be unmapped by the very call we make. Any byte offset
 * will do; the two sequences need not be instructions the compiler meant.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "inject/inject.h"

#define CHUNK (64 * 1024)
#define LONGEST 9	/* of the patterns below */

static const uint8_t syscall_ret[] = { 0x0f, 0x05, 0xc3 };
/* mov $15,%eax; syscall and mov $15,%rax; syscall (glibc's and musl's restorers). */
static const uint8_t sigreturn_eax[] = { 0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05 };
static const uint8_t sigreturn_rax[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };

static void look(const uint8_t *buf, size_t len, ug_raddr_t addr, struct ug_gadgets *g)
{
	const uint8_t *hit;

	if (!g->syscall_ret) {
		hit = memmem(buf, len, syscall_ret, sizeof(syscall_ret));
		if (hit)
			g->syscall_ret = addr + (uint64_t)(hit - buf);
	}
	if (g->sigreturn)
		return;
	hit = memmem(buf, len, sigreturn_rax, sizeof(sigreturn_rax));
	g->sigreturn_len = sizeof(sigreturn_rax);
	if (!hit) {
		hit = memmem(buf, len, sigreturn_eax, sizeof(sigreturn_eax));
		g->sigreturn_len = sizeof(sigreturn_eax);
	}
	if (hit)
		g->sigreturn = addr + (uint64_t)(hit - buf);
}

static bool complete(const struct ug_gadgets *g)
{
	return g->syscall_ret && g->sigreturn;
}

static int scan(struct ug_proc *p, const struct ug_map *m, uint8_t *buf, struct ug_gadgets *g)
{
	ug_raddr_t addr = m->start;

	while (addr < m->end && !complete(g)) {
		size_t len = m->end - addr < CHUNK ? m->end - addr : CHUNK;
		int ret = ug_proc_read(p, addr, buf, len, NULL);

		/* A truncated file, or unmapped meanwhile: the rest of it is of no use. */
		if (ret == -UG_E_UNREADABLE)
			return 0;
		if (ret)
			return ret;
		look(buf, len, addr, g);
		if (len < CHUNK)
			break;
		/* Overlap, so that a pattern across two chunks is seen. */
		addr += CHUNK - (LONGEST - 1);
	}
	return 0;
}

static bool usable(const struct ug_map *m)
{
	return (m->prot & (PROT_READ | PROT_WRITE | PROT_EXEC)) == (PROT_READ | PROT_EXEC) &&
	       !m->shared && m->inode && strncmp(m->name, "/memfd:", 7) != 0;
}

/* Both patterns are in every libc: look there first, there may be much else. */
static bool likely(const struct ug_map *m)
{
	const char *base = strrchr(m->name, '/');

	base = base ? base + 1 : m->name;
	return !strncmp(base, "libc.", 5) || !strncmp(base, "libc-", 5) ||
	       !strncmp(base, "ld-musl", 7);
}

int ug_gadgets_find(struct ug_proc *p, const struct ug_maps *maps, struct ug_gadgets *ret,
		    struct ug_error *err)
{
	ug_autofree uint8_t *buf = malloc(CHUNK);
	struct ug_gadgets g = { 0 };
	int ok;

	if (!buf)
		return ug_err(err, -ENOMEM, "out of memory");
	for (int pass = 0; pass < 2; pass++) {
		ug_maps_for_each(maps, m) {
			if (complete(&g) || !usable(m) || likely(m) != (pass == 0))
				continue;
			ok = scan(p, m, buf, &g);
			if (ok)
				return ug_err(err, ok, "cannot search process %d for a system "
					      "call instruction", p->pid);
		}
	}
	if (!complete(&g))
		return ug_err(err, -UG_E_NO_GADGET,
			      "process %d has no %s in any executable mapping of a file", p->pid,
			      g.syscall_ret ? "`mov $15,%eax; syscall`" : "`syscall; ret`");
	*ret = g;
	return 0;
}

bool ug_gadgets_verify(struct ug_proc *p, const struct ug_gadgets *g)
{
	uint8_t buf[LONGEST];
	const uint8_t *want;

	if (ug_proc_read_present(p, g->syscall_ret, buf, sizeof(syscall_ret), false, NULL) ||
	    memcmp(buf, syscall_ret, sizeof(syscall_ret)))
		return false;
	want = g->sigreturn_len == sizeof(sigreturn_rax) ? sigreturn_rax : sigreturn_eax;
	return !ug_proc_read_present(p, g->sigreturn, buf, g->sigreturn_len, false, NULL) &&
	       !memcmp(buf, want, g->sigreturn_len);
}
