// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/read.h"
#include "builder/objfile.h"
#include "patchfile/format.h"

static int load(const char *path, struct ug_objfile *o, struct ug_error *err)
{
	ug_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return ug_err_errno(err, "cannot open the compiler's object");
	if ((uint64_t)st.st_size > UG_FILE_SIZE_MAX)
		return ug_err(err, -UG_E_BAD_ELF, "the compiler's object is too large");
	o->data = malloc((size_t)st.st_size + 1);
	if (!o->data)
		return ug_err(err, -ENOMEM, "out of memory");
	n = ug_read_all(fd, o->data, (size_t)st.st_size);
	if (n < 0)
		return ug_err(err, (int)n, "cannot read the compiler's object: %s", strerror((int)-n));
	ug_reader_init(&o->r, o->data, (size_t)n);
	return 0;
}

static int malformed(struct ug_error *err)
{
	return ug_err(err, -UG_E_BAD_ELF, "the compiler's object is malformed");
}

static int read_symbols(struct ug_objfile *o, const Elf64_Shdr *sh, struct ug_error *err)
{
	o->nsyms = sh->sh_size / sizeof(Elf64_Sym);
	o->syms = calloc(o->nsyms + 1, sizeof(Elf64_Sym));
	if (!o->syms)
		return ug_err(err, -ENOMEM, "out of memory");
	if (!ug_reader_at(&o->r, sh->sh_offset, o->syms, o->nsyms * sizeof(Elf64_Sym)))
		return malformed(err);
	o->symstr = sh->sh_link;
	return 0;
}

static int read_tables(struct ug_objfile *o, struct ug_error *err)
{
	Elf64_Ehdr h;

	if (!ug_reader_at(&o->r, 0, &h, sizeof(h)) || memcmp(h.e_ident, ELFMAG, SELFMAG) ||
	    h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_machine != EM_X86_64 || h.e_type != ET_REL)
		return ug_err(err, -UG_E_BAD_ARCH,
			      "the compiler made no relocatable object for x86-64");
	o->nsh = h.e_shnum;
	o->shstr = h.e_shstrndx;
	o->sh = calloc(o->nsh + 1, sizeof(Elf64_Shdr));
	if (!o->sh)
		return ug_err(err, -ENOMEM, "out of memory");
	if (h.e_shentsize != sizeof(Elf64_Shdr) ||
	    !ug_reader_at(&o->r, h.e_shoff, o->sh, o->nsh * sizeof(Elf64_Shdr)))
		return malformed(err);
	for (size_t i = 0; i < o->nsh; i++) {
		if (o->sh[i].sh_type != SHT_NOBITS &&
		    !ug_reader_check(&o->r, o->sh[i].sh_offset, o->sh[i].sh_size))
			return malformed(err);
	}
	for (size_t i = 0; i < o->nsh; i++) {
		if (o->sh[i].sh_type == SHT_SYMTAB)
			return read_symbols(o, &o->sh[i], err);
	}
	return malformed(err);
}

int ug_objfile_read(const char *path, struct ug_objfile *ret, struct ug_error *err)
{
	struct ug_objfile o = { 0 };
	int rc = load(path, &o, err);

	if (rc == 0)
		rc = read_tables(&o, err);
	if (rc < 0) {
		ug_objfile_free(&o);
		return rc;
	}
	*ret = o;
	return 0;
}

void ug_objfile_free(struct ug_objfile *o)
{
	free(o->data);
	free(o->sh);
	free(o->syms);
	*o = (struct ug_objfile){ 0 };
}

static const char *string(const struct ug_objfile *o, uint32_t table, uint64_t off)
{
	struct ug_reader r;
	const char *s;

	if (table >= o->nsh || o->sh[table].sh_type != SHT_STRTAB)
		return "";
	ug_reader_init(&r, o->r.data + o->sh[table].sh_offset, o->sh[table].sh_size);
	s = ug_reader_str(&r, off);
	return s ? s : "";
}

const char *ug_objfile_section_name(const struct ug_objfile *o, size_t section)
{
	return section < o->nsh ? string(o, o->shstr, o->sh[section].sh_name) : "";
}

const char *ug_objfile_symbol_name(const struct ug_objfile *o, size_t sym)
{
	return sym < o->nsyms ? string(o, o->symstr, o->syms[sym].st_name) : "";
}

size_t ug_objfile_section(const struct ug_objfile *o, const char *name)
{
	for (size_t i = 1; i < o->nsh; i++) {
		if (!strcmp(ug_objfile_section_name(o, i), name))
			return i;
	}
	return 0;
}

bool ug_objfile_is_loaded(const struct ug_objfile *o, size_t section)
{
	return section < o->nsh && (o->sh[section].sh_flags & SHF_ALLOC) &&
	       o->sh[section].sh_type != SHT_NOTE &&
	       strncmp(ug_objfile_section_name(o, section), ".ugraft.", 8) != 0;
}

int ug_objfile_relocs(const struct ug_objfile *o, size_t section,
		      int (*fn)(void *ctx, const Elf64_Rela *rela), void *ctx)
{
	for (size_t i = 0; i < o->nsh; i++) {
		const Elf64_Shdr *sh = &o->sh[i];

		if (sh->sh_type != SHT_RELA || sh->sh_info != section)
			continue;
		for (uint64_t off = 0; off < sh->sh_size; off += sizeof(Elf64_Rela)) {
			Elf64_Rela rela;
			int rc;

			if (!ug_reader_at(&o->r, sh->sh_offset + off, &rela, sizeof(rela)) ||
			    ELF64_R_SYM(rela.r_info) >= o->nsyms)
				break;
			rc = fn(ctx, &rela);
			if (rc)
				return rc;
		}
	}
	return 0;
}

size_t ug_objfile_function_at(const struct ug_objfile *o, size_t section, uint64_t value)
{
	for (size_t i = 1; i < o->nsyms; i++) {
		const Elf64_Sym *s = &o->syms[i];

		if (ELF64_ST_TYPE(s->st_info) == STT_FUNC && s->st_shndx == section &&
		    s->st_value == value)
			return i;
	}
	return 0;
}
