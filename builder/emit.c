// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>

#include "builder/emit.h"

static char *copy_name(struct ug_emit *e, const char *name)
{
	char *s = strdup(name);

	e->failed |= !s;
	return s;
}

void ug_emit_init(struct ug_emit *e)
{
	*e = (struct ug_emit){ 0 };
	e->failed = !ug_vec_add(&e->sections) || !ug_vec_add(&e->symbols);
}

void ug_emit_free(struct ug_emit *e)
{
	ug_vec_for_each(&e->sections, s) {
		free(s->name);
		ug_buf_free(&s->data);
		ug_vec_free(&s->rels);
	}
	ug_vec_for_each(&e->symbols, s)
		free(s->name);
	ug_vec_free(&e->sections);
	ug_vec_free(&e->symbols);
}

size_t ug_emit_symbol(struct ug_emit *e, const char *name, unsigned char bind, unsigned char type,
		      size_t section, uint64_t value, uint64_t size)
{
	struct ug_emit_symbol *s = ug_vec_add(&e->symbols);

	if (!s) {
		e->failed = true;
		return 0;
	}
	s->name = copy_name(e, name);
	s->sym = (Elf64_Sym){ .st_info = ELF64_ST_INFO(bind, type), .st_shndx = (Elf64_Half)section,
			      .st_value = value, .st_size = size };
	return e->symbols.n - 1;
}

size_t ug_emit_section(struct ug_emit *e, const char *name, uint64_t flags, uint64_t align,
		       const void *data, uint64_t size)
{
	struct ug_emit_section *s = ug_vec_add(&e->sections);
	size_t index = e->sections.n - 1;

	if (!s) {
		e->failed = true;
		return 0;
	}
	s->name = copy_name(e, name);
	s->type = data ? SHT_PROGBITS : SHT_NOBITS;
	s->flags = flags;
	s->align = align ? align : 1;
	s->size = size;
	if (data)
		ug_buf_add(&s->data, data, size);
	s->symbol = ug_emit_symbol(e, "", STB_LOCAL, STT_SECTION, index, 0, 0);
	return index;
}

void ug_emit_rel(struct ug_emit *e, size_t section, uint64_t offset, uint32_t type, size_t symbol,
		 int64_t addend)
{
	Elf64_Rela *r = e->failed ? NULL : ug_vec_add(&e->sections.v[section].rels);

	if (!r) {
		e->failed = true;
		return;
	}
	*r = (Elf64_Rela){ offset, ELF64_R_INFO(symbol, type), addend };
}

/* ---- writing ---- */

struct writer {
	struct ug_emit *e;
	struct ug_buf out, names, strings, syms;
	UG_VEC(Elf64_Shdr) sh;
	uint32_t nlocal;
};

static uint32_t add_name(struct ug_buf *b, const char *s)
{
	return s && s[0] ? (uint32_t)ug_buf_add(b, s, strlen(s) + 1) : 0;
}

static Elf64_Shdr *add_header(struct writer *w, const char *name, uint32_t type)
{
	Elf64_Shdr *sh = ug_vec_add(&w->sh);

	if (!sh) {
		w->e->failed = true;
		return NULL;
	}
	sh->sh_name = add_name(&w->names, name);
	sh->sh_type = type;
	return sh;
}

static void place(struct writer *w, Elf64_Shdr *sh, const struct ug_buf *data, uint64_t align)
{
	sh->sh_addralign = align;
	ug_buf_align(&w->out, align);
	sh->sh_offset = w->out.n;
	sh->sh_size = data->n;
	if (data->n)
		ug_buf_add(&w->out, data->v, data->n);
}

static void number_symbols(struct writer *w)
{
	uint32_t n = 0;

	for (int global = 0; global < 2; global++) {
		ug_vec_for_each(&w->e->symbols, s) {
			Elf64_Sym sym = s->sym;

			if ((ELF64_ST_BIND(sym.st_info) != STB_LOCAL) != global)
				continue;
			s->index = n++;
			sym.st_name = add_name(&w->strings, s->name);
			ug_buf_add(&w->syms, &sym, sizeof(sym));
		}
		if (!global)
			w->nlocal = n;
	}
}

static void write_sections(struct writer *w)
{
	for (size_t i = 1; i < w->e->sections.n; i++) {
		const struct ug_emit_section *s = &w->e->sections.v[i];
		Elf64_Shdr *sh = add_header(w, s->name, s->type);

		if (!sh)
			return;
		sh->sh_flags = s->flags;
		place(w, sh, &s->data, s->align);
		sh->sh_size = s->size;
	}
}

static void write_rels(struct writer *w, uint32_t symtab)
{
	for (size_t i = 1; i < w->e->sections.n; i++) {
		struct ug_emit_section *s = &w->e->sections.v[i];
		struct ug_buf data = { 0 };
		Elf64_Shdr *sh;

		if (!s->rels.n)
			continue;
		ug_vec_for_each(&s->rels, r) {
			size_t sym = ELF64_R_SYM(r->r_info);
			Elf64_Rela out = *r;

			out.r_info = ELF64_R_INFO((uint64_t)w->e->symbols.v[sym].index,
						  ELF64_R_TYPE(r->r_info));
			ug_buf_add(&data, &out, sizeof(out));
		}
		sh = add_header(w, ".rela", SHT_RELA);
		if (sh) {
			sh->sh_link = symtab;
			sh->sh_info = (uint32_t)i;
			sh->sh_flags = SHF_INFO_LINK;
			sh->sh_entsize = sizeof(Elf64_Rela);
			place(w, sh, &data, 8);
		}
		w->e->failed |= data.failed;
		ug_buf_free(&data);
	}
}

static void write_tables(struct writer *w)
{
	Elf64_Shdr *sh = add_header(w, ".symtab", SHT_SYMTAB);

	if (!sh)
		return;
	sh->sh_link = (uint32_t)w->sh.n;	/* the next one */
	sh->sh_info = w->nlocal;
	sh->sh_entsize = sizeof(Elf64_Sym);
	place(w, sh, &w->syms, 8);
	sh = add_header(w, ".strtab", SHT_STRTAB);
	if (sh)
		place(w, sh, &w->strings, 1);
	write_rels(w, (uint32_t)w->e->sections.n);
	sh = add_header(w, ".shstrtab", SHT_STRTAB);
	if (sh)
		place(w, sh, &w->names, 1);
}

static void finish(struct writer *w)
{
	Elf64_Ehdr h = { .e_type = ET_REL, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
			 .e_ehsize = sizeof(h), .e_shentsize = sizeof(Elf64_Shdr) };

	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	h.e_ident[EI_VERSION] = EV_CURRENT;
	h.e_shnum = (Elf64_Half)w->sh.n;
	h.e_shstrndx = (Elf64_Half)(w->sh.n - 1);
	ug_buf_align(&w->out, 8);
	h.e_shoff = ug_buf_add(&w->out, w->sh.v, w->sh.n * sizeof(Elf64_Shdr));
	if (!w->out.failed)
		memcpy(w->out.v, &h, sizeof(h));
}

int ug_emit_finish(struct ug_emit *e, uint8_t **ret, size_t *ret_size, struct ug_error *err)
{
	struct writer w = { .e = e };
	bool failed;

	ug_buf_add(&w.out, NULL, sizeof(Elf64_Ehdr));
	ug_buf_add(&w.names, NULL, 1);
	ug_buf_add(&w.strings, NULL, 1);
	(void)add_header(&w, "", SHT_NULL);
	number_symbols(&w);
	write_sections(&w);
	write_tables(&w);
	finish(&w);
	failed = e->failed || w.out.failed || w.names.failed || w.strings.failed || w.syms.failed;
	ug_vec_for_each(&e->sections, s)
		failed |= s->data.failed;
	if (!failed) {
		*ret = w.out.v;
		*ret_size = w.out.n;
		w.out.v = NULL;
	}
	ug_buf_free(&w.out);
	ug_buf_free(&w.names);
	ug_buf_free(&w.strings);
	ug_buf_free(&w.syms);
	ug_vec_free(&w.sh);
	return failed ? ug_err(err, -ENOMEM, "out of memory") : 0;
}
