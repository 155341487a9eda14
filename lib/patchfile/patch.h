/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The .ugp file: an ELF64 relocatable object plus sections of ours (docs/patch-format.md).
 * Untrusted input: every byte is read through the bounded reader or libelf; anything not
 * understood is refused by name.
 *
 * The life of one: ug_patch_open (validated model in memory) -> ug_patch_layout (sizes of
 * the read-execute and the read-write image) -> ug_patch_link (images for given addresses).
 */
#ifndef UG_PATCHFILE_PATCH_H
#define UG_PATCHFILE_PATCH_H

#include "base/error.h"
#include "base/types.h"
#include "base/vec.h"

#define UG_PATCH_NAME_MAX 63
#define UG_PATCH_ANY_OBJECT (-1)	/* a reference that any loaded object may satisfy */

/* One object the patch touches or refers to; several builds of it are possible. */
struct ug_patch_object {
	const char *name;		/* "" : the executable; else a soname. A label. */
	size_t nbuilds;
	const struct ug_build_id *builds;
};

/* Where something of a target object is in one given build. */
struct ug_patch_pin {
	uint32_t build;			/* index into builds[] of the object */
	uint64_t offset;		/* link-time address in that build */
	uint64_t size;
};

/* A function to be replaced. */
struct ug_patch_func {
	unsigned int object;		/* index of the object */
	const char *old_name;
	unsigned int pos;		/* kernel's sympos: 0 unique, n-th by address */
	bool aliases_ok;
	bool assume_abi;		/* built with --assume-abi: noted for plan */
	bool clone_ok;			/* may be a compiler's clone: who reaches it was compared */
	bool old_code;			/* the body is a copy of the old one: nothing new calls it,
					 * but threads in it must be seen (docs/builder.md) */
	const struct ug_patch_pin *pins;
	size_t npins;
	unsigned int section;		/* the new body: section index, offset, size */
	uint64_t offset, size;
};

/* Something of the target that the patch's code refers to (an undefined symbol). */
struct ug_patch_ref {
	const char *name;
	int object;			/* index, or UG_PATCH_ANY_OBJECT */
	unsigned int pos;
	bool tls;
	bool weak;			/* unresolved counts as address 0 */
	const struct ug_patch_pin *pins;
	size_t npins;
};

/* How the new code was made: for people, nothing of a load depends on it. */
struct ug_patch_compiler {
	const char *name;		/* "GCC: (Debian 12.2.0-14) 12.2.0" */
	const char *const *flags;	/* those that change code */
	size_t nflags;
};

struct ug_patch_unit {			/* a source with code in the patch */
	const char *source;
	int object;			/* index, or UG_PATCH_ANY_OBJECT: not listed */
	unsigned int compiler;
};

enum {
	UG_PATCH_REPLACE = 1 << 0,	/* atomic replace of all older patches */
	UG_PATCH_UNLOADABLE = 1 << 1,	/* the author declares that no address escapes */
	UG_PATCH_ESCAPES = 1 << 2,	/* found at open: a relocation takes an arena address other
					 * than for a call, jump or pc-relative access */
};

struct ug_patch {
	const char *name;		/* [A-Za-z0-9_.+-]{1,63} */
	const char *description;
	const char *cves;		/* "CVE-2026-1 CVE-2026-2" */
	unsigned int flags;
	struct ug_patch_object *objects;
	size_t nobjects;
	struct ug_patch_func *funcs;
	size_t nfuncs;
	struct ug_patch_ref *refs;
	size_t nrefs;
	const char *made_by;		/* version of ugraft; NULL: not said, nor the next two */
	struct ug_patch_compiler *compilers;
	size_t ncompilers;
	struct ug_patch_unit *units;
	size_t nunits;
	struct ug_patch_image *image;	/* sections, symbols, relocations: private to the layer */
};

int ug_patch_open(const char *path, struct ug_patch **ret, struct ug_error *err) ug_must_check;
/* From memory (copied). */
int ug_patch_parse(const void *data, size_t size, struct ug_patch **ret, struct ug_error *err) ug_must_check;
void ug_patch_close(struct ug_patch *patch);

/*
 * The two images of the arena:
 *	rx: code, read-only data, stubs for far calls, GOT (filled before it is mapped in the
 *	    target and never changed after: it may be read-only)
 *	rw: data, bss
 * rw is mapped directly behind rx, at page granularity, so that all internal references have
 * a fixed distance.
 */
struct ug_patch_layout {
	size_t code_size;		/* code comes first in rx */
	size_t rx_size;			/* multiple of the page size */
	size_t rw_size;			/* 0 or a multiple of the page size */
};

/* Idempotent. */
int ug_patch_layout(struct ug_patch *patch, struct ug_patch_layout *ret, struct ug_error *err) ug_must_check;

/* What the linker asks the engine. */
struct ug_resolver {
	/* Run-time address of a reference. For replaced functions of the target: their entry. */
	int (*address)(void *ctx, const struct ug_patch_ref *ref, ug_raddr_t *ret, struct ug_error *err);
	/* The entry E in the target of func i: every reference from the patch's code to the new
	 * body, by its own name, resolves to it as well (M10). */
	ug_raddr_t (*entry)(void *ctx, size_t func);
	/* Thread-local variables: module id and offset for GD/LD, offset from the thread pointer
	 * for IE/LE. NULL pointers: not wanted. */
	int (*tls)(void *ctx, const struct ug_patch_ref *ref, uint64_t *ret_module,
		   uint64_t *ret_module_offset, int64_t *ret_tp_offset, struct ug_error *err);
	void *ctx;
};

/*
 * Link for rx at `base` (rw at base + rx_size). Buffers have the sizes of the layout.
 * -UG_E_BAD_RELOC, -UG_E_RELOC_RANGE, or what the resolver returned; the message names
 * section, offset, symbol.
 */
int ug_patch_link(struct ug_patch *patch, const struct ug_resolver *resolver, ug_raddr_t base,
		  uint8_t *rx, uint8_t *rw, struct ug_error *err) ug_must_check;

/* After layout: where the new body of func i lies, relative to base, and its size. A new body
 * may consist of several ranges (its .cold part): count and the n-th. */
size_t ug_patch_func_ranges(const struct ug_patch *patch, size_t func);
void ug_patch_func_range(const struct ug_patch *patch, size_t func, size_t n, uint64_t *ret_offset,
			 uint64_t *ret_size, bool *ret_jumped);

/* Code of the patch which is no replaced function's body (helpers new with the patch, stubs
 * for far calls, padding): belongs to every version of the patch for the check. May be
 * reached by jumps as well as by calls: [start, end] counts. */
size_t ug_patch_other_ranges(const struct ug_patch *patch);
void ug_patch_other_range(const struct ug_patch *patch, size_t n, uint64_t *ret_offset,
			  uint64_t *ret_size);

/*
 * Does code of the patch use reference `ref` in a way that needs it within 2 GiB? The name of its
 * section then, else NULL. A call does not, nor does code that takes the address from a GOT.
 */
const char *ug_patch_near_ref(const struct ug_patch *patch, size_t ref);

/* After layout: where the linked .eh_frame lies, relative to base; a zero terminator is part
 * of its size. False when the patch has none. */
bool ug_patch_eh_frame(const struct ug_patch *patch, uint64_t *ret_offset, uint64_t *ret_size);

/* After layout: the names of functions, for people and their tools. Some may have size 0. */
size_t ug_patch_symbols(const struct ug_patch *patch);
const char *ug_patch_symbol(const struct ug_patch *patch, size_t n, uint64_t *ret_offset,
			    uint64_t *ret_size);

#endif
