/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One decoded instruction, as far as control flow is concerned. The decoding is Zydis's; this
 * names what the planner asks about.
 */
#ifndef UG_TEXT_INSN_H
#define UG_TEXT_INSN_H

#include "base/types.h"

#include <Zydis/Zydis.h>

#define UG_INSN_MAX 15

enum ug_insn_kind {
	UG_INSN_PLAIN,		/* goes on with the next one */
	UG_INSN_JCC,		/* conditional, rel8 or rel32 */
	UG_INSN_LOOP,		/* jrcxz, jecxz, loop*: rel8 only */
	UG_INSN_JMP,		/* direct */
	UG_INSN_JMP_IND,	/* through register or memory */
	UG_INSN_CALL,		/* direct */
	UG_INSN_CALL_IND,
	UG_INSN_RET,
	UG_INSN_SYSCALL,	/* enters the kernel: syscall, sysenter, int n */
	UG_INSN_TRAP,		/* ud2, hlt, int3: never goes on */
	UG_INSN_XBEGIN,		/* its operand is a branch target as well */
};

struct ug_insn {
	ug_raddr_t addr;
	uint8_t len;
	enum ug_insn_kind kind;
	ug_raddr_t target;	/* direct branches: where to */
	bool is_nop;		/* any form of nop, not endbr64 */
	int rip_disp;		/* offset of a RIP-relative disp32 in the bytes; 0: none */
	ug_raddr_t rip_target;	/* the address it stands for */
	ZydisDecodedInstruction z;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
};

/* False when the bytes (at most `size`) hold no valid instruction of 64-bit code. */
bool ug_insn_decode(const uint8_t *bytes, size_t size, ug_raddr_t addr, struct ug_insn *ret);

/* Does control never reach the next instruction by itself? */
bool ug_insn_ends_flow(const struct ug_insn *insn);

static inline bool ug_insn_calls(const struct ug_insn *insn)
{
	return insn->kind == UG_INSN_CALL || insn->kind == UG_INSN_CALL_IND;
}

/*
 * Can a jump take the place of this call, once the return address is pushed? Not of a far one,
 * and not of one through memory at rsp, which the push moves.
 */
bool ug_insn_call_displaceable(const struct ug_insn *insn);

/* Has it a direct target that is reached by a jump (not by a call)? */
static inline bool ug_insn_jumps(const struct ug_insn *insn)
{
	return insn->kind == UG_INSN_JCC || insn->kind == UG_INSN_LOOP ||
	       insn->kind == UG_INSN_JMP || insn->kind == UG_INSN_XBEGIN;
}

#endif
