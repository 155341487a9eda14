// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <string.h>
#include <unistd.h>

#include "rebuilt.h"
#include "text/insn.h"

/* ---- reading ---- */

static int add_pointer(struct rebuilt *r, const GElf_Rela *rela, const char *name)
{
	struct rebuilt_pointer *p;
	uint32_t type = GELF_R_TYPE(rela->r_info);

	if (type != R_X86_64_RELATIVE && type != R_X86_64_GLOB_DAT && type != R_X86_64_JUMP_SLOT &&
	    type != R_X86_64_64)
		return 0;
	p = ug_vec_add(&r->pointers);
	if (!p)
		return -ENOMEM;
	*p = (struct rebuilt_pointer){ rela->r_offset, type == R_X86_64_RELATIVE ? NULL : name,
				       (uint64_t)rela->r_addend };
	return 0;
}

static int read_pointers(struct rebuilt *r, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Scn *symtab = elf_getscn(r->elf, sh->sh_link);
	Elf_Data *rels = elf_getdata(scn, NULL), *syms = symtab ? elf_getdata(symtab, NULL) : NULL;
	GElf_Shdr symsh = { 0 };
	GElf_Rela rela;

	if (symtab)
		gelf_getshdr(symtab, &symsh);
	for (int i = 0; rels && gelf_getrela(rels, i, &rela); i++) {
		const char *name = NULL;
		GElf_Sym sym;

		if (syms && gelf_getsym(syms, (int)GELF_R_SYM(rela.r_info), &sym))
			name = elf_strptr(r->elf, symsh.sh_link, sym.st_name);
		if (add_pointer(r, &rela, name ? name : "") < 0)
			return -ENOMEM;
	}
	return 0;
}

static int read_section(struct rebuilt *r, Elf_Scn *scn, size_t names)
{
	struct rebuilt_section *s;
	GElf_Shdr sh;
	Elf_Data *d;

	if (!gelf_getshdr(scn, &sh) || !(sh.sh_flags & SHF_ALLOC))
		return 0;
	if (sh.sh_type == SHT_RELA && read_pointers(r, scn, &sh) < 0)
		return -ENOMEM;
	s = ug_vec_add(&r->sections);
	if (!s)
		return -ENOMEM;
	d = sh.sh_type == SHT_NOBITS ? NULL : elf_rawdata(scn, NULL);
	*s = (struct rebuilt_section){ elf_strptr(r->elf, names, sh.sh_name), sh.sh_addr, sh.sh_size,
				       d && d->d_size == sh.sh_size ? d->d_buf : NULL };
	if (!s->name)
		s->name = "";
	return 0;
}

static int by_place(const void *pa, const void *pb)
{
	const struct rebuilt_pointer *a = pa, *b = pb;

	return a->at < b->at ? -1 : a->at > b->at;
}

static int read_sections(struct rebuilt *r, const char *path, struct ug_error *err)
{
	Elf_Scn *scn = NULL;
	size_t names;

	elf_version(EV_CURRENT);
	r->elf = elf_begin(r->fd, ELF_C_READ, NULL);
	if (!r->elf || elf_kind(r->elf) != ELF_K_ELF || elf_getshdrstrndx(r->elf, &names) < 0)
		return ug_err(err, -UG_E_BAD_ELF, "%s is no ELF file", path);
	while ((scn = elf_nextscn(r->elf, scn))) {
		if (read_section(r, scn, names) < 0)
			return ug_err(err, -ENOMEM, "out of memory");
	}
	if (r->pointers.n)
		qsort(r->pointers.v, r->pointers.n, sizeof(*r->pointers.v), by_place);
	return 0;
}

int rebuilt_open(struct rebuilt *r, const char *path, const char *debug, struct ug_error *err)
{
	int rc;

	*r = (struct rebuilt){ .fd = open(path, O_RDONLY | O_CLOEXEC) };
	if (r->fd < 0)
		return ug_err_errno(err, "cannot open %s", path);
	rc = ug_linked_open(debug ? debug : path, &r->symbols, err);
	return rc < 0 ? rc : read_sections(r, path, err);
}

void rebuilt_close(struct rebuilt *r)
{
	ug_linked_close(&r->symbols);
	ug_vec_free(&r->sections);
	ug_vec_free(&r->pointers);
	if (r->elf)
		elf_end(r->elf);
	if (r->fd >= 0)
		close(r->fd);
}

/* ---- what is at an address ---- */

const uint8_t *rebuilt_bytes(const struct rebuilt *r, uint64_t addr, uint64_t size)
{
	ug_vec_for_each(&r->sections, s) {
		if (s->data && addr >= s->addr && addr - s->addr <= s->size &&
		    size <= s->size - (addr - s->addr))
			return s->data + (addr - s->addr);
	}
	return NULL;
}

bool rebuilt_pointer(const struct rebuilt *r, uint64_t at, struct rebuilt_pointer *ret)
{
	const struct rebuilt_pointer key = { .at = at };
	const struct rebuilt_pointer *found = NULL;
	const uint8_t *bytes = rebuilt_bytes(r, at, 8);

	if (r->pointers.n)
		found = bsearch(&key, r->pointers.v, r->pointers.n, sizeof(key), by_place);
	if (!found && !bytes)
		return false;
	*ret = (struct rebuilt_pointer){ .at = at };
	if (found)
		*ret = *found;
	else
		memcpy(&ret->addr, bytes, 8);
	return true;
}

/* "x.12" -> "x", "f..1" -> "f", "f..1.cold" stays: see below. */
static size_t base_length(const char *name)
{
	size_t len = strlen(name);

	for (;;) {
		size_t n = len;

		while (n && isdigit((unsigned char)name[n - 1]))
			n--;
		if (n < 2 || n == len || name[n - 1] != '.')
			return len;
		len = n - 1;
		while (len && name[len - 1] == '.')
			len--;
	}
}

enum rebuilt_named rebuilt_same_name(const char *a, const char *b)
{
	size_t n = base_length(a);

	if (!strcmp(a, b))
		return SAME_NAME;
	return n == base_length(b) && !strncmp(a, b, n) ? SAME_BUT_FOR_NUMBERS : OTHER_NAME;
}

static enum rebuilt_named symbol_named(const struct rebuilt *r, uint64_t addr, const char *name)
{
	enum rebuilt_named best = OTHER_NAME;

	ug_vec_for_each(&r->symbols.symbols, s) {
		enum rebuilt_named named;

		if (s->value != addr || s->type == STT_TLS)
			continue;
		named = rebuilt_same_name(s->name, name);
		if (named > best)
			best = named;
	}
	return best;
}

enum rebuilt_named rebuilt_alias(const struct rebuilt *r, const char *given, int64_t off, const char *name)
{
	enum rebuilt_named best = off ? OTHER_NAME : rebuilt_same_name(given, name);

	ug_vec_for_each(&r->symbols.symbols, s) {
		if (best != OTHER_NAME)
			break;
		if (strcmp(s->name, given) == 0)
			best = symbol_named(r, s->value + (uint64_t)off, name);
	}
	return best;
}

/* As rebuilt_bytes(), for as many as the section has there, up to *size. */
static const uint8_t *bytes_left(const struct rebuilt *r, uint64_t addr, uint64_t *size)
{
	ug_vec_for_each(&r->sections, s) {
		if (s->data && addr >= s->addr && addr - s->addr < s->size) {
			if (*size > s->size - (addr - s->addr))
				*size = s->size - (addr - s->addr);
			return s->data + (addr - s->addr);
		}
	}
	return NULL;
}

/* A jump through a slot the dynamic linker fills: an entry of a PLT, of 8 bytes or 16. */
static enum rebuilt_named plt_named(const struct rebuilt *r, uint64_t addr, const char *name)
{
	for (int i = 0; i < 2; i++) {
		uint64_t size = 16;
		const uint8_t *code = bytes_left(r, addr, &size);
		struct rebuilt_pointer p;
		struct ug_insn insn;

		if (!code || !ug_insn_decode(code, size, addr, &insn))
			return OTHER_NAME;
		if (insn.kind == UG_INSN_JMP_IND && insn.rip_disp)
			return rebuilt_pointer(r, insn.rip_target, &p) && p.name ?
			       rebuilt_alias(r, p.name, 0, name) : OTHER_NAME;
		addr += insn.len;	/* endbr64 */
	}
	return OTHER_NAME;
}

enum rebuilt_named rebuilt_named(const struct rebuilt *r, uint64_t addr, const char *name, int64_t off)
{
	enum rebuilt_named best = symbol_named(r, addr - (uint64_t)off, name);

	return best == OTHER_NAME && off == 0 ? plt_named(r, addr, name) : best;
}
