/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A linked file with symbols, asked what is at an address. For samecode. */
#ifndef UG_TESTS_REBUILT_H
#define UG_TESTS_REBUILT_H

#include <libelf.h>

#include "builder/symbols.h"

struct rebuilt_section {
	const char *name;
	uint64_t addr, size;
	const uint8_t *data;		/* NULL: none in the file */
};

struct rebuilt_pointer {		/* what the dynamic linker puts at `at` */
	uint64_t at;
	const char *name;		/* NULL: an address of the file itself */
	uint64_t addr;			/* with a name: what is added to it */
};

struct rebuilt {
	struct ug_linked symbols;
	int fd;
	Elf *elf;
	UG_VEC(struct rebuilt_section) sections;
	UG_VEC(struct rebuilt_pointer) pointers;	/* by place */
};

/* How sure it is that an address is what a name says. */
enum rebuilt_named { OTHER_NAME, SAME_BUT_FOR_NUMBERS, SAME_NAME };

/* `debug` has the symbols; NULL: `path` has them. */
int rebuilt_open(struct rebuilt *r, const char *path, const char *debug, struct ug_error *err);
void rebuilt_close(struct rebuilt *r);

/* The bytes [addr, addr + size) as the file has them; NULL. */
const uint8_t *rebuilt_bytes(const struct rebuilt *r, uint64_t addr, uint64_t size);
/* The pointer at `at`, relocated or plain; false when there is nothing in the file. */
bool rebuilt_pointer(const struct rebuilt *r, uint64_t at, struct rebuilt_pointer *ret);
/* Has `addr` that distance from something of that name, or is it the PLT's entry for it? */
enum rebuilt_named rebuilt_named(const struct rebuilt *r, uint64_t addr, const char *name, int64_t off);
/* Is what is `off` behind something called `given` called so, too? As a destructor has two names. */
enum rebuilt_named rebuilt_alias(const struct rebuilt *r, const char *given, int64_t off, const char *name);
/* Names without what a compiler numbers them with: "x.12" and "x.3", "f..1" and "f". */
enum rebuilt_named rebuilt_same_name(const char *a, const char *b);

#endif
