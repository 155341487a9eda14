/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Code in memory that no file was mapped for, as an object: bytes, unwind tables and names
 * are put together to an ELF image, so that everything which works on an object works on it.
 * The same image is what a debugger is given.
 *
 *	[start, start + text_len)	code
 *	[.., start + len)		what it reads: constants, .eh_frame
 */
#ifndef UG_OBJECT_CODE_H
#define UG_OBJECT_CODE_H

#include "object/object.h"

struct ug_code_symbol {
	const char *name;
	ug_raddr_t addr;
	uint64_t size;
};

struct ug_code {
	const char *name;
	ug_raddr_t start;		/* page-aligned */
	const uint8_t *bytes;
	size_t len, text_len;
	size_t eh_frame, eh_frame_len;	/* offset and size; 0 bytes: none */
	const struct ug_code_symbol *symbols;	/* functions */
	size_t nsymbols;
};

/* The image (from malloc). -ENOMEM; -UG_E_BAD_ELF when the parts do not lie in each other. */
int ug_code_image(const struct ug_code *code, uint8_t **ret, size_t *ret_len,
		  struct ug_error *err) ug_must_check;

/* The object, with bias 0; nothing of `code` is kept. ug_object_close. */
int ug_object_of_code(const struct ug_code *code, struct ug_object **ret,
		      struct ug_error *err) ug_must_check;

#endif
