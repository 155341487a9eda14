/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry: ugraft's own memory inside the target, from which any later controller learns
 * everything. Little-endian, version in the header; every structure is plain data, read from
 * outside through bounds checks (the target's memory is untrusted).
 *
 *	page 0		struct ug_reg_header
 *	pages 1..2	log ring, UG_REG_LOG_LINES of UG_REG_LOG_LINE bytes
 *	pages 3..6	struct ug_reg_slot[UG_REG_SLOTS]
 *
 * A slot names a *segment*: a record of one patch, one group of sites, or one transition,
 * which lies in a mapping of its own and lists the areas it owns (code, data, itself).
 *
 * Every mapping is a private mapping of a memfd called "ugraft", so that it is recognised in
 * /proc/PID/maps; one that no ready slot accounts for is garbage of a dead controller.
 *
 * Order of stores: a segment is complete before its slot is written; the slot becomes valid
 * by its last byte, `ready`. Nothing of a ready segment changes but: `state`, `marks` and
 * `ready` of the slot (one byte each), a transition's word (8 bytes aligned, written in a full
 * stop) and single bytes of its table. No slot, word or table slot crosses a page.
 */
#ifndef UG_RT_REGISTRY_ABI_H
#define UG_RT_REGISTRY_ABI_H

#include <stdint.h>

#define UG_REG_NAME "ugraft"
#define UG_REG_MAGIC UINT64_C(0x0031746661726775)	/* "ugraft1" */
#define UG_REG_VERSION 5
#define UG_REG_PAGES 7
#define UG_REG_SIZE (UG_REG_PAGES * 4096)
#define UG_REG_LOG_OFF 4096
#define UG_REG_LOG_LINE 128
#define UG_REG_LOG_LINES 64
#define UG_REG_SLOT_OFF 12288
#define UG_REG_SLOTS 512

struct ug_reg_header {
	uint64_t magic;
	uint32_t version;
	uint32_t size;			/* of the registry, bytes */
	int32_t owner_pid;		/* in the innermost pid namespace of the process */
	uint32_t log_next;		/* lines ever written */
	uint64_t owner_start;		/* start time, clock ticks: a forked copy differs */
	uint32_t next_id;
	uint32_t next_order;
	uint32_t slots_used;		/* no slot from there on was ever ready */
	uint8_t ready;
	uint8_t contexts;		/* a thread was seen on a stack of its own making */
	uint8_t userfault;		/* a dead controller may have left a userfaultfd open */
};

enum ug_reg_kind {
	UG_REG_PATCH = 1,
	UG_REG_SITES = 2,
	UG_REG_TRANS = 3,
};

/*
 * States of a segment.
 *
 *	patch		PREPARED -> ENABLED -> LEFT | PINNED -> (freed)
 *			PREPARED -> LEFT (backed out, reversed)
 *	sites		ENABLED -> LEFT -> (freed)
 *	transition	OPEN -> CLOSED -> (freed)
 *
 * LEFT and CLOSED: no entry leads there any more, a thread may still be inside.
 * EMPTY: a full stop has proven that nobody is; it may be unmapped at any time.
 */
enum ug_reg_state {
	UG_REG_PREPARED = 1,
	UG_REG_ENABLED = 2,
	UG_REG_LEFT = 3,
	UG_REG_PINNED = 4,
	UG_REG_OPEN = 5,
	UG_REG_CLOSED = 6,
	UG_REG_EMPTY = 7,
};

struct ug_reg_slot {			/* 32 bytes, aligned */
	uint32_t id;			/* never reused in one registry */
	uint8_t kind;			/* enum ug_reg_kind */
	uint8_t state;			/* enum ug_reg_state */
	uint8_t marks;			/* UG_REG_MARK_* */
	uint8_t ready;			/* 1: valid; written last, cleared first */
	uint64_t meta;			/* address of the segment's record */
	uint32_t meta_len;		/* bytes of the record */
	uint32_t order;			/* patches: enable order */
	uint64_t code;			/* patches with unwind tables: ug_hook_code(); else 0 */
};

/*
 * Left behind by force: threads were declared switched that were still inside. As long as
 * the segment is there its code counts in every check; a full stop that finds it empty
 * releases it like any other.
 */
#define UG_REG_MARK_FORCED 1u

/*
 * Of a transition: the intent of a group, not forgotten yet. Until it is, the record stays, also
 * when it is empty: its word says whether this member has committed (it is not UG_WORD_ALL).
 */
#define UG_REG_MARK_GROUP 2u

#define UG_REG_AREAS 16

struct ug_reg_area {
	uint64_t addr;
	uint64_t len;			/* multiple of the page size; 0: unused */
};

/* The head of every record. Offsets below are from the beginning of the record. */
struct ug_reg_meta {
	uint32_t id;
	uint32_t kind;
	uint32_t len;
	uint32_t strings;		/* offset of the string table; it ends with the record */
	struct ug_reg_area areas[UG_REG_AREAS];
};

struct ug_reg_range {
	uint64_t start, end;
	uint32_t kind;			/* enum ug_range_kind */
	uint32_t pad;
};

struct ug_reg_func {
	uint64_t func;			/* start of the function in the target: key of its site */
	uint64_t entry;			/* where entries and gates jump to for this version */
	uint32_t name, object;		/* strings */
	uint32_t range, nranges;	/* code of this version */
	uint32_t flags;
	uint32_t pad;
};

/* Not of the patch file: what lets the target unwind through the code of patches. The version
 * is the site's, shared by all patches that need it. */
#define UG_REG_FUNC_HOOK 1u

struct ug_reg_symbol {			/* a function of the patch's code, for people */
	uint64_t addr, size;
	uint32_t name;
	uint32_t pad;
};

#define UG_REG_PATCH_PINS 1u		/* stays mapped when it is unloaded */

#define UG_REG_REPLACE_NONE 0u
#define UG_REG_REPLACE_ALL 1u

struct ug_reg_patch {
	struct ug_reg_meta meta;
	uint32_t name, description, cves;
	uint32_t flags;
	uint32_t nfuncs, funcs;		/* count, offset */
	uint32_t nranges, ranges;
	uint32_t other, nother;		/* ranges of code that is no function's body */
	uint64_t base, rx_len, rw_len;	/* code and data */
	uint64_t load_time;		/* CLOCK_REALTIME, seconds */
	/* The set whose older patches this one replaces: UG_REG_REPLACE_NONE or _ALL today. */
	uint32_t replace;
	uint32_t nsymbols, symbols;
	uint32_t pad;
	uint64_t code_len;		/* code comes first, from base */
	uint64_t eh_frame, eh_frame_len;	/* address of the unwind tables; 0 bytes: none */
};

struct ug_reg_site {
	uint64_t func, size;
	uint64_t at;
	uint64_t pad_at;
	uint64_t displaced;
	uint32_t displaced_len;
	uint8_t form, len, moved, pad;
	uint8_t orig[24];
	uint8_t pad_orig[8];
	uint32_t name, object;
	uint32_t range, nranges;	/* code of the original, the displaced copy included */
	uint64_t hook;			/* a version that belongs to the site; 0: none */
	uint64_t hook_len;
};

struct ug_reg_sites {
	struct ug_reg_meta meta;
	uint32_t nsites, sites;
	uint32_t nranges, ranges;
};

struct ug_reg_move {
	uint64_t func;
	uint64_t gate;
	uint64_t from, to, before;
};

/* A process of a group. */
struct ug_reg_member {
	int32_t pid;			/* in the namespace of the controller */
	uint32_t pad;
	uint64_t start_time;		/* clock ticks since boot */
};

struct ug_reg_trans {
	struct ug_reg_meta meta;
	uint64_t word;			/* UG_WORD_NULL, UG_WORD_ALL, or the address of the table */
	uint32_t patch;			/* id of the patch that is loaded or unloaded */
	uint32_t parent;		/* id of the transition this one reverses; 0: none */
	uint32_t patching;		/* 1: towards patched, 0: towards unpatched */
	uint32_t nmoves, moves;
	uint32_t pad;
	uint64_t start_time;		/* CLOCK_REALTIME, ns: when it was recorded */
	uint64_t table;			/* address */
	uint64_t table_len;		/* capacity, bytes */
	uint32_t table_used;		/* bytes in use; written before the word is */
	uint32_t nmembers;		/* of its group; 0: it is in none */
	uint64_t group;			/* the same number in all members */
	uint64_t pid_ns;		/* inode of the pid namespace of the members' pids */
	uint32_t members;		/* offset */
	uint32_t pad2;
};

#endif
