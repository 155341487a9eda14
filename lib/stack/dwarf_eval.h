/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DWARF expressions as call frame information uses them (DWARF 5, 2.5 and 6.4.2), on the
 * Dwarf_Op form that libdw decodes them to. Strict: an unknown register, an unreadable word,
 * an operation that has no business in a CFI expression, or too many steps is a failure.
 */
#ifndef UG_STACK_DWARF_EVAL_H
#define UG_STACK_DWARF_EVAL_H

#include <elfutils/libdw.h>

#include "base/types.h"

#define UG_DWARF_REGS 17	/* x86-64 psABI: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 RA */

struct ug_dwarf_env {
	const uint64_t *reg;	/* UG_DWARF_REGS values */
	uint32_t known;		/* bit n: reg[n] is exact */
	uint64_t cfa;		/* for DW_OP_call_frame_cfa */
	bool have_cfa;
	bool (*read)(void *ctx, ug_raddr_t addr, void *buf, size_t len);
	void *read_ctx;
};

enum ug_dwarf_kind {
	UG_DWARF_ADDRESS,	/* a location in memory (or, for a CFA, simply the value) */
	UG_DWARF_VALUE,		/* the value itself: ended by DW_OP_stack_value */
	UG_DWARF_REGISTER,	/* a register location: its number */
};

/* False on any doubt; then the outputs are untouched. */
bool ug_dwarf_eval(const Dwarf_Op *ops, size_t nops, const struct ug_dwarf_env *env,
		   uint64_t *ret_value, enum ug_dwarf_kind *ret_kind);

#endif
