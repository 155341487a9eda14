// SPDX-License-Identifier: GPL-2.0-or-later
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bisect.h"
#include "base/cleanup.h"
#include "base/read.h"
#include "base/reader.h"
#include "builder/symbols.h"

#define FILE_MAX ((size_t)1 << 30)

struct elf_file {
	struct ug_reader r;
	Elf64_Ehdr h;
	Elf64_Shdr *sh;
};

static int load(const char *path, uint8_t **ret, size_t *ret_size, struct ug_error *err)
{
	ug_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;
	size_t size;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return ug_err_errno(err, "cannot open %s", path);
	size = (size_t)st.st_size;
	if (!S_ISREG(st.st_mode) || size > FILE_MAX)
		return ug_err(err, -UG_E_BAD_ELF, "%s is no ELF file", path);
	data = malloc(size + 1);
	if (!data)
		return ug_err(err, -ENOMEM, "out of memory");
	n = ug_read_all(fd, data, size);
	if (n < 0) {
		free(data);
		return ug_err(err, (int)n, "cannot read %s: %s", path, strerror((int)-n));
	}
	*ret = data;
	*ret_size = (size_t)n;
	return 0;
}

static bool read_header(struct elf_file *f, const uint8_t *data, size_t size)
{
	ug_reader_init(&f->r, data, size);
	if (!ug_reader_at(&f->r, 0, &f->h, sizeof(f->h)) || memcmp(f->h.e_ident, ELFMAG, SELFMAG) ||
	    f->h.e_ident[EI_CLASS] != ELFCLASS64 || f->h.e_machine != EM_X86_64 ||
	    f->h.e_shentsize != sizeof(Elf64_Shdr) ||
	    (f->h.e_type != ET_EXEC && f->h.e_type != ET_DYN))
		return false;
	f->sh = calloc((size_t)f->h.e_shnum + 1, sizeof(*f->sh));
	return f->sh && ug_reader_at(&f->r, f->h.e_shoff, f->sh, f->h.e_shnum * sizeof(*f->sh));
}

static void read_note(const struct elf_file *f, const Elf64_Shdr *sh, struct ug_build_id *ret)
{
	uint64_t at = sh->sh_offset, end = at + sh->sh_size;
	Elf64_Nhdr n;
	char name[4];

	while (at + sizeof(n) <= end && ug_reader_at(&f->r, at, &n, sizeof(n))) {
		uint64_t desc = at + sizeof(n) + ug_align_up(n.n_namesz, 4);

		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && n.n_descsz <= UG_BUILD_ID_MAX &&
		    ug_reader_at(&f->r, at + sizeof(n), name, 4) && !memcmp(name, "GNU", 4) &&
		    ug_reader_at(&f->r, desc, ret->bytes, n.n_descsz)) {
			ret->len = (uint8_t)n.n_descsz;
			return;
		}
		at = desc + ug_align_up(n.n_descsz, 4);
	}
}

static void find_build_id(const struct elf_file *f, struct ug_build_id *ret)
{
	*ret = (struct ug_build_id){ 0 };
	for (size_t i = 0; i < f->h.e_shnum && !ret->len; i++) {
		if (f->sh[i].sh_type == SHT_NOTE)
			read_note(f, &f->sh[i], ret);
	}
}

static const char *name_of(const struct elf_file *f, uint32_t strtab, uint32_t off)
{
	const char *s;

	if (strtab >= f->h.e_shnum)
		return "";
	s = ug_reader_str(&f->r, f->sh[strtab].sh_offset + off);
	return s ? s : "";
}

/* "stderr@GLIBC_2.2.5": what the linker writes for a copied variable. */
static void cut_version(uint8_t *data, const char *name)
{
	const char *at = strchr(name, '@');

	if (at)
		data[(const uint8_t *)at - data] = 0;
}

static int add_symbol(struct ug_linked *l, const struct elf_file *f, const Elf64_Shdr *tab,
		      const Elf64_Sym *sym, uint32_t *group)
{
	const char *name = name_of(f, tab->sh_link, sym->st_name);
	unsigned int type = ELF64_ST_TYPE(sym->st_info), bind = ELF64_ST_BIND(sym->st_info);
	struct ug_linked_symbol *s;

	if (type == STT_FILE) {
		const char **slot = ug_vec_add(&l->groups);

		if (!slot)
			return -ENOMEM;
		*slot = name;
		*group = (uint32_t)l->groups.n;
		return 0;
	}
	if (sym->st_shndx == SHN_UNDEF || !name[0] || type == STT_SECTION)
		return 0;
	s = ug_vec_add(&l->symbols);
	if (!s)
		return -ENOMEM;
	cut_version(l->data, name);
	*s = (struct ug_linked_symbol){ name, bind == STB_LOCAL ? *group : 0, (uint8_t)type,
					(uint8_t)bind, sym->st_value, sym->st_size };
	return 0;
}

static int read_symbols(struct ug_linked *l, const struct elf_file *f, const Elf64_Shdr *tab)
{
	uint32_t group = 0;

	for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= tab->sh_size; at += sizeof(Elf64_Sym)) {
		Elf64_Sym sym;

		if (!ug_reader_at(&f->r, tab->sh_offset + at, &sym, sizeof(sym)))
			break;
		if (add_symbol(l, f, tab, &sym, &group) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int read_imports(struct ug_linked *l, const struct elf_file *f, const Elf64_Shdr *tab)
{
	for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= tab->sh_size; at += sizeof(Elf64_Sym)) {
		const char **slot;
		Elf64_Sym sym;

		if (!ug_reader_at(&f->r, tab->sh_offset + at, &sym, sizeof(sym)))
			break;
		if (sym.st_shndx != SHN_UNDEF || !sym.st_name)
			continue;
		slot = ug_vec_add(&l->imports);
		if (!slot)
			return -ENOMEM;
		*slot = name_of(f, tab->sh_link, sym.st_name);
	}
	return 0;
}

static int compare_symbols(const void *pa, const void *pb)
{
	const struct ug_linked_symbol *a = pa, *b = pb;
	int c = strcmp(a->name, b->name);

	if (c)
		return c;
	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	return a->group < b->group ? -1 : a->group > b->group;
}

static int read_tables(struct ug_linked *l, const struct elf_file *f)
{
	int rc = 0;

	for (size_t i = 0; i < f->h.e_shnum && rc == 0; i++) {
		/* A debug file has the headers of sections it has no bytes for. */
		if (f->sh[i].sh_type == SHT_SYMTAB)
			rc = read_symbols(l, f, &f->sh[i]);
		else if (f->sh[i].sh_type == SHT_DYNSYM)
			rc = read_imports(l, f, &f->sh[i]);
	}
	if (l->symbols.n)
		qsort(l->symbols.v, l->symbols.n, sizeof(*l->symbols.v), compare_symbols);
	return rc;
}

int ug_linked_open(const char *path, struct ug_linked *ret, struct ug_error *err)
{
	struct ug_linked l = { 0 };
	struct elf_file f = { 0 };
	int rc = load(path, &l.data, &l.size, err);

	if (rc < 0)
		return rc;
	l.path = strdup(path);
	if (!l.path)
		rc = ug_err(err, -ENOMEM, "out of memory");
	else if (!read_header(&f, l.data, l.size))
		rc = ug_err(err, -UG_E_BAD_ELF, "%s is no linked ELF file for x86-64", path);
	else if (read_tables(&l, &f) < 0)
		rc = ug_err(err, -ENOMEM, "out of memory");
	else if (!l.symbols.n)
		rc = ug_err(err, -UG_E_NO_DEBUG, "%s has no symbol table (.symtab)", path);
	else
		find_build_id(&f, &l.build_id);
	free(f.sh);
	if (rc < 0) {
		ug_linked_close(&l);
		return rc;
	}
	*ret = l;
	return 0;
}

int ug_linked_imports_of(struct ug_linked *l, const char *path, struct ug_error *err)
{
	struct elf_file f = { 0 };
	size_t size;
	int rc = load(path, &l->import_data, &size, err);

	if (rc < 0)
		return rc;
	ug_vec_free(&l->imports);
	if (!read_header(&f, l->import_data, size))
		rc = ug_err(err, -UG_E_BAD_ELF, "%s is no linked ELF file for x86-64", path);
	for (size_t i = 0; rc == 0 && i < f.h.e_shnum; i++) {
		if (f.sh[i].sh_type == SHT_DYNSYM && read_imports(l, &f, &f.sh[i]) < 0)
			rc = ug_err(err, -ENOMEM, "out of memory");
	}
	free(f.sh);
	return rc;
}

void ug_linked_close(struct ug_linked *l)
{
	ug_vec_free(&l->symbols);
	ug_vec_free(&l->groups);
	ug_vec_free(&l->imports);
	free(l->data);
	free(l->import_data);
	free(l->path);
	*l = (struct ug_linked){ 0 };
}

void ug_linked_build_id(const char *path, struct ug_build_id *ret)
{
	struct elf_file f = { 0 };
	uint8_t *data = NULL;
	size_t size;

	*ret = (struct ug_build_id){ 0 };
	if (load(path, &data, &size, NULL) == 0 && read_header(&f, data, size))
		find_build_id(&f, ret);
	free(f.sh);
	free(data);
}

/* The first of that name. */
static size_t lower_bound(const struct ug_linked *l, const char *name)
{
	return ug_bisect(0, l->symbols.n, i, strcmp(l->symbols.v[i].name, name) < 0);
}

const struct ug_linked_symbol *ug_linked_find(const struct ug_linked *l, uint32_t group,
					      const char *name)
{
	for (size_t i = lower_bound(l, name); i < l->symbols.n; i++) {
		const struct ug_linked_symbol *s = &l->symbols.v[i];

		if (strcmp(s->name, name))
			break;
		if (s->group == group)
			return s;
	}
	return NULL;
}

const struct ug_linked_symbol *ug_linked_find_hidden(const struct ug_linked *l, const char *name)
{
	const struct ug_linked_symbol *found = NULL;

	for (size_t i = lower_bound(l, name); i < l->symbols.n; i++) {
		const struct ug_linked_symbol *s = &l->symbols.v[i];

		if (strcmp(s->name, name))
			break;
		if (found && found->value != s->value)
			return NULL;
		found = s;
	}
	return found;
}

unsigned int ug_linked_position(const struct ug_linked *l, const struct ug_linked_symbol *s)
{
	unsigned int n = 0, rank = 0;
	uint64_t last = 0;

	for (size_t i = lower_bound(l, s->name); i < l->symbols.n; i++) {
		if (strcmp(l->symbols.v[i].name, s->name))
			break;
		if (n && l->symbols.v[i].value == last)
			continue;
		last = l->symbols.v[i].value;
		n++;
		if (last == s->value)
			rank = n;
	}
	return n > 1 ? rank : 0;
}
