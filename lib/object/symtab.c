// SPDX-License-Identifier: LGPL-2.1-or-later
/* Collecting the symbols of an object from all the tables there are. */
#include "object/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define NAME_LEN_MAX 65536	/* mangled names can be long; longer ones cannot be named anyhow */
#define NAMES_CHUNK 65536
#define NAMES_MAX (64UL << 20)

/* Copies of names cut at their '@'. Symbols point into them, so they never move. */
struct ug_names {
	struct ug_names *prev;
	size_t total;		/* of this and all previous ones */
	size_t used, size;
	char data[];
};

static char *names_add(struct ug_names **names, const char *s, size_t len)
{
	struct ug_names *n = *names;
	char *copy;

	if (!n || n->size - n->used < len + 1) {
		size_t size = len + 1 > NAMES_CHUNK ? len + 1 : NAMES_CHUNK;
		size_t total = (n ? n->total : 0) + size;

		n = total > NAMES_MAX ? NULL : malloc(sizeof(*n) + size);
		if (!n)
			return NULL;
		*n = (struct ug_names){ .prev = *names, .total = total, .size = size };
		*names = n;
	}
	copy = n->data + n->used;
	memcpy(copy, s, len);
	copy[len] = '\0';
	n->used += len + 1;
	return copy;
}

void ug_symtab_free(struct ug_symtab *st)
{
	if (!st)
		return;
	while (st->names) {
		struct ug_names *prev = st->names->prev;

		free(st->names);
		st->names = prev;
	}
	free(st->v);
	free(st->heads);
	free(st->next);
	free(st->funcs);
	free(st->max_end);
	if (st->mini_elf)
		elf_end(st->mini_elf);
	free(st->mini);
	free(st);
}

/* One symbol table of one file. */
struct table {
	const struct ug_object *obj;
	struct ug_symtab *st;
	const uint8_t *syms;
	size_t n;
	const char *strs;	/* ends with a NUL at strs[strs_size - 1] */
	size_t strs_size;
	const uint8_t *versym;	/* one uint16_t a symbol; NULL: no versions */
	size_t nversym;
	bool dynamic;
	uint64_t tls_size;
};

static Elf_Data *section_data(Elf *elf, size_t index, Elf64_Shdr *ret_shdr)
{
	Elf_Scn *scn = elf_getscn(elf, index);
	Elf64_Shdr *sh = scn ? elf64_getshdr(scn) : NULL;
	Elf_Data *d;

	if (!sh || sh->sh_type == SHT_NOBITS)
		return NULL;
	*ret_shdr = *sh;
	d = elf_rawdata(scn, NULL);
	return d && d->d_buf && d->d_size ? d : NULL;
}

static bool find_strings(Elf *elf, size_t index, struct table *t)
{
	Elf64_Shdr sh;
	Elf_Data *d = section_data(elf, index, &sh);
	const char *last;

	if (!d || sh.sh_type != SHT_STRTAB)
		return false;
	last = memrchr(d->d_buf, 0, d->d_size);
	if (!last)
		return false;
	t->strs = d->d_buf;
	t->strs_size = (size_t)(last - t->strs) + 1;
	return true;
}

static void find_versions(Elf *elf, size_t symtab_index, struct table *t)
{
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
		Elf64_Shdr *sh = elf64_getshdr(scn);
		Elf_Data *d;

		if (!sh || sh->sh_type != SHT_GNU_versym || sh->sh_link != symtab_index)
			continue;
		d = elf_rawdata(scn, NULL);
		if (!d || !d->d_buf)
			return;
		t->versym = d->d_buf;
		t->nversym = d->d_size / sizeof(Elf64_Versym);
		return;
	}
}

static bool is_wanted(const Elf64_Sym *sym)
{
	switch (ELF64_ST_TYPE(sym->st_info)) {
	case STT_NOTYPE:
	case STT_OBJECT:
	case STT_FUNC:
	case STT_TLS:
	case STT_GNU_IFUNC:
		return sym->st_shndx != SHN_UNDEF && sym->st_shndx != SHN_ABS &&
		       sym->st_shndx != SHN_COMMON;
	default:
		return false;
	}
}

/* False when the address is not the object's: then there is nothing to know about it. */
static bool set_place(const struct table *t, const Elf64_Sym *sym, struct ug_symbol *ret)
{
	const struct ug_object *obj = t->obj;
	uint64_t room;

	if (ret->type == STT_TLS) {
		ret->addr = sym->st_value;
		room = t->tls_size;
	} else {
		ret->addr = sym->st_value + obj->bias - obj->start;
		room = obj->end - obj->start;
	}
	if (ret->addr > room)
		return false;
	room -= ret->addr;
	ret->size = sym->st_size < room ? sym->st_size : room;
	if (ret->type != STT_TLS)
		ret->addr += obj->start;
	return true;
}

/* ld writes the version into .symtab names: foo@@V the default one, foo@V another. */
static int set_name(struct table *t, size_t i, const Elf64_Sym *sym, struct ug_symbol *ret)
{
	const char *s, *at;
	Elf64_Versym ver;
	size_t len;

	if (sym->st_name >= t->strs_size)
		return 0;
	s = t->strs + sym->st_name;
	len = strnlen(s, NAME_LEN_MAX);
	if (!len || len == NAME_LEN_MAX)
		return 0;
	ret->name = s;
	if (t->versym && i < t->nversym) {
		memcpy(&ver, t->versym + i * sizeof(ver), sizeof(ver));
		ret->versioned_hidden = ver & 0x8000;
	}
	at = t->dynamic ? NULL : memchr(s, '@', len);
	if (!at || at == s)
		return 1;
	ret->versioned_hidden = at[1] != '@';
	ret->name = names_add(&t->st->names, s, (size_t)(at - s));
	return ret->name ? 1 : -ENOMEM;
}

static int add_symbol(struct table *t, size_t i)
{
	struct ug_symbol new = { 0 }, *slot;
	Elf64_Sym sym;
	int r;

	memcpy(&sym, t->syms + i * sizeof(sym), sizeof(sym));
	if (!is_wanted(&sym))
		return 0;
	new.type = ELF64_ST_TYPE(sym.st_info);
	new.bind = ELF64_ST_BIND(sym.st_info);
	new.dynamic = t->dynamic;
	if (!set_place(t, &sym, &new))
		return 0;
	r = set_name(t, i, &sym, &new);
	if (r <= 0)
		return r;
	if (t->st->n >= UG_SYMBOLS_MAX)
		return -UG_E_BAD_ELF;
	slot = ug_vec_add(t->st);
	if (!slot)
		return -ENOMEM;
	*slot = new;
	return 0;
}

static int add_table(const struct ug_object *obj, struct ug_symtab *st, Elf *elf, size_t index,
		     bool dynamic)
{
	const Elf64_Phdr *tls = ug_object_phdr(obj, PT_TLS);
	struct table t = {
		.obj = obj,
		.st = st,
		.dynamic = dynamic,
		.tls_size = tls ? tls->p_memsz : 0,
	};
	Elf64_Shdr sh;
	Elf_Data *d = section_data(elf, index, &sh);
	int r = 0;

	if (!d || sh.sh_entsize != sizeof(Elf64_Sym) || !find_strings(elf, sh.sh_link, &t))
		return 0;
	t.syms = d->d_buf;
	t.n = d->d_size / sizeof(Elf64_Sym);
	if (dynamic)
		find_versions(elf, index, &t);
	for (size_t i = 1; i < t.n && r == 0; i++)
		r = add_symbol(&t, i);
	return r;
}

/* All tables of that type in a file: *ret_found when there was one. */
static int add_tables(const struct ug_object *obj, struct ug_symtab *st, Elf *elf,
		      uint32_t type, bool *ret_found)
{
	int r = 0;

	for (Elf_Scn *scn = NULL; r == 0 && elf && (scn = elf_nextscn(elf, scn));) {
		Elf64_Shdr *sh = elf64_getshdr(scn);

		if (!sh || sh->sh_type != type)
			continue;
		*ret_found = true;
		r = add_table(obj, st, elf, elf_ndxscn(scn), type == SHT_DYNSYM);
	}
	return r;
}

static int add_debugdata(const struct ug_object *obj, struct ug_symtab *st)
{
	size_t size;

	st->mini = obj->elf ? ug_debugdata_unpack(obj->elf, &size) : NULL;
	st->mini_elf = st->mini ? ug_elf_open_mem(st->mini, size) : NULL;
	return add_tables(obj, st, st->mini_elf, SHT_SYMTAB, &st->has_locals);
}

static int fill(struct ug_object *obj, struct ug_symtab *st)
{
	bool dynsym = false;
	int r;

	r = add_tables(obj, st, obj->elf, SHT_DYNSYM, &dynsym);
	if (r == 0)
		r = add_tables(obj, st, obj->elf, SHT_SYMTAB, &st->has_locals);
	if (r == 0 && !st->has_locals)
		r = add_tables(obj, st, ug_object_debug_elf(obj), SHT_SYMTAB, &st->has_locals);
	if (r == 0 && !st->has_locals)
		r = add_debugdata(obj, st);
	return r < 0 ? r : ug_symtab_index(obj, st);
}

int ug_object_symtab(struct ug_object *obj, struct ug_error *err)
{
	struct ug_symtab *st;
	int r;

	if (obj->symtab)
		return 0;
	st = calloc(1, sizeof(*st));
	r = st ? fill(obj, st) : -ENOMEM;
	if (r < 0) {
		ug_symtab_free(st);
		return ug_err(err, r, "cannot load the symbols of %s: %s", obj->name,
			      r == -ENOMEM ? "out of memory" : "there are too many");
	}
	obj->symtab = st;
	return 0;
}

bool ug_object_has_locals(const struct ug_object *obj)
{
	return obj->symtab && obj->symtab->has_locals;
}

size_t ug_symtab_count(const struct ug_object *obj)
{
	return obj->symtab ? obj->symtab->n : 0;
}

const struct ug_symbol *ug_symtab_at(const struct ug_object *obj, size_t i)
{
	return i < ug_symtab_count(obj) ? &obj->symtab->v[i] : NULL;
}
