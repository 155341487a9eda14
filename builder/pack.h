/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing a .ugp file (docs/patch-format.md) from a compiled object and a model. */
#ifndef UG_BUILDER_PACK_H
#define UG_BUILDER_PACK_H

#include "base/error.h"
#include "base/types.h"
#include "patchfile/format.h"
#include "patchfile/patch.h"

struct ug_pack_object {
	const char *name;		/* "" : the executable */
	const struct ug_build_id *builds;
	size_t nbuilds;
};

struct ug_pack_func {
	uint32_t object;
	const char *old_name;
	uint32_t pos;
	uint32_t flags;			/* UG_FILE_FUNC_* */
	uint32_t symbol;		/* of the new body, in the object's .symtab */
	const struct ug_patch_pin *pins;
	size_t npins;
};

struct ug_pack_ref {
	uint32_t symbol;		/* undefined, in the object's .symtab */
	uint32_t object;		/* or UG_FILE_ANY_OBJECT */
	const char *name;
	uint32_t pos;
	const struct ug_patch_pin *pins;
	size_t npins;
};

struct ug_pack_unit {			/* a source with code in the patch, and how it was compiled */
	uint32_t object;		/* or UG_FILE_ANY_OBJECT */
	const char *source;
	const char *compiler;
	const char *const *flags;
	size_t nflags;
};

struct ug_pack {
	const uint8_t *elf;		/* ET_REL, as the compiler wrote it */
	size_t elf_size;
	const char *name, *description, *cves;
	uint32_t flags;			/* UG_FILE_* */
	const struct ug_pack_object *objects;
	size_t nobjects;
	const struct ug_pack_func *funcs;
	size_t nfuncs;
	const struct ug_pack_ref *refs;
	size_t nrefs;
	const struct ug_pack_unit *units;	/* none: nothing is said of who made the patch */
	size_t nunits;
};

/* *ret is malloc'ed. The result is not validated: open it with ug_patch_parse. */
int ug_pack_write(const struct ug_pack *pack, uint8_t **ret, size_t *ret_size,
		  struct ug_error *err) ug_must_check;

#endif
