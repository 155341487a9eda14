/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry as the controller sees it: a validated copy of what is in the target
 * (rt/registry_abi.h), read anew after every change, so that a load, an unload and the
 * recovery after a dead controller all start from the same thing.
 */
#ifndef UG_ENGINE_REGISTRY_H
#define UG_ENGINE_REGISTRY_H

#include "process/maps.h"
#include "rt/registry_abi.h"

/* One segment: the slot and a bounds-checked copy of its record. */
struct ug_seg {
	unsigned int slot;		/* index */
	struct ug_reg_slot s;
	union {
		void *record;		/* s.meta_len bytes, validated for its kind */
		struct ug_reg_meta *meta;
		struct ug_reg_patch *patch;
		struct ug_reg_sites *sites;
		struct ug_reg_trans *trans;
	};
};

struct ug_reg_place {			/* where the site of a function is */
	ug_raddr_t func;
	uint32_t seg, index;
};

struct ug_registry {
	ug_raddr_t addr;		/* 0: the process has none */
	struct ug_reg_header h;
	bool is_copy;			/* forked with the process: the owner is another one */
	struct ug_seg *segs;		/* by slot index */
	size_t nsegs;
	struct ug_reg_place *places;	/* of all sites, in whichever state; by func */
	size_t nplaces;
};

/* Find and read; a process without one: 0 and ret->addr == 0. -UG_E_REGISTRY when damaged. */
int ug_registry_read(struct ug_proc *p, const struct ug_maps *maps, struct ug_registry *ret,
		     struct ug_error *err) ug_must_check;
void ug_registry_free(struct ug_registry *reg);

struct ug_seg *ug_registry_find(const struct ug_registry *reg, uint32_t id);
struct ug_seg *ug_registry_patch(const struct ug_registry *reg, const char *name);

/* Is this a mapping of ours, by its name? */
bool ug_registry_owns_map(const struct ug_map *map);

/* Accessors into validated records; never fail after ug_registry_read. */
const char *ug_seg_str(const struct ug_seg *seg, uint32_t off);
struct ug_reg_func *ug_seg_funcs(const struct ug_seg *seg);
struct ug_reg_site *ug_seg_sites(const struct ug_seg *seg);
struct ug_reg_move *ug_seg_moves(const struct ug_seg *seg);
struct ug_reg_member *ug_seg_members(const struct ug_seg *seg);
struct ug_reg_range *ug_seg_ranges(const struct ug_seg *seg);
struct ug_reg_symbol *ug_seg_symbols(const struct ug_seg *seg);

/* The site of the function at func, or NULL; *ret_seg its segment. Only sites in force. */
struct ug_reg_site *ug_registry_site(const struct ug_registry *reg, ug_raddr_t func,
				     struct ug_seg **ret_seg);

/* The same, also one that waits to be released (UG_REG_LEFT): it can be taken back into use. */
struct ug_reg_site *ug_registry_usable_site(const struct ug_registry *reg, ug_raddr_t func,
					    struct ug_seg **ret_seg);

/* The open transition (the newest, when one reverses another), or NULL. */
struct ug_seg *ug_registry_open_trans(const struct ug_registry *reg);

/* The one that runs: the newest that has committed; when none has, the newest. A reversal that
 * was recorded by a controller that died is open, but changes nothing yet. */
struct ug_seg *ug_registry_running_trans(const struct ug_registry *reg);

/* The transition, in whichever state, that carries the intent of a group, or NULL. */
struct ug_seg *ug_registry_intent(const struct ug_registry *reg);

/* ---- stores into the target ---- */

/* Make an empty registry at addr (a fresh zeroed mapping of UG_REG_SIZE bytes). */
int ug_registry_format(struct ug_proc *p, ug_raddr_t addr, struct ug_error *err) ug_must_check;

/*
 * A forked child inherits patches, and in mid-transition its state: its memory is a copy of
 * its parent's at one moment, its one thread has the thread pointer of the one that forked.
 * Making the copy its own is changing the owner; everything else holds as it is.
 */
int ug_registry_adopt(struct ug_proc *p, struct ug_registry *reg, struct ug_error *err) ug_must_check;

/* Publish a segment whose record is complete in the target: slot, then its ready byte. */
int ug_registry_publish(struct ug_proc *p, struct ug_registry *reg, struct ug_reg_slot slot,
			struct ug_error *err) ug_must_check;

/* One-byte store of a segment's state. */
int ug_seg_set_state(struct ug_proc *p, struct ug_registry *reg, struct ug_seg *seg, uint8_t state,
		     struct ug_error *err) ug_must_check;

/* One-byte store: add a mark (UG_REG_MARK_*) to a segment. */
int ug_seg_mark(struct ug_proc *p, struct ug_registry *reg, struct ug_seg *seg, uint8_t mark,
		struct ug_error *err) ug_must_check;

/* The same: take a mark away. */
int ug_seg_unmark(struct ug_proc *p, struct ug_registry *reg, struct ug_seg *seg, uint8_t mark,
		  struct ug_error *err) ug_must_check;

/* Clear the ready byte: the slot is free, its areas are garbage from here on. */
int ug_seg_retire(struct ug_proc *p, struct ug_registry *reg, struct ug_seg *seg,
		  struct ug_error *err) ug_must_check;

/* A thread was seen on a stack of its own making (engine/contexts.h). For good. */
int ug_registry_note_contexts(struct ug_proc *p, struct ug_registry *reg,
			      struct ug_error *err) ug_must_check;

/* Add a line to the ring (best effort) and to the host's log. */
void ug_registry_log(struct ug_proc *p, struct ug_registry *reg, int level, const char *fmt, ...)
	ug_printf(4, 5);

/* The lines of the ring, oldest first; *ret malloc'ed. */
int ug_registry_read_log(struct ug_proc *p, const struct ug_registry *reg,
			 char (**ret)[UG_REG_LOG_LINE], size_t *ret_n, struct ug_error *err) ug_must_check;

/* pid of the process in its innermost pid namespace (NSpid of /proc/PID/status). */
int ug_registry_inner_pid(struct ug_proc *p, pid_t *ret, struct ug_error *err) ug_must_check;

#endif
