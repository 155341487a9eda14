/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The symbol table of a linked binary, or of its debug file, with the one thing lib/object has
 * no use for: which source file a local symbol is of. The linker writes the local symbols of
 * each object behind an STT_FILE symbol with the name of its source.
 */
#ifndef UG_BUILDER_SYMBOLS_H
#define UG_BUILDER_SYMBOLS_H

#include "base/error.h"
#include "base/types.h"
#include "base/vec.h"

struct ug_linked_symbol {
	const char *name;		/* without @VERSION */
	uint32_t group;			/* of the local ones: index + 1 into groups; 0: global */
	uint8_t type, bind;
	uint64_t value, size;
};

struct ug_linked {
	char *path;
	struct ug_build_id build_id;
	UG_VEC(struct ug_linked_symbol) symbols;	/* by name, then value */
	UG_VEC(const char *) groups;			/* names of STT_FILE symbols, in order */
	UG_VEC(const char *) imports;			/* undefined in .dynsym */
	uint8_t *data;			/* the file: names point into it */
	size_t size;
	uint8_t *import_data;		/* the file the imports are of, when it is another */
};

/* -UG_E_NO_DEBUG when it has no .symtab. */
int ug_linked_open(const char *path, struct ug_linked *ret, struct ug_error *err) ug_must_check;
void ug_linked_close(struct ug_linked *l);
/* Take the imports from that file: what was opened is its debug file, or its rebuilt self. */
int ug_linked_imports_of(struct ug_linked *l, const char *path, struct ug_error *err) ug_must_check;
/* Only the build-id; len 0 when it has none or is no linked ELF file. */
void ug_linked_build_id(const char *path, struct ug_build_id *ret);

/* Group 0: a global or weak one. NULL when there is none. */
const struct ug_linked_symbol *ug_linked_find(const struct ug_linked *l, uint32_t group,
					      const char *name);
/* Hidden symbols are local ones of no file once linked. NULL when it is not one place. */
const struct ug_linked_symbol *ug_linked_find_hidden(const struct ug_linked *l, const char *name);
/* The rank, from 1, by address among all of that name; 0 when it is the only one. */
unsigned int ug_linked_position(const struct ug_linked *l, const struct ug_linked_symbol *s);

#endif
