/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of this layer share: the code of an object and the branch index. */
#ifndef UG_TEXT_TEXT_PRIV_H
#define UG_TEXT_TEXT_PRIV_H

#include "base/vec.h"
#include "text/insn.h"
#include "text/text.h"

struct ug_code {		/* one executable PT_LOAD, as in the file */
	ug_raddr_t start, end;
	const uint8_t *bytes;	/* the object's, */
	uint8_t *copy;		/* but for what is too large for it to keep */
};

/*
 * Every position in text whose bytes look like a call, jmp or jcc with a rel32 that leads
 * into text. Not decoded: a superset of all such branches, wherever the instruction
 * boundaries are. Offsets from ug_text.base.
 */
struct ug_branch {
	uint32_t target, src;
};

/* By target, those with one target in the order they were in. False: no memory. */
bool ug_branches_sort(struct ug_branch *v, size_t n) ug_must_check;

struct ug_span {
	ug_raddr_t start, end;
};

struct ug_text {
	struct ug_object *obj;
	ug_raddr_t base;
	UG_VEC(struct ug_code) code;
	UG_VEC(struct ug_branch) branches;	/* sorted by target */
	UG_VEC(struct ug_span) owned;		/* FDEs and symbols, sorted, disjoint */
	UG_VEC(struct ug_span) reserved;
	bool reserve_failed;			/* no memory: no padding is free any more */
};

/* The bytes at addr and how many follow in the same segment; NULL: not text. */
const uint8_t *ug_text_bytes(const struct ug_text *text, ug_raddr_t addr, size_t *ret_left);
bool ug_text_decode(const struct ug_text *text, ug_raddr_t addr, struct ug_insn *ret);

/* Is there a function symbol at exactly addr which is not a split-off part (.cold)? */
bool ug_text_named(const struct ug_text *text, ug_raddr_t addr);

/* Does an instruction start at addr, decoded in a row from the start of its FDE? */
bool ug_text_on_boundary(const struct ug_text *text, ug_raddr_t addr);

/* Is there a call instruction (on a true instruction boundary) to addr? */
bool ug_text_is_called(const struct ug_text *text, ug_raddr_t addr);

/*
 * May any branch of the object, but for those in [not_lo, not_hi), lead into [lo, hi)? Looks
 * at all rel32 patterns and at the rel8 branches of the code around. ret_src: one of them.
 */
bool ug_text_branch_into(const struct ug_text *text, ug_raddr_t lo, ug_raddr_t hi,
			 ug_raddr_t not_lo, ug_raddr_t not_hi, ug_raddr_t *ret_src);

/* The bytes around addr that belong to no function; false: addr belongs to one. */
bool ug_text_gap(const struct ug_text *text, ug_raddr_t addr, struct ug_span *ret);

/* Instructions looked at for one function: a hostile file must not keep us for ever. The
 * largest functions of real programs have some ten thousand. */
#define UG_FLOW_STEPS_MAX 3000000

/* All parts of a function by its control flow (flow.c). */
struct ug_part {
	ug_raddr_t start, end;
	uint8_t *seen;		/* a byte for each byte: an instruction starts here */
	bool swept;
};

struct ug_flow {
	const struct ug_text *text;
	UG_VEC(struct ug_part) parts;		/* the main one first */
	UG_VEC(ug_raddr_t) work;
	UG_VEC(ug_raddr_t) targets;		/* of every branch, table entry, landing pad */
	UG_VEC(ug_raddr_t) indirect;		/* indirect jumps to resolve */
	ug_raddr_t doubt;			/* not 0: here the parts cannot be bounded */
	const char *why;
	bool leaves_by_pointer;			/* an indirect tail call */
	size_t steps;
	bool nomem;
};

int ug_flow_run(const struct ug_text *text, ug_raddr_t func, uint64_t size, struct ug_flow *ret,
		struct ug_error *err) ug_must_check;
void ug_flow_free(struct ug_flow *flow);
void ug_flow_doubt(struct ug_flow *flow, ug_raddr_t addr, const char *why);
/* Control may get to addr: follow it, or see that it is another function. `pad`: as a
 * landing pad, which never is one. */
void ug_flow_target(struct ug_flow *flow, ug_raddr_t addr, bool pad);
struct ug_part *ug_flow_part(struct ug_flow *flow, ug_raddr_t addr);

/* `jmp *x(%rip)` at addr, with endbr64 or not: a PLT entry or the like. */
bool ug_flow_stub(const struct ug_text *text, ug_raddr_t addr);

/* Resolve one indirect jump: jump table, tail call, or doubt (switch.c). */
void ug_flow_indirect(struct ug_flow *flow, ug_raddr_t addr);

/* Landing pads of an FDE: each becomes a target (lsda.c). */
void ug_flow_lsda(struct ug_flow *flow, const struct ug_fde *fde);

#endif
