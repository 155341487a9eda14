// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The records are found by their magic: compilers may put padding between the variables of a
 * section. Their order in the section is not that of the source with every compiler; nothing
 * depends on it but the order of functions in the patch.
 */
#include <errno.h>
#include <stddef.h>

#include "base/types.h"
#include "builder/author.h"

static const char magic[8] = UG_AUTHOR_MAGIC;

typedef int (*record_fn)(struct ug_author *a, const struct ug_objfile *o, size_t section,
			 uint64_t off, struct ug_error *err);

static int bad_record(struct ug_error *err)
{
	return ug_err(err, -UG_E_BAD_PATCH, "a declaration in the source is malformed or too long");
}

/* Terminated? Then without the quotes that #"name" has. */
static bool clean(char *s, size_t size)
{
	size_t len = strnlen(s, size);

	if (len == size)
		return false;
	if (len >= 2 && s[0] == '"' && s[len - 1] == '"') {
		memmove(s, s + 1, len - 2);
		s[len - 2] = 0;
	}
	return true;
}

static int for_each_record(struct ug_author *a, const struct ug_objfile *o, const char *name,
			   size_t size, record_fn fn, struct ug_error *err)
{
	size_t section = ug_objfile_section(o, name);
	const Elf64_Shdr *sh = &o->sh[section];
	uint64_t off = 0;

	if (!section || sh->sh_type == SHT_NOBITS)
		return 0;
	while (off + size <= sh->sh_size) {
		int rc;

		if (memcmp(o->r.data + sh->sh_offset + off, magic, sizeof(magic))) {
			off += 8;
			continue;
		}
		rc = fn(a, o, section, off, err);
		if (rc < 0)
			return rc;
		off = ug_align_up(off + size, 8);
	}
	return 0;
}

static void copy_record(const struct ug_objfile *o, size_t section, uint64_t off, void *rec,
			size_t size)
{
	memcpy(rec, o->r.data + o->sh[section].sh_offset + off, size);
}

static int read_patch(struct ug_author *a, const struct ug_objfile *o, size_t section, uint64_t off,
		      struct ug_error *err)
{
	struct ug_author_patch *p = &a->patch;

	if (p->magic[0])
		return ug_err(err, -UG_E_BAD_PATCH, "the source has more than one UG_PATCH");
	copy_record(o, section, off, p, sizeof(*p));
	if (!clean(p->name, sizeof(p->name)) || strlen(p->name) > 63)
		return ug_err(err, -UG_E_BAD_PATCH, "the name of the patch is longer than 63");
	if (strnlen(p->options.description, sizeof(p->options.description)) > 255 ||
	    strnlen(p->options.cves, sizeof(p->options.cves)) > 255)
		return ug_err(err, -UG_E_BAD_PATCH, "description or CVE list is longer than 255");
	return 0;
}

struct find_reloc {
	uint64_t off;
	Elf64_Rela rela;
};

static int at_offset(void *ctx, const Elf64_Rela *rela)
{
	struct find_reloc *f = ctx;

	if (rela->r_offset != f->off)
		return 0;
	f->rela = *rela;
	return 1;
}

/* Local functions are named as section plus offset. */
static size_t new_body(const struct ug_objfile *o, const Elf64_Rela *rela)
{
	size_t index = ELF64_R_SYM(rela->r_info);
	const Elf64_Sym *sym = &o->syms[index];

	if (sym->st_shndx == SHN_UNDEF)
		return 0;
	return ug_objfile_function_at(o, sym->st_shndx, sym->st_value + (uint64_t)rela->r_addend);
}

static int read_func(struct ug_author *a, const struct ug_objfile *o, size_t section, uint64_t off,
		     struct ug_error *err)
{
	struct find_reloc f = { .off = off + offsetof(struct ug_author_func, new_func) };
	struct ug_declared_func *d = ug_vec_add(&a->funcs);

	if (!d)
		return ug_err(err, -ENOMEM, "out of memory");
	copy_record(o, section, off, &d->rec, sizeof(d->rec));
	if (!clean(d->rec.object, sizeof(d->rec.object)) ||
	    !clean(d->rec.old_name, sizeof(d->rec.old_name)))
		return bad_record(err);
	if (ug_objfile_relocs(o, section, at_offset, &f))
		d->symbol = new_body(o, &f.rela);
	if (!d->symbol)
		return ug_err(err, -UG_E_BAD_PATCH,
			      "the new function for %s is not defined in the source", d->rec.old_name);
	return 0;
}

static int read_symbol(struct ug_author *a, const struct ug_objfile *o, size_t section, uint64_t off,
		       struct ug_error *err)
{
	struct ug_author_symbol *s = ug_vec_add(&a->symbols);

	if (!s)
		return ug_err(err, -ENOMEM, "out of memory");
	copy_record(o, section, off, s, sizeof(*s));
	if (!clean(s->object, sizeof(s->object)) || !clean(s->name, sizeof(s->name)) ||
	    !clean(s->symbol, sizeof(s->symbol)))
		return bad_record(err);
	return 0;
}

static int read_all(struct ug_author *a, const struct ug_objfile *o, struct ug_error *err)
{
	int rc;

	rc = for_each_record(a, o, ".ugraft.in.patch", sizeof(struct ug_author_patch), read_patch,
			     err);
	if (rc == 0)
		rc = for_each_record(a, o, ".ugraft.in.funcs", sizeof(struct ug_author_func),
				     read_func, err);
	if (rc == 0)
		rc = for_each_record(a, o, ".ugraft.in.symbols", sizeof(struct ug_author_symbol),
				     read_symbol, err);
	if (rc < 0)
		return rc;
	if (!a->patch.magic[0])
		return ug_err(err, -UG_E_BAD_PATCH, "the source has no UG_PATCH(name, ...)");
	if (!a->funcs.n)
		return ug_err(err, -UG_E_BAD_PATCH,
			      "the source replaces nothing: no UG_FUNC(object, old_name, new_func)");
	return 0;
}

int ug_author_read(const struct ug_objfile *o, struct ug_author *ret, struct ug_error *err)
{
	struct ug_author a = { 0 };
	int rc = read_all(&a, o, err);

	if (rc < 0) {
		ug_author_free(&a);
		return rc;
	}
	*ret = a;
	return 0;
}

void ug_author_free(struct ug_author *a)
{
	ug_vec_free(&a->funcs);
	ug_vec_free(&a->symbols);
}

const struct ug_author_symbol *ug_author_symbol(const struct ug_author *a, const char *symbol)
{
	ug_vec_for_each(&a->symbols, s) {
		if (!strcmp(s->symbol, symbol))
			return s;
	}
	return NULL;
}
