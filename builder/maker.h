/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which compiler made this code, and with which flags? Debug information says it of each source
 * (DW_AT_producer; gcc with the flags that change code), the section .comment only which compilers
 * have had part in a file.
 */
#ifndef UG_BUILDER_MAKER_H
#define UG_BUILDER_MAKER_H

#include "builder/capture/strings.h"
#include "builder/diff/object.h"

struct ug_maker {
	char compiler[256];		/* "GCC: (Debian 12.2.0-14) 12.2.0", or the producer; "" : not said */
	char producer[128];		/* "GNU C17 12.2.0"; "" : not said */
	ug_string_vec flags;		/* of the producer, sorted (flags.h) */
};

/* False: out of memory. */
bool ug_maker_of_object(const struct ug_dobj *o, struct ug_maker *ret);
/* Of .comment alone, for an object that is not cut into items. */
void ug_maker_comment(const struct ug_objfile *o, char *buf, size_t size);
void ug_maker_free(struct ug_maker *m);

enum ug_maker_verdict {
	UG_MAKER_SAME,
	UG_MAKER_OTHER,
	UG_MAKER_UNKNOWN,		/* the program does not say */
};

/* What a program says of who made it. */
struct ug_program_makers;

/* The program, or its debug file. */
int ug_program_makers_open(const char *path, struct ug_program_makers **ret, struct ug_error *err) ug_must_check;
void ug_program_makers_close(struct ug_program_makers *p);

/*
 * Was the function at that address made as the object was? shared: the linker may have taken it
 * from another object, whose flags may differ. OTHER: text names both. Negative: -ENOMEM.
 */
int ug_maker_compare(const struct ug_program_makers *p, const struct ug_dobj *o, uint64_t addr,
		     bool shared, char *text, size_t size) ug_must_check;

#endif
