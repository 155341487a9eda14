// SPDX-License-Identifier: GPL-2.0-or-later
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/flags.h"
#include "builder/maker.h"

struct ug_program_makers {
	int fd;
	Dwarf *dw;			/* NULL: no debug information */
	char *comment;			/* of its .comment: strings, one behind the other */
	size_t size;
};

/* ---- what a producer says ---- */

/* "GNU C17 12.2.0 -O2 -g" is a name and flags. clang may have a whole command line, with paths. */
static bool take_producer(const char *text, struct ug_maker *ret)
{
	ug_string_vec words = { 0 };
	size_t n = strlen(text);
	bool ok;

	for (size_t i = 0; i + 1 < n; i++) {
		if (text[i] == ' ' && (text[i + 1] == '-' || text[i + 1] == '/'))
			n = i;
	}
	snprintf(ret->producer, sizeof(ret->producer), "%.*s", (int)n, text);
	ok = ug_words_split(text + n, UG_WORDS_SHELL, &words) &&
	     ug_flags_normal((const char *const *)words.v, words.n, NULL, &ret->flags);
	ug_flags_sort(&ret->flags);
	ug_strings_free(&words);
	return ok;
}

/* ---- an object ---- */

void ug_maker_comment(const struct ug_objfile *o, char *buf, size_t size)
{
	const Elf64_Shdr *sh = &o->sh[ug_objfile_section(o, ".comment")];
	const uint8_t *p = o->r.data + sh->sh_offset;
	size_t at = 0, n = 0;

	buf[0] = 0;
	if (sh->sh_type != SHT_PROGBITS)
		return;
	while (at < sh->sh_size && !p[at])
		at++;			/* compilers begin with an empty one */
	for (; at < sh->sh_size && p[at] && n < size - 1; at++)
		buf[n++] = p[at] < ' ' || p[at] == 0x7f ? '?' : (char)p[at];
	buf[n] = 0;
}

bool ug_maker_of_object(const struct ug_dobj *o, struct ug_maker *ret)
{
	const char *producer = ug_dobj_producer(o);

	*ret = (struct ug_maker){ 0 };
	ug_maker_comment(&o->file, ret->compiler, sizeof(ret->compiler));
	if (!take_producer(producer, ret))
		return false;
	if (!ret->compiler[0])
		snprintf(ret->compiler, sizeof(ret->compiler), "%s", ret->producer);
	return true;
}

void ug_maker_free(struct ug_maker *m)
{
	ug_strings_free(&m->flags);
}

/* ---- a program ---- */

static int read_comment(struct ug_program_makers *p, Elf *elf)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (!elf || elf_getshdrstrndx(elf, &names) < 0)
		return 0;
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr sh;
		Elf_Data *d;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_PROGBITS ||
		    strcmp(elf_strptr(elf, names, sh.sh_name) ?: "", ".comment") != 0)
			continue;
		d = elf_rawdata(scn, NULL);
		if (!d || !d->d_size)
			break;
		p->comment = calloc(1, d->d_size + 1);
		if (!p->comment)
			return -ENOMEM;
		memcpy(p->comment, d->d_buf, d->d_size);
		p->size = d->d_size;
		break;
	}
	return 0;
}

int ug_program_makers_open(const char *path, struct ug_program_makers **ret, struct ug_error *err)
{
	struct ug_program_makers *p = calloc(1, sizeof(*p));
	Elf *elf;
	int rc = 0;

	if (!p)
		return ug_err(err, -ENOMEM, "out of memory");
	p->fd = open(path, O_RDONLY | O_CLOEXEC);
	elf_version(EV_CURRENT);
	elf = p->fd >= 0 ? elf_begin(p->fd, ELF_C_READ, NULL) : NULL;
	if (!elf)
		rc = ug_err(err, -UG_E_BAD_ELF, "cannot read %s", path);
	else if (read_comment(p, elf) < 0)
		rc = ug_err(err, -ENOMEM, "out of memory");
	if (elf)
		elf_end(elf);
	if (rc < 0) {
		ug_program_makers_close(p);
		return rc;
	}
	p->dw = dwarf_begin(p->fd, DWARF_C_READ);
	*ret = p;
	return 0;
}

void ug_program_makers_close(struct ug_program_makers *p)
{
	if (!p)
		return;
	if (p->dw)
		dwarf_end(p->dw);
	if (p->fd >= 0)
		close(p->fd);
	free(p->comment);
	free(p);
}

/* NULL: not known. Each unit is looked at: clang writes no table of addresses. */
static const char *producer_at(const struct ug_program_makers *p, uint64_t addr)
{
	Dwarf_Off off = 0, next;
	Dwarf_Attribute attr;
	size_t header;

	while (p->dw && dwarf_nextcu(p->dw, off, &next, &header, NULL, NULL, NULL) == 0) {
		Dwarf_Die cu;

		if (dwarf_offdie(p->dw, off + header, &cu) && dwarf_haspc(&cu, addr) == 1)
			return dwarf_formstring(dwarf_attr(&cu, DW_AT_producer, &attr));
		off = next;
	}
	return NULL;
}

/* ---- the comparison ---- */

static bool has_flag(const ug_string_vec *v, const char *flag)
{
	ug_vec_for_each(v, f) {
		if (!strcmp(*f, flag))
			return true;
	}
	return false;
}

/* "GNU C17 12.2.0 with -O3": of the flags those the other has not. */
static void describe(const struct ug_maker *m, const struct ug_maker *other, char *buf, size_t size)
{
	size_t at = (size_t)snprintf(buf, size, "%s", m->producer), n = 0;

	if (strcmp(m->producer, other->producer))
		return;
	ug_vec_for_each(&m->flags, f) {
		if (!has_flag(&other->flags, *f) && at < size)
			at += (size_t)snprintf(buf + at, size - at, "%s %s", n++ ? "" : " with", *f);
	}
	if (!n && at < size)
		snprintf(buf + at, size - at, " without");
}

static bool same_flags(const struct ug_maker *a, const struct ug_maker *b)
{
	/* Not every compiler writes them down. */
	if (!a->flags.n || !b->flags.n)
		return true;
	if (a->flags.n != b->flags.n)
		return false;
	for (size_t i = 0; i < a->flags.n; i++) {
		if (strcmp(a->flags.v[i], b->flags.v[i]))
			return false;
	}
	return true;
}

static int compare_producers(const struct ug_maker *there, const struct ug_maker *here, bool shared,
			     char *text, size_t size)
{
	char a[120], b[120];

	if (!strcmp(there->producer, here->producer) && (shared || same_flags(there, here)))
		return UG_MAKER_SAME;
	describe(there, here, a, sizeof(a));
	describe(here, there, b, sizeof(b));
	snprintf(text, size, "the program has it from %s, this build from %s", a, b);
	return UG_MAKER_OTHER;
}

/* Which of them made the function is not said: it must be one of them. */
static int compare_comments(const struct ug_program_makers *p, const struct ug_maker *here, char *text,
			    size_t size)
{
	const char *first = NULL;

	if (!here->compiler[0] || !p->comment)
		return UG_MAKER_UNKNOWN;
	for (const char *s = p->comment; s < p->comment + p->size; s += strlen(s) + 1) {
		if (!strcmp(s, here->compiler))
			return UG_MAKER_SAME;
		if (*s && !first)
			first = s;
	}
	if (!first)
		return UG_MAKER_UNKNOWN;
	snprintf(text, size, "the program is from %.100s, this build from %.100s", first, here->compiler);
	return UG_MAKER_OTHER;
}

int ug_maker_compare(const struct ug_program_makers *p, const struct ug_dobj *o, uint64_t addr,
		     bool shared, char *text, size_t size)
{
	const char *producer = producer_at(p, addr);
	struct ug_maker here, there = { 0 };
	int rc = UG_MAKER_UNKNOWN;

	if (!ug_maker_of_object(o, &here) || (producer && !take_producer(producer, &there)))
		rc = -ENOMEM;
	else if (producer && here.producer[0])
		rc = compare_producers(&there, &here, shared, text, size);
	else
		rc = compare_comments(p, &here, text, size);
	ug_maker_free(&here);
	ug_maker_free(&there);
	return rc;
}
