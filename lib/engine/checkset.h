/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a stack check looks for: every version and every gate that some thread may still
 * execute (G3), each with a number of its own, so that one check of a thread answers for
 * all of them.
 */
#ifndef UG_ENGINE_CHECKSET_H
#define UG_ENGINE_CHECKSET_H

#include "engine/target.h"
#include "stack/stack.h"

enum ug_item_kind {
	UG_ITEM_ORIGINAL,	/* all parts of the original where they always were */
	UG_ITEM_DISPLACED,	/* the displaced first instructions of it */
	UG_ITEM_HOOK,		/* the version that belongs to a site (hook.h) */
	UG_ITEM_VERSION,	/* a patch's body of a function */
	UG_ITEM_OTHER,		/* a patch's code that is no function's body */
	UG_ITEM_GATE,
	UG_ITEM_BYTES,		/* the bytes of an entry, overwritten or about to be */
	UG_ITEM_PAD,		/* the padding of a short entry, while its far jump is in it */
};

struct ug_item {
	enum ug_item_kind kind;
	size_t seg;		/* index into registry segments */
	uint32_t index;		/* of the site, func or move in it */
	ug_raddr_t func;	/* the function; 0 for OTHER */
	ug_raddr_t entry;	/* where a jump enters it: displaced copy, body, gate; 0: none */
	const char *name;	/* of the function */
	const char *patch;	/* of the patch, NULL for originals */
};

/* Must nobody be inside before the segment can go? The original stays where it is. */
static inline bool ug_item_holds(const struct ug_item *item)
{
	return item->kind != UG_ITEM_ORIGINAL && item->kind != UG_ITEM_BYTES &&
	       item->kind != UG_ITEM_PAD;
}

/* Sets of items are bitmaps of 64-bit words. */
static inline bool ug_bit(const uint64_t *w, size_t i)
{
	return w[i / 64] >> (i % 64) & 1;
}

static inline void ug_bit_set(uint64_t *w, size_t i)
{
	w[i / 64] |= UINT64_C(1) << (i % 64);
}

#define UG_BIT_WORDS(n) (((n) + 63) / 64)

struct ug_checkset {
	struct ug_rangeset ranges;	/* ids are item indexes */
	struct ug_item *items;
	size_t nitems, cap;
	size_t nwords;			/* of a bitmap */
	uint64_t *concerned;		/* items a thread must not be in to be switched */
	uint64_t *left;			/* items of segments that wait to be released */
	uint64_t *bytes;		/* the UG_ITEM_BYTES items of the same functions */
	uint64_t *pads;			/* the UG_ITEM_PAD items of the same functions */
	const struct ug_target *target;	/* whose registry the items are of */
	struct ug_objects own;		/* the code of its patches; ug_checkset_load_own */
};

/*
 * All items of the registry; `concerned` are those of the functions of transition `trans`
 * (NULL: none). The registry must stay as it is while the set lives.
 */
int ug_checkset_init(struct ug_checkset *cs, const struct ug_target *t, const struct ug_seg *trans,
		     struct ug_error *err) ug_must_check;
/* Load what is needed to unwind through the code of patches (idempotent). Before a stop. */
int ug_checkset_load_own(struct ug_checkset *cs, struct ug_target *t,
			 struct ug_error *err) ug_must_check;
void ug_checkset_free(struct ug_checkset *cs);

/* Do two bitmaps of the set share an item? */
bool ug_checkset_meet(const struct ug_checkset *cs, const uint64_t *a, const uint64_t *b);

/*
 * What is occupied occupies everything it can jump to: adds to `occupied` the targets of
 * occupied gates, transitively (a gate's `before` may be a gate).
 */
void ug_checkset_close(const struct ug_checkset *cs, const struct ug_target *t, uint64_t *occupied);

/* A context for ug_stack_check that knows our own code. */
void ug_checkset_stack_ctx(const struct ug_checkset *cs, struct ug_target *t,
			   struct ug_stack_ctx *ret);

#endif
