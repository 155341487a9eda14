/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: an expression of unwind tables, whatever its operations, comes to an end. */
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "fuzz/driver.h"
#include "stack/dwarf_eval.h"

struct input_op {		/* packed as one would write them by hand */
	uint8_t atom, offset;
	uint8_t number[6];
};

static bool read_input(void *ctx, ug_raddr_t addr, void *buf, size_t len)
{
	return ug_reader_at(ctx, addr, buf, len);
}

/* Operands are small and negative more often than anything else. */
static uint64_t operand(const uint8_t *bytes, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, bytes, n);
	return v >> (8 * n - 1) ? v | ~0UL << (8 * n) : v;
}

static void fill_ops(struct ug_reader *r, Dwarf_Op *ops)
{
	for (struct input_op in; ug_reader_next(r, &in, sizeof(in)); ops++) {
		*ops = (Dwarf_Op){
			.atom = in.atom, .offset = in.offset,
			.number = operand(in.number, 4), .number2 = operand(in.number + 4, 2),
		};
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = size / sizeof(struct input_op);
	Dwarf_Op *ops = malloc(n * sizeof(*ops) + 1);
	struct ug_dwarf_env env = { .have_cfa = size & 1, .cfa = 64, .read = read_input };
	uint64_t reg[UG_DWARF_REGS], value;
	enum ug_dwarf_kind kind;
	struct ug_reader r;

	if (!ops)
		abort();
	ug_reader_init(&r, data, size);
	for (size_t i = 0; i < UG_DWARF_REGS; i++)
		reg[i] = i * 8;
	env.read_ctx = &r;
	env.reg = reg;
	env.known = 0x1ffef;	/* all but one */
	fill_ops(&r, ops);
	(void)ug_dwarf_eval(ops, n, &env, &value, &kind);
	free(ops);
	return 0;
}
