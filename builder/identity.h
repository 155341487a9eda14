/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two linked files of different build-ids: is it the same program at the same addresses?
 *
 * Builds differ in strings: a path, the version text of a library the program was compiled with.
 * Then the linker has put other literals at other places, and code differs in the addresses of
 * them. It is the same program when the sections have the same addresses and sizes; each function
 * has the same bytes, or the same instructions with other addresses in them; and no address that
 * differs, in code or in a relocated pointer, is that of something with a symbol: then what has a
 * symbol has not moved, and the symbols of one file are those of the other.
 */
#ifndef UG_BUILDER_IDENTITY_H
#define UG_BUILDER_IDENTITY_H

#include "base/error.h"

struct ug_identity {
	size_t functions;
	size_t equal;			/* byte for byte */
	size_t masked;			/* the other bytes are in addresses only */
	size_t decoded;			/* and in numbers that stand for an address */
	char cause[256];		/* what differs: the first string, in both; "" : nothing read */
};

/*
 * `rebuilt` has the symbols, `binary` need not. 0: the same program. -UG_E_IDENTITY: not, or not
 * provably; the message says where they differ first, and the cause. Or -UG_E_BAD_ELF, -ENOMEM.
 */
int ug_identity_prove(const char *binary, const char *rebuilt, struct ug_identity *ret,
		      struct ug_error *err) ug_must_check;

#endif
