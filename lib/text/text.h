/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Planning a redirect: what must be known of the machine code of an object before the first
 * bytes of one of its functions may be overwritten.
 *
 * A *site* is the entry of one function. Layout of a patched entry:
 *
 *	func:	endbr64			kept when there
 *	at:	jmp rel32		5 bytes, form JMP5
 *	    or	jmp rel8		2 bytes, form JMP2, to a jmp rel32 in padding (`pad_at`)
 *	at+len:	rest of the last instruction, then the rest of the function
 *
 * The *displaced original* is the instructions of [at, at + moved) encoded anew for their
 * new place, then a jump to at + moved. A call can be the last of them.
 *
 * Everything here is pure: it works on an object's file image (ug_object), before any stop,
 * and never touches the target. See docs/redirect.md.
 */
#ifndef UG_TEXT_TEXT_H
#define UG_TEXT_TEXT_H

#include "object/cfi.h"
#include "object/symbol.h"
#include "stack/stack.h"

#define UG_SITE_BYTES_MAX 20	/* moved <= 5 - 1 + 15 */
#define UG_DISPLACED_MAX 192

/* The code of one object, decoded once: text bytes, call targets, branch index. */
struct ug_text;

/* Needs symtab and CFI of the object (loads them). The object must outlive it. */
int ug_text_open(struct ug_object *obj, struct ug_text **ret, struct ug_error *err) ug_must_check;
void ug_text_close(struct ug_text *text);

enum ug_site_form {
	UG_FORM_JMP5 = 1,
	UG_FORM_JMP2 = 2,
};

struct ug_site_plan {
	ug_raddr_t func;		/* start of the function, run-time */
	uint64_t size;			/* the larger of symbol and FDE */
	ug_raddr_t at;			/* first overwritten byte */
	uint8_t form;			/* enum ug_site_form */
	uint8_t len;			/* bytes overwritten at `at`: 5 or 2 */
	uint8_t moved;			/* bytes of whole instructions that are displaced, >= len */
	uint8_t orig[UG_SITE_BYTES_MAX];	/* the bytes [at, at + moved) as the file has them */
	ug_raddr_t pad_at;		/* JMP2: where the 5-byte jump goes; else 0 */
	uint8_t pad_orig[5];
	bool is_nop;			/* the overwritten bytes are padding NOPs made for patching */
	struct ug_range *parts;		/* code ranges of the function, the main one first; id 0 */
	size_t nparts;
	size_t naliases;		/* distinct other names at the same address */
	char aliases[160];		/* "a, b" for the message */
	bool exported;			/* in .dynsym: somebody may set a uprobe here (M8) */
};

enum {
	UG_PLAN_ALIASES_OK = 1 << 0,	/* identical-code folding: the patch names all or does not care */
	UG_PLAN_CLONE_OK = 1 << 1,	/* .part, .isra, .constprop: the new code has the old one's
					 * calling convention. Never a .cold part. */
};

/*
 * Plan the redirect of the function at `func` (size 0: from symbol and FDE). Refusals, each
 * with where and why in *err: -UG_E_TOO_SHORT, -UG_E_ENTRY (system call in the bytes, or a call
 * that is not the last of them, a branch into them, page crossing, undecodable, displacement
 * impossible), -UG_E_PARTS, -UG_E_ALIASED, -UG_E_CLONE (by name), -UG_E_NO_SYMBOL (no function
 * starts there: neither a symbol nor an FDE).
 */
int ug_text_plan(struct ug_text *text, ug_raddr_t func, uint64_t size, const char *name,
		 unsigned int flags, struct ug_site_plan *ret, struct ug_error *err) ug_must_check;
/*
 * The bytes [addr, addr + len) are in use: no later plan takes them for padding. A plan does not
 * reserve its own (it may never be carried out): the caller does that for [at, at + len) and
 * [pad_at, pad_at + 5) of every plan before it makes the next one, and of those that the
 * registry lists.
 */
void ug_text_reserve(struct ug_text *text, ug_raddr_t addr, size_t len);
void ug_site_plan_free(struct ug_site_plan *plan);

/*
 * Encode the displaced original for address `dest` into buf (UG_DISPLACED_MAX bytes):
 * re-encoded instructions and the jump back. -UG_E_NO_ROOM when dest is out of reach.
 */
int ug_text_displace(const struct ug_site_plan *plan, ug_raddr_t dest, uint8_t *buf, size_t *ret_len,
		     struct ug_error *err) ug_must_check;

enum ug_displaced_kind {
	UG_DISPLACED_NOWHERE,	/* no instruction begins there */
	UG_DISPLACED_INSN,	/* an instruction of the original */
	UG_DISPLACED_CALLEE,	/* behind a displaced call: all is as at the entry of its callee */
};

/* What a PC inside displaced code (offset from its start) stands for; *ret_off: the offset from
 * `at` of the original instruction, or of the call. */
enum ug_displaced_kind ug_text_displaced_origin(const struct ug_site_plan *plan, ug_raddr_t dest,
						size_t off, size_t *ret_off);

/* A jmp rel32 at `at` to `dest`: 5 bytes; -UG_E_NO_ROOM when out of reach. */
int ug_text_jump5(ug_raddr_t at, ug_raddr_t dest, uint8_t buf[5], struct ug_error *err) ug_must_check;
/* A jmp rel8: 2 bytes. */
int ug_text_jump2(ug_raddr_t at, ug_raddr_t dest, uint8_t buf[2], struct ug_error *err) ug_must_check;

/*
 * Registers a function may change, transitively over direct calls inside its object.
 * Bit i of gpr: Zydis/psABI order rax rcx rdx rbx rsp rbp rsi rdi r8..r15; vec: xmm/ymm/zmm i.
 * unknown_call: it makes a call or tail jump whose target is not known (PLT, GOT, pointer,
 * undecodable): its callers assume the full ABI set.
 */
struct ug_clobbers {
	uint32_t gpr;
	uint32_t vec;
	bool flags;
	bool unknown_call;
};

int ug_text_clobbers(struct ug_text *text, ug_raddr_t func, uint64_t size, struct ug_clobbers *ret,
		     struct ug_error *err) ug_must_check;

/*
 * The same for code in a buffer (a new function in a relocatable object). `call` is asked for
 * each direct call or tail jump with the offset of its rel32 in the buffer; it fills what the
 * callee clobbers, or returns false for "unknown".
 */
int ug_code_clobbers(const uint8_t *code, size_t size,
		     bool (*call)(void *ctx, size_t rel_off, struct ug_clobbers *ret), void *ctx,
		     struct ug_clobbers *ret, struct ug_error *err) ug_must_check;

/* Is there a direct call or jump to func from its own object (outside func itself)? */
bool ug_text_called_directly(struct ug_text *text, ug_raddr_t func);

#endif
