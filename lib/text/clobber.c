/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which registers a function may change. Callers compiled with -fipa-ra rely on exactly this
 * of the body they were compiled against (design: "Interprocedural optimisation").
 *
 * Registers that the ABI makes the callee save are left out on both sides: a function that
 * does not restore them is broken for any caller. Whatever is written anywhere in the parts
 * counts, reachable or not; a vector register counts as a whole.
 */
#include "base/vec.h"
#include "text/text_priv.h"

#include <errno.h>
#include <string.h>

#define FUNCS_MAX 2000

/* rbx rsp rbp r12..r15 */
#define CALLEE_SAVED (1u << 3 | 1u << 4 | 1u << 5 | 0xfu << 12)
#define VEC_LEGACY 0xffffu
#define SYSCALL_GPR (1u << 0 | 1u << 1 | 1u << 11)	/* rax; rcx, r11 by the instruction */

static void note_register(struct ug_clobbers *c, ZydisRegister reg)
{
	ZydisRegister wide = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	ZyanI8 id = ZydisRegisterGetId(wide);

	if (id < 0 || id > 31)
		return;
	if (ZydisRegisterGetClass(wide) == ZYDIS_REGCLASS_GPR64)
		c->gpr |= (1u << id) & ~CALLEE_SAVED;
	else if (ZydisRegisterGetClass(wide) == ZYDIS_REGCLASS_ZMM)
		c->vec |= 1u << id;
}

static bool changes_flags(const ZydisDecodedInstruction *z)
{
	const ZydisAccessedFlags *f = z->cpu_flags;

	return f && (f->modified || f->set_0 || f->set_1 || f->undefined);
}

static void note_special(struct ug_clobbers *c, const struct ug_insn *insn)
{
	switch (insn->z.mnemonic) {
	case ZYDIS_MNEMONIC_VZEROALL:
	case ZYDIS_MNEMONIC_VZEROUPPER:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
		c->vec |= VEC_LEGACY;
		break;
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
		c->vec = UINT32_MAX;
		break;
	case ZYDIS_MNEMONIC_SYSCALL:
		c->gpr |= SYSCALL_GPR;
		break;
	default:
		break;
	}
}

static void note_insn(struct ug_clobbers *c, const struct ug_insn *insn)
{
	for (int i = 0; i < insn->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &insn->ops[i];

		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			note_register(c, op->reg.value);
	}
	if (changes_flags(&insn->z))
		c->flags = true;
	note_special(c, insn);
	if (insn->kind == UG_INSN_CALL_IND)
		c->unknown_call = true;
}

static void merge(struct ug_clobbers *into, const struct ug_clobbers *from)
{
	into->gpr |= from->gpr;
	into->vec |= from->vec;
	into->flags |= from->flags;
	into->unknown_call |= from->unknown_call;
}

struct walk {
	struct ug_text *text;
	UG_VEC(ug_raddr_t) funcs;	/* callees met; those before `done` are finished */
	size_t done, steps;
	struct ug_clobbers sum;
};

static int want(struct walk *w, ug_raddr_t func, struct ug_error *err)
{
	ug_raddr_t *slot;

	for (size_t i = 0; i < w->funcs.n; i++) {
		if (w->funcs.v[i] == func)
			return 0;
	}
	if (w->funcs.n == FUNCS_MAX) {
		w->sum.unknown_call = true;
		return 0;
	}
	slot = ug_vec_add(&w->funcs);
	if (!slot)
		return ug_err(err, -ENOMEM, "no memory for the callees of a function");
	*slot = func;
	return 0;
}

static void note_part(struct walk *w, const struct ug_part *p)
{
	struct ug_insn insn;

	for (ug_raddr_t at = p->start; at < p->end; at++) {
		if (p->seen[at - p->start] && ug_text_decode(w->text, at, &insn))
			note_insn(&w->sum, &insn);
	}
}

static uint64_t size_at(const struct ug_text *text, ug_raddr_t func)
{
	const struct ug_fde *fde = ug_cfi_fde(text->obj, func);
	const struct ug_symbol *sym = ug_symbol_by_addr(text->obj, func);
	uint64_t size = 0;

	if (fde)
		size = fde->end - func;
	if (sym && func - sym->addr < sym->size && sym->addr + sym->size - func > size)
		size = sym->addr + sym->size - func;
	return size;
}

static int walk_one(struct walk *w, ug_raddr_t func, uint64_t size, struct ug_error *err)
{
	struct ug_flow flow;
	int ret;

	if (size_at(w->text, func) > size)
		size = size_at(w->text, func);
	if (size == 0 || ug_flow_stub(w->text, func) || w->steps > UG_FLOW_STEPS_MAX) {
		w->sum.unknown_call = true;
		return 0;
	}
	ret = ug_flow_run(w->text, func, size, &flow, err);
	if (ret < 0)
		return ret;
	w->steps += flow.steps;
	if (flow.doubt || flow.leaves_by_pointer)
		w->sum.unknown_call = true;
	for (size_t i = 0; i < flow.parts.n; i++)
		note_part(w, &flow.parts.v[i]);
	for (size_t i = 0; i < flow.targets.n && ret >= 0; i++) {
		if (!ug_flow_part(&flow, flow.targets.v[i]))
			ret = want(w, flow.targets.v[i], err);
	}
	ug_flow_free(&flow);
	return ret;
}

int ug_text_clobbers(struct ug_text *text, ug_raddr_t func, uint64_t size, struct ug_clobbers *ret,
		     struct ug_error *err)
{
	struct walk w = { .text = text };
	int r = want(&w, func, err);

	for (; r >= 0 && w.done < w.funcs.n; w.done++)
		r = walk_one(&w, w.funcs.v[w.done], w.done == 0 ? size : 0, err);
	ug_vec_free(&w.funcs);
	if (r < 0)
		return r;
	*ret = w.sum;
	return 0;
}

/*
 * In relocatable code the rel32 of a jump to another section is still zero, as if it led to
 * the next instruction; no assembler makes such a jump otherwise.
 */
static bool stays_inside(const struct ug_insn *insn, size_t size)
{
	return insn->target < size && insn->target != insn->addr + insn->len;
}

static void note_branch(struct ug_clobbers *c, const struct ug_insn *insn, size_t size,
			bool (*call)(void *ctx, size_t rel_off, struct ug_clobbers *ret), void *ctx)
{
	struct ug_clobbers callee = { 0 };

	if (stays_inside(insn, size))
		return;
	if (insn->z.raw.imm[0].size == 32 && call &&
	    call(ctx, insn->addr + insn->z.raw.imm[0].offset, &callee))
		merge(c, &callee);
	else
		c->unknown_call = true;
}

int ug_code_clobbers(const uint8_t *code, size_t size,
		     bool (*call)(void *ctx, size_t rel_off, struct ug_clobbers *ret), void *ctx,
		     struct ug_clobbers *ret, struct ug_error *err)
{
	struct ug_clobbers c = { 0 };
	struct ug_insn insn;

	for (size_t off = 0; off < size;) {
		if (!ug_insn_decode(code + off, size - off, off, &insn)) {
			c.unknown_call = true;
			off++;
			continue;
		}
		note_insn(&c, &insn);
		if (ug_insn_jumps(&insn) || insn.kind == UG_INSN_CALL)
			note_branch(&c, &insn, size, call, ctx);
		if (insn.kind == UG_INSN_JMP_IND)
			c.unknown_call = true;
		off += insn.len;
	}
	*ret = c;
	return 0;
}
