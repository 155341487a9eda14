/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Indirect jumps: jump table, tail call, or not to be told.
 *
 * Tables, as gcc and clang make them (any register allocation):
 *
 *	lea table(%rip),B ... movslq (B,I,4),X; add B,X; jmp *X	PIC: table of offsets
 *	jmp *table(,I,8)   or   mov table(,I,8),X; jmp *X	non-PIC: of addresses
 *	lea table(%rip),B ... jmp *(B,I,8)   or   mov (B,I,8),X; jmp *X	label addresses
 *
 * Tail calls: through a fixed pointer (GOT), or from where the frame is gone (CFA = rsp + 8)
 * through a value that is no element of a table.
 *
 * The same bytes can be a computed goto of a frameless function, through a pointer loaded
 * from a structure (threaded code). It is taken for a tail call only if the frame is gone;
 * everything else unknown is doubt, and doubt refuses the function in a stripped object.
 */
#include "text/text_priv.h"

#include <dwarf.h>
#include <string.h>

#define BACK_DEF 40		/* how many instructions back a value is searched */
#define BACK_BASE 600
#define BACK_CMP 24
#define ENTRIES_MAX 8192

static ZydisRegister wide(ZydisRegister reg)
{
	return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
}

static ZydisRegister op_reg(const struct ug_insn *insn, int i)
{
	const ZydisDecodedOperand *op = &insn->ops[i];

	if (i >= insn->z.operand_count || op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return ZYDIS_REGISTER_NONE;
	return wide(op->reg.value);
}

static const ZydisDecodedOperandMem *op_mem(const struct ug_insn *insn, int i)
{
	const ZydisDecodedOperand *op = &insn->ops[i];

	if (i >= insn->z.operand_count || op->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return NULL;
	return &op->mem;
}

static bool writes(const struct ug_insn *insn, ZydisRegister reg)
{
	for (int i = 0; i < insn->z.operand_count; i++) {
		if ((insn->ops[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
		    op_reg(insn, i) == reg)
			return true;
	}
	return false;
}

/* The instruction before addr, in the order of addresses. */
static bool previous(struct ug_flow *flow, ug_raddr_t addr, struct ug_insn *ret)
{
	struct ug_part *p = ug_flow_part(flow, addr);

	if (!p || flow->steps++ >= UG_FLOW_STEPS_MAX)
		return false;
	for (ug_raddr_t at = addr; at-- > p->start && addr - at <= UG_INSN_MAX;) {
		if (p->seen[at - p->start] && ug_text_decode(flow->text, at, ret) &&
		    at + ret->len == addr)
			return true;
	}
	return false;
}

static bool find_def(struct ug_flow *flow, ug_raddr_t addr, ZydisRegister reg, int limit,
		     struct ug_insn *ret)
{
	while (limit-- > 0 && previous(flow, addr, ret)) {
		if (writes(ret, reg))
			return true;
		addr = ret->addr;
	}
	return false;
}

/* The address that `lea x(%rip),reg` or `mov $x,reg` has put there, as seen from addr. */
static bool find_base(struct ug_flow *flow, ug_raddr_t addr, ZydisRegister reg, ug_raddr_t *ret)
{
	struct ug_insn def;

	if (!find_def(flow, addr, reg, BACK_BASE, &def))
		return false;
	if (def.z.mnemonic == ZYDIS_MNEMONIC_LEA && def.rip_disp) {
		*ret = def.rip_target;
		return true;
	}
	if (def.z.mnemonic == ZYDIS_MNEMONIC_MOV &&
	    def.ops[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		*ret = def.ops[1].imm.value.u + flow->text->obj->bias;
		return true;
	}
	return false;
}

struct table {
	ug_raddr_t addr;
	bool offsets;		/* of 4 bytes, from addr; else addresses of 8 bytes */
	size_t n;		/* 0: not known */
};

/* What holds the index: a register, or (looking further back) the memory it came from. */
struct index {
	ZydisRegister reg;
	bool in_memory;
	ZydisDecodedOperandMem mem;
};

static bool same_memory(const ZydisDecodedOperandMem *a, const ZydisDecodedOperandMem *b)
{
	return a->base == b->base && a->index == b->index && a->segment == b->segment &&
	       a->disp.value == b->disp.value;
}

/* Does `ja` or `jbe` use the flags of a cmp? (je does not bound anything.) */
static bool bounds(const struct ug_flow *flow, const struct ug_insn *cmp)
{
	struct ug_insn insn = *cmp;

	for (int i = 0; i < 4; i++) {
		if (!ug_text_decode(flow->text, insn.addr + insn.len, &insn))
			return false;
		if (insn.kind == UG_INSN_JCC)
			return insn.z.mnemonic == ZYDIS_MNEMONIC_JNBE ||
			       insn.z.mnemonic == ZYDIS_MNEMONIC_JBE;
	}
	return false;
}

static bool compares(const struct ug_insn *insn, const struct index *idx)
{
	const ZydisDecodedOperandMem *mem = op_mem(insn, 0);

	if (insn->z.mnemonic != ZYDIS_MNEMONIC_CMP ||
	    insn->ops[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return false;
	if (idx->in_memory)
		return mem && same_memory(mem, &idx->mem);
	return op_reg(insn, 0) == idx->reg;
}

/* The index is written here: follow a copy to its source; false: not a copy. */
static bool step_back(const struct ug_insn *insn, struct index *idx)
{
	if (insn->z.mnemonic != ZYDIS_MNEMONIC_MOV && insn->z.mnemonic != ZYDIS_MNEMONIC_MOVZX)
		return false;
	if (op_mem(insn, 1)) {
		idx->in_memory = true;
		idx->mem = *op_mem(insn, 1);
		return true;
	}
	idx->reg = op_reg(insn, 1);
	return idx->reg != ZYDIS_REGISTER_NONE;
}

/* Is the index compared with a constant shortly before? Then the table has that many entries. */
static size_t find_bound(struct ug_flow *flow, ug_raddr_t addr, ZydisRegister reg)
{
	struct index idx = { .reg = reg };
	struct ug_insn insn;

	for (int i = 0; i < BACK_CMP && previous(flow, addr, &insn); i++, addr = insn.addr) {
		if (compares(&insn, &idx) && bounds(flow, &insn)) {
			uint64_t last = insn.ops[1].imm.value.u;

			return last < ENTRIES_MAX ? last + 1 : 0;
		}
		if (idx.in_memory ? writes(&insn, wide(idx.mem.base)) : writes(&insn, idx.reg)) {
			if (idx.in_memory || !step_back(&insn, &idx))
				return 0;
		}
	}
	return 0;
}

static bool read_entry(const struct ug_flow *flow, const struct table *t, size_t i,
		       ug_raddr_t *ret)
{
	const struct ug_object *obj = flow->text->obj;
	uint64_t value = 0;
	int32_t off = 0;

	if (t->offsets) {
		if (ug_object_read_file(obj, t->addr + 4 * i, &off, 4, NULL) < 0)
			return false;
		*ret = t->addr + (uint64_t)(int64_t)off;
		return true;
	}
	/* A PIE's table of addresses may be filled by relocations only: zero in the file. */
	if (ug_object_read_file(obj, t->addr + 8 * i, &value, 8, NULL) < 0 || value == 0)
		return false;
	*ret = value + obj->bias;
	return true;
}

/* Can it be an entry, when the length of the table is not known? */
static bool plausible(struct ug_flow *flow, ug_raddr_t target)
{
	struct ug_part *p = ug_flow_part(flow, target);
	const struct ug_fde *fde;

	if (p)
		return p->seen[target - p->start];
	fde = ug_cfi_fde(flow->text->obj, target);
	if (!fde || flow->steps >= UG_FLOW_STEPS_MAX)
		return false;
	flow->steps += (target - fde->start) / 4;	/* what on_boundary decodes */
	return !ug_text_named(flow->text, fde->start) &&
	       ug_text_on_boundary(flow->text, target);
}

static bool read_table(struct ug_flow *flow, const struct table *t)
{
	size_t max = t->n ? t->n : ENTRIES_MAX, i;
	ug_raddr_t target;
	size_t left;

	for (i = 0; i < max && !flow->nomem; i++) {
		if (!read_entry(flow, t, i, &target) ||
		    !ug_text_bytes(flow->text, target, &left))
			break;
		if (!t->n && !plausible(flow, target))
			break;
		ug_flow_target(flow, target, false);
	}
	return t->n ? i == t->n : i > 0;
}

/* Do all entries look like jump targets of the function? */
static bool validates(struct ug_flow *flow, const struct table *t)
{
	size_t n = t->n ? t->n : 2;
	ug_raddr_t target;

	for (size_t i = 0; i < n; i++) {
		if (!read_entry(flow, t, i, &target) || !plausible(flow, target))
			return false;
	}
	return true;
}

static bool try_candidates(struct ug_flow *flow, size_t part, struct table *t)
{
	/* By index: following a table may add parts. */
	ug_raddr_t start = flow->parts.v[part].start, end = flow->parts.v[part].end;
	struct ug_insn insn;
	bool found = false;
	size_t left;

	for (ug_raddr_t at = start; at < end && flow->steps < UG_FLOW_STEPS_MAX; at++) {
		if (!flow->parts.v[part].seen[at - start] || !++flow->steps ||
		    !ug_text_decode(flow->text, at, &insn) ||
		    insn.z.mnemonic != ZYDIS_MNEMONIC_LEA || !insn.rip_disp ||
		    ug_text_bytes(flow->text, insn.rip_target, &left))
			continue;
		t->addr = insn.rip_target;
		if (validates(flow, t))
			found |= read_table(flow, t);
	}
	return found;
}

/*
 * The base was loaded far away (out of a loop, spilled). It is the address of something that
 * the function takes somewhere; every such thing that can be read as a table of jumps into
 * the function is taken for one. Too many only delay.
 */
static bool any_base(struct ug_flow *flow, struct table *t)
{
	bool found = false;

	for (size_t i = 0; i < flow->parts.n && !flow->nomem; i++)
		found |= try_candidates(flow, i, t);
	return found;
}

/* movslq (B,I,4),X before the add: follow the table; false when it is not understood. */
static bool offset_table(struct ug_flow *flow, const struct ug_insn *add, struct table *ret)
{
	ZydisRegister regs[2] = { op_reg(add, 0), op_reg(add, 1) };

	for (int i = 0; i < 2; i++) {
		const ZydisDecodedOperandMem *mem;
		struct ug_insn load;

		if (regs[i] == ZYDIS_REGISTER_NONE ||
		    !find_def(flow, add->addr, regs[i], BACK_DEF, &load))
			continue;
		mem = op_mem(&load, 1);
		if (load.z.mnemonic != ZYDIS_MNEMONIC_MOVSXD || !mem || mem->scale != 4 ||
		    wide(mem->base) != regs[!i])
			continue;
		ret->offsets = true;
		ret->n = find_bound(flow, load.addr, wide(mem->index));
		if (find_base(flow, load.addr, regs[!i], &ret->addr))
			return read_table(flow, ret);
		return any_base(flow, ret);
	}
	return false;
}

/* (B,I,8) or table(,I,8). */
static bool address_table(struct ug_flow *flow, ug_raddr_t addr,
			  const ZydisDecodedOperandMem *mem, struct table *ret)
{
	if (mem->index == ZYDIS_REGISTER_NONE || mem->scale != 8)
		return false;
	if (mem->base == ZYDIS_REGISTER_NONE)
		ret->addr = (uint64_t)mem->disp.value + flow->text->obj->bias;
	else if (find_base(flow, addr, wide(mem->base), &ret->addr))
		ret->addr += (uint64_t)mem->disp.value;
	else
		return false;
	ret->offsets = false;
	ret->n = find_bound(flow, addr, wide(mem->index));
	return true;
}

/* Is the frame gone, so that rsp points to the return address? By the CFI. */
static bool frame_is_gone(const struct ug_flow *flow, ug_raddr_t addr)
{
	Dwarf_Frame *frame = ug_cfi_frame(flow->text->obj, addr);
	Dwarf_Op *ops;
	size_t n;
	bool gone = false;

	if (!frame)
		return false;
	if (dwarf_frame_cfa(frame, &ops, &n) == 0 && n == 1)
		gone = (ops[0].atom == DW_OP_breg7 && ops[0].number == 8) ||
		       (ops[0].atom == DW_OP_bregx && ops[0].number == 7 && ops[0].number2 == 8);
	free(frame);
	return gone;
}

static bool is_indexed(const ZydisDecodedOperandMem *mem)
{
	return mem && mem->index != ZYDIS_REGISTER_NONE;
}

/* The memory the target comes from, by the jump itself or a mov before; NULL: unknown. */
static const ZydisDecodedOperandMem *source(struct ug_flow *flow, const struct ug_insn *jmp,
					    struct ug_insn *def, bool *ret_have_def)
{
	ZydisRegister reg = op_reg(jmp, 0);

	*ret_have_def = false;
	if (reg == ZYDIS_REGISTER_NONE)
		return op_mem(jmp, 0);
	*ret_have_def = find_def(flow, jmp->addr, reg, BACK_DEF, def);
	if (*ret_have_def && def->z.mnemonic == ZYDIS_MNEMONIC_MOV)
		return op_mem(def, 1);
	return NULL;
}

void ug_flow_indirect(struct ug_flow *flow, ug_raddr_t addr)
{
	const ZydisDecodedOperandMem *mem;
	struct ug_insn jmp, def;
	struct table table;
	bool have_def;

	if (!ug_text_decode(flow->text, addr, &jmp))
		return;
	mem = source(flow, &jmp, &def, &have_def);
	if (have_def && def.z.mnemonic == ZYDIS_MNEMONIC_ADD) {
		if (!offset_table(flow, &def, &table))
			ug_flow_doubt(flow, addr, "a jump table of it is not understood");
		return;
	}
	if (mem && mem->base != ZYDIS_REGISTER_RIP &&
	    address_table(flow, have_def ? def.addr : addr, mem, &table) &&
	    read_table(flow, &table))
		return;
	flow->leaves_by_pointer = true;
	if (mem && mem->base == ZYDIS_REGISTER_RIP)
		return;
	if (is_indexed(mem) || !frame_is_gone(flow, addr))
		ug_flow_doubt(flow, addr, "where an indirect jump of it leads is not known");
}
