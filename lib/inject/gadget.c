// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The instructions we borrow. Nothing is written to the text of the target: tails of text
 * pages hold file bytes, would survive in a forked child, and make the page private.
 *
 * Only file-backed private mappings that are not writable count: a JIT's code may change under us,
 * and memory of our own making may be unmapped by the very call we make. Any byte offset
 * will do; the sequences need not be instructions the compiler meant.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "inject/inject.h"

#define CHUNK (64 * 1024)

static const uint8_t syscall_ret[] = { 0x0f, 0x05, 0xc3 };
/* mov $15,%eax; syscall and mov $15,%rax; syscall (glibc's and musl's restorers). */
static const uint8_t sigreturn_eax[] = { 0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05 };
static const uint8_t sigreturn_rax[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };

static void take(struct ug_gadgets *g, const uint8_t *code, size_t len, ug_raddr_t addr)
{
	memcpy(g->code, code, len);
	g->len = (unsigned int)len;
	g->sigreturn = addr;
}

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
	if (hit) {
		take(g, hit, sizeof(sigreturn_rax), addr + (uint64_t)(hit - buf));
		return;
	}
	hit = memmem(buf, len, sigreturn_eax, sizeof(sigreturn_eax));
	if (hit)
		take(g, hit, sizeof(sigreturn_eax), addr + (uint64_t)(hit - buf));
}

/* ---- chains ----
 *
 * A program that handles no signals has no restorer. The end of some function then puts 15 into
 * rax for us: `_init` of every static musl program is push %rax; pop %rax; ret, and most that
 * return a value they have kept end in mov %ebx,%eax; pop %rbx; ret or the like.
 */

/* pop %rax, or a register that calls preserve to %eax (with REX.W or without). 0: neither. */
static size_t sets_rax(const uint8_t *code, size_t len)
{
	if (code[0] == 0x58)
		return 1;
	if (len >= 2 && code[0] == 0x89 && (code[1] == 0xd8 || code[1] == 0xe8))
		return 2;	/* rbx, rbp */
	if (len >= 3 && (code[0] == 0x44 || code[0] == 0x4c) && code[1] == 0x89 &&
	    (code[2] == 0xe0 || code[2] == 0xe8 || code[2] == 0xf0 || code[2] == 0xf8))
		return 3;	/* r12 to r15 */
	return 0;
}

/* Any pop but that of the stack pointer: each takes a 15. */
static size_t pops(const uint8_t *code, size_t len)
{
	if (len >= 2 && code[0] == 0x41 && code[1] >= 0x58 && code[1] <= 0x5f)
		return 2;
	return code[0] >= 0x58 && code[0] <= 0x5f && code[0] != 0x5c;
}

/* The length of the chain at `code`, 0 for none; *ret_words as in struct ug_gadgets. */
static size_t chain_at(const uint8_t *code, size_t len, unsigned int *ret_words)
{
	size_t n = sets_rax(code, len), pop;

	if (!n)
		return 0;
	*ret_words = n == 1 ? 2 : 1;
	while (n < len && n < UG_GADGET_MAX && (pop = pops(code + n, len - n))) {
		n += pop;
		(*ret_words)++;
	}
	return n < len && n < UG_GADGET_MAX && code[n] == 0xc3 ? n + 1 : 0;
}

static void look_for_chain(const uint8_t *buf, size_t len, ug_raddr_t addr, struct ug_gadgets *g)
{
	for (size_t i = 0; i < len && !g->sigreturn; i++) {
		unsigned int words;
		size_t n = chain_at(buf + i, len - i, &words);

		if (!n)
			continue;
		take(g, buf + i, n, addr + i);
		g->chain = words;
	}
}

ug_raddr_t ug_gadgets_sigreturn_ip(const struct ug_gadgets *g)
{
	return g->chain ? g->syscall_ret + UG_SYSCALL_INSN_LEN : g->sigreturn + g->len;
}

/* ---- of somebody else's ---- */

bool ug_gadgets_is_syscall(struct ug_proc *p, ug_raddr_t at)
{
	uint8_t code[sizeof(syscall_ret)];

	return !ug_proc_read_present(p, at, code, sizeof(code), false, NULL) &&
	       memcmp(code, syscall_ret, sizeof(code)) == 0;
}

bool ug_gadgets_is_sigreturn(struct ug_proc *p, ug_raddr_t at, unsigned int *ret_chain)
{
	uint8_t code[UG_GADGET_MAX];

	*ret_chain = 0;
	return !ug_proc_read_present(p, at, code, sizeof(code), false, NULL) &&
	       (memcmp(code, sigreturn_rax, sizeof(sigreturn_rax)) == 0 ||
		memcmp(code, sigreturn_eax, sizeof(sigreturn_eax)) == 0 ||
		chain_at(code, sizeof(code), ret_chain));
}

/* ---- the search ---- */

typedef void (*look_t)(const uint8_t *buf, size_t len, ug_raddr_t addr, struct ug_gadgets *g);

static bool complete(const struct ug_gadgets *g)
{
	return g->syscall_ret && g->sigreturn;
}

static int scan(struct ug_proc *p, const struct ug_map *m, uint8_t *buf, look_t look_in,
		struct ug_gadgets *g)
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
		look_in(buf, len, addr, g);
		if (len < CHUNK)
			break;
		/* Overlap, so that a pattern across two chunks is seen. */
		addr += CHUNK - (UG_GADGET_MAX - 1);
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

static int no_gadget(struct ug_proc *p, const struct ug_gadgets *g, struct ug_error *err)
{
	return ug_err(err, -UG_E_NO_GADGET,
		      "process %d has no %s in any executable mapping of a file", p->pid,
		      g->syscall_ret ? "instructions that lead to rt_sigreturn" : "`syscall; ret`");
}

int ug_gadgets_find(struct ug_proc *p, const struct ug_maps *maps, struct ug_gadgets *ret,
		    struct ug_error *err)
{
	/* A chain only where there is nothing else: static programs without signal handlers. */
	static const struct {
		look_t look_in;
		bool everywhere, likely;
	} passes[] = { { look, false, true }, { look, false, false }, { look_for_chain, true } };
	ug_autofree uint8_t *buf = malloc(CHUNK);
	struct ug_gadgets g = { 0 };
	int ok;

	if (!buf)
		return ug_err(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < UG_ARRAY_SIZE(passes); i++) {
		ug_maps_for_each(maps, m) {
			if (complete(&g) || !usable(m) ||
			    (!passes[i].everywhere && likely(m) != passes[i].likely))
				continue;
			ok = scan(p, m, buf, passes[i].look_in, &g);
			if (ok)
				return ug_err(err, ok, "cannot search process %d for a system "
					      "call instruction", p->pid);
		}
	}
	if (!complete(&g))
		return no_gadget(p, &g, err);
	*ret = g;
	return 0;
}

bool ug_gadgets_verify(struct ug_proc *p, const struct ug_gadgets *g)
{
	uint8_t buf[UG_GADGET_MAX];

	if (ug_proc_read_present(p, g->syscall_ret, buf, sizeof(syscall_ret), false, NULL) ||
	    memcmp(buf, syscall_ret, sizeof(syscall_ret)))
		return false;
	return !ug_proc_read_present(p, g->sigreturn, buf, g->len, false, NULL) &&
	       !memcmp(buf, g->code, g->len);
}
