// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The compiler's object is taken over section by section with all indexes unchanged, so that
 * symbols and relocations stay as they are. What a patch has no use for (debug information,
 * notes, comments, the author's records) becomes an empty section; names are written anew,
 * which leaves no path of the build machine behind. Our sections follow.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/reader.h"
#include "builder/buf.h"
#include "builder/pack.h"
#include "ugraft/ugraft.h"

struct packer {
	const struct ug_pack *pack;
	struct ug_reader r;
	Elf64_Ehdr h;
	Elf64_Shdr *sh;			/* old ones, then ours */
	size_t nsh;
	size_t nold;
	bool *keep;
	struct ug_buf out;
	struct ug_buf names;		/* .shstrtab */
	struct ug_buf syms, symnames;	/* the rewritten symbol table */
	struct ug_buf strings;		/* .ugraft.strings */
	struct ug_error *err;
};

/* Those of format.h and .shstrtab. */
#define OWN_SECTIONS 8
#define MADE_SECTIONS 3

static size_t add_string(struct ug_buf *b, const char *s)
{
	return s[0] ? ug_buf_add(b, s, strlen(s) + 1) : 0;
}

static int malformed(const struct packer *p)
{
	return ug_err(p->err, -UG_E_BAD_ELF, "the compiler's object is malformed");
}

static const char *old_string(const struct packer *p, uint32_t table, uint32_t off)
{
	struct ug_reader r;

	if (table >= p->nold || p->sh[table].sh_type != SHT_STRTAB)
		return NULL;
	ug_reader_init(&r, p->r.data + p->sh[table].sh_offset, p->sh[table].sh_size);
	return ug_reader_str(&r, off);
}

static int read_table(struct packer *p)
{
	if (!ug_reader_at(&p->r, 0, &p->h, sizeof(p->h)) || memcmp(p->h.e_ident, ELFMAG, SELFMAG) ||
	    p->h.e_ident[EI_CLASS] != ELFCLASS64 || p->h.e_type != ET_REL ||
	    p->h.e_machine != EM_X86_64)
		return ug_err(p->err, -UG_E_BAD_ARCH,
			      "the compiler made no relocatable object for x86-64");
	if (p->h.e_shentsize != sizeof(Elf64_Shdr) || !p->h.e_shnum || p->h.e_shnum >= 0xff00)
		return malformed(p);
	p->nold = p->h.e_shnum;
	p->nsh = p->nold + OWN_SECTIONS + (p->pack->nunits ? MADE_SECTIONS : 0);
	p->sh = calloc(p->nsh, sizeof(*p->sh));
	p->keep = calloc(p->nold, sizeof(*p->keep));
	if (!p->sh || !p->keep)
		return ug_err(p->err, -ENOMEM, "out of memory");
	if (!ug_reader_at(&p->r, p->h.e_shoff, p->sh, p->nold * sizeof(*p->sh)))
		return malformed(p);
	for (size_t i = 0; i < p->nold; i++) {
		if (p->sh[i].sh_type != SHT_NOBITS &&
		    !ug_reader_check(&p->r, p->sh[i].sh_offset, p->sh[i].sh_size))
			return malformed(p);
	}
	return 0;
}

static bool is_loaded(const struct packer *p, size_t i)
{
	const char *name = old_string(p, p->h.e_shstrndx, p->sh[i].sh_name);

	return name && (p->sh[i].sh_flags & SHF_ALLOC) && p->sh[i].sh_type != SHT_NOTE &&
	       strncmp(name, ".ugraft.", 8) != 0;
}

static void choose(struct packer *p)
{
	for (size_t i = 0; i < p->nold; i++)
		p->keep[i] = is_loaded(p, i);
	for (size_t i = 0; i < p->nold; i++) {
		const Elf64_Shdr *sh = &p->sh[i];

		if (sh->sh_type == SHT_SYMTAB) {
			p->keep[i] = true;
			if (sh->sh_link < p->nold)
				p->keep[sh->sh_link] = true;
		} else if (sh->sh_type == SHT_RELA || sh->sh_type == SHT_REL) {
			p->keep[i] = sh->sh_info < p->nold && p->keep[sh->sh_info] &&
				     p->sh[sh->sh_info].sh_type != SHT_SYMTAB;
		}
	}
}

/* File names and symbols of sections that go away become nameless file symbols: no meaning. */
static void neutralise(const struct packer *p, Elf64_Sym *sym)
{
	bool dead = sym->st_shndx != SHN_UNDEF && sym->st_shndx < p->nold && !p->keep[sym->st_shndx];

	if (!dead && ELF64_ST_TYPE(sym->st_info) != STT_FILE)
		return;
	*sym = (Elf64_Sym){ .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FILE), .st_shndx = SHN_ABS };
}

static int rewrite_symbols(struct packer *p, size_t symtab)
{
	const Elf64_Shdr *sh = &p->sh[symtab];

	for (uint64_t off = 0; off + sizeof(Elf64_Sym) <= sh->sh_size; off += sizeof(Elf64_Sym)) {
		const char *name;
		Elf64_Sym sym;

		if (!ug_reader_at(&p->r, sh->sh_offset + off, &sym, sizeof(sym)))
			return malformed(p);
		neutralise(p, &sym);
		name = old_string(p, sh->sh_link, sym.st_name);
		if (!name)
			return malformed(p);
		sym.st_name = (Elf64_Word)add_string(&p->symnames, name);
		ug_buf_add(&p->syms, &sym, sizeof(sym));
	}
	return 0;
}

static int rewrite_symtab(struct packer *p)
{
	for (size_t i = 0; i < p->nold; i++) {
		if (p->sh[i].sh_type == SHT_SYMTAB)
			return rewrite_symbols(p, i);
	}
	return malformed(p);
}

static void emit(struct packer *p, Elf64_Shdr *sh, const void *data, size_t size, size_t align)
{
	ug_buf_align(&p->out, align);
	sh->sh_size = size;
	sh->sh_offset = ug_buf_add(&p->out, data, size);
}

static int copy_section(struct packer *p, size_t i, bool is_symstr)
{
	Elf64_Shdr *sh = &p->sh[i];
	const char *name = old_string(p, p->h.e_shstrndx, sh->sh_name);
	size_t align = sh->sh_addralign ? sh->sh_addralign : 1;

	if (!name || align > UG_FILE_ALIGN_MAX)
		return malformed(p);
	sh->sh_name = (Elf64_Word)add_string(&p->names, name);
	sh->sh_flags &= ~(Elf64_Xword)SHF_GROUP;
	if (sh->sh_type == SHT_SYMTAB)
		emit(p, sh, p->syms.v, p->syms.n, 8);
	else if (is_symstr)
		emit(p, sh, p->symnames.v, p->symnames.n, 1);
	else if (sh->sh_type != SHT_NOBITS)
		emit(p, sh, p->r.data + sh->sh_offset, sh->sh_size, align);
	else
		sh->sh_offset = p->out.n;
	return 0;
}

/* The old section names are needed until all are copied: dropped headers are cleared last. */
static int copy_sections(struct packer *p)
{
	uint32_t symstr = 0;

	for (size_t i = 0; i < p->nold; i++) {
		if (p->sh[i].sh_type == SHT_SYMTAB)
			symstr = p->sh[i].sh_link;
	}
	for (size_t i = 1; i < p->nold; i++) {
		int rc = p->keep[i] && i != symstr ? copy_section(p, i, false) : 0;

		if (rc < 0)
			return rc;
	}
	/* It may be the table of section names too (clang): hence after all names were read. */
	if (symstr) {
		int rc = copy_section(p, symstr, true);

		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < p->nold; i++) {
		if (!p->keep[i])
			p->sh[i] = (Elf64_Shdr){ 0 };
	}
	return 0;
}

/* ---- our sections ---- */

static uint32_t str(struct packer *p, const char *s)
{
	return (uint32_t)add_string(&p->strings, s);
}

static void own_section(struct packer *p, unsigned int n, const char *name, const struct ug_buf *b)
{
	Elf64_Shdr *sh = &p->sh[p->nold + n];

	*sh = (Elf64_Shdr){ .sh_name = (Elf64_Word)add_string(&p->names, name),
			    .sh_type = SHT_PROGBITS, .sh_addralign = 8 };
	emit(p, sh, b->v, b->n, 8);
}

static void make_patch(struct packer *p, struct ug_buf *b)
{
	struct ug_file_patch rec = { .version = UG_FILE_VERSION, .flags = p->pack->flags };

	memcpy(rec.magic, UG_FILE_MAGIC, sizeof(rec.magic));
	rec.name = str(p, p->pack->name);
	rec.description = str(p, p->pack->description);
	rec.cves = str(p, p->pack->cves);
	ug_buf_add(b, &rec, sizeof(rec));
}

static void make_objects(struct packer *p, struct ug_buf *objects, struct ug_buf *builds)
{
	for (size_t i = 0; i < p->pack->nobjects; i++) {
		const struct ug_pack_object *o = &p->pack->objects[i];
		struct ug_file_object rec = { .name = str(p, o->name), .nbuilds = (uint32_t)o->nbuilds,
			.first_build = (uint32_t)(builds->n / sizeof(struct ug_file_build)) };

		for (size_t j = 0; j < o->nbuilds; j++) {
			struct ug_file_build build = { .len = o->builds[j].len };

			memcpy(build.id, o->builds[j].bytes, build.len);
			ug_buf_add(builds, &build, sizeof(build));
		}
		ug_buf_add(objects, &rec, sizeof(rec));
	}
}

static uint32_t make_pins(struct ug_buf *b, const struct ug_patch_pin *pins, size_t n)
{
	uint32_t first = (uint32_t)(b->n / sizeof(struct ug_file_pin));

	for (size_t i = 0; i < n; i++) {
		struct ug_file_pin rec = { .build = pins[i].build, .offset = pins[i].offset,
					   .size = pins[i].size };

		ug_buf_add(b, &rec, sizeof(rec));
	}
	return n ? first : 0;
}

static void make_funcs(struct packer *p, struct ug_buf *b, struct ug_buf *pins)
{
	for (size_t i = 0; i < p->pack->nfuncs; i++) {
		const struct ug_pack_func *f = &p->pack->funcs[i];
		struct ug_file_func rec = { .object = f->object, .old_name = str(p, f->old_name),
					    .pos = f->pos, .flags = f->flags, .symbol = f->symbol,
					    .first_pin = make_pins(pins, f->pins, f->npins),
					    .npins = (uint32_t)f->npins };

		ug_buf_add(b, &rec, sizeof(rec));
	}
}

static void make_refs(struct packer *p, struct ug_buf *b, struct ug_buf *pins)
{
	for (size_t i = 0; i < p->pack->nrefs; i++) {
		const struct ug_pack_ref *r = &p->pack->refs[i];
		struct ug_file_ref rec = { .symbol = r->symbol, .object = r->object,
					   .name = str(p, r->name), .pos = r->pos,
					   .first_pin = make_pins(pins, r->pins, r->npins),
					   .npins = (uint32_t)r->npins };

		ug_buf_add(b, &rec, sizeof(rec));
	}
}

/* ---- who made it ---- */

static bool same_compiler(const struct ug_pack_unit *a, const struct ug_pack_unit *b)
{
	if (strcmp(a->compiler, b->compiler) || a->nflags != b->nflags)
		return false;
	for (size_t i = 0; i < a->nflags; i++) {
		if (strcmp(a->flags[i], b->flags[i]))
			return false;
	}
	return true;
}

static void make_compiler(struct packer *p, struct ug_buf *b, const struct ug_pack_unit *u)
{
	struct ug_file_compiler rec = { .name = str(p, u->compiler), .nflags = (uint32_t)u->nflags };

	rec.flags = (uint32_t)p->strings.n;
	for (size_t i = 0; i < u->nflags; i++)
		(void)str(p, u->flags[i]);
	ug_buf_add(b, &rec, sizeof(rec));
}

/* Sources that were compiled alike have one compiler. */
static void make_units(struct packer *p, struct ug_buf *compilers, struct ug_buf *units)
{
	const struct ug_pack_unit *v = p->pack->units;

	for (size_t i = 0; i < p->pack->nunits; i++) {
		struct ug_file_unit rec = { .object = v[i].object, .source = str(p, v[i].source) }, other;
		size_t j = 0;

		while (j < i && !same_compiler(&v[j], &v[i]))
			j++;
		rec.compiler = (uint32_t)(compilers->n / sizeof(struct ug_file_compiler));
		if (j < i && !units->failed) {
			memcpy(&other, units->v + j * sizeof(other), sizeof(other));
			rec.compiler = other.compiler;
		} else {
			make_compiler(p, compilers, &v[i]);
		}
		ug_buf_add(units, &rec, sizeof(rec));
	}
}

static void make_version(struct packer *p, struct ug_buf *b)
{
	struct ug_file_made rec = { .version = str(p, UG_VERSION) };

	ug_buf_add(b, &rec, sizeof(rec));
}

static void make_own(struct packer *p)
{
	static const char *const names[] = { UG_FILE_SEC_PATCH, UG_FILE_SEC_OBJECTS, UG_FILE_SEC_BUILDS,
		UG_FILE_SEC_FUNCS, UG_FILE_SEC_REFS, UG_FILE_SEC_PINS, UG_FILE_SEC_MADE,
		UG_FILE_SEC_COMPILERS, UG_FILE_SEC_UNITS };
	struct ug_buf b[UG_ARRAY_SIZE(names)] = { 0 };
	unsigned int n = p->pack->nunits ? UG_ARRAY_SIZE(names) : UG_ARRAY_SIZE(names) - MADE_SECTIONS;

	make_patch(p, &b[0]);
	make_objects(p, &b[1], &b[2]);
	make_funcs(p, &b[3], &b[5]);
	make_refs(p, &b[4], &b[5]);
	if (p->pack->nunits) {
		make_version(p, &b[6]);
		make_units(p, &b[7], &b[8]);
	}
	for (unsigned int i = 0; i < n; i++) {
		p->out.failed |= b[i].failed;
		own_section(p, i, names[i], &b[i]);
		ug_buf_free(&b[i]);
	}
	own_section(p, n, UG_FILE_SEC_STRINGS, &p->strings);
}

static void finish(struct packer *p)
{
	Elf64_Shdr *sh = &p->sh[p->nsh - 1];

	sh->sh_name = (Elf64_Word)add_string(&p->names, ".shstrtab");
	sh->sh_type = SHT_STRTAB;
	sh->sh_addralign = 1;
	emit(p, sh, p->names.v, p->names.n, 1);
	ug_buf_align(&p->out, 8);
	p->h.e_shoff = ug_buf_add(&p->out, p->sh, p->nsh * sizeof(*p->sh));
	p->h.e_shnum = (Elf64_Half)p->nsh;
	p->h.e_shstrndx = (Elf64_Half)(p->nsh - 1);
	if (!p->out.failed)
		memcpy(p->out.v, &p->h, sizeof(p->h));
}

static int run(struct packer *p)
{
	int rc;

	rc = read_table(p);
	if (rc < 0)
		return rc;
	choose(p);
	ug_buf_add(&p->out, NULL, sizeof(p->h));
	ug_buf_add(&p->names, NULL, 1);
	ug_buf_add(&p->symnames, NULL, 1);
	ug_buf_add(&p->strings, NULL, 1);
	rc = rewrite_symtab(p);
	if (rc == 0)
		rc = copy_sections(p);
	if (rc < 0)
		return rc;
	make_own(p);
	finish(p);
	if (p->out.failed || p->names.failed || p->syms.failed || p->symnames.failed ||
	    p->strings.failed)
		return ug_err(p->err, -ENOMEM, "out of memory");
	return 0;
}

int ug_pack_write(const struct ug_pack *pack, uint8_t **ret, size_t *ret_size, struct ug_error *err)
{
	struct packer p = { .pack = pack, .err = err };
	int rc;

	ug_reader_init(&p.r, pack->elf, pack->elf_size);
	rc = run(&p);
	if (rc == 0) {
		*ret = p.out.v;
		*ret_size = p.out.n;
		p.out.v = NULL;
	}
	ug_buf_free(&p.out);
	ug_buf_free(&p.names);
	ug_buf_free(&p.syms);
	ug_buf_free(&p.symnames);
	ug_buf_free(&p.strings);
	free(p.sh);
	free(p.keep);
	return rc;
}
