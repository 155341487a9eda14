/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The compiler's object, as far as the builder looks into it. */
#ifndef UG_BUILDER_OBJFILE_H
#define UG_BUILDER_OBJFILE_H

#include <elf.h>

#include "base/error.h"
#include "base/reader.h"
#include "base/vec.h"

struct ug_objfile {
	uint8_t *data;
	struct ug_reader r;
	Elf64_Shdr *sh;
	size_t nsh;
	Elf64_Sym *syms;
	size_t nsyms;
	uint32_t shstr, symstr;		/* string tables */
};

int ug_objfile_read(const char *path, struct ug_objfile *ret, struct ug_error *err) ug_must_check;
void ug_objfile_free(struct ug_objfile *o);

/* "" for what has none or a malformed one. */
const char *ug_objfile_section_name(const struct ug_objfile *o, size_t section);
const char *ug_objfile_symbol_name(const struct ug_objfile *o, size_t sym);

/* Index of the section of that name, 0 when there is none. */
size_t ug_objfile_section(const struct ug_objfile *o, const char *name);

/* Does the section become part of the patch? */
bool ug_objfile_is_loaded(const struct ug_objfile *o, size_t section);

/* Calls fn for each relocation of a section until it returns non-zero; returns that. */
int ug_objfile_relocs(const struct ug_objfile *o, size_t section,
		      int (*fn)(void *ctx, const Elf64_Rela *rela), void *ctx);

/* The function symbol that begins at that place, 0 when there is none. */
size_t ug_objfile_function_at(const struct ug_objfile *o, size_t section, uint64_t value);

#endif
