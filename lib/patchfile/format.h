/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sections of a .ugp file that are ours, byte for byte (docs/patch-format.md). All
 * little-endian, fixed-size records without padding; strings are offsets into
 * .ugraft.strings. Shared by the reader here and the builder, which writes them.
 */
#ifndef UG_PATCHFILE_FORMAT_H
#define UG_PATCHFILE_FORMAT_H

#include <stdint.h>

#define UG_FILE_MAGIC "UGRAFT\r\n"	/* the line end shows a transfer in text mode */
#define UG_FILE_VERSION 1

#define UG_FILE_SEC_PATCH ".ugraft.patch"
#define UG_FILE_SEC_OBJECTS ".ugraft.objects"
#define UG_FILE_SEC_BUILDS ".ugraft.builds"
#define UG_FILE_SEC_FUNCS ".ugraft.funcs"
#define UG_FILE_SEC_REFS ".ugraft.refs"
#define UG_FILE_SEC_PINS ".ugraft.pins"
#define UG_FILE_SEC_STRINGS ".ugraft.strings"
/* Who made it, for people: all three or none. */
#define UG_FILE_SEC_MADE ".ugraft.made"
#define UG_FILE_SEC_COMPILERS ".ugraft.compilers"
#define UG_FILE_SEC_UNITS ".ugraft.units"

/* Far above what a real patch has; a bound on the work a hostile file can cause. */
#define UG_FILE_SIZE_MAX (32u << 20)
#define UG_FILE_MEM_MAX (256u << 20)
#define UG_FILE_OBJECTS_MAX 256u
#define UG_FILE_BUILDS_MAX 4096u
#define UG_FILE_FUNCS_MAX 4096u
#define UG_FILE_UNITS_MAX 4096u		/* and compilers */
#define UG_FILE_FLAGS_MAX 65536u	/* of all compilers together */
#define UG_FILE_STRING_MAX 4095u	/* names of C++ are long */
#define UG_FILE_ALIGN_MAX 4096u

enum {
	UG_FILE_REPLACE = 1 << 0,
	UG_FILE_UNLOADABLE = 1 << 1,
};

struct ug_file_patch {
	uint8_t magic[8];
	uint32_t version;
	uint32_t flags;
	uint32_t name;
	uint32_t description;
	uint32_t cves;
	uint32_t reserved;
};

struct ug_file_object {
	uint32_t name;		/* "" : the executable */
	uint32_t first_build;	/* in .ugraft.builds */
	uint32_t nbuilds;
	uint32_t reserved;
};

struct ug_file_build {
	uint8_t len;
	uint8_t reserved[7];
	uint8_t id[64];
};

enum {
	UG_FILE_FUNC_ALIASES_OK = 1 << 0,
	UG_FILE_FUNC_ASSUME_ABI = 1 << 1,
	UG_FILE_FUNC_CLONE = 1 << 2,	/* made by the compiler; its callers were compared */
	UG_FILE_FUNC_OLD_CODE = 1 << 3,	/* the new body is the old one once more */
};

struct ug_file_func {
	uint32_t object;
	uint32_t old_name;
	uint32_t pos;
	uint32_t flags;
	uint32_t symbol;	/* the new body, in .symtab */
	uint32_t first_pin;	/* in .ugraft.pins */
	uint32_t npins;
	uint32_t reserved;
};

#define UG_FILE_ANY_OBJECT 0xffffffffu

struct ug_file_ref {
	uint32_t symbol;	/* undefined, in .symtab */
	uint32_t object;	/* or UG_FILE_ANY_OBJECT */
	uint32_t name;		/* in the target; need not be the name of the symbol */
	uint32_t pos;
	uint32_t first_pin;
	uint32_t npins;
	uint32_t reserved[2];
};

struct ug_file_pin {
	uint32_t build;		/* index among the builds of the object */
	uint32_t reserved;
	uint64_t offset;	/* link-time address; TLS: offset in the TLS block */
	uint64_t size;
};

struct ug_file_made {
	uint32_t version;	/* of ugraft */
	uint32_t reserved[3];
};

struct ug_file_compiler {	/* with these flags */
	uint32_t name;
	uint32_t flags;		/* the first; the others follow it in .ugraft.strings */
	uint32_t nflags;
	uint32_t reserved;
};

struct ug_file_unit {
	uint32_t object;	/* that has it, or UG_FILE_ANY_OBJECT: it is not listed */
	uint32_t source;
	uint32_t compiler;	/* in .ugraft.compilers */
	uint32_t reserved;
};

#endif
