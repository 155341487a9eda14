/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The displaced original: the first instructions of a function, made to work elsewhere.
 *
 *	RIP-relative operand	its disp32 is adjusted
 *	jcc, jmp		get the rel32 form
 *	jrcxz, loop		have none:  jrcxz 1f; jmp 2f; 1: jmp rel32 target; 2:
 *	call, the last one	push the original return address; jmp to the callee
 *	anything else		copied
 *
 * All else of an instruction keeps its encoding, byte for byte. The callee of a displaced call
 * returns behind the overwritten bytes of the original, never into the copy, which has neither
 * CFI nor landing pads; that the return is not predicted is all it costs. A system call is never
 * displaced: a thread that sleeps in one would be in the copy. A branch to the entry itself is
 * not rewritten to stay inside the copy: it goes through the redirected entry, as any call of
 * the function would.
 */
#include "text/insn.h"
#include "text/text.h"

#include <string.h>

#define PIECES_MAX 64

struct piece {			/* where an instruction start of the copy comes from */
	uint8_t new_off, old_off;
	enum ug_displaced_kind kind;
};

struct copy {
	ug_raddr_t dest;
	uint8_t *buf;
	size_t len;
	struct piece pieces[PIECES_MAX];
	size_t npieces;
};

static int no_displacing(const struct ug_insn *insn, const char *why, struct ug_error *err)
{
	ug_err(err, -UG_E_ENTRY, "the instruction at 0x%llx cannot be displaced: %s",
	       (unsigned long long)insn->addr, why);
	ug_err_where(err, NULL, NULL, insn->addr);
	return -UG_E_ENTRY;
}

static bool put_as(struct copy *c, const void *bytes, size_t n, size_t old_off,
		   enum ug_displaced_kind kind)
{
	if (c->len + n > UG_DISPLACED_MAX || c->npieces == PIECES_MAX)
		return false;
	c->pieces[c->npieces++] = (struct piece){
		.new_off = (uint8_t)c->len, .old_off = (uint8_t)old_off, .kind = kind,
	};
	memcpy(c->buf + c->len, bytes, n);
	c->len += n;
	return true;
}

static bool put(struct copy *c, const void *bytes, size_t n, size_t old_off)
{
	return put_as(c, bytes, n, old_off, UG_DISPLACED_INSN);
}

static int too_long(struct ug_error *err)
{
	return ug_err(err, -UG_E_ENTRY, "the displaced code is too long");
}

static int put_jump_as(struct copy *c, ug_raddr_t target, size_t old_off,
		       enum ug_displaced_kind kind, struct ug_error *err)
{
	uint8_t jump[5];
	int ret = ug_text_jump5(c->dest + c->len, target, jump, err);

	if (ret < 0)
		return ret;
	return put_as(c, jump, sizeof(jump), old_off, kind) ? 0 : too_long(err);
}

static int put_jump(struct copy *c, ug_raddr_t target, size_t old_off, struct ug_error *err)
{
	return put_jump_as(c, target, old_off, UG_DISPLACED_INSN, err);
}

static int put_jcc(struct copy *c, const struct ug_insn *insn, size_t old_off,
		   struct ug_error *err)
{
	/* The condition is the low nibble of both 7x and 0f 8x. */
	uint8_t jcc[6] = { 0x0f, (uint8_t)(0x80 | (insn->z.opcode & 0x0f)) };
	int64_t dist = (int64_t)(insn->target - (c->dest + c->len + sizeof(jcc)));
	int32_t rel = (int32_t)dist;

	if (dist != rel)
		return ug_err(err, -UG_E_NO_ROOM, "0x%llx is out of reach of displaced code",
			      (unsigned long long)insn->target);
	memcpy(jcc + 2, &rel, 4);
	return put(c, jcc, sizeof(jcc), old_off) ? 0 : too_long(err);
}

static int put_loop(struct copy *c, const uint8_t *bytes, const struct ug_insn *insn,
		    size_t old_off, struct ug_error *err)
{
	uint8_t loop[UG_INSN_MAX];
	static const uint8_t over[2] = { 0xeb, 5 };

	memcpy(loop, bytes, insn->len);
	loop[insn->len - 1] = sizeof(over);
	if (!put(c, loop, insn->len, old_off) || !put(c, over, sizeof(over), old_off + insn->len))
		return too_long(err);
	return put_jump(c, insn->target, old_off, err);
}

/* Make the RIP-relative operand of a copied instruction point where it did. */
static int adjust_rip(struct copy *c, uint8_t *copy, const struct ug_insn *insn,
		      struct ug_error *err)
{
	int64_t dist = (int64_t)(insn->rip_target - (c->dest + c->len + insn->len));
	int32_t rel = (int32_t)dist;

	if (insn->rip_disp + 4 > insn->len || insn->z.raw.disp.size != 32)
		return no_displacing(insn, "its operand is not understood", err);
	if (dist != rel)
		return ug_err(err, -UG_E_NO_ROOM, "0x%llx is out of reach of displaced code",
			      (unsigned long long)insn->rip_target);
	memcpy(copy + insn->rip_disp, &rel, 4);
	return 0;
}

/* `copy`: the instruction, or another one of its length with the same operand. */
static int put_copy(struct copy *c, uint8_t *copy, const struct ug_insn *insn, size_t old_off,
		    enum ug_displaced_kind kind, struct ug_error *err)
{
	int ret = insn->rip_disp ? adjust_rip(c, copy, insn, err) : 0;

	if (ret < 0)
		return ret;
	return put_as(c, copy, insn->len, old_off, kind) ? 0 : too_long(err);
}

static int put_plain(struct copy *c, const uint8_t *bytes, const struct ug_insn *insn,
		     size_t old_off, struct ug_error *err)
{
	uint8_t copy[UG_INSN_MAX];

	memcpy(copy, bytes, insn->len);
	return put_copy(c, copy, insn, old_off, UG_DISPLACED_INSN, err);
}

/* call is ff /2 and jmp ff /4, with the same operands (Intel SDM, vol. 2). */
#define MODRM_REG_MASK 0x38
#define MODRM_REG_JMP (4 << 3)

static int put_jump_through(struct copy *c, const uint8_t *bytes, const struct ug_insn *insn,
			    size_t old_off, struct ug_error *err)
{
	uint8_t copy[UG_INSN_MAX], *modrm = copy + insn->z.raw.modrm.offset;

	memcpy(copy, bytes, insn->len);
	*modrm = (uint8_t)((*modrm & ~MODRM_REG_MASK) | MODRM_REG_JMP);
	return put_copy(c, copy, insn, old_off, UG_DISPLACED_CALLEE, err);
}

/*
 *	push	1f(%rip)
 *	jmp	callee
 * 1:	.quad	where the call would have returned to
 *
 * One instruction pushes the whole address: before it a thread stands at the call, behind it at
 * the entry of the callee, with nothing in between that could not be unwound.
 */
static int put_call(struct copy *c, const uint8_t *bytes, const struct ug_insn *insn,
		    size_t old_off, struct ug_error *err)
{
	const ug_raddr_t back = insn->addr + insn->len;
	uint8_t push[6] = { 0xff, 0x35 };
	bool direct = insn->kind == UG_INSN_CALL;
	uint32_t over = direct ? 5 : insn->len;
	int ret;

	if (!ug_insn_call_displaceable(insn))
		return no_displacing(insn, "it is a call that works there only", err);
	memcpy(push + 2, &over, sizeof(over));
	if (!put(c, push, sizeof(push), old_off))
		return too_long(err);
	if (direct)
		ret = put_jump_as(c, insn->target, old_off, UG_DISPLACED_CALLEE, err);
	else
		ret = put_jump_through(c, bytes, insn, old_off, err);
	if (ret < 0)
		return ret;
	return put_as(c, &back, sizeof(back), old_off, UG_DISPLACED_NOWHERE) ? 0 : too_long(err);
}

/* eip-relative (67 prefix): no compiler makes it; its address depends on the place modulo 2^32. */
static bool has_eip_operand(const struct ug_insn *insn)
{
	for (int i = 0; i < insn->z.operand_count; i++) {
		if (insn->ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    insn->ops[i].mem.base == ZYDIS_REGISTER_EIP)
			return true;
	}
	return false;
}

static int displace_one(struct copy *c, const uint8_t *bytes, const struct ug_insn *insn,
			size_t old_off, struct ug_error *err)
{
	/* Intel ignores 66 on a near branch, AMD truncates rip to 16 bits. */
	if (ug_insn_jumps(insn) && (insn->z.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE))
		return no_displacing(insn, "it is a branch with an operand size prefix", err);
	switch (insn->kind) {
	case UG_INSN_PLAIN:
		if (has_eip_operand(insn))
			return no_displacing(insn, "it uses an eip-relative operand", err);
		return put_plain(c, bytes, insn, old_off, err);
	case UG_INSN_JMP_IND:
	case UG_INSN_RET:
	case UG_INSN_TRAP:
		return put_plain(c, bytes, insn, old_off, err);
	case UG_INSN_JCC:
		return put_jcc(c, insn, old_off, err);
	case UG_INSN_JMP:
		return put_jump(c, insn->target, old_off, err);
	case UG_INSN_LOOP:
		return put_loop(c, bytes, insn, old_off, err);
	case UG_INSN_CALL:
	case UG_INSN_CALL_IND:
		return put_call(c, bytes, insn, old_off, err);
	case UG_INSN_SYSCALL:
		return no_displacing(insn, "it is a system call", err);
	default:
		return no_displacing(insn, "it starts a memory transaction", err);
	}
}

static int displace(const struct ug_site_plan *plan, struct copy *c, struct ug_error *err)
{
	struct ug_insn insn = { 0 };
	int ret;

	if (plan->moved > UG_SITE_BYTES_MAX)
		return ug_err(err, -UG_E_ENTRY, "a plan moves %u bytes", plan->moved);
	for (size_t off = 0; off < plan->moved; off += insn.len) {
		if (!ug_insn_decode(plan->orig + off, plan->moved - off, plan->at + off, &insn))
			return ug_err(err, -UG_E_ENTRY, "undecodable instruction at 0x%llx",
				      (unsigned long long)(plan->at + off));
		ret = displace_one(c, plan->orig + off, &insn, off, err);
		if (ret < 0)
			return ret;
		/* What follows in the overwritten bytes is padding. */
		if (ug_insn_ends_flow(&insn))
			return 0;
		if (ug_insn_calls(&insn))
			return off + insn.len >= plan->len ? 0 :
			       no_displacing(&insn, "its callee would return into the jump", err);
	}
	return put_jump(c, plan->at + plan->moved, plan->moved, err);
}

int ug_text_displace(const struct ug_site_plan *plan, ug_raddr_t dest, uint8_t *buf,
		     size_t *ret_len, struct ug_error *err)
{
	struct copy c = { .dest = dest, .buf = buf };
	int ret = displace(plan, &c, err);

	if (ret < 0)
		return ret;
	*ret_len = c.len;
	return 0;
}

enum ug_displaced_kind ug_text_displaced_origin(const struct ug_site_plan *plan, ug_raddr_t dest,
						size_t off, size_t *ret_off)
{
	uint8_t buf[UG_DISPLACED_MAX];
	struct copy c = { .dest = dest, .buf = buf };

	if (displace(plan, &c, NULL) < 0)
		return UG_DISPLACED_NOWHERE;
	for (size_t i = 0; i < c.npieces; i++) {
		if (c.pieces[i].new_off == off) {
			*ret_off = c.pieces[i].old_off;
			return c.pieces[i].kind;
		}
	}
	return UG_DISPLACED_NOWHERE;
}
