/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of this layer; nobody else includes it (but its own unit test). */
#ifndef UG_OBJECT_INTERNAL_H
#define UG_OBJECT_INTERNAL_H

#include <elf.h>

#include "object/cfi.h"
#include "object/object.h"
#include "object/symbol.h"

/* User addresses end below this (4-level paging; 5 levels only on request of the program). */
#define UG_USER_END 0x7fffffffffffUL

#define UG_PHDRS_MAX 1024	/* Linux itself refuses more than 64 KiB of them, i.e. 1170 */
#define UG_OBJECTS_MAX 8192
#define UG_SYMBOLS_MAX (4u << 20)
#define UG_FDES_MAX (4u << 20)
#define UG_RELAS_MAX (8u << 20)

/* The root directory of the target, shared by its objects; debug files are looked for there. */
struct ug_root {
	int fd;
	unsigned int refs;
};

struct ug_root *ug_root_create(int fd);
struct ug_root *ug_root_ref(struct ug_root *root);
void ug_root_unref(struct ug_root *root);

/* The private part of an object. */
struct ug_image {
	Elf64_Ehdr ehdr;
	Elf64_Phdr *phdrs;	/* PT_LOADs are known to be sane; trust nothing else */
	uint64_t file_size;
	uint8_t **code;		/* one a segment: bytes of executable segments, read once */
	uint8_t *mem;		/* the image itself when it is no file (vdso) */
	struct ug_root *root;	/* NULL: only our own root */
	bool debug_tried;
	Elf *debug_elf;		/* the separate debug file, NULL when there is none */
	int debug_fd;
};

/* ---- image.c: one object from its headers ---- */

/* ELF64, x86-64, ET_EXEC or ET_DYN, with a sane number of program headers? */
bool ug_ehdr_ok(const Elf64_Ehdr *eh);

/*
 * An object from checked headers: segments and extent. `phdrs` (from malloc) is consumed.
 * -UG_E_BAD_ELF when the PT_LOADs are not sane.
 */
int ug_object_new(const Elf64_Ehdr *eh, Elf64_Phdr *phdrs, uint64_t bias,
		  struct ug_object **ret, struct ug_error *err);

/* The first program header of a type, or NULL. */
const Elf64_Phdr *ug_object_phdr(const struct ug_object *obj, uint32_t type);

/*
 * Take the file `fd` (owned on success) as the object's: its headers, and its build-id when
 * the object has one, must be those of the object.
 */
int ug_object_attach_take(struct ug_object *obj, int fd, struct ug_error *err);
/* The same for an image in memory (from malloc). */
int ug_object_attach_mem_take(struct ug_object *obj, uint8_t *mem, size_t size,
			      struct ug_error *err);

/* Read run-time memory of the object: of the process, or, with p NULL, of the file. */
int ug_object_read(struct ug_proc *p, const struct ug_object *obj, ug_raddr_t addr, void *buf,
		   size_t len);

/* Read all the executable segments of the file into memory, so that none is read in a stop. */
int ug_object_preload(struct ug_object *obj, struct ug_error *err);

/* Read from a file exactly len bytes at off. */
bool ug_file_read(int fd, uint64_t off, void *buf, size_t len);

/* elf_begin with the checks that follow it; NULL when it is no ELF64 file for x86-64. */
Elf *ug_elf_open(int fd);
Elf *ug_elf_open_mem(uint8_t *mem, size_t size);

/* The section of that name, with *ret_shdr filled; NULL when there is none. */
Elf_Scn *ug_elf_section(Elf *elf, const char *name, Elf64_Shdr *ret_shdr);

/* ---- note.c ---- */

/* Find the GNU build-id in a block of notes; `align` is 4 or 8. */
bool ug_note_build_id(const uint8_t *buf, size_t size, uint64_t align, struct ug_build_id *ret);

/* From PT_NOTE of the process (p) or of the file (p NULL); len 0 when there is none. */
void ug_object_build_id(struct ug_proc *p, const struct ug_object *obj, struct ug_build_id *ret);

/* From the SHT_NOTE sections of a (debug) file. */
void ug_elf_build_id(Elf *elf, struct ug_build_id *ret);

/* ---- dynamic.c ---- */

struct ug_dynamic {		/* run-time addresses; 0: not there */
	ug_raddr_t strtab, symtab, rela, jmprel, versym, verneed, verdef;
	uint64_t strsz, relasz, pltrelsz, verneednum, verdefnum;
	uint64_t soname;	/* offset in strtab, with has_soname */
	bool has_soname;
	bool is_program;	/* DF_1_PIE */
};

/* From the process, or, with p NULL, from the file. */
bool ug_object_dynamic(struct ug_proc *p, const struct ug_object *obj, struct ug_dynamic *ret);

/* A string of the dynamic string table. */
bool ug_dynamic_str(struct ug_proc *p, const struct ug_object *obj, const struct ug_dynamic *dyn,
		    uint64_t off, char *buf, size_t size);

/* The entry `i` of the dynamic symbol table. */
bool ug_dynamic_sym(struct ug_proc *p, const struct ug_object *obj, const struct ug_dynamic *dyn,
		    uint32_t i, Elf64_Sym *ret);

/* All dynamic relocations (static programs: those of allocated SHT_RELA sections). */
struct ug_relas {
	Elf64_Rela *v;
	size_t n;
	size_t cap;
};

int ug_object_relas(struct ug_proc *p, const struct ug_object *obj, const struct ug_dynamic *dyn,
		    struct ug_relas *ret, struct ug_error *err);

/* ---- files.c ---- */

/* Open a regular file for reading, never anything else (devices and FIFOs act on open). */
int ug_open_regular(int dirfd, const char *path);
/* The same, with `root` as the root directory for symbolic links; -1 root: our own. */
int ug_open_in_root(int root, const char *path);

/* ---- debugfile.c ---- */

/* The separate debug file of the object, or NULL. Owned by the object. */
Elf *ug_object_debug_elf(struct ug_object *obj);

/* ---- debugdata.c ---- */

/* Unpack .gnu_debugdata: memory from malloc, or NULL when there is none or it is broken. */
uint8_t *ug_debugdata_unpack(Elf *elf, size_t *ret_size);

/* ---- symtab.c ---- */

struct ug_names;

struct ug_symtab {
	struct ug_symbol *v;	/* sorted by address, then name */
	size_t n;
	size_t cap;
	uint32_t *heads;	/* buckets by hash of the base name; index + 1, 0: none */
	uint32_t *next;		/* the next of the same bucket, ascending; index + 1 */
	size_t mask;
	uint32_t *funcs;	/* function symbols, ascending */
	ug_raddr_t *max_end;	/* the highest end of funcs[0..i] */
	size_t nfuncs;
	bool has_locals;
	struct ug_names *names;	/* copies of names that had a version */
	uint8_t *mini;		/* unpacked .gnu_debugdata */
	Elf *mini_elf;
};

void ug_symtab_free(struct ug_symtab *st);
/* Sort, merge duplicates, and make the indexes (symindex.c). */
int ug_symtab_index(const struct ug_object *obj, struct ug_symtab *st);
/* The first of the bucket of a name (index + 1, 0: none), to be followed through next[]. */
uint32_t ug_symtab_bucket(const struct ug_symtab *st, const char *name);

/* ---- cfi.c ---- */

struct ug_cfi {
	struct ug_fde *v;	/* sorted by start */
	size_t n;
	size_t cap;
	Dwarf_CFI *eh;
	Dwarf_CFI *debug;	/* owned by dwarf */
	Dwarf *dwarf;
	Elf *mini_elf;		/* .debug_frame alone */
	uint8_t *mini;
};

void ug_cfi_free(struct ug_cfi *cfi);

/* ---- fde.c ---- */

/* Append the FDEs of one section, in link-time address `vaddr`; broken ones are left out. */
int ug_fdes_list(const struct ug_object *obj, Elf_Data *data, uint64_t vaddr, bool eh_frame,
		 struct ug_cfi *ret);

#endif
