// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>

#include "base/bisect.h"
#include "builder/diff/object.h"

/* ---- relocation types ---- */

unsigned int ug_rel_size(uint32_t type)
{
	switch (type) {
	case R_X86_64_NONE:
		return 0;
	case R_X86_64_64:
	case R_X86_64_PC64:
	case R_X86_64_DTPOFF64:
	case R_X86_64_TPOFF64:
		return 8;
	case R_X86_64_8:
	case R_X86_64_PC8:
		return 1;
	case R_X86_64_16:
	case R_X86_64_PC16:
		return 2;
	default:
		return 4;
	}
}

bool ug_rel_is_got(uint32_t type)
{
	return type == R_X86_64_GOTPCREL || type == R_X86_64_GOTPCRELX ||
	       type == R_X86_64_REX_GOTPCRELX || type == R_X86_64_GOTTPOFF;
}

bool ug_rel_is_tls(uint32_t type)
{
	return type == R_X86_64_TLSGD || type == R_X86_64_TLSLD || type == R_X86_64_DTPOFF32 ||
	       type == R_X86_64_GOTTPOFF || type == R_X86_64_TPOFF32 || type == R_X86_64_DTPOFF64 ||
	       type == R_X86_64_TPOFF64 || type == R_X86_64_GOTPC32_TLSDESC ||
	       type == R_X86_64_TLSDESC_CALL;
}

bool ug_rel_is_pc(uint32_t type)
{
	return type == R_X86_64_PC32 || type == R_X86_64_PLT32 || type == R_X86_64_PC64 ||
	       type == R_X86_64_PC16 || type == R_X86_64_PC8 || type == R_X86_64_TLSGD ||
	       type == R_X86_64_TLSLD || type == R_X86_64_GOTPC32_TLSDESC || ug_rel_is_got(type);
}

/* ---- sections ---- */

bool ug_dobj_is_code(const struct ug_objfile *f, size_t section)
{
	return section < f->nsh && (f->sh[section].sh_flags & SHF_ALLOC) &&
	       (f->sh[section].sh_flags & SHF_EXECINSTR) && f->sh[section].sh_type == SHT_PROGBITS;
}

bool ug_dobj_is_item_section(const struct ug_objfile *f, size_t section)
{
	const char *name = ug_objfile_section_name(f, section);
	const Elf64_Shdr *sh = &f->sh[section];

	if (section >= f->nsh || !(sh->sh_flags & SHF_ALLOC) ||
	    (sh->sh_type != SHT_PROGBITS && sh->sh_type != SHT_NOBITS))
		return false;
	return strcmp(name, ".eh_frame") && strncmp(name, ".ctors", 6) && strncmp(name, ".dtors", 6);
}

bool ug_dobj_is_lsda(const struct ug_objfile *f, size_t section)
{
	return section < f->nsh && !strncmp(ug_objfile_section_name(f, section), ".gcc_except_table", 17);
}

static bool is_readonly(const struct ug_objfile *f, size_t section)
{
	return !(f->sh[section].sh_flags & SHF_WRITE) ||
	       !strncmp(ug_objfile_section_name(f, section), ".data.rel.ro", 12);
}

static bool is_merged(const struct ug_objfile *f, size_t section)
{
	return (f->sh[section].sh_flags & SHF_MERGE) && f->sh[section].sh_entsize &&
	       f->sh[section].sh_type == SHT_PROGBITS;
}

/* ---- relocations ---- */

static int add_rel(void *ctx, const Elf64_Rela *rela)
{
	struct ug_dobj *o = ctx;
	struct ug_rel *rel;

	if (ELF64_R_TYPE(rela->r_info) == R_X86_64_NONE)
		return 0;
	rel = ug_vec_add(&o->rels);
	if (!rel)
		return -ENOMEM;
	rel->type = ELF64_R_TYPE(rela->r_info);
	rel->sym = ELF64_R_SYM(rela->r_info);
	rel->offset = rela->r_offset;
	rel->addend = rela->r_addend;
	return 0;
}

static int compare_rels(const void *pa, const void *pb)
{
	const struct ug_rel *a = pa, *b = pb;

	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static int read_rels(struct ug_dobj *o)
{
	for (size_t i = 0; i < o->file.nsh; i++) {
		size_t first = o->rels.n;
		int rc = 0;

		o->first_rel[i] = first;
		if (ug_objfile_is_loaded(&o->file, i))
			rc = ug_objfile_relocs(&o->file, i, add_rel, o);
		if (rc < 0)
			return rc;
		for (size_t j = first; j < o->rels.n; j++)
			o->rels.v[j].section = (uint32_t)i;
		if (o->rels.n > first)
			qsort(&o->rels.v[first], o->rels.n - first, sizeof(*o->rels.v),
			      compare_rels);
	}
	o->first_rel[o->file.nsh] = o->rels.n;
	return 0;
}

void ug_dobj_rels(const struct ug_dobj *o, uint32_t section, uint64_t from, uint64_t to,
		  const struct ug_rel **ret, size_t *ret_n)
{
	size_t lo, end;

	*ret = NULL;
	*ret_n = 0;
	if (section >= o->file.nsh)
		return;
	end = o->first_rel[section + 1];
	lo = ug_bisect(o->first_rel[section], end, i, o->rels.v[i].offset < from);
	*ret = &o->rels.v[lo];
	while (lo + *ret_n < end && o->rels.v[lo + *ret_n].offset < to)
		(*ret_n)++;
}

/* ---- items ---- */

/* Made by the compiler or a macro for one function, whatever number it got. */
static bool is_compiler_made(const char *name)
{
	static const char *const prefixes[] = {
		"__func__", "__FUNCTION__", "__PRETTY_FUNCTION__", "CSWTCH.", ".L", "C.",
		"switch.table.", "__const.", "str.", ".str",
	};

	for (size_t i = 0; i < UG_ARRAY_SIZE(prefixes); i++) {
		size_t len = strlen(prefixes[i]);

		if (!strncmp(name, prefixes[i], len) &&
		    (name[len - 1] == '.' || name[len - 1] == 'L' || !name[len] || name[len] == '.'))
			return true;
	}
	return strstr(name, ".__func__") || strstr(name, ".__PRETTY_FUNCTION__");
}

static struct ug_item *add_item(struct ug_dobj *o, enum ug_item_kind kind, uint32_t section,
				uint64_t value, uint64_t size)
{
	struct ug_item *item = ug_vec_add(&o->items);

	if (!item)
		return NULL;
	item->kind = kind;
	item->name = "";
	item->file = "";
	item->section = section;
	item->value = value;
	item->size = size;
	item->bind = STB_LOCAL;
	item->parent = item->pair = item->lsda = UG_NO_ITEM;
	item->readonly = section < o->file.nsh && is_readonly(&o->file, section);
	return item;
}

static int add_symbol_item(struct ug_dobj *o, size_t i)
{
	const Elf64_Sym *sym = &o->file.syms[i];
	unsigned int type = ELF64_ST_TYPE(sym->st_info);
	enum ug_item_kind kind = UG_ITEM_DATA;
	struct ug_item *item;

	if (type == STT_TLS)
		kind = UG_ITEM_TLS;
	else if (type == STT_FUNC || type == STT_GNU_IFUNC)
		kind = UG_ITEM_FUNC;
	else if (type != STT_OBJECT && type != STT_COMMON && sym->st_shndx != SHN_COMMON)
		return 0;
	if (sym->st_shndx != SHN_COMMON &&
	    (sym->st_shndx >= o->file.nsh || !ug_dobj_is_item_section(&o->file, sym->st_shndx) ||
	     is_merged(&o->file, sym->st_shndx)))
		return 0;
	/* The value of a common symbol is its alignment. */
	item = add_item(o, kind, sym->st_shndx, sym->st_shndx == SHN_COMMON ? i : sym->st_value,
			sym->st_size);
	if (!item)
		return -ENOMEM;
	item->sym = i;
	item->name = ug_objfile_symbol_name(&o->file, i);
	item->bind = ELF64_ST_BIND(sym->st_info);
	item->ifunc = type == STT_GNU_IFUNC;
	item->literal = kind == UG_ITEM_DATA && item->bind == STB_LOCAL && item->readonly &&
			is_compiler_made(item->name);
	return 0;
}

/* Every string or constant of a section whose content the linker merges. */
static int add_merged(struct ug_dobj *o, size_t section)
{
	const Elf64_Shdr *sh = &o->file.sh[section];
	const uint8_t *data = o->file.r.data + sh->sh_offset;
	uint64_t unit = sh->sh_entsize, at = 0;

	while (at + unit <= sh->sh_size) {
		static const uint8_t zero[32];
		uint64_t end = at + unit;
		struct ug_item *item;

		while ((sh->sh_flags & SHF_STRINGS) && unit <= sizeof(zero) &&
		       memcmp(data + end - unit, zero, unit) && end + unit <= sh->sh_size)
			end += unit;
		item = add_item(o, UG_ITEM_DATA, (uint32_t)section, at, end - at);
		if (!item)
			return -ENOMEM;
		item->literal = true;
		at = end;
	}
	return 0;
}

static int compare_items(const void *pa, const void *pb)
{
	const struct ug_item *a = pa, *b = pb;

	if (a->section != b->section)
		return a->section < b->section ? -1 : 1;
	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	/* Of several names a global one speaks for all; an item with a size before one without. */
	if (!a->size != !b->size)
		return !a->size ? 1 : -1;
	if ((a->bind == STB_LOCAL) != (b->bind == STB_LOCAL))
		return a->bind == STB_LOCAL ? 1 : -1;
	return strcmp(a->name, b->name);
}

static void sort_items(struct ug_dobj *o)
{
	size_t n = 0, at = 0;

	if (o->items.n)
		qsort(o->items.v, o->items.n, sizeof(*o->items.v), compare_items);
	for (size_t i = 0; i < o->items.n; i++) {
		const struct ug_item *item = &o->items.v[i];

		if (n && o->items.v[n - 1].section == item->section &&
		    o->items.v[n - 1].value == item->value)
			continue;	/* another name */
		o->items.v[n++] = *item;
	}
	o->items.n = n;
	for (size_t s = 0; s <= o->file.nsh; s++) {
		while (at < n && o->items.v[at].section < s)
			at++;
		o->first_item[s] = at;
	}
}

size_t ug_dobj_item_at(const struct ug_dobj *o, uint32_t section, uint64_t value)
{
	size_t first, end, at;

	if (section >= o->file.nsh)
		return UG_NO_ITEM;
	first = o->first_item[section];
	end = o->first_item[section + 1];
	if (first == end)
		return UG_NO_ITEM;
	/* As signed: a reference may point before the first element of an array. */
	at = ug_bisect(first, end, i, (int64_t)o->items.v[i].value <= (int64_t)value);
	return at == first ? first : at - 1;
}

/* ---- anonymous constants ---- */

struct use {			/* somebody names a place of an anonymous section */
	uint32_t section;
	uint64_t value;
	size_t by;
};

typedef UG_VEC(struct use) use_vec;

static int compare_uses(const void *pa, const void *pb)
{
	const struct use *a = pa, *b = pb;

	if (a->section != b->section)
		return a->section < b->section ? -1 : 1;
	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	return a->by < b->by ? -1 : a->by > b->by;
}

static bool is_anonymous(const struct ug_dobj *o, size_t section)
{
	return section < o->file.nsh && ug_dobj_is_item_section(&o->file, section) &&
	       !ug_dobj_is_code(&o->file, section) && o->file.sh[section].sh_size &&
	       o->first_item[section] == o->first_item[section + 1];
}

uint64_t ug_dobj_insn_end(const struct ug_dobj *o, const struct ug_rel *rel)
{
	size_t f = ug_dobj_item_at(o, rel->section, rel->offset);
	size_t first, end, at;

	if (f == UG_NO_ITEM || o->items.v[f].kind != UG_ITEM_FUNC)
		return rel->offset + 4;
	first = o->items.v[f].first_insn;
	end = first + o->items.v[f].ninsns;
	at = ug_bisect(first, end, i, o->ops.v[i].off + o->ops.v[i].len <= rel->offset);
	if (at == end || o->ops.v[at].off > rel->offset)
		return rel->offset + 4;
	return o->ops.v[at].off + o->ops.v[at].len;
}

/* Each function has a table of its own for exceptions, and .eh_frame names it. */
static bool is_lsda_use(const struct ug_dobj *o, const struct ug_rel *rel)
{
	return ug_dobj_is_lsda(&o->file, o->file.syms[rel->sym].st_shndx) &&
	       !strcmp(ug_objfile_section_name(&o->file, rel->section), ".eh_frame");
}

static int collect_uses(const struct ug_dobj *o, use_vec *uses)
{
	ug_vec_for_each(&o->rels, rel) {
		const Elf64_Sym *sym = &o->file.syms[rel->sym];
		uint64_t value = sym->st_value + (uint64_t)rel->addend;
		bool lsda = is_lsda_use(o, rel);
		struct use *u;

		if (!is_anonymous(o, sym->st_shndx) ||
		    (!lsda && !ug_dobj_is_item_section(&o->file, rel->section)))
			continue;
		if (ug_rel_is_pc(rel->type) && ug_dobj_is_code(&o->file, rel->section))
			value += ug_dobj_insn_end(o, rel) - rel->offset;
		u = ug_vec_add(uses);
		if (!u)
			return -ENOMEM;
		*u = (struct use){ sym->st_shndx, value,
				   lsda ? UG_NO_ITEM - 1 - uses->n :
				   ug_dobj_item_at(o, rel->section, rel->offset) };
	}
	if (uses->n)
		qsort(uses->v, uses->n, sizeof(*uses->v), compare_uses);
	return 0;
}

/* Does some item name places on both sides of uses[at]? Then they are parts of one constant. */
static bool is_bound(const use_vec *uses, size_t begin, size_t at)
{
	uint32_t section = uses->v[at].section;

	for (size_t i = begin; i < at; i++) {
		for (size_t j = at; j < uses->n && uses->v[j].section == section; j++) {
			if (uses->v[i].by == uses->v[j].by)
				return true;
		}
	}
	return false;
}

/*
 * With a section for each variable, what has no name in plain .data is a constant: gcc puts those
 * there that hold addresses, as the initial value of an automatic array of strings.
 */
static bool is_pool(const struct ug_dobj *o, uint32_t section)
{
	return !strcmp(ug_objfile_section_name(&o->file, section), ".data");
}

static int add_regions(struct ug_dobj *o, const use_vec *uses)
{
	for (size_t i = 0; i < uses->n;) {
		uint32_t section = uses->v[i].section;
		uint64_t start = uses->v[i].value, end = o->file.sh[section].sh_size;
		struct ug_item *item;
		size_t j = i + 1;

		for (; j < uses->n && uses->v[j].section == section; j++) {
			if (uses->v[j].value != uses->v[j - 1].value && !is_bound(uses, i, j))
				break;
		}
		if (i == 0 || uses->v[i - 1].section != section)
			start = 0;
		if (j < uses->n && uses->v[j].section == section)
			end = uses->v[j].value;
		i = j;
		if (start >= end)
			continue;
		item = add_item(o, UG_ITEM_DATA, section, start, end - start);
		if (!item)
			return -ENOMEM;
		if (is_pool(o, section))
			item->readonly = true;
		item->literal = item->readonly;
	}
	return 0;
}

static int find_anonymous(struct ug_dobj *o)
{
	use_vec uses = { 0 };
	int rc = collect_uses(o, &uses);

	if (rc == 0)
		rc = add_regions(o, &uses);
	ug_vec_free(&uses);
	if (rc == 0)
		sort_items(o);
	return rc;
}

/* ---- code ---- */

static int decode(struct ug_dobj *o, struct ug_item *f)
{
	const uint8_t *code = ug_item_bytes(o, f);
	uint64_t at = 0;

	f->first_insn = o->ops.n;
	while (code && at < f->size) {
		struct ug_insn insn;
		struct ug_op *op;

		if (!ug_insn_decode(code + at, f->size - at, f->value + at, &insn)) {
			f->opaque = true;
			break;
		}
		at += insn.len;
		if (insn.is_nop)
			continue;
		op = ug_vec_add(&o->ops);
		if (!op)
			return -ENOMEM;
		*op = (struct ug_op){ insn.addr, insn.len, (uint8_t)insn.kind,
				      (uint16_t)insn.z.mnemonic, insn.target };
	}
	f->ninsns = o->ops.n - f->first_insn;
	return 0;
}

bool ug_item_insn_at(const struct ug_dobj *o, const struct ug_item *f, int64_t off, size_t *ret)
{
	uint64_t at = f->value + (uint64_t)off;
	size_t lo, end = f->first_insn + f->ninsns;

	if (off < 0 || (uint64_t)off > f->size)
		return false;
	lo = ug_bisect(f->first_insn, end, i, o->ops.v[i].off < at);
	/* In the middle of an instruction? */
	if (lo > f->first_insn && o->ops.v[lo - 1].off + o->ops.v[lo - 1].len > at)
		return false;
	*ret = lo - f->first_insn;
	return lo <= end;
}

/* ---- cold parts ---- */

static void find_parents(struct ug_dobj *o)
{
	ug_vec_for_each(&o->items, cold) {
		const char *at = cold->kind == UG_ITEM_FUNC ? strstr(cold->name, ".cold") : NULL;
		size_t len = at ? (size_t)(at - cold->name) : 0;

		if (!at || (at[5] && at[5] != '.'))
			continue;
		for (size_t i = 0; i < o->items.n; i++) {
			const struct ug_item *f = &o->items.v[i];

			if (f->kind == UG_ITEM_FUNC && !strncmp(f->name, cold->name, len) &&
			    !f->name[len]) {
				cold->parent = i;
				break;
			}
		}
	}
}

/* ---- tables for exceptions ---- */

static uint64_t read_uleb(const uint8_t *p, uint64_t size, uint64_t *at)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; *at < size && shift < 63; shift += 7) {
		uint8_t byte = p[(*at)++];

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			break;
	}
	return value;
}

/* Bytes of one table (Itanium C++ ABI, exception handling, 7.2), without the padding behind it. */
static uint64_t lsda_size(const uint8_t *p, uint64_t size)
{
	static const uint8_t bytes[16] = { 8, 0, 2, 4, 8, 0, 0, 0, 8, 0, 2, 4, 8 };
	uint64_t at = 1, types = 0, calls;

	if (size < 4)
		return size;
	if (p[0] != 0xff) {
		if (!bytes[p[0] & 15])
			return size;
		at += bytes[p[0] & 15];
	}
	if (at < size && p[at++] != 0xff) {
		types = read_uleb(p, size, &at);
		types += at;
	}
	at++;				/* encoding of the call sites */
	calls = read_uleb(p, size, &at);
	at = types ? types : at + calls;
	return at < size ? at : size;
}

static void find_lsdas(struct ug_dobj *o)
{
	size_t eh = ug_objfile_section(&o->file, ".eh_frame"), f = UG_NO_ITEM;

	for (size_t i = o->first_rel[eh]; eh && i < o->first_rel[eh + 1]; i++) {
		const struct ug_rel *rel = &o->rels.v[i];
		const Elf64_Sym *sym = &o->file.syms[rel->sym];
		uint64_t value = sym->st_value + (uint64_t)rel->addend;
		size_t item = ug_dobj_item_at(o, sym->st_shndx, value);

		if (ug_dobj_is_code(&o->file, sym->st_shndx)) {
			f = item != UG_NO_ITEM && o->items.v[item].value == value ? item : UG_NO_ITEM;
		} else if (ug_dobj_is_lsda(&o->file, sym->st_shndx) && item != UG_NO_ITEM) {
			struct ug_item *lsda = &o->items.v[item];
			const uint8_t *p = ug_item_bytes(o, lsda);

			if (f != UG_NO_ITEM)
				o->items.v[f].lsda = item;
			if (p)
				lsda->size = lsda_size(p, lsda->size);
		}
	}
}

/* Data that names places inside of a function (labels of computed gotos) belongs to the
 * function: it is of no use to a new version of it. */
static void find_label_tables(struct ug_dobj *o)
{
	ug_vec_for_each(&o->rels, rel) {
		size_t d = ug_dobj_item_at(o, rel->section, rel->offset);
		struct ug_place p;

		if (d == UG_NO_ITEM || o->items.v[d].kind != UG_ITEM_DATA ||
		    o->items.v[d].bind != STB_LOCAL)
			continue;
		p = ug_dobj_place(o, rel, 0, o->items.v[d].value);
		if (p.item != UG_NO_ITEM && o->items.v[p.item].kind == UG_ITEM_FUNC && p.off != 0)
			o->items.v[d].literal = true;
	}
}

/* ---- opening ---- */

const uint8_t *ug_item_bytes(const struct ug_dobj *o, const struct ug_item *item)
{
	const Elf64_Shdr *sh;

	if (item->section >= o->file.nsh)
		return NULL;
	sh = &o->file.sh[item->section];
	if (sh->sh_type == SHT_NOBITS || item->value > sh->sh_size ||
	    item->size > sh->sh_size - item->value)
		return NULL;
	return o->file.r.data + sh->sh_offset + item->value;
}

struct ug_place ug_dobj_place(const struct ug_dobj *o, const struct ug_rel *rel, uint64_t insn_end,
			      uint64_t base)
{
	const Elf64_Sym *sym = &o->file.syms[rel->sym];
	struct ug_place p = { UG_NO_ITEM, rel->sym, 0 };
	bool tls_data = ELF64_ST_TYPE(sym->st_info) == STT_TLS;
	uint64_t off = (uint64_t)rel->addend;	/* of a malformed object it may be anything */

	if (ug_rel_is_pc(rel->type))
		off += (insn_end ? insn_end : base) - rel->offset;
	p.off = (int64_t)off;
	if (sym->st_shndx == SHN_COMMON)
		p.item = o->sym_item[rel->sym];
	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx >= o->file.nsh)
		return p;
	/* A named thing is meant as such; .LC labels and section symbols are mere places. */
	if (o->sym_item[rel->sym] != UG_NO_ITEM && (ELF64_ST_TYPE(sym->st_info) != STT_NOTYPE || tls_data)) {
		p.item = o->sym_item[rel->sym];
		return p;
	}
	p.item = ug_dobj_item_at(o, sym->st_shndx, sym->st_value + off);
	if (p.item != UG_NO_ITEM)
		p.off = (int64_t)(off + sym->st_value - o->items.v[p.item].value);
	return p;
}

const char *ug_dobj_source(const struct ug_dobj *o)
{
	for (size_t i = 0; i < o->file.nsyms; i++) {
		if (ELF64_ST_TYPE(o->file.syms[i].st_info) == STT_FILE)
			return ug_objfile_symbol_name(&o->file, i);
	}
	return "";
}

static void map_symbols(struct ug_dobj *o)
{
	for (size_t i = 0; i < o->file.nsyms; i++) {
		const Elf64_Sym *sym = &o->file.syms[i];
		size_t item = UG_NO_ITEM;

		if (sym->st_shndx == SHN_COMMON) {
			for (size_t j = o->items.n; j-- > 0 && o->items.v[j].section == SHN_COMMON;) {
				if (o->items.v[j].sym == i)
					item = j;
			}
		} else if (sym->st_shndx && sym->st_shndx < o->file.nsh &&
			   ELF64_ST_TYPE(sym->st_info) != STT_SECTION) {
			item = ug_dobj_item_at(o, sym->st_shndx, sym->st_value);
		}
		if (item != UG_NO_ITEM && sym->st_shndx != SHN_COMMON &&
		    o->items.v[item].value != sym->st_value)
			item = UG_NO_ITEM;
		o->sym_item[i] = item;
	}
}

static int find_items(struct ug_dobj *o)
{
	int rc = 0;

	for (size_t i = 1; i < o->file.nsyms && rc == 0; i++)
		rc = add_symbol_item(o, i);
	for (size_t i = 1; i < o->file.nsh && rc == 0; i++) {
		if (ug_dobj_is_item_section(&o->file, i) && is_merged(&o->file, i))
			rc = add_merged(o, i);
	}
	if (rc < 0)
		return rc;
	sort_items(o);
	ug_vec_for_each(&o->items, f) {
		rc = f->kind == UG_ITEM_FUNC ? decode(o, f) : 0;
		if (rc < 0)
			return rc;
	}
	rc = find_anonymous(o);
	if (rc < 0)
		return rc;
	map_symbols(o);
	find_parents(o);
	find_lsdas(o);
	find_label_tables(o);
	return 0;
}

static int check_object(const struct ug_dobj *o, struct ug_error *err)
{
	for (size_t i = 1; i < o->file.nsh; i++) {
		if (!strncmp(ug_objfile_section_name(&o->file, i), ".gnu.lto_", 9))
			return ug_err(err, -UG_E_LTO, "%s was compiled for link-time optimisation "
				      "(-flto): its code is not the program's; see "
				      "'ugraft build --explain=LTO'", o->path);
	}
	if (o->file.nsh >= SHN_LORESERVE)
		return ug_err(err, -UG_E_BAD_ELF, "%s has too many sections", o->path);
	return 0;
}

static int open_into(struct ug_dobj *o, struct ug_error *err)
{
	int rc;

	rc = ug_objfile_read(o->path, &o->file, err);
	if (rc == 0)
		rc = check_object(o, err);
	if (rc < 0)
		return rc;
	o->first_rel = calloc(o->file.nsh + 1, sizeof(*o->first_rel));
	o->first_item = calloc(o->file.nsh + 1, sizeof(*o->first_item));
	o->sym_item = calloc(o->file.nsyms + 1, sizeof(*o->sym_item));
	if (!o->first_rel || !o->first_item || !o->sym_item || read_rels(o) < 0 || find_items(o) < 0)
		return ug_err(err, -ENOMEM, "out of memory");
	return ug_dobj_read_debug(o, err);
}

int ug_dobj_open(const char *path, struct ug_dobj **ret, struct ug_error *err)
{
	struct ug_dobj *o = calloc(1, sizeof(*o));
	int rc;

	if (!o)
		return ug_err(err, -ENOMEM, "out of memory");
	o->path = path;
	rc = open_into(o, err);
	if (rc < 0) {
		ug_dobj_close(o);
		ug_err_where(err, path, NULL, 0);
		return rc;
	}
	*ret = o;
	return 0;
}

void ug_dobj_close(struct ug_dobj *o)
{
	if (!o)
		return;
	ug_dobj_free_debug(o);
	ug_vec_for_each(&o->items, item)
		free(item->scope);
	ug_vec_free(&o->items);
	ug_vec_free(&o->rels);
	ug_vec_free(&o->ops);
	free(o->first_rel);
	free(o->first_item);
	free(o->sym_item);
	ug_objfile_free(&o->file);
	free(o);
}
