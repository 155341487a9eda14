/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The code of an object against that of a linked file: the same instructions?
 *
 * The object was compiled with a section for each function, the linked file perhaps not: widths of
 * branches and padding may differ, and the linker may have relaxed instructions. Which address
 * an instruction must hold is the caller's question.
 */
#ifndef UG_BUILDER_CODE_H
#define UG_BUILDER_CODE_H

#include "builder/diff/object.h"

struct ug_linked_op {			/* an instruction of the linked file, nops left out */
	uint64_t addr;
	uint8_t len, kind;
	uint16_t mnemonic;
	uint64_t target;		/* of a branch, or what it addresses relative to RIP */
	const uint8_t *bytes;
};

struct ug_code_walk {
	const struct ug_dobj *o;
	const struct ug_item *f;	/* the function of the object */
	uint64_t addr, size;		/* that of the linked file */
	/*
	 * Is it right that the linked instruction holds `addr`, where the object names `p`?
	 * `direct`: the thing's own address, though `rel` may ask for that of its slot in the GOT.
	 * When not, it says why with ug_code_differs().
	 */
	bool (*address)(struct ug_code_walk *w, const struct ug_op *op, const struct ug_rel *rel,
			struct ug_place p, uint64_t addr, bool direct);
	void *ctx;
	UG_VEC(struct ug_linked_op) ops;
	bool encoded;			/* out: something is encoded in another way */
	char text[256];			/* out: the first difference */
};

/* Only fill `ops`, from the size bytes of the linked function at `addr`. -ENOMEM. */
int ug_code_decode(struct ug_code_walk *w, const uint8_t *bytes) ug_must_check;
/* `bytes` are the size bytes of the linked function. -ENOMEM. */
int ug_code_compare(struct ug_code_walk *w, const uint8_t *bytes, bool *ret) ug_must_check;
void ug_code_free(struct ug_code_walk *w);

/* For messages: "f+0x12: ...". Returns false. */
bool ug_code_differs(struct ug_code_walk *w, const struct ug_op *op, const char *fmt, ...)
	ug_printf(3, 4);

/* Index of the first instruction of the linked function at or behind an address. */
size_t ug_code_index(const struct ug_code_walk *w, uint64_t addr);

#endif
