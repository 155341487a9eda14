// SPDX-License-Identifier: LGPL-2.1-or-later
/* Making the two images of a patch for given addresses. */
#include <errno.h>

#include "patchfile/image.h"

enum {
	HAVE_ADDRESS = 1 << 0,
	HAVE_MODULE = 1 << 1,
	HAVE_TP = 1 << 2,
};

/* What the resolver has said of a reference; each question is asked once. */
struct answer {
	uint8_t have;
	uint64_t address;
	uint64_t module, module_offset;
	int64_t tp_offset;
};

struct link {
	const struct ug_patch *patch;
	struct ug_patch_image *image;
	const struct ug_resolver *resolver;
	uint64_t base;
	uint8_t *rx, *rw;
	struct answer *answers;		/* by reference */
	struct answer *entries;		/* by function: only the address is used */
	bool have_ld;
	uint64_t ld_module;		/* the one all local-dynamic accesses share */
	struct ug_error *err;
};

static uint8_t *image_at(const struct link *l, uint64_t addr)
{
	return addr < l->image->rx_size ? l->rx + addr : l->rw + (addr - l->image->rx_size);
}

static void put64(const struct link *l, uint64_t addr, uint64_t value)
{
	memcpy(image_at(l, addr), &value, sizeof(value));
}

static uint64_t slot_addr(const struct link *l, uint32_t slot)
{
	return l->image->got + (uint64_t)(slot - 1) * UG_PF_SLOT_SIZE;
}

static uint64_t stub_addr(const struct link *l, uint32_t stub)
{
	return l->image->stubs + (uint64_t)(stub - 1) * UG_PF_STUB_SIZE;
}

/* ---- values of symbols ---- */

/* Functions that share a new body must share the entry too: "its own name" is one address. */
static int entry_value(struct link *l, size_t func, uint64_t *ret)
{
	const struct ug_patch *patch = l->patch;
	const struct ug_patch_func *f = &patch->funcs[func];

	*ret = l->entries[func].address;
	if (l->entries[func].have)
		return 0;
	*ret = l->resolver->entry(l->resolver->ctx, func);
	for (size_t i = func + 1; i < patch->nfuncs; i++) {
		const struct ug_patch_func *o = &patch->funcs[i];

		if (o->section != f->section || o->offset != f->offset)
			continue;
		if (l->resolver->entry(l->resolver->ctx, i) != *ret)
			return ug_pf_bad(l->err, "%s and %s share a new body that refers to itself, but "
					 "are not at one address", f->old_name, o->old_name);
	}
	l->entries[func] = (struct answer){ .have = HAVE_ADDRESS, .address = *ret };
	return 0;
}

static int ref_value(struct link *l, size_t index, uint64_t *ret)
{
	const struct ug_patch_ref *ref = &l->patch->refs[index];
	struct answer *a = &l->answers[index];
	int rc;

	if (!(a->have & HAVE_ADDRESS)) {
		ug_raddr_t addr = 0;

		rc = l->resolver->address(l->resolver->ctx, ref, &addr, l->err);
		if (rc == -UG_E_NO_SYMBOL && ref->weak)
			addr = 0;
		else if (rc < 0)
			return rc;
		a->address = addr;
		a->have |= HAVE_ADDRESS;
	}
	*ret = a->address;
	return 0;
}

static int symbol_value(struct link *l, const struct ug_pf_symbol *sym, int64_t func, uint64_t *ret)
{
	if (func >= 0)
		return entry_value(l, (size_t)func, ret);
	if (sym->ref >= 0)
		return ref_value(l, (size_t)sym->ref, ret);
	*ret = l->base + l->image->sections.v[sym->shndx].addr + sym->value;
	return 0;
}

/* TLS: only the wanted half is asked for, the other may not exist. */
static int tls_value(struct link *l, const struct ug_pf_symbol *sym, uint8_t want,
		     struct answer **ret)
{
	const struct ug_patch_ref *ref = &l->patch->refs[sym->ref];
	struct answer *a = &l->answers[sym->ref];
	bool module = want & HAVE_MODULE;
	int rc;

	*ret = a;
	if (a->have & want)
		return 0;
	if (!l->resolver->tls)
		return ug_err(l->err, -UG_E_UNSUPPORTED, "thread-local variable %s cannot be resolved",
			      ref->name);
	rc = l->resolver->tls(l->resolver->ctx, ref, module ? &a->module : NULL,
			      module ? &a->module_offset : NULL, module ? NULL : &a->tp_offset,
			      l->err);
	if (rc < 0)
		return rc;
	a->have |= want;
	return 0;
}

/*
 * Local-dynamic code asks once for the block of "the" module and adds offsets: right only
 * when all variables reached so are in one object, which the compiler takes for granted.
 */
static int same_module(struct link *l, const struct ug_pf_symbol *sym, const struct answer *a)
{
	if (l->have_ld && l->ld_module != a->module)
		return ug_err(l->err, -UG_E_BAD_RELOC, "thread-local %s is in another object than the "
			      "other local-dynamic variables; declare it with default visibility",
			      sym->name);
	l->have_ld = true;
	l->ld_module = a->module;
	return 0;
}

/* ---- GOT and stubs ---- */

static int fill_symbol_slots(struct link *l, const struct ug_pf_symbol *sym)
{
	struct answer *a;
	uint64_t value;
	int rc;

	if (sym->got) {
		const struct ug_pf_start *body = sym->ref >= 0 ? NULL :
			ug_pf_start_at(l->image, sym->shndx, sym->value);

		rc = symbol_value(l, sym, body ? body->func : -1, &value);
		if (rc < 0)
			return rc;
		put64(l, slot_addr(l, sym->got), value);
	}
	if (sym->got_tpoff) {
		rc = tls_value(l, sym, HAVE_TP, &a);
		if (rc < 0)
			return rc;
		put64(l, slot_addr(l, sym->got_tpoff), (uint64_t)a->tp_offset);
	}
	if (sym->got_gd) {
		rc = tls_value(l, sym, HAVE_MODULE, &a);
		if (rc < 0)
			return rc;
		put64(l, slot_addr(l, sym->got_gd), a->module);
		put64(l, slot_addr(l, sym->got_gd) + UG_PF_SLOT_SIZE, a->module_offset);
	}
	return 0;
}

/* jmp *slot(%rip), two bytes of padding. */
static int write_stub(struct link *l, const struct ug_pf_symbol *sym)
{
	uint64_t at = stub_addr(l, sym->stub);
	uint32_t disp = (uint32_t)(slot_addr(l, sym->got) - (at + 6));
	uint8_t code[UG_PF_STUB_SIZE] = { 0xff, 0x25, 0, 0, 0, 0, 0xcc, 0xcc };

	memcpy(code + 2, &disp, sizeof(disp));
	memcpy(image_at(l, at), code, sizeof(code));
	return 0;
}

static int fill_got(struct link *l)
{
	ug_vec_for_each(&l->image->symbols, sym) {
		int rc = fill_symbol_slots(l, sym);

		if (rc == 0 && sym->stub)
			rc = write_stub(l, sym);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- relocations ---- */

static int out_of_range(const struct link *l, const struct ug_pf_reloc *rel, uint64_t target)
{
	const struct ug_pf_symbol *sym = &l->image->symbols.v[rel->sym];
	const char *name = sym->type == STT_SECTION ? l->image->sections.v[sym->shndx].name : sym->name;

	ug_err(l->err, -UG_E_RELOC_RANGE,
	       "section %s+%#llx: relocation %s does not reach \"%s\" at %#llx; compile with -fPIC",
	       l->image->sections.v[rel->section].name, (unsigned long long)rel->offset,
	       ug_pf_reloc_name(rel->type), name, (unsigned long long)target);
	return -UG_E_RELOC_RANGE;
}

static bool fits(const struct ug_pf_reloc_type *type, uint64_t value)
{
	if (type->size == 8)
		return true;
	if (type->is_signed)
		return (int64_t)value == (int32_t)value;
	return value == (uint32_t)value;
}

static int store(const struct link *l, const struct ug_pf_reloc *rel, uint64_t value,
		 uint64_t target)
{
	const struct ug_pf_reloc_type *type = ug_pf_reloc_type(rel->type);
	uint64_t addr = l->image->sections.v[rel->section].addr + rel->offset;

	if (!fits(type, value))
		return out_of_range(l, rel, target);
	memcpy(image_at(l, addr), &value, type->size);
	return 0;
}

/* The symbol which owns slots and stub of the target, as layout has chosen it. */
static const struct ug_pf_symbol *owner(const struct link *l, const struct ug_pf_reloc *rel)
{
	const struct ug_patch_image *image = l->image;

	return &image->symbols.v[rel->func >= 0 ? image->func_symbols[rel->func] : rel->sym];
}

/* Sections and labels are named with an offset that is part of the addend. */
static uint64_t addend_of(const struct link *l, const struct ug_pf_reloc *rel)
{
	const struct ug_pf_symbol *sym = &l->image->symbols.v[rel->sym];

	/* section + addend stood for the body; the entry stands for it now */
	if (rel->func >= 0 && sym->type == STT_SECTION)
		return (uint64_t)rel->addend + sym->value - l->patch->funcs[rel->func].offset;
	return (uint64_t)rel->addend;
}

static int apply_slot(const struct link *l, const struct ug_pf_reloc *rel, uint32_t slot, uint64_t place)
{
	uint64_t addr = l->base + slot_addr(l, slot);

	return store(l, rel, addr + (uint64_t)rel->addend - place, addr);
}

/*
 * A PIE takes for granted that it gets a copy of each variable of a library. One that only the
 * patch refers to stays in the library, too far away for its lea: the slot has the address.
 */
static int load_from_slot(const struct link *l, const struct ug_pf_reloc *rel, uint32_t slot,
			  uint64_t place)
{
	image_at(l, place - l->base)[-2] = 0x8b;
	return apply_slot(l, rel, slot, place);
}

static int apply_address(struct link *l, const struct ug_pf_reloc *rel, enum ug_pf_class class,
			 uint64_t place)
{
	const struct ug_pf_reloc_type *type = ug_pf_reloc_type(rel->type);
	const struct ug_pf_symbol *own = owner(l, rel);
	uint64_t value, addend = addend_of(l, rel);
	int rc;

	rc = symbol_value(l, &l->image->symbols.v[rel->sym], rel->func, &value);
	if (rc < 0)
		return rc;
	if (class == UG_PF_ABS)
		return store(l, rel, value + addend, value);
	if (!fits(type, value + addend - place) && own->stub &&
	    (class == UG_PF_PLT || rel->use == UG_PF_USE_BRANCH))
		return store(l, rel, l->base + stub_addr(l, own->stub) + addend - place, value);
	if (!fits(type, value + addend - place) && rel->lea && own->ref >= 0)
		return load_from_slot(l, rel, own->got, place);
	return store(l, rel, value + addend - place, value);
}

static int apply_tls_direct(struct link *l, const struct ug_pf_reloc *rel, enum ug_pf_class class)
{
	const struct ug_pf_symbol *sym = &l->image->symbols.v[rel->sym];
	struct answer *a;
	int rc;

	rc = tls_value(l, sym, class == UG_PF_TPOFF ? HAVE_TP : HAVE_MODULE, &a);
	if (rc < 0)
		return rc;
	if (class == UG_PF_TPOFF)
		return store(l, rel, (uint64_t)a->tp_offset + (uint64_t)rel->addend, 0);
	rc = same_module(l, sym, a);
	if (rc < 0)
		return rc;
	return store(l, rel, a->module_offset + (uint64_t)rel->addend, 0);
}

static int apply_ld(struct link *l, const struct ug_pf_reloc *rel, uint64_t place)
{
	const struct ug_pf_symbol *sym = &l->image->symbols.v[rel->sym];
	uint64_t slot = slot_addr(l, l->image->got_ld);
	struct answer *a;
	int rc;

	rc = tls_value(l, sym, HAVE_MODULE, &a);
	if (rc == 0)
		rc = same_module(l, sym, a);
	if (rc < 0)
		return rc;
	put64(l, slot, a->module);
	put64(l, slot + UG_PF_SLOT_SIZE, 0);
	return store(l, rel, l->base + slot + (uint64_t)rel->addend - place, 0);
}

static int apply(struct link *l, const struct ug_pf_reloc *rel)
{
	enum ug_pf_class class = ug_pf_reloc_type(rel->type)->class;
	uint64_t place = l->base + l->image->sections.v[rel->section].addr + rel->offset;

	switch (class) {
	case UG_PF_ABS:
	case UG_PF_PC:
	case UG_PF_PLT:
		return apply_address(l, rel, class, place);
	case UG_PF_GOT:
		return apply_slot(l, rel, owner(l, rel)->got, place);
	case UG_PF_GOTTPOFF:
		return apply_slot(l, rel, owner(l, rel)->got_tpoff, place);
	case UG_PF_TLSGD:
		return apply_slot(l, rel, owner(l, rel)->got_gd, place);
	case UG_PF_TLSLD:
		return apply_ld(l, rel, place);
	case UG_PF_TPOFF:
	case UG_PF_DTPOFF:
		return apply_tls_direct(l, rel, class);
	case UG_PF_NONE:
		break;
	}
	return 0;
}

/*
 * What PT_GNU_EH_FRAME is to a mapped object: version 1, the table 4 bytes relative to where
 * that is said, no count and no sorted index.
 */
static void write_eh_header(const struct link *l)
{
	const struct ug_patch_image *image = l->image;
	uint8_t header[8] = { 1, 0x1b, 0xff, 0xff };
	uint32_t rel = (uint32_t)(image->eh_frame - (image->eh_header + 4));

	memcpy(header + 4, &rel, sizeof(rel));
	if (image->eh_frame_size)
		memcpy(l->rx + image->eh_header, header, sizeof(header));
}

static void copy_sections(const struct link *l)
{
	const struct ug_patch_image *image = l->image;

	memset(l->rx, 0, image->rx_size);
	memset(l->rx, 0xcc, image->code_end);	/* gaps between code: int3 */
	if (image->rw_size)
		memset(l->rw, 0, image->rw_size);
	ug_vec_for_each(&image->sections, s) {
		if (s->place == UG_PF_DROPPED || s->size == 0)
			continue;
		if (s->type == SHT_NOBITS)
			memset(image_at(l, s->addr), 0, s->size);
		else
			memcpy(image_at(l, s->addr), image->r.data + s->offset, s->size);
	}
}

static int run(struct link *l)
{
	int rc;

	copy_sections(l);
	write_eh_header(l);
	rc = fill_got(l);
	if (rc < 0)
		return rc;
	ug_vec_for_each(&l->image->relocs, rel) {
		rc = apply(l, rel);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int ug_patch_link(struct ug_patch *patch, const struct ug_resolver *resolver, ug_raddr_t base,
		  uint8_t *rx, uint8_t *rw, struct ug_error *err)
{
	struct link l = { .patch = patch, .image = patch->image, .resolver = resolver, .base = base,
			  .rx = rx, .rw = rw, .err = err };
	struct ug_patch_layout layout;
	int rc;

	rc = ug_patch_layout(patch, &layout, err);
	if (rc < 0)
		return rc;
	l.answers = calloc(patch->nrefs + 1, sizeof(*l.answers));
	l.entries = calloc(patch->nfuncs, sizeof(*l.entries));
	rc = l.answers && l.entries ? run(&l) : ug_err(err, -ENOMEM, "out of memory");
	free(l.answers);
	free(l.entries);
	return rc;
}
