// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The ELF layer of a patch file: header, section table, symbols, relocations. Nothing is
 * trusted: each structure is copied through the bounded reader, and whatever a relocatable
 * object for this machine may hold but a patch must not is refused by name.
 */
#include <errno.h>

#include "patchfile/image.h"

#define SHT_X86_64_UNWIND_ 0x70000001

static int check_ident(const Elf64_Ehdr *h, struct ug_error *err)
{
	if (memcmp(h->e_ident, ELFMAG, SELFMAG))
		return ug_pf_bad(err, "not a patch file: it does not begin with an ELF header");
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB)
		return ug_err(err, -UG_E_BAD_ARCH,
			      "the patch file is not for 64-bit little-endian machines");
	if (h->e_machine != EM_X86_64)
		return ug_err(err, -UG_E_BAD_ARCH, "the patch file is for ELF machine %u, not x86-64",
			      h->e_machine);
	return 0;
}

static int read_header(struct ug_patch_image *image, Elf64_Ehdr *h, struct ug_error *err)
{
	int rc;

	memset(h, 0, sizeof(*h));
	/* The identification first: it names a foreign file better than "truncated". */
	if (!ug_reader_at(&image->r, 0, h, offsetof(Elf64_Ehdr, e_version)))
		return ug_pf_bad(err, "not a patch file: it is only %zu bytes long", image->r.size);
	rc = check_ident(h, err);
	if (rc < 0)
		return rc;
	if (!ug_reader_at(&image->r, 0, h, sizeof(*h)))
		return ug_pf_bad(err, "the ELF header is truncated");
	if (h->e_type != ET_REL || h->e_version != EV_CURRENT)
		return ug_pf_bad(err, "not a patch file: ELF type %u is not relocatable", h->e_type);
	if (h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shnum == 0 || h->e_shnum >= SHN_LORESERVE ||
	    h->e_shstrndx >= h->e_shnum)
		return ug_pf_bad(err, "the section table is malformed");
	if (!ug_reader_check(&image->r, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr)))
		return ug_pf_bad(err, "the section table lies outside the file");
	return 0;
}

static bool printable(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++) {
		if ((unsigned char)s[n] < 0x20 || s[n] == 0x7f || n >= UG_FILE_STRING_MAX)
			return false;
	}
	return true;
}

const char *ug_pf_string(const struct ug_patch_image *image, const struct ug_pf_section *tab,
			 uint64_t off)
{
	struct ug_reader r;
	const char *s;

	if (!tab || tab->type == SHT_NOBITS)
		return NULL;
	ug_reader_init(&r, image->r.data + tab->offset, tab->size);
	s = ug_reader_str(&r, off);
	return s && printable(s) ? s : NULL;
}

/* Sections that would have to run code of their own at load: refused. */
static const char *runs_code(const struct ug_pf_section *s)
{
	static const char *const prefixes[] = { ".ctors", ".dtors", ".init", ".fini", ".preinit" };

	if (s->type == SHT_INIT_ARRAY || s->type == SHT_FINI_ARRAY || s->type == SHT_PREINIT_ARRAY)
		return "constructor or destructor";
	for (size_t i = 0; i < UG_ARRAY_SIZE(prefixes); i++) {
		size_t len = strlen(prefixes[i]);

		if (!strncmp(s->name, prefixes[i], len) &&
		    (!s->name[len] || s->name[len] == '.' || s->name[len] == '_'))
			return "constructor or destructor";
	}
	return NULL;
}

static int check_alloc(const struct ug_pf_section *s, struct ug_error *err)
{
	const char *what = runs_code(s);

	if (what)
		return ug_pf_bad(err, "section %s: a patch cannot have a %s", s->name, what);
	if (s->flags & SHF_TLS)
		return ug_pf_bad(err, "section %s: a patch cannot add thread-local variables",
				 s->name);
	if ((s->flags & SHF_WRITE) && (s->flags & SHF_EXECINSTR))
		return ug_pf_bad(err, "section %s is writable and executable", s->name);
	if (s->flags & SHF_COMPRESSED)
		return ug_pf_bad(err, "section %s is compressed", s->name);
	if (s->type != SHT_PROGBITS && s->type != SHT_NOBITS && s->type != SHT_X86_64_UNWIND_)
		return ug_pf_bad(err, "section %s has the unsupported type %#x", s->name, s->type);
	if (s->align > UG_FILE_ALIGN_MAX || (s->align & (s->align - 1)))
		return ug_pf_bad(err, "section %s has the unsupported alignment %llu", s->name,
				 (unsigned long long)s->align);
	return 0;
}

static int place_section(struct ug_pf_section *s, struct ug_error *err)
{
	int rc;

	s->place = UG_PF_DROPPED;
	if (!(s->flags & SHF_ALLOC) || s->type == SHT_NOTE || s->type == SHT_NULL)
		return 0;
	if (s->align == 0)
		s->align = 1;
	rc = check_alloc(s, err);
	if (rc < 0)
		return rc;
	s->unwind = !strcmp(s->name, ".eh_frame") || !strncmp(s->name, ".gcc_except_table", 17);
	s->place = s->flags & SHF_WRITE ? UG_PF_RW : UG_PF_RX;
	return 0;
}

static int read_section(struct ug_patch_image *image, const Elf64_Shdr *sh, struct ug_error *err)
{
	struct ug_pf_section *s;

	if (sh->sh_type != SHT_NOBITS && sh->sh_type != SHT_NULL &&
	    !ug_reader_check(&image->r, sh->sh_offset, sh->sh_size))
		return ug_pf_bad(err, "section %zu lies outside the file", image->sections.n);
	if (sh->sh_size > UG_FILE_MEM_MAX)
		return ug_pf_bad(err, "section %zu is absurdly large", image->sections.n);
	s = ug_vec_add(&image->sections);
	if (!s)
		return ug_err(err, -ENOMEM, "out of memory");
	s->type = sh->sh_type;
	s->flags = sh->sh_flags;
	s->offset = sh->sh_type == SHT_NOBITS || sh->sh_type == SHT_NULL ? 0 : sh->sh_offset;
	s->size = sh->sh_type == SHT_NULL ? 0 : sh->sh_size;
	s->align = sh->sh_addralign;
	return 0;
}

static int read_sections(struct ug_patch_image *image, const Elf64_Ehdr *h, Elf64_Shdr *table,
			 struct ug_error *err)
{
	uint64_t mem = 0;
	int rc;

	for (size_t i = 0; i < h->e_shnum; i++) {
		rc = read_section(image, &table[i], err);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < h->e_shnum; i++) {
		struct ug_pf_section *s = &image->sections.v[i];

		s->name = ug_pf_string(image, &image->sections.v[h->e_shstrndx], table[i].sh_name);
		if (!s->name)
			return ug_pf_bad(err, "the name of section %zu is malformed", i);
		rc = place_section(s, err);
		if (rc < 0)
			return rc;
		if (s->place != UG_PF_DROPPED)
			mem += s->size + s->align;
	}
	if (mem > UG_FILE_MEM_MAX)
		return ug_pf_bad(err, "the patch is absurdly large");
	return 0;
}

/* What a symbol of the compiler's object may not be. */
static const char *bad_symbol(const struct ug_pf_symbol *s)
{
	if (s->type == STT_GNU_IFUNC)
		return "an indirect function (IFUNC)";
	if (s->bind == STB_GNU_UNIQUE)
		return "unique in the process (STB_GNU_UNIQUE)";
	if (s->type == STT_COMMON || s->shndx == SHN_COMMON)
		return "a common symbol; compile with -fno-common";
	if (s->type == STT_TLS && s->shndx != SHN_UNDEF)
		return "a new thread-local variable";
	if (s->bind != STB_LOCAL && s->bind != STB_GLOBAL && s->bind != STB_WEAK)
		return "of an unknown binding";
	if (s->shndx >= SHN_LORESERVE && (s->shndx != SHN_ABS || s->type != STT_FILE))
		return "absolute or in a reserved section";
	return NULL;
}

static int read_symbol(struct ug_patch_image *image, const struct ug_pf_section *strtab,
		       const Elf64_Sym *sym, struct ug_error *err)
{
	struct ug_pf_symbol *s = ug_vec_add(&image->symbols);
	size_t index = image->symbols.n - 1;
	const char *why;

	if (!s)
		return ug_err(err, -ENOMEM, "out of memory");
	s->name = ug_pf_string(image, strtab, sym->st_name);
	s->type = ELF64_ST_TYPE(sym->st_info);
	s->bind = ELF64_ST_BIND(sym->st_info);
	s->shndx = sym->st_shndx;
	s->value = sym->st_value;
	s->size = sym->st_size;
	s->ref = s->func = -1;
	if (!s->name)
		return ug_pf_bad(err, "the name of symbol %zu is malformed", index);
	why = bad_symbol(s);
	if (why)
		return ug_pf_bad(err, "symbol %s is %s: not possible in a patch", s->name, why);
	if (s->shndx == SHN_UNDEF || s->shndx == SHN_ABS)
		return 0;
	if (s->shndx >= image->sections.n)
		return ug_pf_bad(err, "symbol %s is in a section that does not exist", s->name);
	if (image->sections.v[s->shndx].place != UG_PF_DROPPED &&
	    (s->value > image->sections.v[s->shndx].size ||
	     s->size > image->sections.v[s->shndx].size - s->value))
		return ug_pf_bad(err, "symbol %s lies outside its section", s->name);
	return 0;
}

static int read_symtab(struct ug_patch_image *image, const Elf64_Shdr *sh, struct ug_error *err)
{
	int rc;

	if (image->symbols.n)
		return ug_pf_bad(err, "more than one symbol table");
	if (sh->sh_entsize != sizeof(Elf64_Sym) || sh->sh_size % sizeof(Elf64_Sym) ||
	    sh->sh_link >= image->sections.n || image->sections.v[sh->sh_link].type != SHT_STRTAB)
		return ug_pf_bad(err, "the symbol table is malformed");
	for (uint64_t off = 0; off < sh->sh_size; off += sizeof(Elf64_Sym)) {
		Elf64_Sym sym;

		if (!ug_reader_at(&image->r, sh->sh_offset + off, &sym, sizeof(sym)))
			return ug_pf_bad(err, "the symbol table is truncated");
		rc = read_symbol(image, &image->sections.v[sh->sh_link], &sym, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int check_reloc(const struct ug_patch_image *image, const struct ug_pf_section *s,
		       const struct ug_pf_reloc *rel, struct ug_error *err)
{
	const struct ug_pf_reloc_type *type = ug_pf_reloc_type(rel->type);

	if (!type)
		return ug_err(err, -UG_E_BAD_RELOC,
			      "section %s+%#llx: relocation type %s (%u) is not supported", s->name,
			      (unsigned long long)rel->offset, ug_pf_reloc_name(rel->type), rel->type);
	if (s->type == SHT_NOBITS || rel->offset > s->size || type->size > s->size - rel->offset)
		return ug_pf_bad(err, "section %s+%#llx: a relocation lies outside the section",
				 s->name, (unsigned long long)rel->offset);
	if (rel->sym >= image->symbols.n)
		return ug_pf_bad(err, "section %s+%#llx: a relocation without symbol", s->name,
				 (unsigned long long)rel->offset);
	return 0;
}

static int read_reloc(struct ug_patch_image *image, uint32_t section, const Elf64_Rela *rela,
		      struct ug_error *err)
{
	struct ug_pf_reloc *rel;

	if (ELF64_R_TYPE(rela->r_info) == R_X86_64_NONE)
		return 0;
	rel = ug_vec_add(&image->relocs);
	if (!rel)
		return ug_err(err, -ENOMEM, "out of memory");
	rel->section = section;
	rel->type = ELF64_R_TYPE(rela->r_info);
	rel->sym = ELF64_R_SYM(rela->r_info);
	rel->offset = rela->r_offset;
	rel->addend = rela->r_addend;
	rel->func = -1;
	return check_reloc(image, &image->sections.v[section], rel, err);
}

static int compare_relocs(const void *pa, const void *pb)
{
	const struct ug_pf_reloc *a = pa, *b = pb;

	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static int read_relocs(struct ug_patch_image *image, const Elf64_Shdr *sh, struct ug_error *err)
{
	struct ug_pf_section *s;
	int rc;

	if (sh->sh_info >= image->sections.n)
		return ug_pf_bad(err, "relocations for a section that does not exist");
	s = &image->sections.v[sh->sh_info];
	if (s->place == UG_PF_DROPPED)
		return 0;
	if (sh->sh_type == SHT_REL)
		return ug_pf_bad(err, "section %s has relocations without addends", s->name);
	if (s->nrelocs || sh->sh_entsize != sizeof(Elf64_Rela) || sh->sh_size % sizeof(Elf64_Rela))
		return ug_pf_bad(err, "the relocations of section %s are malformed", s->name);
	s->first_reloc = image->relocs.n;
	for (uint64_t off = 0; off < sh->sh_size; off += sizeof(Elf64_Rela)) {
		Elf64_Rela rela;

		if (!ug_reader_at(&image->r, sh->sh_offset + off, &rela, sizeof(rela)))
			return ug_pf_bad(err, "the relocations of section %s are truncated", s->name);
		rc = read_reloc(image, sh->sh_info, &rela, err);
		if (rc < 0)
			return rc;
	}
	s->nrelocs = image->relocs.n - s->first_reloc;
	if (s->nrelocs)
		qsort(&image->relocs.v[s->first_reloc], s->nrelocs, sizeof(*image->relocs.v),
		      compare_relocs);
	return 0;
}

static int for_each_of(struct ug_patch_image *image, const Elf64_Shdr *table, bool symbols,
		       struct ug_error *err)
{
	for (size_t i = 0; i < image->sections.n; i++) {
		int rc = 0;

		if (symbols && table[i].sh_type == SHT_SYMTAB)
			rc = read_symtab(image, &table[i], err);
		else if (!symbols && (table[i].sh_type == SHT_RELA || table[i].sh_type == SHT_REL))
			rc = read_relocs(image, &table[i], err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int ug_pf_read_elf(struct ug_patch_image *image, struct ug_error *err)
{
	Elf64_Shdr *table;
	Elf64_Ehdr h;
	int rc;

	rc = read_header(image, &h, err);
	if (rc < 0)
		return rc;
	table = calloc(h.e_shnum, sizeof(*table));
	if (!table)
		return ug_err(err, -ENOMEM, "out of memory");
	rc = -UG_E_BAD_PATCH;
	if (ug_reader_at(&image->r, h.e_shoff, table, h.e_shnum * sizeof(*table)))
		rc = read_sections(image, &h, table, err);
	if (rc == 0)
		rc = for_each_of(image, table, true, err);
	if (rc == 0)
		rc = for_each_of(image, table, false, err);
	free(table);
	return rc;
}
