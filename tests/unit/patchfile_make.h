/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making .ugp files for the tests of the patch file layer: compile a text, pack it. */
#ifndef PATCHFILE_MAKE_H
#define PATCHFILE_MAKE_H

#include <elf.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/compile.h"
#include "builder/pack.h"

#define MAKE_MAX 16

struct made {
	uint8_t *data;
	size_t size;
};

struct elf_view {
	uint8_t *data;
	size_t size;
	Elf64_Sym *syms;
	size_t nsyms;
	const char *strtab;
};

static inline uint8_t *slurp(const char *path, size_t *ret_size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *data = NULL;

	if (fd >= 0 && fstat(fd, &st) == 0) {
		data = malloc((size_t)st.st_size + 1);
		if (data && read(fd, data, (size_t)st.st_size) != st.st_size) {
			free(data);
			data = NULL;
		}
		*ret_size = (size_t)st.st_size;
	}
	if (fd >= 0)
		close(fd);
	return data;
}

/* The object of a C (or, for asm_, assembler) text; NULL and a line on stderr when it fails. */
static inline uint8_t *compile_text(const char *cc, const char *flags, const char *text,
				    size_t *ret_size)
{
	char dir[] = "/tmp/ugraft-test-XXXXXX", src[64], obj[64], out[1024];
	const char *cflags[] = { flags, "-w" };
	struct ug_compile job = { .compiler = cc, .source = src, .object = obj, .cflags = cflags,
				  .ncflags = 2 };
	uint8_t *data = NULL;
	struct ug_error err;
	FILE *f;

	if (!mkdtemp(dir))
		return NULL;
	snprintf(src, sizeof(src), "%s/t.c", dir);
	snprintf(obj, sizeof(obj), "%s/t.o", dir);
	f = fopen(src, "w");
	if (f) {
		fputs(text, f);
		fclose(f);
		if (ug_compile_run(&job, out, sizeof(out), &err) == 0)
			data = slurp(obj, ret_size);
		else
			fprintf(stderr, "# %s\n%s\n", err.message, out);
	}
	unlink(src);
	unlink(obj);
	rmdir(dir);
	return data;
}

static inline void view_elf(uint8_t *data, size_t size, struct elf_view *v)
{
	Elf64_Ehdr *h = (Elf64_Ehdr *)data;
	Elf64_Shdr *sh = (Elf64_Shdr *)(data + h->e_shoff);

	*v = (struct elf_view){ .data = data, .size = size };
	for (int i = 0; i < h->e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB)
			continue;
		v->syms = (Elf64_Sym *)(data + sh[i].sh_offset);
		v->nsyms = sh[i].sh_size / sizeof(Elf64_Sym);
		v->strtab = (const char *)data + sh[sh[i].sh_link].sh_offset;
	}
}

static inline uint32_t symbol_of(const struct elf_view *v, const char *name)
{
	for (size_t i = 1; i < v->nsyms; i++) {
		if (!strcmp(v->strtab + v->syms[i].st_name, name))
			return (uint32_t)i;
	}
	return 0;
}

/*
 * Pack: `funcs` are pairs old name, new symbol, up to a NULL. Every undefined symbol becomes
 * a reference to any object.
 */
static inline struct made pack_text(const char *cc, const char *flags, const char *text,
				    const char *const *funcs, uint32_t patch_flags)
{
	static const struct ug_build_id build = { 4, { 0xde, 0xad, 0xbe, 0xef } };
	static const char *const cflags[] = { "-O2", "-DNAME=\"a b\"" };
	static const struct ug_pack_unit units[] = {
		{ 0, "src/t.c", "a compiler 1.0", cflags, 2 },
		{ UG_FILE_ANY_OBJECT, "u.c", "a compiler 1.0", cflags, 1 },
		{ 0, "v.c", "a compiler 1.0", cflags, 2 },
	};
	struct ug_pack_object object = { "", &build, 1 };
	struct ug_pack_func f[MAKE_MAX];
	struct ug_pack_ref r[MAKE_MAX * 2];
	struct ug_pack pack = { .name = "test", .description = "a test", .cves = "CVE-1",
				.flags = patch_flags, .objects = &object, .nobjects = 1, .funcs = f,
				.refs = r, .units = units, .nunits = 3 };
	struct made m = { 0 };
	struct ug_error err;
	struct elf_view v;
	size_t size;
	uint8_t *elf = compile_text(cc, flags, text, &size);

	if (!elf)
		return m;
	view_elf(elf, size, &v);
	for (; *funcs; funcs += 2)
		f[pack.nfuncs++] = (struct ug_pack_func){ .old_name = funcs[0],
							  .symbol = symbol_of(&v, funcs[1]) };
	for (size_t i = 1; i < v.nsyms && pack.nrefs < MAKE_MAX * 2; i++) {
		const char *name = v.strtab + v.syms[i].st_name;

		/* gas mentions the GOT in its symbol table, though nothing refers to it */
		if (v.syms[i].st_shndx == SHN_UNDEF && *name && strcmp(name, "_GLOBAL_OFFSET_TABLE_"))
			r[pack.nrefs++] = (struct ug_pack_ref){ .symbol = (uint32_t)i, .name = name,
								.object = UG_FILE_ANY_OBJECT };
	}
	pack.elf = elf;
	pack.elf_size = size;
	if (ug_pack_write(&pack, &m.data, &m.size, &err) < 0)
		fprintf(stderr, "# %s\n", err.message);
	free(elf);
	return m;
}

#endif
