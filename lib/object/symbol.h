/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Symbols of an object, from .symtab, .dynsym, the separate debug file (/usr/lib/debug by
 * build-id, below /proc/PID/root and below our own /, and .gnu_debuglink) and .gnu_debugdata (xz; through libdw or
 * liblzma). Duplicates of one symbol in several tables are merged.
 *
 * Position of a local symbol (kernel: sympos): its rank, counted from 1 by ascending
 * address, among all symbols of that name in the object; 0 means "must be unique".
 */
#ifndef UG_OBJECT_SYMBOL_H
#define UG_OBJECT_SYMBOL_H

#include "object/object.h"

struct ug_symbol {
	const char *name;	/* without @VERSION; lives as long as the object */
	ug_raddr_t addr;	/* run-time address (bias added); TLS: offset in the TLS block */
	uint64_t size;
	uint8_t type;		/* STT_*; STT_GNU_IFUNC: addr is the resolver */
	uint8_t bind;		/* STB_* */
	bool dynamic;		/* seen in .dynsym (exported) */
	bool versioned_hidden;	/* a non-default version (foo@OLD), never chosen by name alone */
};

/* Load all symbol tables (idempotent, may be slow). An object without any is not an error. */
int ug_object_symtab(struct ug_object *obj, struct ug_error *err) ug_must_check;
/* True when .symtab was found somewhere (local names known). */
bool ug_object_has_locals(const struct ug_object *obj);

size_t ug_symtab_count(const struct ug_object *obj);
const struct ug_symbol *ug_symtab_at(const struct ug_object *obj, size_t i);	/* sorted by addr, then name */

/*
 * By name: exact; `pos` as above. -UG_E_NO_SYMBOL; -UG_E_AMBIGUOUS (pos 0, several distinct
 * addresses; a single global one wins over locals of other files only when pos is 0 and it
 * is the only global). The message names the positions and addresses to choose from.
 */
int ug_symbol_find(struct ug_object *obj, const char *name, unsigned int pos,
		   struct ug_symbol *ret, struct ug_error *err) ug_must_check;

/*
 * One exported function by name, straight from .dynsym of the file: for the one question that
 * is asked of an object whose tables nobody else needs. False: there is none.
 */
bool ug_object_exported(const struct ug_object *obj, const char *name, struct ug_symbol *ret);

/* The function symbol that covers addr (the closest below when its size covers it or, with
 * size 0, up to the next symbol); NULL when none. In a stop. */
const struct ug_symbol *ug_symbol_by_addr(const struct ug_object *obj, ug_raddr_t addr);

/* All function symbols at exactly addr: calls fn for each; returns how many. */
size_t ug_symbols_at(const struct ug_object *obj, ug_raddr_t addr,
		     void (*fn)(const struct ug_symbol *, void *), void *ctx);

/*
 * Split parts by name: every function symbol f.cold*, f.part.N*, f.isra.N*, f.constprop.N*,
 * f.lto_priv.N* for f: calls fn for each; returns how many.
 */
size_t ug_symbol_parts(const struct ug_object *obj, const char *name,
		       void (*fn)(const struct ug_symbol *, void *), void *ctx);

/* Is `name` a clone the compiler made (.isra. .constprop. .part. .lto_priv. .cold)? */
bool ug_symbol_is_clone(const char *name);
/* Is it one that is entered at many places (f.cold, f.part.0.cold.1)? */
bool ug_symbol_is_cold(const char *name);

/*
 * Where the implementation of an IFUNC symbol is: read from a GOT word of any object that a
 * R_X86_64_IRELATIVE / GLOB_DAT / JUMP_SLOT relocation has already resolved for it.
 * -UG_E_NO_SYMBOL when no resolved word is found (the resolver is never emulated).
 */
int ug_symbol_ifunc(struct ug_proc *p, const struct ug_objects *objs, const struct ug_symbol *sym,
		    ug_raddr_t *ret, struct ug_error *err) ug_must_check;

/* "func+0x41 (libfoo.so.1)" or "0x7f.. (libfoo.so.1)" or "0x7f..". For people. Returns buf. */
const char *ug_symbol_describe(const struct ug_objects *objs, ug_raddr_t addr, char *buf, size_t size);

#endif
