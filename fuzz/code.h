/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inputs of the targets `text` and `unwind`, which begin with code: what make_corpus.c writes
 * and code.c reads.
 *
 *	struct fuzz_code	where is what
 *	len bytes		code, then what it reads: constants, jump tables, LSDAs, .eh_frame
 *	stack_len bytes		unwind only: the stack, up to its end
 */
#ifndef UG_FUZZ_CODE_H
#define UG_FUZZ_CODE_H

#include "object/cfi.h"
#include "object/symbol.h"

#define FUZZ_CODE 0x10000UL
#define FUZZ_STACK_END 0x7ffe00000000UL
#define FUZZ_SYMBOLS 8

struct fuzz_symbol {
	uint32_t off, size;
};

struct fuzz_code {
	uint64_t reg[17];		/* unwind: as DWARF counts them; rip is the last one */
	uint32_t len, text_len, eh_frame, eh_frame_len, stack_len;
	uint32_t alien;			/* unwind: not the main thread */
	struct fuzz_symbol sym[FUZZ_SYMBOLS];	/* named "f0", "f0.cold", "f1", ... */
};

/* Take the input apart: the object, and what is behind its code. False: nothing can be made of it. */
bool fuzz_code_open(const uint8_t *data, size_t size, struct fuzz_code *ret, struct ug_object **ret_obj,
		    const uint8_t **ret_stack);

#endif
