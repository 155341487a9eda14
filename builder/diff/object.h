/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One relocatable object, cut into *items*: each function, variable, string or constant by
 * itself. It must be compiled with -ffunction-sections -fdata-sections, so that whatever one
 * item says of another is a relocation.
 *
 * Names are labels. What decides is what a relocation *means*: the item its target lies in, and
 * how far from the item's start. Compilers refer to local things by section plus addend, with
 * pc-relative biases in the addend; all of that is undone here, once.
 *
 *	shared item	a function or variable with a place in the running program
 *	literal		strings, constants, switch tables, __func__ and the like: no identity but
 *			their content; a patch brings its own copy
 */
#ifndef UG_BUILDER_DIFF_OBJECT_H
#define UG_BUILDER_DIFF_OBJECT_H

#include "builder/objfile.h"
#include "text/insn.h"

#define UG_NO_ITEM SIZE_MAX

enum ug_item_kind {
	UG_ITEM_FUNC,
	UG_ITEM_DATA,
	UG_ITEM_TLS,
};

struct ug_item {
	enum ug_item_kind kind;
	const char *name;		/* "" : anonymous */
	size_t sym;			/* 0: anonymous */
	uint32_t section;		/* SHN_COMMON: in no section yet */
	uint64_t value, size;
	uint8_t bind;
	bool readonly;			/* also .data.rel.ro: constant once relocated */
	bool literal;
	bool ifunc;
	size_t parent;			/* of f.cold: f; else UG_NO_ITEM */
	char *scope;			/* static local with debug information: "func/block", owned */
	const char *var;		/* its name in the source; NULL: not known */
	const char *file;		/* where it is declared, "" when not known */
	unsigned int line;
	size_t first_insn, ninsns;	/* functions: in insns */
	bool copied;			/* a changed constant: new code gets its own */
	bool opaque;			/* functions: does not decode to its end */
	size_t lsda;			/* of functions: what the unwinder does in it, a literal; or none */
	size_t pair;			/* in the other object, or UG_NO_ITEM */
};

struct ug_rel {
	uint32_t section;		/* where the field is */
	uint32_t type;
	uint64_t offset;
	uint32_t sym;
	int64_t addend;
};

/* An instruction, nops left out. */
struct ug_op {
	uint64_t off;			/* in the section */
	uint8_t len;
	uint8_t kind;			/* enum ug_insn_kind */
	uint16_t mnemonic;
	uint64_t target;		/* direct branch without relocation: offset in the section */
};

struct ug_dobj {
	struct ug_objfile file;
	const char *path;
	UG_VEC(struct ug_item) items;	/* by section, then value */
	UG_VEC(struct ug_rel) rels;	/* by section, then offset */
	UG_VEC(struct ug_op) ops;
	size_t *first_rel;		/* nsh + 1 */
	size_t *first_item;		/* nsh + 1 */
	size_t *sym_item;		/* symbol -> item */
	void *debug;			/* struct ug_debug of dwarf.c, NULL without */
};

/* What a relocation refers to. */
struct ug_place {
	size_t item;			/* UG_NO_ITEM: an undefined symbol */
	uint32_t sym;			/* of the relocation */
	int64_t off;			/* from the item's, or the symbol's, start */
};

/* The object must have been compiled with a section for each function and variable. */
int ug_dobj_open(const char *path, struct ug_dobj **ret, struct ug_error *err) ug_must_check;
void ug_dobj_close(struct ug_dobj *o);

/* Name of the source file as the symbol table has it, "" without. */
const char *ug_dobj_source(const struct ug_dobj *o);

/* Bytes of an item; NULL for those that are all zero (bss, common). */
const uint8_t *ug_item_bytes(const struct ug_dobj *o, const struct ug_item *item);

/* The relocations with a field in [from, to) of a section. */
void ug_dobj_rels(const struct ug_dobj *o, uint32_t section, uint64_t from, uint64_t to,
		  const struct ug_rel **ret, size_t *ret_n);

/*
 * Meaning of a relocation. insn_end: for code the end of the instruction, in the section. For
 * data 0; then `base` is the start of the item the field is in: the entries of switch tables
 * are distances from it.
 */
struct ug_place ug_dobj_place(const struct ug_dobj *o, const struct ug_rel *rel, uint64_t insn_end,
			      uint64_t base);
/* The end of the instruction a field of code is in; offset + 4 where that is not known. */
uint64_t ug_dobj_insn_end(const struct ug_dobj *o, const struct ug_rel *rel);
/* The item that holds a place of a section. */
size_t ug_dobj_item_at(const struct ug_dobj *o, uint32_t section, uint64_t value);

/* Index of the instruction at or (nops) behind an offset of the function; false: none starts there. */
bool ug_item_insn_at(const struct ug_dobj *o, const struct ug_item *f, int64_t off, size_t *ret);

/* Is the field a distance (pc-relative), bytes it has; 0 for what has none. */
bool ug_rel_is_pc(uint32_t type);
unsigned int ug_rel_size(uint32_t type);
bool ug_rel_is_got(uint32_t type);
bool ug_rel_is_tls(uint32_t type);

/* .gcc_except_table: landing pads and types, for the personality routine. */
bool ug_dobj_is_lsda(const struct ug_objfile *f, size_t section);

/* A section that takes part in the comparison. */
bool ug_dobj_is_item_section(const struct ug_objfile *f, size_t section);
bool ug_dobj_is_code(const struct ug_objfile *f, size_t section);

/* dwarf.c: places in the source and the scope of static locals; nothing without -g. */
int ug_dobj_read_debug(struct ug_dobj *o, struct ug_error *err) ug_must_check;
void ug_dobj_free_debug(struct ug_dobj *o);
/* Of its first source: the compiler, and with gcc its flags; "" when it is not said. */
const char *ug_dobj_producer(const struct ug_dobj *o);
/* The function whose inlined body the instruction is in, or NULL; and its source line. */
const char *ug_dobj_inlined_at(const struct ug_dobj *o, uint32_t section, uint64_t off,
			       const char **ret_file, unsigned int *ret_line);

#endif
