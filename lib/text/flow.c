/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of a function, by its control flow (design: "What is f?").
 *
 * 1. The main part is the larger of symbol and FDE.
 * 2. Every part is decoded twice: along the control flow from where it is entered, and in a
 *    row from its start, which also finds code that only a jump table leads to.
 * 3. A jump that leaves all parts makes the FDE (or symbol) range it leads into a part, unless
 *    it leads to the start of a named function, of a called one, or to a stub that jumps
 *    through a pointer (PLT): then it is a tail call.
 * 4. Landing pads and jump table entries are jumps.
 *
 * Too many parts only delay a transition; a missing one would make a thread look safe that is
 * not. Hence all doubt is recorded (ug_flow.doubt) and the planner decides.
 */
#include "text/text_priv.h"

#include <errno.h>

#define PARTS_MAX 512

void ug_flow_doubt(struct ug_flow *flow, ug_raddr_t addr, const char *why)
{
	if (flow->doubt)
		return;
	flow->doubt = addr;
	flow->why = why;
}

struct ug_part *ug_flow_part(struct ug_flow *flow, ug_raddr_t addr)
{
	ug_vec_for_each(&flow->parts, p) {
		if (addr >= p->start && addr < p->end)
			return p;
	}
	return NULL;
}

static void push(struct ug_flow *flow, ug_raddr_t addr)
{
	ug_raddr_t *w = ug_vec_add(&flow->work);

	if (w)
		*w = addr;
	else
		flow->nomem = true;
}

static void add_part(struct ug_flow *flow, ug_raddr_t start, ug_raddr_t end)
{
	const struct ug_fde *fde = ug_cfi_fde(flow->text->obj, start);
	struct ug_part *p;
	size_t left;

	if (flow->parts.n == PARTS_MAX) {
		ug_flow_doubt(flow, start, "it has too many parts");
		return;
	}
	if (!ug_text_bytes(flow->text, start, &left) || left < end - start) {
		ug_flow_doubt(flow, start, "a part of it is not text of the object");
		return;
	}
	p = ug_vec_add(&flow->parts);
	if (p) {
		p->start = start;
		p->end = end;
		p->seen = calloc(end - start, 1);
	}
	if (!p || !p->seen) {
		flow->nomem = true;
		return;
	}
	if (fde && fde->lsda)
		ug_flow_lsda(flow, fde);
}

bool ug_flow_stub(const struct ug_text *text, ug_raddr_t addr)
{
	struct ug_insn insn;

	if (!ug_text_decode(text, addr, &insn))
		return false;
	if (insn.z.mnemonic == ZYDIS_MNEMONIC_ENDBR64 &&
	    !ug_text_decode(text, addr + insn.len, &insn))
		return false;
	return insn.kind == UG_INSN_JMP_IND && insn.rip_disp;
}

static bool is_tail_call(const struct ug_flow *flow, const struct ug_fde *fde, ug_raddr_t addr)
{
	const struct ug_text *text = flow->text;

	if (ug_text_named(text, addr) || ug_flow_stub(text, addr))
		return true;
	return fde && addr == fde->start && ug_text_is_called(text, addr);
}

static void note_target(struct ug_flow *flow, ug_raddr_t addr)
{
	ug_raddr_t *t = ug_vec_add(&flow->targets);

	if (t)
		*t = addr;
	else
		flow->nomem = true;
}

void ug_flow_target(struct ug_flow *flow, ug_raddr_t addr, bool pad)
{
	const struct ug_fde *fde;
	const struct ug_symbol *sym;

	note_target(flow, addr);
	if (ug_flow_part(flow, addr)) {
		push(flow, addr);
		return;
	}
	fde = ug_cfi_fde(flow->text->obj, addr);
	if (!pad && is_tail_call(flow, fde, addr))
		return;
	sym = ug_symbol_by_addr(flow->text->obj, addr);
	if (fde) {
		add_part(flow, fde->start, fde->end);
	} else if (sym && addr - sym->addr < sym->size) {
		add_part(flow, sym->addr, sym->addr + sym->size);
	} else {
		ug_flow_doubt(flow, addr, "it jumps to code that neither a symbol nor CFI bounds");
		return;
	}
	push(flow, addr);
}

static void handle(struct ug_flow *flow, const struct ug_insn *insn)
{
	ug_raddr_t *ind;

	flow->steps++;
	if (ug_insn_jumps(insn)) {
		ug_flow_target(flow, insn->target, false);
	} else if (insn->kind == UG_INSN_CALL) {
		note_target(flow, insn->target);
	} else if (insn->kind == UG_INSN_JMP_IND) {
		ind = ug_vec_add(&flow->indirect);
		if (ind)
			*ind = insn->addr;
		else
			flow->nomem = true;
	}
}

/* Decode from addr until control certainly ends or known code is reached. */
static void follow(struct ug_flow *flow, ug_raddr_t addr)
{
	struct ug_insn insn = { 0 };

	while (flow->steps < UG_FLOW_STEPS_MAX && !flow->nomem) {
		struct ug_part *p = ug_flow_part(flow, addr);

		if (!p) {
			/* Past the end: after a call that does not return, or control
			 * falls into the code that follows. */
			if (insn.len && insn.kind != UG_INSN_CALL && insn.kind != UG_INSN_CALL_IND)
				ug_flow_target(flow, addr, false);
			return;
		}
		if (p->seen[addr - p->start])
			return;
		if (!ug_text_decode(flow->text, addr, &insn)) {
			ug_flow_doubt(flow, addr, "an instruction of it cannot be decoded");
			return;
		}
		p->seen[addr - p->start] = 1;
		handle(flow, &insn);
		if (ug_insn_ends_flow(&insn))
			return;
		addr += insn.len;
	}
}

static void work_off(struct ug_flow *flow)
{
	while (flow->work.n > 0 && flow->steps < UG_FLOW_STEPS_MAX && !flow->nomem)
		follow(flow, flow->work.v[--flow->work.n]);
}

/* All instructions of a part in a row. */
static void sweep(struct ug_flow *flow, size_t part)
{
	ug_raddr_t start = flow->parts.v[part].start, end = flow->parts.v[part].end;
	struct ug_insn insn;

	for (ug_raddr_t at = start; at < end && flow->steps < UG_FLOW_STEPS_MAX && !flow->nomem;) {
		uint8_t *seen = flow->parts.v[part].seen;

		if (!ug_text_decode(flow->text, at, &insn)) {
			at++;
			continue;
		}
		if (!seen[at - start]) {
			seen[at - start] = 1;
			handle(flow, &insn);
		}
		at += insn.len;
	}
}

static void run(struct ug_flow *flow, ug_raddr_t func)
{
	size_t resolved = 0;
	bool again = true;

	push(flow, func);
	while (again && flow->steps < UG_FLOW_STEPS_MAX && !flow->nomem) {
		again = false;
		work_off(flow);
		for (size_t i = 0; i < flow->parts.n; i++) {
			if (flow->parts.v[i].swept)
				continue;
			flow->parts.v[i].swept = true;
			sweep(flow, i);
			again = true;
		}
		/* Needs the instructions before the jump: hence after the sweep. */
		for (; resolved < flow->indirect.n && !flow->nomem; resolved++) {
			ug_flow_indirect(flow, flow->indirect.v[resolved]);
			again = true;
		}
	}
	if (flow->steps >= UG_FLOW_STEPS_MAX)
		ug_flow_doubt(flow, func, "it is too large");
}

int ug_flow_run(const struct ug_text *text, ug_raddr_t func, uint64_t size, struct ug_flow *ret,
		struct ug_error *err)
{
	*ret = (struct ug_flow){ .text = text };
	add_part(ret, func, func + size);
	if (ret->parts.n > 0 && ret->parts.v[0].seen)
		run(ret, func);
	if (ret->nomem) {
		ug_flow_free(ret);
		return ug_err(err, -ENOMEM, "no memory for the control flow of a function");
	}
	return 0;
}

void ug_flow_free(struct ug_flow *flow)
{
	ug_vec_for_each(&flow->parts, p)
		free(p->seen);
	ug_vec_free(&flow->parts);
	ug_vec_free(&flow->work);
	ug_vec_free(&flow->targets);
	ug_vec_free(&flow->indirect);
}
