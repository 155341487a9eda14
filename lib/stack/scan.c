/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tier 1: every word that could be a return address.
 *
 * All of it only adds: a signal frame that is stale or only looks like one makes us scan
 * more, never less. The one exception is the home stack of a thread that is elsewhere: it is
 * scanned from the interrupted stack pointer instead of whole when a signal frame that
 * passes every test (leads_home) says so.
 */
#include <string.h>

#include "stack/internal.h"

#define MAX_SCAN_DEFAULT (64ull << 20)
#define USER_CS 0x33	/* __USER_CS of 64-bit code */
#define STACKS_MAX 16	/* a thread has one, two with an alternate signal stack */

/* The largest signal frame is 11 KiB (AMX); a frame this near the top of its alternate stack
 * is the one that switched to it. */
#define SIGFRAME_MAX (16u << 10)

struct scan {
	const struct ug_stack_ctx *ctx;
	const struct ug_thread *t;
	struct ug_hits *hits;
	struct ug_home home;
	bool home_reached;
	bool foreign;
	ug_raddr_t todo[STACKS_MAX];	/* stack pointers from which to scan */
	unsigned int ntodo, next;
	struct ug_region done[STACKS_MAX + 1];
	unsigned int ndone;
	const char *reason;
	ug_raddr_t where;
	struct ug_stack_mem mem;
};

static bool give_up(struct scan *s, const char *reason, ug_raddr_t where)
{
	s->reason = reason;
	s->where = where;
	return false;
}

static bool add_stack(struct scan *s, ug_raddr_t sp)
{
	if (sp % sizeof(uint64_t))
		return give_up(s, "stack pointer not aligned to 8", sp);
	for (unsigned int i = 0; i < s->ndone; i++)
		if (ug_region_has(&s->done[i], sp))
			return true;
	for (unsigned int i = 0; i < s->ntodo; i++)
		if (s->todo[i] == sp)
			return true;
	if (s->ntodo == STACKS_MAX)
		return give_up(s, "too many stacks", sp);
	s->todo[s->ntodo++] = sp;
	return true;
}

/* Registers as of an interrupted or stopped thread: any may be a PC to be. */
static void test_gregs(struct scan *s, const uint64_t *reg, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ug_hits_test(s->hits, reg[i], UG_ADDR_PC);
}

static void test_registers(struct scan *s)
{
	const struct user_regs_struct *r = &s->t->regs;
	const uint64_t reg[] = { r->rip, r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp,
				 r->rsp, r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14,
				 r->r15 };

	test_gregs(s, reg, UG_ARRAY_SIZE(reg));
}

/*
 * Did the signal whose frame ends at `uc` bring the thread from its home stack to an alternate
 * one? The frame must be returned from by a signal return, hold the alternate stack's place
 * (the kernel saves it there), lie at the very top of it, and have interrupted the home stack.
 */
static bool leads_home(struct scan *s, ug_raddr_t at, const struct ug_ucontext *uc)
{
	const struct ug_region alt = { uc->ss_sp, uc->ss_sp + uc->ss_size };
	const struct user_regs_struct *r = &s->t->regs;
	uint64_t restorer;

	if (alt.hi < alt.lo || alt.hi - at > SIGFRAME_MAX || !ug_region_has(&alt, at))
		return false;
	if (!ug_region_has(&alt, r->rsp) || ug_region_has(&alt, uc->gregs[UG_GREG_RSP]))
		return false;
	if (!ug_region_has(&s->home.r, uc->gregs[UG_GREG_RSP]))
		return false;
	if (at == r->rsp)	/* the handler has returned */
		return ug_in_restorer(s->ctx, r->rip, r->rax);
	return ug_stack_mem_peek(s->ctx, at - 8, &restorer, sizeof(restorer)) &&
	       ug_is_restorer(s->ctx, restorer);
}

/*
 * The word at `addr` could be the segment registers of an interrupted context. Whatever
 * returns to it (the restorer is not looked at), its registers count as registers; rip most of
 * all: interrupted at the first instruction of a range it is not a return address, and inside.
 */
static bool test_context(struct scan *s, ug_raddr_t lo, ug_raddr_t addr)
{
	struct ug_ucontext uc;
	ug_raddr_t at = addr - UG_UC_CSGSFS;

	if (at < lo || at > addr)
		return true;
	/* Mostly it is in the window: the auxiliary vector alone has such a word (AT 51). */
	if (at >= s->mem.base)
		memcpy(&uc, (const char *)s->mem.buf + (at - s->mem.base), sizeof(uc));
	else if (!ug_stack_mem_peek(s->ctx, at, &uc, sizeof(uc)))
		return give_up(s, "stack memory not present", at);
	test_gregs(s, uc.gregs, UG_GREG_RIP + 1);
	if (!ug_ucontext_plausible(s->ctx->maps, &uc))
		return true;
	if (!add_stack(s, uc.gregs[UG_GREG_RSP]))
		return false;
	if (!s->home_reached)
		s->home_reached = leads_home(s, at, &uc);
	return true;
}

static bool scan_words(struct scan *s, ug_raddr_t lo, size_t n)
{
	const struct ug_rangeset *set = s->hits->set;
	const ug_raddr_t first = set->lo, span = set->hi - set->lo;
	const uint64_t *w = s->mem.buf;

	for (size_t i = 0; i < n; i++) {
		if (w[i] - first <= span)
			ug_hits_test(s->hits, w[i], UG_ADDR_WORD);
		if ((uint32_t)w[i] == 0x33 && ug_csgsfs_plausible(w[i]) &&
		    !test_context(s, lo, s->mem.base + i * sizeof(*w)))
			return false;
	}
	return true;
}

/*
 * The psABI requires the word at the thread pointer to be the thread pointer. Where it is,
 * a control block lies there and the stack ends below; where it is not (Go, hand-made
 * threads), the stack can go on to the end of the run.
 */
static void check_bound(struct scan *s, ug_raddr_t *hi)
{
	struct ug_home *h = &s->home;
	struct ug_region run;
	uint64_t self;

	if (!h->tp || h->tp < s->mem.base || h->tp + sizeof(self) > s->mem.base + s->mem.len)
		return;
	memcpy(&self, (const char *)s->mem.buf + (h->tp - s->mem.base), sizeof(self));
	if (self != h->tp && ug_stack_run(s->ctx->maps, h->tp, &run))
		*hi = h->r.hi = run.hi;
	h->tp = 0;
}

static uint64_t max_scan(const struct scan *s)
{
	return s->ctx->max_scan ? s->ctx->max_scan : MAX_SCAN_DEFAULT;
}

static bool scan_region(struct scan *s, ug_raddr_t lo, ug_raddr_t hi, bool holes)
{
	ug_raddr_t at = lo;

	while (at < hi) {
		const struct ug_map *m = ug_maps_find(s->ctx->maps, at);
		size_t len;

		if (hi - lo > max_scan(s))
			return give_up(s, "stack larger than the limit of the scan", lo);
		if (holes && m && !(m->prot & PROT_READ)) {
			at = m->end;
			continue;
		}
		len = ug_stack_mem_fill(&s->mem, at, hi);
		if (!len)
			return give_up(s, "stack memory not present", at);
		check_bound(s, &hi);
		if (!scan_words(s, lo, len / sizeof(uint64_t)))
			return false;
		at += len;
	}
	return true;
}

/* From a stack pointer up to what is known to be the top, or was scanned before. */
static bool scan_from(struct scan *s, ug_raddr_t sp)
{
	bool home = ug_region_has(&s->home.r, sp);
	struct ug_region r;
	ug_raddr_t hi;

	if (home)
		r = s->home.r;
	else if (!ug_stack_run(s->ctx->maps, sp, &r))
		return give_up(s, "stack pointer outside every mapping", sp);
	hi = r.hi;
	/* Every scan of a run goes to its end, so what lies above an earlier start is done. */
	for (unsigned int i = 0; i < s->ndone; i++) {
		if (ug_region_has(&s->done[i], sp))
			return true;
		if (s->done[i].lo > sp && s->done[i].lo < hi)
			hi = s->done[i].lo;
	}
	/* Entered first: a context found inside must not ask for it again. */
	s->done[s->ndone++] = (struct ug_region){ sp, hi };
	return scan_region(s, sp, hi, home && s->home.holes);
}

static bool scan_todo(struct scan *s)
{
	while (s->next < s->ntodo)
		if (!scan_from(s, s->todo[s->next++]))
			return false;
	return true;
}

/*
 * The first thread of a process that another thread than the first has forked is where that
 * was: below its thread pointer, in the same run of mappings.
 */
static bool on_forkers_stack(const struct scan *s)
{
	const ug_raddr_t tp = s->t->regs.fs_base, rsp = s->t->regs.rsp;
	struct ug_region run;

	return s->ctx->forked && s->t->tid == s->ctx->proc->pid && rsp < tp &&
	       ug_stack_run(s->ctx->maps, tp, &run) && ug_region_has(&run, rsp);
}

static bool scan_all(struct scan *s)
{
	ug_raddr_t rsp = s->t->regs.rsp;

	test_registers(s);
	if (s->t->regs.cs != USER_CS)
		return give_up(s, "32-bit code", s->t->regs.rip);
	if (!ug_stack_home(s->ctx, s->t, &s->home))
		return give_up(s, "no home stack known", rsp);
	s->home_reached = ug_region_has(&s->home.r, rsp);
	if (!add_stack(s, rsp) || !scan_todo(s))
		return false;
	if (s->home_reached)
		return true;
	/* On a stack of its own making: the home stack can hold frames anywhere. */
	s->foreign = !on_forkers_stack(s);
	return scan_from(s, s->home.r.lo) && scan_todo(s);
}

bool ug_stack_scan(const struct ug_stack_ctx *ctx, const struct ug_thread *t,
		   struct ug_hits *hits, bool *foreign, const char **reason, ug_raddr_t *where)
{
	struct scan s;
	bool done;

	memset(&s, 0, offsetof(struct scan, mem));
	s.ctx = ctx;
	s.t = t;
	s.hits = hits;
	ug_stack_mem_init(&s.mem, ctx);
	done = scan_all(&s);
	*foreign = s.foreign;
	if (done)
		return true;
	*reason = s.reason;
	*where = s.where;
	return false;
}
