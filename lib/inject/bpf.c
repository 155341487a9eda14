// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Classic BPF as the kernel admits it for seccomp (seccomp_check_filter and bpf_check_classic,
 * kernel/seccomp.c and net/core/filter.c): 32-bit words of struct seccomp_data at absolute
 * offsets, no remainder of divisions. What is not admitted there is malformed here, and
 * malformed means forbidden. Jumps go forward only, so every program ends.
 */
#include <linux/bpf_common.h>
#include <string.h>

#include "inject/seccomp.h"

struct machine {
	uint32_t a, x;
	uint32_t mem[BPF_MEMWORDS];
};

/* The data word at `off`; false when outside or unaligned. */
static bool load_abs(const struct seccomp_data *data, uint32_t off, uint32_t *ret)
{
	if (off % 4 || off >= sizeof(*data))
		return false;
	memcpy(ret, (const uint8_t *)data + off, sizeof(*ret));
	return true;
}

/* BPF_LD and BPF_LDX. */
static bool load(struct machine *m, const struct sock_filter *f, const struct seccomp_data *data)
{
	uint32_t *dst = BPF_CLASS(f->code) == BPF_LDX ? &m->x : &m->a;

	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return load_abs(data, f->k, dst);
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
		*dst = sizeof(*data);
		return true;
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
		*dst = f->k;
		return true;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
		if (f->k >= BPF_MEMWORDS)
			return false;
		*dst = m->mem[f->k];
		return true;
	}
	return false;
}

static bool store(struct machine *m, const struct sock_filter *f)
{
	if (f->k >= BPF_MEMWORDS || (f->code != BPF_ST && f->code != BPF_STX))
		return false;
	m->mem[f->k] = f->code == BPF_STX ? m->x : m->a;
	return true;
}

/* *ret_end: a division by X == 0 ends the program with 0, which is SECCOMP_RET_KILL_THREAD. */
static bool alu(struct machine *m, const struct sock_filter *f, bool *ret_end)
{
	uint32_t v = BPF_SRC(f->code) == BPF_X ? m->x : f->k;
	bool constant = BPF_SRC(f->code) == BPF_K;

	switch (f->code & ~BPF_X) {
	case BPF_ALU | BPF_ADD: m->a += v; return true;
	case BPF_ALU | BPF_SUB: m->a -= v; return true;
	case BPF_ALU | BPF_MUL: m->a *= v; return true;
	case BPF_ALU | BPF_AND: m->a &= v; return true;
	case BPF_ALU | BPF_OR: m->a |= v; return true;
	case BPF_ALU | BPF_XOR: m->a ^= v; return true;
	case BPF_ALU | BPF_NEG: m->a = -m->a; return constant;
	case BPF_ALU | BPF_DIV:
		if (!v) {
			*ret_end = true;
			return !constant;
		}
		m->a /= v;
		return true;
	case BPF_ALU | BPF_LSH:
	case BPF_ALU | BPF_RSH:
		if (constant && v >= 32)
			return false;
		m->a = BPF_OP(f->code) == BPF_LSH ? m->a << (v & 31) : m->a >> (v & 31);
		return true;
	}
	return false;
}

/* *ret_skip: how many instructions to leave out. */
static bool jump(const struct machine *m, const struct sock_filter *f, uint32_t *ret_skip)
{
	uint32_t v = BPF_SRC(f->code) == BPF_X ? m->x : f->k;
	bool taken;

	if (f->code == (BPF_JMP | BPF_JA)) {
		*ret_skip = f->k;
		return true;
	}
	switch (f->code & ~BPF_X) {
	case BPF_JMP | BPF_JEQ: taken = m->a == v; break;
	case BPF_JMP | BPF_JGE: taken = m->a >= v; break;
	case BPF_JMP | BPF_JGT: taken = m->a > v; break;
	case BPF_JMP | BPF_JSET: taken = m->a & v; break;
	default: return false;
	}
	*ret_skip = taken ? f->jt : f->jf;
	return true;
}

static bool misc(struct machine *m, const struct sock_filter *f)
{
	if (f->code == (BPF_MISC | BPF_TAX))
		m->x = m->a;
	else if (f->code == (BPF_MISC | BPF_TXA))
		m->a = m->x;
	else
		return false;
	return true;
}

/* One instruction other than a return; false when it is malformed. */
static bool step(struct machine *m, const struct sock_filter *f, const struct seccomp_data *data,
		 uint32_t *ret_skip, bool *ret_end)
{
	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
	case BPF_LDX:
		return load(m, f, data);
	case BPF_ST:
	case BPF_STX:
		return store(m, f);
	case BPF_ALU:
		return alu(m, f, ret_end);
	case BPF_JMP:
		return jump(m, f, ret_skip);
	case BPF_MISC:
		return misc(m, f);
	}
	return false;
}

uint32_t ug_seccomp_run(const struct sock_filter *prog, size_t len, const struct seccomp_data *data)
{
	struct machine m = { 0 };
	size_t pc = 0;

	while (pc < len) {
		const struct sock_filter *f = &prog[pc];
		uint32_t skip = 0;
		bool end = false;

		if (f->code == (BPF_RET | BPF_K))
			return f->k;
		if (f->code == (BPF_RET | BPF_A))
			return m.a;
		if (!step(&m, f, data, &skip, &end))
			return SECCOMP_RET_KILL_PROCESS;
		if (end)
			return SECCOMP_RET_KILL_THREAD;
		/* No overflow: len is at most BPF_MAXINSNS, skip 32 bits, size_t 64. */
		pc += 1 + (size_t)skip;
	}
	return SECCOMP_RET_KILL_PROCESS;
}
