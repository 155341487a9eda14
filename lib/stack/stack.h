/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is this thread inside any of these code ranges? (Guarantees G1 to G3.)
 *
 * Tier 1, conservative: every aligned word from rsp to the top of the home stack, all
 * registers, the PC. Sound by construction; stale words give false hits.
 * Tier 2, strict CFI unwinding from exact registers, only to *refute* hits of tier 1. The
 * first doubt makes it unreliable, sticky, with its reason; unreliable is not safe.
 *
 * The verdict is tri-state and sound: SAFE is never a guess. See docs/stack-check.md.
 */
#ifndef UG_STACK_STACK_H
#define UG_STACK_STACK_H

#include "object/object.h"
#include "process/stop.h"

/* How a range can be entered decides which return addresses mean "inside". */
enum ug_range_kind {
	UG_RANGE_CALLED,	/* entered by call or jump to its start: a return address is in (start, end] */
	UG_RANGE_JUMPED,	/* a cold part, gate, displaced code: [start, end] */
	UG_RANGE_BYTES,		/* bytes about to be overwritten: only (start, end), both exclusive;
				 * a PC equal to start is fine, it will fetch the new bytes */
	UG_RANGE_PAD,		/* padding that holds a far jump: a PC equal to start is not fine, the
				 * original bytes there may begin in the middle of an instruction.
				 * A return address equal to start belongs to the code before */
};

struct ug_range {
	ug_raddr_t start, end;
	enum ug_range_kind kind;
	unsigned int id;	/* the caller's: which version or gate; several ranges may share one */
	ug_raddr_t reach;	/* made by ug_rangeset_seal: the highest end up to this one */
};

/* Ranges sorted by start (they may overlap or touch); made once, before the stop. */
struct ug_rangeset {
	struct ug_range *v;
	size_t n;
	size_t cap;
	ug_raddr_t lo, hi;	/* hull, inclusive: the fast filter of the word scan */
	bool sorted;
};

int ug_rangeset_add(struct ug_rangeset *set, struct ug_range r, struct ug_error *err) ug_must_check;
void ug_rangeset_seal(struct ug_rangeset *set);	/* sort; before any lookup */
void ug_rangeset_free(struct ug_rangeset *set);

enum ug_verdict {
	UG_SAFE,
	UG_BLOCKED,
	UG_UNRELIABLE,
};

#define UG_CHAIN_MAX 24

struct ug_stack_report {
	enum ug_verdict verdict;
	unsigned int range_id;	/* BLOCKED: the innermost hit */
	ug_raddr_t hit;		/* BLOCKED: the PC or return address; UNRELIABLE: where doubt began */
	unsigned int frame;	/* BLOCKED: 0 is the innermost frame (best effort when unwound) */
	bool refuted;		/* SAFE only after tier 2 refuted hits of tier 1 */
	bool foreign;		/* on no home stack, and no signal has led away from one */
	char reason[96];	/* UNRELIABLE: one phrase */
	unsigned int nchain;
	ug_raddr_t chain[UG_CHAIN_MAX];	/* PCs, innermost first, for people */
	uint32_t exact;		/* bit i: chain[i] is the next instruction, not a return address */
};

/* How to get from a PC in our own code to the frame it was called from. */
struct ug_own_frame {
	uint64_t cfa_offset;	/* CFA = rsp + this; the return address at CFA - 8; all other
				 * registers unchanged (gates: pushes are scratch, restored) */
	ug_raddr_t same_as;	/* not 0: unwind as if the PC were this one (displaced code) */
};

/* Context of checks: what is known of the process, loaded before the stop. */
struct ug_stack_ctx {
	struct ug_proc *proc;
	const struct ug_maps *maps;	/* snapshot; refreshed by the caller when rsp is not in it */
	const struct ug_objects *objects;	/* CFI of every object loaded (ug_object_cfi) */
	const struct ug_objects *own;	/* the same for code that no file was mapped for; or NULL */
	ug_raddr_t main_stack_top;	/* of the main thread: end of the auxv strings, or end of [stack] */
	bool forked;		/* by another process, and it runs the same program since: its first
				 * thread may be on what was the stack of another one there */
	uint64_t max_scan;	/* bytes of one stack; more is unreliable; 0: 64 MiB */
	/*
	 * Lets code without unwind tables that is ours (gates, displaced originals) be unwound:
	 * fills the frame rule. `exact`: the thread, or what a signal has interrupted, stands
	 * there; else pc is the byte before a return address, and only code that makes calls may
	 * have one. Returns false: not ours, or not there. NULL: there is no such code.
	 */
	bool (*own_code)(void *ctx, ug_raddr_t pc, bool exact, struct ug_own_frame *ret);
	/* For people: the name of a PC in our own code; false: not ours. May be NULL. */
	bool (*own_name)(void *ctx, ug_raddr_t pc, char *buf, size_t size);
	void *own_ctx;
};

/*
 * Check one stopped thread against the set. `hits`, when not NULL, is a bitmap of range ids
 * (nbits) in which every id the thread may be inside of is set, so that one check answers
 * for many versions (it is cleared first; ids of nbits or more are not recorded); on
 * UNRELIABLE all ids hit by tier 1 are set, or all bits when even tier 1 could not be
 * finished. tier2 false: stop after the conservative scan (a hit is
 * BLOCKED without a chain).
 * Does not allocate except through libdw's frames; never blocks on target memory.
 */
void ug_stack_check(const struct ug_stack_ctx *ctx, const struct ug_thread *t,
		    const struct ug_rangeset *set, bool tier2, uint64_t *hits, size_t nbits,
		    struct ug_stack_report *ret);

/* Best-effort call chain for people (never for a verdict). */
void ug_stack_chain(const struct ug_stack_ctx *ctx, const struct ug_thread *t,
		    struct ug_stack_report *ret);

/* "parse_uri+0x41 <- handle_conn <- main", UTF-8 arrows; returns buf. */
const char *ug_stack_format(const struct ug_stack_ctx *ctx, const struct ug_stack_report *r,
			    char *buf, size_t size);

/* Find main_stack_top: from /proc/PID/stat (env_end, else arg_end) and maps. */
int ug_stack_main_top(struct ug_proc *p, const struct ug_maps *maps, ug_raddr_t *ret,
		      struct ug_error *err) ug_must_check;

#endif
