/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A transition under construction: what it puts where. Private to prepare.c and build.c.
 *
 * Near each object that has a function to be moved, one range within reach of its jumps:
 *
 *	+--------------+ area.addr
 *	| gates        |  of this transition		freed when it is done and empty
 *	+--------------+
 *	| displaced    |  first instructions of sites	freed when no patch needs them
 *	+--------------+
 *	| hook         |  displaced and hook (hook.h)	freed when no patch needs it
 *	+--------------+
 *	| thunks       |  jumps to bodies out of reach	part of the patch
 *	+--------------+
 *	| patch rx, rw |  only near its main object	part of the patch
 *	+--------------+
 *
 * each part page-aligned, since they live for different times. The records lie together:
 *
 *	[registry root, when there is none][hook's site][sites][patch]
 *	[transition: word, moves, table]
 */
#ifndef UG_ENGINE_BUILD_H
#define UG_ENGINE_BUILD_H

#include "base/vec.h"
#include "engine/mapping.h"
#include "engine/record.h"
#include "engine/resolve.h"

/* Races for an address range that are lost in a row before we give up. */
#define UG_PLACE_TRIES 8

struct ug_near {
	ug_raddr_t lo, hi;		/* of the object */
	size_t ngates;
	size_t nsites;
	size_t nthunks;
	bool has_hook;			/* a new one */
	size_t rx_len, rw_len;		/* of the patch, near its main object */
	ug_raddr_t addr;
	ug_raddr_t gates, displaced, hook, thunks, rx;	/* within */
	size_t gates_len, displaced_len, hook_len, thunks_len;
	uint8_t *image;			/* of all but rw */
	size_t image_len;
	uint8_t *rw;
};

struct ug_new_move {
	struct ug_reg_move m;
	size_t near;			/* index */
	size_t gate;			/* index among the gates there */
};

struct ug_build {
	struct ug_target *t;
	UG_VEC(struct ug_near) nears;
	UG_VEC(struct ug_new_move) moves;
	struct ug_record hook, sites, patch, trans;
	bool has_hook, has_sites, has_patch, need_root;
	uint32_t id_hook, id_sites, id_patch, id_trans;	/* in a row, used or not */
	uint64_t code;			/* of the patch's slot */
	uint32_t of_patch;		/* id of the patch the transition belongs to */
	uint32_t parent;
	bool patching;
	size_t table_len;
	ug_raddr_t meta;		/* the records, root first */
	size_t meta_len;
	ug_raddr_t root, meta_hook, meta_sites, meta_patch, meta_trans;
	size_t hook_len, sites_len, patch_len, trans_len;	/* page-aligned, fixed before addresses are */
};

int ug_build_init(struct ug_build *b, struct ug_target *t, struct ug_error *err) ug_must_check;
void ug_build_deinit(struct ug_build *b);

/* The near area of the object that holds addr; index in *ret. */
int ug_build_near(struct ug_build *b, ug_raddr_t addr, size_t *ret, struct ug_error *err) ug_must_check;

/* A move of the function at func; its gate goes near its object. */
int ug_build_move(struct ug_build *b, ug_raddr_t func, ug_raddr_t from, ug_raddr_t to,
		  ug_raddr_t before, struct ug_error *err) ug_must_check;

/* Choose all addresses; attempt 0, 1, ... when one was taken meanwhile. */
int ug_build_place(struct ug_build *b, unsigned int attempt, struct ug_error *err) ug_must_check;

/* Encode gates, complete the transition's record. The moves are final. */
int ug_build_gates(struct ug_build *b, struct ug_error *err) ug_must_check;

/* Map, write, publish; afterwards the registry of t is read anew. */
int ug_build_commit(struct ug_build *b, struct ug_error *err) ug_must_check;

#endif
