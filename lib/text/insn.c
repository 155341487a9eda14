/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text/insn.h"

static enum ug_insn_kind loop_or_jcc(const ZydisDecodedInstruction *z)
{
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_JCXZ:
	case ZYDIS_MNEMONIC_JECXZ:
	case ZYDIS_MNEMONIC_JRCXZ:
	case ZYDIS_MNEMONIC_LOOP:
	case ZYDIS_MNEMONIC_LOOPE:
	case ZYDIS_MNEMONIC_LOOPNE:
		return UG_INSN_LOOP;
	default:
		return UG_INSN_JCC;
	}
}

static enum ug_insn_kind kind_of(const ZydisDecodedInstruction *z, bool direct)
{
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_INT3:
		return UG_INSN_TRAP;
	case ZYDIS_MNEMONIC_XBEGIN:
		return UG_INSN_XBEGIN;
	default:
		break;
	}
	switch (z->meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
		return loop_or_jcc(z);
	case ZYDIS_CATEGORY_UNCOND_BR:
		/* xabort is in this category too; outside of a transaction it does nothing. */
		if (z->mnemonic != ZYDIS_MNEMONIC_JMP)
			return UG_INSN_PLAIN;
		return direct ? UG_INSN_JMP : UG_INSN_JMP_IND;
	case ZYDIS_CATEGORY_CALL:
		return direct ? UG_INSN_CALL : UG_INSN_CALL_IND;
	case ZYDIS_CATEGORY_RET:
		return UG_INSN_RET;
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_INTERRUPT:
		return UG_INSN_SYSCALL;
	default:
		return UG_INSN_PLAIN;
	}
}

static bool is_nop(const ZydisDecodedInstruction *z)
{
	/* endbr64 is in the wide-nop space too, but means something. */
	return z->mnemonic == ZYDIS_MNEMONIC_NOP;
}

/* The operand that names a code address relative to the next instruction. */
static const ZydisDecodedOperand *relative_operand(const struct ug_insn *insn)
{
	for (int i = 0; i < insn->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &insn->ops[i];

		if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && op->imm.is_relative)
			return op;
	}
	return NULL;
}

static void note_rip_operand(struct ug_insn *insn)
{
	for (int i = 0; i < insn->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &insn->ops[i];

		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.base != ZYDIS_REGISTER_RIP)
			continue;
		insn->rip_disp = insn->z.raw.disp.offset;
		insn->rip_target = insn->addr + insn->len + (uint64_t)op->mem.disp.value;
	}
}

bool ug_insn_decode(const uint8_t *bytes, size_t size, ug_raddr_t addr, struct ug_insn *ret)
{
	const ZydisDecodedOperand *rel;
	ZydisDecoder decoder;

	if (ZYAN_FAILED(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
					 ZYDIS_STACK_WIDTH_64)) ||
	    ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, bytes, size, &ret->z, ret->ops)))
		return false;
	ret->addr = addr;
	ret->len = ret->z.length;
	ret->target = 0;
	ret->rip_disp = 0;
	ret->rip_target = 0;
	rel = relative_operand(ret);
	if (rel)
		ret->target = addr + ret->len + (uint64_t)rel->imm.value.s;
	ret->kind = kind_of(&ret->z, rel != NULL);
	ret->is_nop = is_nop(&ret->z);
	note_rip_operand(ret);
	return true;
}

bool ug_insn_ends_flow(const struct ug_insn *insn)
{
	switch (insn->kind) {
	case UG_INSN_JMP:
	case UG_INSN_JMP_IND:
	case UG_INSN_RET:
	case UG_INSN_TRAP:
		return true;
	default:
		return false;
	}
}

/* Intel SDM, vol. 2, CALL: e8, ff /2; far ones are ff /3. */
bool ug_insn_call_displaceable(const struct ug_insn *insn)
{
	if (insn->z.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
		return false;
	if (insn->kind == UG_INSN_CALL)
		return true;
	if (insn->kind != UG_INSN_CALL_IND || insn->z.raw.modrm.reg != 2)
		return false;
	for (int i = 0; i < insn->z.operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &insn->ops[i];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (op->mem.base == ZYDIS_REGISTER_RSP || op->mem.base == ZYDIS_REGISTER_ESP ||
		     op->mem.base == ZYDIS_REGISTER_EIP))
			return false;
	}
	return true;
}
