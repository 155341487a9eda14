/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A relocatable object under construction: sections, symbols, relocations, from nothing. */
#ifndef UG_BUILDER_EMIT_H
#define UG_BUILDER_EMIT_H

#include <elf.h>

#include "base/error.h"
#include "base/vec.h"
#include "builder/buf.h"

struct ug_emit_section {
	char *name;
	uint32_t type;
	uint64_t flags, align;
	uint64_t size;
	struct ug_buf data;		/* empty for SHT_NOBITS */
	size_t symbol;			/* of type STT_SECTION */
	UG_VEC(Elf64_Rela) rels;	/* r_info holds our symbol, not yet the final one */
};

struct ug_emit_symbol {
	char *name;
	Elf64_Sym sym;			/* st_shndx: our section, 0: undefined */
	uint32_t index;			/* in the finished .symtab */
};

struct ug_emit {
	UG_VEC(struct ug_emit_section) sections;	/* [0] is none */
	UG_VEC(struct ug_emit_symbol) symbols;		/* [0] is none */
	bool failed;			/* out of memory: looked at once, by ug_emit_finish */
};

void ug_emit_init(struct ug_emit *e);
void ug_emit_free(struct ug_emit *e);

/* data NULL: SHT_NOBITS. Returns the section. */
size_t ug_emit_section(struct ug_emit *e, const char *name, uint64_t flags, uint64_t align,
		       const void *data, uint64_t size);
size_t ug_emit_symbol(struct ug_emit *e, const char *name, unsigned char bind, unsigned char type,
		      size_t section, uint64_t value, uint64_t size);
void ug_emit_rel(struct ug_emit *e, size_t section, uint64_t offset, uint32_t type, size_t symbol,
		 int64_t addend);

/* *ret is malloc'ed. Sets `index` of all symbols: local ones come first. */
int ug_emit_finish(struct ug_emit *e, uint8_t **ret, size_t *ret_size, struct ug_error *err) ug_must_check;

#endif
