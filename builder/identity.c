// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bisect.h"
#include "base/cleanup.h"
#include "builder/identity.h"
#include "builder/symbols.h"
#include "text/insn.h"

struct section {
	const char *name;
	GElf_Shdr sh;
	const uint8_t *data;		/* NULL: none */
};

typedef UG_VEC(struct section) section_vec;

struct file {
	const char *path;
	int fd;
	Elf *elf;
	section_vec sections;		/* those that are loaded */
	uint64_t low, high;		/* where absolute addresses may lead; PIC: nowhere */
};

struct proof {
	struct file a, b;		/* the binary, the rebuilt */
	struct ug_linked symbols;	/* of b */
	UG_VEC(const struct ug_linked_symbol *) by_address;
	struct ug_identity *id;
	struct ug_error *err;
};

/* ---- reading ---- */

static int read_sections(struct file *f, struct ug_error *err)
{
	size_t names;
	Elf_Scn *scn = NULL;

	if (elf_getshdrstrndx(f->elf, &names) < 0)
		return ug_err(err, -UG_E_BAD_ELF, "%s has no section names", f->path);
	while ((scn = elf_nextscn(f->elf, scn))) {
		struct section *s;
		GElf_Shdr sh;
		Elf_Data *d;

		if (!gelf_getshdr(scn, &sh) || !(sh.sh_flags & SHF_ALLOC) || sh.sh_type == SHT_NOTE)
			continue;
		s = ug_vec_add(&f->sections);
		if (!s)
			return ug_err(err, -ENOMEM, "out of memory");
		s->sh = sh;
		s->name = elf_strptr(f->elf, names, sh.sh_name);
		d = sh.sh_type == SHT_NOBITS ? NULL : elf_rawdata(scn, NULL);
		s->data = d && d->d_size == sh.sh_size ? d->d_buf : NULL;
		if (!s->name)
			s->name = "";
	}
	return 0;
}

static void find_range(struct file *f)
{
	GElf_Ehdr h;

	if (!gelf_getehdr(f->elf, &h) || h.e_type != ET_EXEC || !f->sections.n)
		return;
	f->low = f->sections.v[0].sh.sh_addr;
	ug_vec_for_each(&f->sections, s)
		f->high = s->sh.sh_addr + s->sh.sh_size;
}

static int open_file(struct file *f, const char *path, struct ug_error *err)
{
	int rc;

	f->path = path;
	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0)
		return ug_err_errno(err, "cannot open %s", path);
	elf_version(EV_CURRENT);
	f->elf = elf_begin(f->fd, ELF_C_READ, NULL);
	if (!f->elf || elf_kind(f->elf) != ELF_K_ELF)
		return ug_err(err, -UG_E_BAD_ELF, "%s is no ELF file", path);
	rc = read_sections(f, err);
	find_range(f);
	return rc;
}

static void close_file(struct file *f)
{
	ug_vec_free(&f->sections);
	if (f->elf)
		elf_end(f->elf);
	if (f->fd >= 0)
		close(f->fd);
}

/* ---- symbols by address ---- */

static int by_value(const void *pa, const void *pb)
{
	const struct ug_linked_symbol *a = *(const struct ug_linked_symbol *const *)pa;
	const struct ug_linked_symbol *b = *(const struct ug_linked_symbol *const *)pb;

	return a->value < b->value ? -1 : a->value > b->value;
}

static int sort_symbols(struct proof *p)
{
	ug_vec_for_each(&p->symbols.symbols, s) {
		const struct ug_linked_symbol **slot;

		if (!s->size || (s->type != STT_FUNC && s->type != STT_OBJECT && s->type != STT_GNU_IFUNC))
			continue;
		slot = ug_vec_add(&p->by_address);
		if (!slot)
			return ug_err(p->err, -ENOMEM, "out of memory");
		*slot = s;
	}
	if (p->by_address.n)
		qsort(p->by_address.v, p->by_address.n, sizeof(*p->by_address.v), by_value);
	return 0;
}

/* What of the rebuilt program is at that address, or ends there. */
static const struct ug_linked_symbol *symbol_at(const struct proof *p, uint64_t addr)
{
	size_t lo = ug_bisect(0, p->by_address.n, i, p->by_address.v[i]->value <= addr);

	/* A few may nest or share an address: parts of functions, aliases. */
	for (size_t i = lo; i > 0 && lo - i < 8; i--) {
		const struct ug_linked_symbol *s = p->by_address.v[i - 1];

		if (addr < s->value + s->size)
			return s;
	}
	return NULL;
}

/* ---- why ---- */

static bool is_text(uint8_t c)
{
	return (c >= ' ' && c < 0x7f) || c == '\t' || c == '\n';
}

static void string_around(const struct section *s, uint64_t at, char *buf, size_t size)
{
	uint64_t start = at, end = at;
	size_t n = 0;

	while (start > 0 && at - start < 60 && is_text(s->data[start - 1]))
		start--;
	while (end < s->sh.sh_size && n < size - 1 && is_text(s->data[end]))
		end++;
	for (uint64_t i = start; i < end && n < size - 1; i++)
		buf[n++] = s->data[i] == '\n' || s->data[i] == '\t' ? ' ' : (char)s->data[i];
	buf[n] = 0;
}

static struct section *named(struct file *f, const char *name)
{
	ug_vec_for_each(&f->sections, s) {
		if (!strcmp(s->name, name))
			return s;
	}
	return NULL;
}

/* The first string in constant data that is not the same in both. */
static void find_cause(struct proof *p)
{
	const struct section *a = named(&p->a, ".rodata"), *b = named(&p->b, ".rodata");
	uint64_t n;

	if (!a || !b || !a->data || !b->data)
		return;
	n = a->sh.sh_size < b->sh.sh_size ? a->sh.sh_size : b->sh.sh_size;
	for (uint64_t i = 0; i < n; i++) {
		char sa[100], sb[100];

		if (a->data[i] == b->data[i])
			continue;
		string_around(a, i, sa, sizeof(sa));
		string_around(b, i, sb, sizeof(sb));
		if (strlen(sa) < 4 || strlen(sb) < 4)
			continue;
		snprintf(p->id->cause, sizeof(p->id->cause), "the binary says \"%s\", the rebuilt \"%s\"",
			 sa, sb);
		return;
	}
}

static int not_same(struct proof *p, const char *fmt, ...) ug_printf(2, 3);

static int not_same(struct proof *p, const char *fmt, ...)
{
	char where[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(where, sizeof(where), fmt, ap);
	va_end(ap);
	find_cause(p);
	return ug_err(p->err, -UG_E_IDENTITY, "%s was rebuilt with another build-id, and is another "
		      "program: %s%s%s", p->a.path, where, p->id->cause[0] ? "; perhaps because " : "",
		      p->id->cause);
}

/* ---- the layout ---- */

static bool same_place(const struct section *a, const struct section *b)
{
	return !strcmp(a->name, b->name) && a->sh.sh_addr == b->sh.sh_addr &&
	       a->sh.sh_size == b->sh.sh_size && a->sh.sh_type == b->sh.sh_type;
}

static int same_layout(struct proof *p)
{
	for (size_t i = 0; i < p->a.sections.n && i < p->b.sections.n; i++) {
		const struct section *a = &p->a.sections.v[i], *b = &p->b.sections.v[i];

		if (same_place(a, b))
			continue;
		return not_same(p, "its section %s has %llu bytes at %#llx, the rebuilt one's %s %llu at "
				"%#llx", a->name, (unsigned long long)a->sh.sh_size,
				(unsigned long long)a->sh.sh_addr, b->name,
				(unsigned long long)b->sh.sh_size, (unsigned long long)b->sh.sh_addr);
	}
	return p->a.sections.n == p->b.sections.n ? 0 : not_same(p, "it has other sections");
}

/* ---- functions ---- */

enum how { EQUAL, MASKED, DECODED, OTHER };

/* May the address `b` of the rebuilt program be `a` in the binary? */
static bool may_differ(const struct proof *p, uint64_t a, uint64_t b)
{
	return a == b || !symbol_at(p, b);
}

static bool is_address(const struct file *f, uint64_t v)
{
	return v >= f->low && v < f->high;
}

static enum how same_insn(const struct proof *p, const uint8_t *xa, const struct ug_insn *a,
			  const uint8_t *xb, const struct ug_insn *b)
{
	bool number = false;

	if (a->len != b->len || a->z.mnemonic != b->z.mnemonic || a->rip_disp != b->rip_disp)
		return OTHER;
	if (!memcmp(xa, xb, a->len))
		return EQUAL;
	if (a->target != b->target)
		return OTHER;
	for (int i = 0; i < a->len; i++) {
		if (xa[i] == xb[i] || (a->rip_disp && i >= a->rip_disp && i < a->rip_disp + 4))
			continue;
		/* A 4-byte number may be an address in a program that is not PIC. */
		if (a->z.raw.imm[0].size != 32 || i < a->z.raw.imm[0].offset ||
		    i >= a->z.raw.imm[0].offset + 4)
			return OTHER;
		number = true;
	}
	if (a->rip_disp && !may_differ(p, a->rip_target, b->rip_target))
		return OTHER;
	if (!number)
		return MASKED;
	return is_address(&p->a, a->z.raw.imm[0].value.u) && is_address(&p->b, b->z.raw.imm[0].value.u) &&
	       may_differ(p, a->z.raw.imm[0].value.u, b->z.raw.imm[0].value.u) ? DECODED : OTHER;
}

static enum how same_function(const struct proof *p, const struct ug_linked_symbol *f,
			      const uint8_t *xa, const uint8_t *xb)
{
	enum how how = EQUAL;

	if (!memcmp(xa, xb, f->size))
		return EQUAL;
	for (uint64_t at = 0; at < f->size;) {
		struct ug_insn a, b;
		enum how this;

		if (!ug_insn_decode(xa + at, f->size - at, f->value + at, &a) ||
		    !ug_insn_decode(xb + at, f->size - at, f->value + at, &b))
			return OTHER;
		this = same_insn(p, xa + at, &a, xb + at, &b);
		how = this > how ? this : how;
		if (how == OTHER)
			break;
		at += a.len;
	}
	return how;
}

static const struct section *holding(const struct file *f, const struct ug_linked_symbol *s, size_t *index)
{
	for (*index = 0; *index < f->sections.n; (*index)++) {
		const struct section *sec = &f->sections.v[*index];

		if (sec->data && s->value >= sec->sh.sh_addr &&
		    s->value + s->size <= sec->sh.sh_addr + sec->sh.sh_size)
			return sec;
	}
	return NULL;
}

static int compare_function(struct proof *p, const struct ug_linked_symbol *f)
{
	const struct section *b, *a;
	enum how how;
	size_t i;

	b = holding(&p->b, f, &i);
	a = b ? &p->a.sections.v[i] : NULL;
	if (!b || !a->data || !(b->sh.sh_flags & SHF_EXECINSTR))
		return 0;
	how = same_function(p, f, a->data + (f->value - a->sh.sh_addr), b->data + (f->value - b->sh.sh_addr));
	p->id->functions++;
	p->id->equal += how == EQUAL;
	p->id->masked += how == MASKED;
	p->id->decoded += how == DECODED;
	return how == OTHER ? not_same(p, "%s has other code", f->name) : 0;
}

static int compare_functions(struct proof *p)
{
	uint64_t last = 0;

	ug_vec_for_each(&p->by_address, s) {
		int rc;

		if ((*s)->type != STT_FUNC || (*s)->value == last)
			continue;
		last = (*s)->value;
		rc = compare_function(p, *s);
		if (rc < 0)
			return rc;
	}
	return p->id->functions ? 0 : not_same(p, "the rebuilt one has no functions");
}

/* ---- pointers that the dynamic linker fills in ---- */

static int compare_relocations(struct proof *p)
{
	const struct section *a = named(&p->a, ".rela.dyn"), *b = named(&p->b, ".rela.dyn");

	for (uint64_t at = 0; a && b && a->data && b->data && at + sizeof(Elf64_Rela) <= b->sh.sh_size;
	     at += sizeof(Elf64_Rela)) {
		Elf64_Rela ra, rb;

		memcpy(&ra, a->data + at, sizeof(ra));
		memcpy(&rb, b->data + at, sizeof(rb));
		if (ra.r_offset != rb.r_offset || ra.r_info != rb.r_info ||
		    !may_differ(p, (uint64_t)ra.r_addend, (uint64_t)rb.r_addend))
			return not_same(p, "the pointer at %#llx is another",
					(unsigned long long)rb.r_offset);
	}
	return 0;
}

/* Same names of imported and exported symbols, at the same places. */
static int compare_tables(struct proof *p)
{
	static const char *const names[] = { ".dynsym", ".dynstr", ".rela.plt", ".eh_frame", ".gcc_except_table",
					     ".init_array", ".fini_array" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct section *a = named(&p->a, names[i]), *b = named(&p->b, names[i]);

		if (a && b && a->data && b->data && memcmp(a->data, b->data, a->sh.sh_size))
			return not_same(p, "its section %s has other content", names[i]);
	}
	return 0;
}

static int run(struct proof *p, const char *binary, const char *rebuilt)
{
	int rc;

	rc = open_file(&p->a, binary, p->err);
	if (rc == 0)
		rc = open_file(&p->b, rebuilt, p->err);
	if (rc == 0)
		rc = ug_linked_open(rebuilt, &p->symbols, p->err);
	if (rc == 0)
		rc = sort_symbols(p);
	if (rc == 0)
		rc = same_layout(p);
	if (rc == 0)
		rc = compare_functions(p);
	if (rc == 0)
		rc = compare_relocations(p);
	if (rc == 0)
		rc = compare_tables(p);
	if (rc == 0)
		find_cause(p);
	return rc;
}

int ug_identity_prove(const char *binary, const char *rebuilt, struct ug_identity *ret,
		      struct ug_error *err)
{
	struct proof p = { .a.fd = -1, .b.fd = -1, .id = ret, .err = err };
	int rc;

	memset(ret, 0, sizeof(*ret));
	rc = run(&p, binary, rebuilt);
	ug_vec_free(&p.by_address);
	ug_linked_close(&p.symbols);
	close_file(&p.a);
	close_file(&p.b);
	return rc;
}
