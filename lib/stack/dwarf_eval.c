/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/dwarf_eval.h"

#include <dwarf.h>

#define STACK_MAX 32	/* deeper than any CFI expression seen by far */
#define STEPS_MAX 256	/* an expression may loop */

struct machine {
	const struct ug_dwarf_env *env;
	uint64_t stack[STACK_MAX];
	size_t depth;
	bool value;		/* DW_OP_stack_value seen */
	bool in_register;	/* DW_OP_regN seen */
	bool failed;
};

static void push(struct machine *m, uint64_t x)
{
	if (m->depth == STACK_MAX)
		m->failed = true;
	else
		m->stack[m->depth++] = x;
}

static uint64_t pop(struct machine *m)
{
	if (m->depth == 0) {
		m->failed = true;
		return 0;
	}
	return m->stack[--m->depth];
}

static void pick(struct machine *m, uint64_t index)
{
	if (index >= m->depth)
		m->failed = true;
	else
		push(m, m->stack[m->depth - 1 - index]);
}

static void push_register(struct machine *m, uint64_t reg, uint64_t offset)
{
	if (reg >= UG_DWARF_REGS || !(m->env->known >> reg & 1))
		m->failed = true;
	else
		push(m, m->env->reg[reg] + offset);
}

static void deref(struct machine *m, uint64_t size)
{
	ug_raddr_t addr = pop(m);
	uint64_t x = 0;

	if (m->failed || size == 0 || size > sizeof(x) || !m->env->read ||
	    !m->env->read(m->env->read_ctx, addr, &x, size))
		m->failed = true;
	else
		push(m, x);
}

static uint64_t divide(struct machine *m, int64_t a, int64_t b)
{
	if (b == 0 || (a == INT64_MIN && b == -1)) {
		m->failed = true;
		return 0;
	}
	return (uint64_t)(a / b);
}

static uint64_t shift_right(uint64_t a, uint64_t b)
{
	return b < 64 ? a >> b : 0;
}

static uint64_t shift_arithmetic(int64_t a, uint64_t b)
{
	return (uint64_t)(a >> (b < 64 ? b : 63));	/* gcc and clang: sign-extending */
}

/* Operations on the two topmost entries; false: not one of them. */
static bool binary(struct machine *m, const Dwarf_Op *op)
{
	uint64_t a, b, r;

	switch (op->atom) {
	case DW_OP_plus: case DW_OP_minus: case DW_OP_mul: case DW_OP_div: case DW_OP_mod:
	case DW_OP_and: case DW_OP_or: case DW_OP_xor:
	case DW_OP_shl: case DW_OP_shr: case DW_OP_shra:
	case DW_OP_eq: case DW_OP_ne: case DW_OP_lt: case DW_OP_le: case DW_OP_gt: case DW_OP_ge:
		break;
	default:
		return false;
	}
	b = pop(m);
	a = pop(m);
	switch (op->atom) {
	case DW_OP_plus:  r = a + b; break;
	case DW_OP_minus: r = a - b; break;
	case DW_OP_mul:   r = a * b; break;
	case DW_OP_div:   r = divide(m, (int64_t)a, (int64_t)b); break;
	case DW_OP_mod:   r = b ? a % b : (m->failed = true); break;
	case DW_OP_and:   r = a & b; break;
	case DW_OP_or:    r = a | b; break;
	case DW_OP_xor:   r = a ^ b; break;
	case DW_OP_shl:   r = b < 64 ? a << b : 0; break;
	case DW_OP_shr:   r = shift_right(a, b); break;
	case DW_OP_shra:  r = shift_arithmetic((int64_t)a, b); break;
	case DW_OP_eq:    r = a == b; break;
	case DW_OP_ne:    r = a != b; break;
	case DW_OP_lt:    r = (int64_t)a < (int64_t)b; break;
	case DW_OP_le:    r = (int64_t)a <= (int64_t)b; break;
	case DW_OP_gt:    r = (int64_t)a > (int64_t)b; break;
	default:          r = (int64_t)a >= (int64_t)b; break;
	}
	push(m, r);
	return true;
}

static void swap(struct machine *m)
{
	uint64_t b = pop(m), a = pop(m);

	push(m, b);
	push(m, a);
}

/* a b c, c on top, becomes c a b. */
static void rotate(struct machine *m)
{
	uint64_t c = pop(m), b = pop(m), a = pop(m);

	push(m, c);
	push(m, a);
	push(m, b);
}

static void unary_abs(struct machine *m)
{
	uint64_t x = pop(m);

	push(m, (int64_t)x < 0 ? 0 - x : x);
}

/* Operations that only move or change the top; false: not one of them. */
static bool manipulate(struct machine *m, const Dwarf_Op *op)
{
	switch (op->atom) {
	case DW_OP_nop:         break;
	case DW_OP_dup:         pick(m, 0); break;
	case DW_OP_over:        pick(m, 1); break;
	case DW_OP_pick:        pick(m, op->number); break;
	case DW_OP_drop:        (void)pop(m); break;
	case DW_OP_swap:        swap(m); break;
	case DW_OP_rot:         rotate(m); break;
	case DW_OP_abs:         unary_abs(m); break;
	case DW_OP_neg:         push(m, 0 - pop(m)); break;
	case DW_OP_not:         push(m, ~pop(m)); break;
	case DW_OP_plus_uconst: push(m, pop(m) + op->number); break;
	case DW_OP_deref:       deref(m, sizeof(uint64_t)); break;
	case DW_OP_deref_size:  deref(m, op->number); break;
	default:                return false;
	}
	return true;
}

/* Operations that push something new; false: not one of them. */
static bool produce(struct machine *m, const Dwarf_Op *op)
{
	if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31) {
		push(m, op->atom - DW_OP_lit0);
		return true;
	}
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
		push_register(m, op->atom - DW_OP_breg0, op->number);
		return true;
	}
	switch (op->atom) {
	case DW_OP_bregx:  push_register(m, op->number, op->number2); break;
	case DW_OP_const1u: push(m, (uint8_t)op->number); break;
	case DW_OP_const2u: push(m, (uint16_t)op->number); break;
	case DW_OP_const4u: push(m, (uint32_t)op->number); break;
	case DW_OP_const1s: push(m, (uint64_t)(int8_t)op->number); break;
	case DW_OP_const2s: push(m, (uint64_t)(int16_t)op->number); break;
	case DW_OP_const4s: push(m, (uint64_t)(int32_t)op->number); break;
	case DW_OP_const8u: case DW_OP_const8s: case DW_OP_constu: case DW_OP_consts:
		push(m, op->number);
		break;
	case DW_OP_call_frame_cfa:
		if (!m->env->have_cfa)
			m->failed = true;
		push(m, m->env->cfa);
		break;
	default:
		return false;
	}
	return true;
}

/* A register location or DW_OP_stack_value is the whole, or the end, of an expression. */
static bool finish(struct machine *m, const Dwarf_Op *op, size_t i, size_t nops)
{
	uint64_t reg;

	if (op->atom == DW_OP_stack_value) {
		m->value = true;
		m->failed |= i + 1 != nops;
		return true;
	}
	if (op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31)
		reg = op->atom - DW_OP_reg0;
	else if (op->atom == DW_OP_regx)
		reg = op->number;
	else
		return false;
	m->in_register = true;
	m->failed |= nops != 1;
	push(m, reg);
	return true;
}

/* The index of the operation at a byte offset; nops for the end; more for nowhere. */
static size_t find_offset(const Dwarf_Op *ops, size_t nops, uint64_t offset)
{
	for (size_t i = 0; i < nops; i++)
		if (ops[i].offset == offset)
			return i;
	/* Where the last operation ends is not recorded: a jump to the end is not supported. */
	return nops + 1;
}

/* Branches; returns the next index, or nops + 1 when op is not one or leads nowhere. */
static size_t branch(struct machine *m, const Dwarf_Op *ops, size_t nops, size_t i)
{
	const Dwarf_Op *op = &ops[i];

	if (op->atom == DW_OP_bra && pop(m) == 0)
		return i + 1;
	/* One byte of opcode and two of operand; counted from what follows. */
	return find_offset(ops, nops, op->offset + 3 + (uint64_t)(int64_t)(int16_t)op->number);
}

bool ug_dwarf_eval(const Dwarf_Op *ops, size_t nops, const struct ug_dwarf_env *env,
		   uint64_t *ret_value, enum ug_dwarf_kind *ret_kind)
{
	struct machine m = { .env = env };
	size_t i = 0;

	for (unsigned int steps = 0; i < nops; steps++) {
		const Dwarf_Op *op = &ops[i];

		if (steps == STEPS_MAX)
			return false;
		if (op->atom == DW_OP_bra || op->atom == DW_OP_skip) {
			i = branch(&m, ops, nops, i);
		} else {
			if (!binary(&m, op) && !manipulate(&m, op) && !produce(&m, op) &&
			    !finish(&m, op, i, nops))
				return false;
			i++;
		}
		if (m.failed)
			return false;
	}
	if (i != nops || m.depth == 0)
		return false;
	*ret_value = m.stack[m.depth - 1];
	*ret_kind = m.in_register ? UG_DWARF_REGISTER :
		    m.value	  ? UG_DWARF_VALUE :
				    UG_DWARF_ADDRESS;
	return true;
}
