/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of an opened patch: sections, symbols, relocations, and where layout has put
 * things. Addresses here are offsets from the base of the rx image; rw follows it.
 */
#ifndef UG_PATCHFILE_IMAGE_H
#define UG_PATCHFILE_IMAGE_H

#include <elf.h>

#include "base/reader.h"
#include "patchfile/format.h"
#include "patchfile/patch.h"

/* What a relocation computes, see the table in reloc.c. */
enum ug_pf_class {
	UG_PF_NONE,
	UG_PF_ABS,
	UG_PF_PC,
	UG_PF_PLT,
	UG_PF_GOT,		/* GOTPCREL and its relaxable forms */
	UG_PF_TPOFF,		/* local exec */
	UG_PF_GOTTPOFF,		/* initial exec */
	UG_PF_TLSGD,
	UG_PF_TLSLD,
	UG_PF_DTPOFF,
};

struct ug_pf_reloc_type {
	const char *name;
	bool known;
	uint8_t size;
	bool is_signed;		/* of a 4-byte field: which range check */
	enum ug_pf_class class;
};

/* How the instruction (or datum) at a relocation uses what is computed. */
enum ug_pf_use {
	UG_PF_USE_ADDRESS,	/* lea, immediate, datum: the address itself; when in doubt */
	UG_PF_USE_BRANCH,	/* rel32 of a call or jump */
	UG_PF_USE_BRANCH_IND,	/* memory operand of a call or jump */
	UG_PF_USE_ACCESS,	/* memory operand of a load or store */
};

enum ug_pf_place {
	UG_PF_DROPPED,
	UG_PF_RX,
	UG_PF_RW,
};

struct ug_pf_section {
	const char *name;
	uint32_t type;
	uint64_t flags;
	uint64_t offset, size, align;	/* in the file */
	enum ug_pf_place place;
	bool unwind;			/* .eh_frame, .gcc_except_table: speaks of the new bodies */
	uint64_t addr;			/* from base; set by layout */
	size_t first_reloc, nrelocs;	/* contiguous, ascending offset */
};

struct ug_pf_symbol {
	const char *name;
	uint8_t type, bind;
	uint16_t shndx;
	uint64_t value, size;
	int64_t ref;			/* index into refs, -1 */
	int64_t func;			/* of the symbol of a new body: the replaced function; -1 */
	uint32_t got, got_tpoff, got_gd;	/* slot + 1 in the GOT, 0: none */
	uint32_t stub;			/* stub + 1 */
};

struct ug_pf_reloc {
	uint32_t section;		/* the one that is changed */
	uint32_t type;
	uint32_t sym;
	uint8_t use;			/* enum ug_pf_use */
	bool jump_table;		/* an entry of one: the address of a label */
	bool lea;			/* in a 64-bit lea of the address and nothing beside it */
	bool implicit;			/* not in the file: a call the assembler has resolved */
	int64_t func;			/* resolves to the entry of this replaced function; -1 */
	uint64_t offset;
	int64_t addend;
};

struct ug_pf_start {			/* where a function begins */
	uint32_t shndx;
	uint64_t value, size;
	uint32_t sym;
	int64_t func;			/* the first replaced function whose new body this is, -1 */
	int64_t cold_of;		/* the one whose cold part this is, -1 */
};

struct ug_pf_range {			/* bytes of code, from base */
	uint64_t start, end;
};

struct ug_pf_cold {			/* an out-of-line part of a new body */
	int64_t func;			/* the first function of that body */
	struct ug_pf_range range;
};

struct ug_patch_image {
	uint8_t *file;
	struct ug_reader r;
	UG_VEC(struct ug_pf_section) sections;
	UG_VEC(struct ug_pf_symbol) symbols;
	UG_VEC(struct ug_pf_reloc) relocs;
	UG_VEC(struct ug_pf_start) starts;	/* all function symbols, by section and value */
	UG_VEC(struct ug_patch_pin) pins;	/* backing store of the model's arrays */
	UG_VEC(struct ug_build_id) builds;
	const char **flags;			/* of all compilers */
	uint32_t *func_symbols;			/* new body of each func */
	uint32_t *ref_symbols;

	bool laid_out;
	uint64_t rx_size, rw_size;
	uint64_t code_end;			/* code sections are [0, code_end) */
	uint64_t stubs, nstubs;			/* address and count */
	uint64_t got, ngot;
	uint32_t got_ld;			/* slot + 1 of the pair for local-dynamic TLS */
	uint64_t eh_frame, eh_frame_size;
	uint64_t eh_header;			/* with eh_frame: its header, at the end of rx */
	UG_VEC(struct ug_pf_range) others;
	UG_VEC(struct ug_pf_cold) colds;	/* by function, then address */
};

#define UG_PF_STUB_SIZE 8u
#define UG_PF_SLOT_SIZE 8u

#define ug_pf_bad(err, ...) ug_err(err, -UG_E_BAD_PATCH, __VA_ARGS__)

static inline bool ug_pf_is_code(const struct ug_pf_section *s)
{
	return s->place != UG_PF_DROPPED && (s->flags & SHF_EXECINSTR);
}

/* elf.c: header, sections, symbols, relocations as the file has them, each checked by itself. */
int ug_pf_read_elf(struct ug_patch_image *image, struct ug_error *err) ug_must_check;
/* A printable string of at most UG_FILE_STRING_MAX bytes at `off` of a section, or NULL. */
const char *ug_pf_string(const struct ug_patch_image *image, const struct ug_pf_section *tab,
			 uint64_t off);

/* meta.c: our own sections become the model. */
int ug_pf_read_meta(struct ug_patch *patch, struct ug_error *err) ug_must_check;
/* How many sections of that name; *ret: the first. */
size_t ug_pf_section_named(const struct ug_patch_image *image, const char *name,
			   const struct ug_pf_section **ret);
/* The records of the only section of that name: their reader and their number. */
int ug_pf_open_table(const struct ug_patch_image *image, const char *name, size_t record, size_t max,
		     struct ug_reader *ret, size_t *ret_n, struct ug_error *err) ug_must_check;

/* made.c: the optional ones. */
int ug_pf_read_made(struct ug_patch *patch, struct ug_error *err) ug_must_check;

/* validate.c: symbols against the model, then what each relocation refers to. */
int ug_pf_validate(struct ug_patch *patch, struct ug_error *err) ug_must_check;
/* The first function symbol that begins at or behind there; the number of symbols if none. */
size_t ug_pf_start_from(const struct ug_patch_image *image, uint32_t shndx, uint64_t value);
/* The function symbol that begins exactly there, or NULL. */
const struct ug_pf_start *ug_pf_start_at(const struct ug_patch_image *image, uint32_t shndx,
					 uint64_t value);

/* sweep.c: decode the code: how is each relocation used; calls that need none. */
int ug_pf_sweep(struct ug_patch *patch, struct ug_error *err) ug_must_check;

/* target.c: what each relocation refers to; does an address of the arena leave it? */
void ug_pf_bind_targets(struct ug_patch *patch);
bool ug_pf_escapes(struct ug_patch *patch);

/* ranges.c: after layout. */
int ug_pf_find_ranges(struct ug_patch *patch, struct ug_error *err) ug_must_check;

/* reloc.c */
const struct ug_pf_reloc_type *ug_pf_reloc_type(uint32_t type);
const char *ug_pf_reloc_name(uint32_t type);

#endif
