/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tier 2: strict unwinding by call frame information.
 *
 * Never a heuristic: no frame pointer is guessed, no word is tried. A frame counts only when
 * its PC lies in the text of a known object, a rule covers it, every register the rule needs
 * is exact, the CFA is above the stack pointer on the same stack, and the return address
 * follows a call instruction. The walk ends only in a frame whose return address is
 * "undefined" (the rule that glibc gives _start and its clone) or that is named so, and only
 * on the thread's home stack: a coroutine's end is not the thread's.
 */
#include <stdlib.h>
#include <string.h>

#include "object/cfi.h"
#include "object/symbol.h"
#include "stack/internal.h"

enum { RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15, RA };

#define FRAMES_MAX 65536	/* 10 ms and more; a stack this deep is not worth a longer stop */
#define CACHE 16		/* recursion repeats a few PCs */
#define SWITCHES_MAX 8		/* stacks left through signal frames */

struct unwind {
	const struct ug_stack_ctx *ctx;
	const struct ug_thread *t;
	struct ug_home home;
	bool have_home;
	uint64_t reg[UG_DWARF_REGS];
	uint32_t known;
	bool exact;		/* reg[RA] is a PC, not a return address */
	unsigned int switches;
	struct {
		ug_raddr_t pc;
		Dwarf_Frame *frame;
	} cache[CACHE];
	const char *reason;
	struct ug_stack_mem mem;
};

enum step { STEP_ON, STEP_END, STEP_DOUBT };

static enum step doubt(struct unwind *u, const char *reason)
{
	u->reason = reason;
	return STEP_DOUBT;
}

static void load_registers(struct unwind *u)
{
	const struct user_regs_struct *r = &u->t->regs;
	const uint64_t reg[UG_DWARF_REGS] = {
		[RAX] = r->rax, [RDX] = r->rdx, [RCX] = r->rcx, [RBX] = r->rbx,
		[RSI] = r->rsi, [RDI] = r->rdi, [RBP] = r->rbp, [RSP] = r->rsp,
		[R8] = r->r8,   [R9] = r->r9,   [R10] = r->r10, [R11] = r->r11,
		[R12] = r->r12, [R13] = r->r13, [R14] = r->r14, [R15] = r->r15,
		[RA] = r->rip,
	};

	memcpy(u->reg, reg, sizeof(reg));
	u->known = (1u << UG_DWARF_REGS) - 1;
	u->exact = true;
}

static bool read_word(struct unwind *u, ug_raddr_t addr, uint64_t *ret)
{
	return ug_stack_mem_read(&u->mem, addr, ret, sizeof(*ret));
}

static bool eval_read(void *ctx, ug_raddr_t addr, void *buf, size_t len)
{
	struct unwind *u = ctx;

	return ug_stack_mem_read(&u->mem, addr, buf, len);
}

/* ---- calls ---- */

/* Length of `ff /2` (call r/m) that begins at b, not counting prefixes; 0 when it is not one. */
static size_t indirect_call_len(const uint8_t *b)
{
	unsigned int mod = b[1] >> 6, rm = b[1] & 7;
	size_t len = 2;

	if (b[0] != 0xff || (b[1] >> 3 & 7) != 2)
		return 0;
	if (mod == 3)
		return len;
	if (rm == 4) {
		len++;
		if (mod == 0 && (b[2] & 7) == 5)
			return len + 4;
	}
	if (mod == 0)
		return rm == 5 ? len + 4 : len;
	return len + (mod == 1 ? 1 : 4);
}

bool ug_call_before(const struct ug_object *obj, ug_raddr_t ret)
{
	uint8_t b[8] = { 0 };	/* one spare: the SIB byte is looked at before the length is known */
	size_t have = 7;

	/* At the very beginning of the text there are fewer. */
	while (have && ug_object_read_file(obj, ret - have, b + 7 - have, have, NULL) < 0)
		have--;
	if (b[2] == 0xe8)
		return true;
	for (size_t n = 2; n <= 7; n++)
		if (indirect_call_len(b + 7 - n) == n)
			return true;
	return false;
}

/* ---- where the walk stands ---- */

static bool on_home(const struct unwind *u)
{
	return u->have_home && ug_region_has(&u->home.r, u->reg[RSP]);
}

/* Accept a new stack pointer for the caller: above the old one, on the same stack. */
static bool caller_sp_valid(struct unwind *u, uint64_t sp)
{
	uint64_t old = u->reg[RSP];
	struct ug_region run;

	if (sp <= old || sp % sizeof(uint64_t))
		return false;
	if (on_home(u) && u->home.holes)
		return sp <= u->home.r.hi;
	return ug_stack_run(u->ctx->maps, old, &run) && sp <= run.hi;
}

static bool named(const struct ug_object *obj, ug_raddr_t pc, const char *const *names, size_t n)
{
	const struct ug_symbol *sym = ug_symbol_by_addr(obj, pc);

	for (size_t i = 0; sym && i < n; i++)
		if (!strcmp(sym->name, names[i]))
			return true;
	return false;
}

/* The outermost frames by name, for objects whose assembly has no CFI (musl). */
static bool outermost_by_name(const struct ug_object *obj, ug_raddr_t pc)
{
	static const char *const names[] = { "_start", "clone", "__clone", "clone3", "__clone3" };

	return named(obj, pc, names, UG_ARRAY_SIZE(names));
}

static enum step end(struct unwind *u)
{
	return on_home(u) ? STEP_END : doubt(u, "outermost frame not on the thread's own stack");
}

/* ---- our own code ---- */

static enum step step_fixed(struct unwind *u, uint64_t cfa_offset)
{
	uint64_t cfa = u->reg[RSP] + cfa_offset, ra;

	if (!caller_sp_valid(u, cfa))
		return doubt(u, "frame address not above the stack pointer");
	if (!read_word(u, cfa - 8, &ra))
		return doubt(u, "stack memory not present");
	u->reg[RSP] = cfa;
	u->reg[RA] = ra;
	u->exact = false;
	return STEP_ON;
}

/* ---- signal frames ---- */

static void load_context(struct unwind *u, const struct ug_ucontext *uc)
{
	static const uint8_t greg[UG_DWARF_REGS] = {
		[RAX] = UG_GREG_RAX, [RDX] = UG_GREG_RDX, [RCX] = UG_GREG_RCX,
		[RBX] = UG_GREG_RBX, [RSI] = UG_GREG_RSI, [RDI] = UG_GREG_RDI,
		[RBP] = UG_GREG_RBP, [RSP] = UG_GREG_RSP, [R8] = UG_GREG_R8,
		[R9] = UG_GREG_R9,   [R10] = UG_GREG_R10, [R11] = UG_GREG_R11,
		[R12] = UG_GREG_R12, [R13] = UG_GREG_R13, [R14] = UG_GREG_R14,
		[R15] = UG_GREG_R15, [RA] = UG_GREG_RIP,
	};

	for (size_t i = 0; i < UG_DWARF_REGS; i++)
		u->reg[i] = uc->gregs[greg[i]];
	u->known = (1u << UG_DWARF_REGS) - 1;
	u->exact = true;
}

/*
 * The interrupted code may run on another stack; the number of changes is limited, and within
 * one stack the pointer must grow, so the walk ends.
 */
static bool context_sp_valid(struct unwind *u, uint64_t sp)
{
	struct ug_region from, to;

	if (sp % sizeof(uint64_t) || !ug_stack_run(u->ctx->maps, sp, &to) ||
	    !ug_stack_run(u->ctx->maps, u->reg[RSP], &from))
		return false;
	if (from.lo == to.lo && sp > u->reg[RSP])
		return true;
	/* Also an alternate stack that is an array on the home stack. */
	return ++u->switches <= SWITCHES_MAX;
}

static enum step step_signal(struct unwind *u)
{
	struct ug_ucontext uc;

	if (!ug_stack_mem_read(&u->mem, u->reg[RSP], &uc, sizeof(uc)) &&
	    !ug_stack_mem_peek(u->ctx, u->reg[RSP], &uc, sizeof(uc)))
		return doubt(u, "signal frame not readable");
	if (!ug_ucontext_plausible(u->ctx->maps, &uc) ||
	    !context_sp_valid(u, uc.gregs[UG_GREG_RSP]))
		return doubt(u, "signal frame not plausible");
	load_context(u, &uc);
	return STEP_ON;
}

/*
 * A signal return is not called, so where the return address follows a call nobody needs to
 * look at the code there (two system calls a frame).
 */
static bool at_signal_frame(struct unwind *u, bool called)
{
	if (u->exact)
		return ug_in_restorer(u->ctx, u->reg[RA],
				      u->known & 1u << RAX ? u->reg[RAX] : 0);
	return !called && ug_is_restorer(u->ctx, u->reg[RA]);
}

/* ---- frames by CFI ---- */

static Dwarf_Frame *find_frame(struct unwind *u, struct ug_object *obj, ug_raddr_t pc)
{
	size_t slot = (pc ^ pc >> 4 ^ pc >> 8) % CACHE;

	if (u->cache[slot].frame && u->cache[slot].pc == pc)
		return u->cache[slot].frame;
	free(u->cache[slot].frame);
	u->cache[slot].pc = pc;
	u->cache[slot].frame = ug_cfi_frame(obj, pc);
	return u->cache[slot].frame;
}

/* Column RA is the PC of the frame itself: the rule of a PLT computes with it. */
static bool frame_cfa(struct unwind *u, Dwarf_Frame *frame, uint64_t *ret)
{
	const struct ug_dwarf_env env = {
		.reg = u->reg, .known = u->known, .read = eval_read, .read_ctx = u,
	};
	enum ug_dwarf_kind kind;
	Dwarf_Op *ops;
	size_t nops;

	return dwarf_frame_cfa(frame, &ops, &nops) == 0 && nops &&
	       ug_dwarf_eval(ops, nops, &env, ret, &kind) && kind == UG_DWARF_ADDRESS;
}

enum rule { RULE_VALUE, RULE_UNDEFINED, RULE_FAILED };

/* The caller's value of one register. */
static enum rule frame_register(struct unwind *u, Dwarf_Frame *frame, int regno, uint64_t cfa,
				uint64_t *ret)
{
	const struct ug_dwarf_env env = {
		.reg = u->reg, .known = u->known, .cfa = cfa, .have_cfa = true,
		.read = eval_read, .read_ctx = u,
	};
	enum ug_dwarf_kind kind;
	Dwarf_Op mem[3], *ops;
	uint64_t x;
	size_t nops;

	if (dwarf_frame_register(frame, regno, mem, &ops, &nops) != 0)
		return RULE_FAILED;
	if (!nops && ops) {
		return RULE_UNDEFINED;
	} else if (!nops) {
		if (regno == RA)
			return RULE_FAILED;
		if (!(u->known >> regno & 1))
			return RULE_UNDEFINED;
		*ret = u->reg[regno];
		return RULE_VALUE;
	}
	if (!ug_dwarf_eval(ops, nops, &env, &x, &kind))
		return RULE_FAILED;
	if (kind == UG_DWARF_REGISTER) {
		if (x >= UG_DWARF_REGS || !(env.known >> x & 1))
			return RULE_FAILED;
		x = u->reg[x];
	} else if (kind == UG_DWARF_ADDRESS && !read_word(u, x, &x)) {
		return RULE_FAILED;
	}
	*ret = x;
	return RULE_VALUE;
}

/*
 * Fill the registers of the caller. One that cannot be had is only unknown: it matters when
 * a later rule needs it. Returns the rule of the return address, which must be one of its
 * own: "same value" would make the frame its own caller.
 */
static enum rule caller_registers(struct unwind *u, Dwarf_Frame *frame, uint64_t cfa,
				  uint64_t *reg, uint32_t *known)
{
	*known = 1u << RSP;
	reg[RSP] = cfa;
	for (int i = 0; i < RA; i++) {
		if (i != RSP && frame_register(u, frame, i, cfa, &reg[i]) == RULE_VALUE)
			*known |= 1u << i;
	}
	*known |= 1u << RA;
	return frame_register(u, frame, RA, cfa, &reg[RA]);
}

/*
 * Compilers before 2019 describe prologues but not epilogues. A thread stopped in front of
 * `ret`, or of pops that lead to one, shows where its return address is; the rule must agree.
 */
static bool epilogue_agrees(struct unwind *u, const struct ug_object *obj, ug_raddr_t pc,
			    uint64_t cfa)
{
	uint64_t sp = u->reg[RSP];
	uint8_t b[2];

	for (unsigned int i = 0; i < 16; i++) {
		if (ug_object_read_file(obj, pc, b, sizeof(b), NULL) < 0)
			return true;
		if (b[0] == 0xc3 || b[0] == 0xc2 || (b[0] == 0xf3 && b[1] == 0xc3) ||
		    (b[0] == 0xf2 && b[1] == 0xc3))
			return cfa == sp + 8;
		if (b[0] == 0x41 && b[1] >= 0x58 && b[1] <= 0x5f && b[1] != 0x5c)
			pc += 2;
		else if (b[0] >= 0x58 && b[0] <= 0x5f && b[0] != 0x5c)
			pc += 1;
		else if (b[0] == 0x41 && b[1] == 0x5c)	/* pop %r12; 5c alone is pop %rsp */
			pc += 2;
		else
			return true;
		sp += 8;
	}
	return true;
}

static enum step step_cfi(struct unwind *u, struct ug_object *obj, ug_raddr_t pc)
{
	Dwarf_Frame *frame = find_frame(u, obj, pc);
	uint64_t cfa, reg[UG_DWARF_REGS] = { 0 };
	uint32_t known;
	bool signal;

	if (!frame) {
		if (outermost_by_name(obj, pc))
			return end(u);
		return doubt(u, "no unwind rule");
	}
	if (dwarf_frame_info(frame, NULL, NULL, &signal) != RA)
		return doubt(u, "unknown return address column");
	if (frame_register(u, frame, RA, 0, &reg[RA]) == RULE_UNDEFINED)
		return end(u);
	if (!frame_cfa(u, frame, &cfa))
		return doubt(u, "frame address not computable");
	if (signal ? !context_sp_valid(u, cfa) : !caller_sp_valid(u, cfa))
		return doubt(u, "frame address not above the stack pointer");
	if (u->exact && !signal && !epilogue_agrees(u, obj, pc, cfa))
		return doubt(u, "unwind rule wrong in an epilogue");
	if (caller_registers(u, frame, cfa, reg, &known) != RULE_VALUE)
		return doubt(u, "return address not computable");
	memcpy(u->reg, reg, sizeof(reg));
	u->known = known;
	u->exact = signal;
	return STEP_ON;
}

/* ---- the walk ---- */

/* The object whose text the frame executes, NULL when there is none. */
static struct ug_object *text_object(struct unwind *u, ug_raddr_t lookup)
{
	struct ug_object *obj = ug_objects_find(u->ctx->objects, lookup);

	if (!obj && u->ctx->own)
		obj = ug_objects_find(u->ctx->own, lookup);
	return obj && ug_object_is_text(obj, lookup, 1) ? obj : NULL;
}

/* Displaced code is unwound as the code it was taken from; it holds no calls. */
static enum step step_same_as(struct unwind *u, ug_raddr_t as)
{
	struct ug_object *obj = u->exact ? text_object(u, as) : NULL;

	return obj ? step_cfi(u, obj, as) : doubt(u, "not in the text of a known object");
}

static enum step step(struct unwind *u)
{
	ug_raddr_t pc = u->reg[RA], lookup = u->exact ? pc : pc - 1;
	struct ug_own_frame own = { 0 };
	struct ug_object *obj;
	bool called;

	if (u->ctx->own_code && u->ctx->own_code(u->ctx->own_ctx, lookup, u->exact, &own))
		return own.same_as ? step_same_as(u, own.same_as) : step_fixed(u, own.cfa_offset);
	obj = text_object(u, lookup);
	called = obj && !u->exact && ug_call_before(obj, pc);
	if (at_signal_frame(u, called))
		return step_signal(u);
	if (!obj)
		return doubt(u, "not in the text of a known object");
	if (!u->exact && !called)
		return doubt(u, "return address does not follow a call");
	return step_cfi(u, obj, lookup);
}

static bool walk(struct unwind *u, ug_unwind_visit_t visit, void *visit_ctx)
{
	for (unsigned int n = 0; n < FRAMES_MAX; n++) {
		const struct ug_unwind_frame f = { u->reg[RA], u->reg[RSP], u->exact };
		enum step s;

		if (!visit(&f, visit_ctx)) {
			u->reason = "ended";
			return false;
		}
		s = step(u);
		if (s != STEP_ON)
			return s == STEP_END;
	}
	u->reason = "too many frames";
	return false;
}

bool ug_unwind(const struct ug_stack_ctx *ctx, const struct ug_thread *t,
	       ug_unwind_visit_t visit, void *visit_ctx, const char **reason, ug_raddr_t *where)
{
	struct unwind u;
	bool done;

	memset(&u, 0, offsetof(struct unwind, mem));
	u.ctx = ctx;
	u.t = t;
	u.have_home = ug_stack_home(ctx, t, &u.home);
	ug_stack_mem_init(&u.mem, ctx);
	load_registers(&u);
	done = walk(&u, visit, visit_ctx);
	for (size_t i = 0; i < CACHE; i++)
		free(u.cache[i].frame);
	if (!done) {
		*reason = u.reason;
		*where = u.reg[RA];
	}
	return done;
}
