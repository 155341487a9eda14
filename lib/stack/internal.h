/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of lib/stack share, and nobody else uses. */
#ifndef UG_STACK_INTERNAL_H
#define UG_STACK_INTERNAL_H

#include "stack/dwarf_eval.h"
#include "stack/stack.h"

/* ---- mem.c: a window on the target's stack ---- */

/*
 * Reads of the target during a stop cost system calls, so they go by chunks. The window is
 * an automatic variable of the check (64 KiB of the controller's stack): nothing is
 * allocated, nothing is shared between threads of the controller.
 */
#define UG_STACK_CHUNK 65536u

struct ug_stack_mem {
	const struct ug_stack_ctx *ctx;
	ug_raddr_t base;
	size_t len;		/* valid bytes of buf */
	uint64_t buf[UG_STACK_CHUNK / sizeof(uint64_t)];
};

void ug_stack_mem_init(struct ug_stack_mem *m, const struct ug_stack_ctx *ctx);

/* Make the window begin at addr and reach as far as a chunk, the mapping and hi allow.
 * Returns the valid bytes, 0 when addr cannot be read without risk of blocking. */
size_t ug_stack_mem_fill(struct ug_stack_mem *m, ug_raddr_t addr, ug_raddr_t hi);

/* Copy bytes through the window, which moves there when they are outside it. */
bool ug_stack_mem_read(struct ug_stack_mem *m, ug_raddr_t addr, void *buf, size_t len);

/* Copy bytes past the window (which stays), for rare small reads; may cross mappings. */
bool ug_stack_mem_peek(const struct ug_stack_ctx *ctx, ug_raddr_t addr, void *buf, size_t len);

/* ---- region.c: where stacks begin and end ---- */

struct ug_region {
	ug_raddr_t lo, hi;	/* [lo, hi) */
};

/* Could a stack go on into this mapping? */
bool ug_map_stackable(const struct ug_map *m);

/* The run of adjoining stackable mappings around addr; false when addr is in none. */
bool ug_stack_run(const struct ug_maps *maps, ug_raddr_t addr, struct ug_region *ret);

struct ug_home {
	struct ug_region r;	/* frames of the thread lie in here unless it switched stacks */
	ug_raddr_t tp;		/* thread pointer when r.hi depends on it, else 0 */
	bool holes;		/* unreadable mappings inside r are stepped over */
};

/* The thread's home stack; false when none is known. Reads no memory. */
bool ug_stack_home(const struct ug_stack_ctx *ctx, const struct ug_thread *t,
		   struct ug_home *ret);

static inline bool ug_region_has(const struct ug_region *r, ug_raddr_t addr)
{
	return addr >= r->lo && addr < r->hi;
}

/* ---- rangeset.c ---- */

enum ug_addr_how {
	UG_ADDR_WORD,		/* may be a return address: it follows a call */
	UG_ADDR_PC,		/* may be a PC: it will be executed */
};

bool ug_range_holds(const struct ug_range *r, ug_raddr_t addr, enum ug_addr_how how);

/* What a check has found so far. */
struct ug_hits {
	const struct ug_rangeset *set;
	uint64_t *bits;		/* may be NULL */
	size_t nbits;
	bool any;
	unsigned int id;	/* the first hit found */
	ug_raddr_t addr;
};

/* Record every range that holds addr; true if one did. */
bool ug_hits_test(struct ug_hits *h, ug_raddr_t addr, enum ug_addr_how how);

/* ---- sigframe.c: the kernel's signal frames ---- */

/* Order of gregs in the ucontext: arch/x86/include/uapi/asm/sigcontext.h. */
enum {
	UG_GREG_R8, UG_GREG_R9, UG_GREG_R10, UG_GREG_R11, UG_GREG_R12, UG_GREG_R13,
	UG_GREG_R14, UG_GREG_R15, UG_GREG_RDI, UG_GREG_RSI, UG_GREG_RBP, UG_GREG_RBX,
	UG_GREG_RDX, UG_GREG_RAX, UG_GREG_RCX, UG_GREG_RSP, UG_GREG_RIP, UG_GREG_EFLAGS,
	UG_GREG_CSGSFS, UG_GREGS,
};

/* What lies in a struct rt_sigframe behind its return word, up to the segment registers. */
struct ug_ucontext {
	uint64_t flags;
	uint64_t link;
	uint64_t ss_sp, ss_flags, ss_size;
	uint64_t gregs[UG_GREGS];
};

/* Distance from the ucontext to the word of segment registers. */
#define UG_UC_CSGSFS (offsetof(struct ug_ucontext, gregs) + UG_GREG_CSGSFS * sizeof(uint64_t))

/* Is this the segment register word of a 64-bit user context? */
static inline bool ug_csgsfs_plausible(uint64_t w)
{
	/* cs 0x33, gs and fs 0, ss 0x2b since Linux 4.6, 0 before. */
	return (w & 0xffffffffffffull) == 0x33 && (w >> 48 == 0x2b || w >> 48 == 0);
}

/* rip in executable memory and rsp in memory that can be a stack. */
bool ug_ucontext_plausible(const struct ug_maps *maps, const struct ug_ucontext *uc);

/* Do the bytes at addr begin a signal return (mov $15 to rax; syscall)? Reads the target. */
bool ug_is_restorer(const struct ug_stack_ctx *ctx, ug_raddr_t addr);

/* Is a thread with this exact pc and rax about to make the signal return? Then its ucontext
 * is at rsp. */
bool ug_in_restorer(const struct ug_stack_ctx *ctx, ug_raddr_t pc, uint64_t rax);

/* ---- scan.c: tier 1 ---- */

/*
 * All stacks of the thread. False: could not be finished, *reason and *where say why.
 * *foreign: it runs on a stack that neither is its home stack nor was entered from it by a
 * signal (so far as was found out).
 */
bool ug_stack_scan(const struct ug_stack_ctx *ctx, const struct ug_thread *t,
		   struct ug_hits *hits, bool *foreign, const char **reason, ug_raddr_t *where);

/* ---- unwind.c: tier 2 ---- */

struct ug_unwind_frame {
	ug_raddr_t pc;
	ug_raddr_t sp;
	bool exact;		/* pc is the next instruction, not a return address */
};

/* Called for every frame, innermost first; false ends the walk (which then failed). */
typedef bool (*ug_unwind_visit_t)(const struct ug_unwind_frame *f, void *ctx);

/* One frame more in the chain for people, while there is room. */
void ug_chain_add(struct ug_stack_report *r, ug_raddr_t pc, bool exact);

/* Walk all frames. False: doubt, *reason and *where (a PC) say which. */
bool ug_unwind(const struct ug_stack_ctx *ctx, const struct ug_thread *t,
	       ug_unwind_visit_t visit, void *visit_ctx, const char **reason, ug_raddr_t *where);

/* Is there a call instruction right before ret in the object's file? */
bool ug_call_before(const struct ug_object *obj, ug_raddr_t ret);

#endif
