// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Listing the FDEs of .eh_frame or .debug_frame. libdw cuts the section into entries; the
 * pointers in them are decoded here (LSB 5.0 Core, "Exception Frames"; DWARF 5, 6.4.1).
 */
#include "object/internal.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bisect.h"
#include "base/reader.h"
#include "base/vec.h"

#define CIES_MAX (1u << 20)

struct cie {
	uint64_t offset;
	uint8_t fde_enc, lsda_enc;
	bool augmented;		/* 'z': FDEs have augmentation data */
	bool signal_frame;
	bool understood;
};

struct lister {
	const struct ug_object *obj;
	const uint8_t *data;
	size_t size;
	uint64_t vaddr;
	bool eh_frame;
	UG_VEC(struct cie) cies;	/* by offset, ascending */
	struct ug_cfi *ret;
};

static bool take_uleb(struct ug_reader *r, uint64_t *ret)
{
	uint64_t v = 0;
	uint8_t b;

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		if (!ug_reader_next(r, &b, 1))
			return false;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

static bool take_sleb(struct ug_reader *r, uint64_t *ret)
{
	uint64_t v = 0;
	uint8_t b;

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		if (!ug_reader_next(r, &b, 1))
			return false;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			if ((b & 0x40) && shift + 7 < 64)
				v |= ~0UL << (shift + 7);
			*ret = v;
			return true;
		}
	}
	return false;
}

static bool take_fixed(struct ug_reader *r, size_t size, bool is_signed, uint64_t *ret)
{
	uint64_t v = 0;	/* x86 is little-endian: the low bytes come first */

	if (!ug_reader_next(r, &v, size))
		return false;
	if (is_signed && size < 8 && v >> (8 * size - 1))
		v |= ~0UL << (8 * size);
	*ret = v;
	return true;
}

/* The number alone, not yet relative to anything. */
static bool take_value(struct ug_reader *r, uint8_t enc, uint64_t *ret)
{
	switch (enc & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return take_fixed(r, 8, false, ret);
	case DW_EH_PE_udata4:
		return take_fixed(r, 4, false, ret);
	case DW_EH_PE_sdata4:
		return take_fixed(r, 4, true, ret);
	case DW_EH_PE_udata2:
		return take_fixed(r, 2, false, ret);
	case DW_EH_PE_sdata2:
		return take_fixed(r, 2, true, ret);
	case DW_EH_PE_uleb128:
		return take_uleb(r, ret);
	case DW_EH_PE_sleb128:
		return take_sleb(r, ret);
	default:
		return false;
	}
}

/* A link-time address; 0 stays 0 whatever it would be relative to. */
static bool take_pointer(const struct lister *l, struct ug_reader *r, uint8_t enc, uint64_t *ret)
{
	uint64_t here = l->vaddr + (uint64_t)(r->data - l->data) + r->pos, v;

	if (!take_value(r, enc, &v))
		return false;
	if (v && (enc & 0x70) == DW_EH_PE_pcrel)
		v += here;
	else if (enc & 0x70)
		return false;
	*ret = v;
	return true;
}

/* The letters of the augmentation string and the data that belong to them, in order. */
static bool parse_augmentation(const Dwarf_CIE *in, struct cie *cie)
{
	struct ug_reader r;
	uint64_t ignored;
	uint8_t enc;

	if (!in->augmentation[0])
		return true;
	if (in->augmentation[0] != 'z')
		return false;
	cie->augmented = true;
	ug_reader_init(&r, in->augmentation_data, in->augmentation_data_size);
	for (const char *s = in->augmentation + 1; *s; s++) {
		if (*s == 'R' && !ug_reader_next(&r, &cie->fde_enc, 1))
			return false;
		if (*s == 'L' && !ug_reader_next(&r, &cie->lsda_enc, 1))
			return false;
		if (*s == 'P' && (!ug_reader_next(&r, &enc, 1) || !take_value(&r, enc, &ignored)))
			return false;
		if (*s == 'S')
			cie->signal_frame = true;
		else if (!strchr("RLPB", *s))
			return false;
	}
	return true;
}

static int add_cie(struct lister *l, uint64_t offset, const Dwarf_CIE *in)
{
	struct cie *cie;

	if (l->cies.n >= CIES_MAX)
		return -UG_E_BAD_ELF;
	cie = ug_vec_add(&l->cies);
	if (!cie)
		return -ENOMEM;
	cie->offset = offset;
	cie->fde_enc = DW_EH_PE_absptr;
	cie->lsda_enc = DW_EH_PE_omit;
	cie->understood = parse_augmentation(in, cie);
	return 0;
}

static const struct cie *find_cie(const struct lister *l, uint64_t offset)
{
	size_t lo = ug_bisect(0, l->cies.n, i, l->cies.v[i].offset < offset);

	if (lo == l->cies.n || l->cies.v[lo].offset != offset || !l->cies.v[lo].understood)
		return NULL;
	return &l->cies.v[lo];
}

static bool parse_fde(const struct lister *l, const Dwarf_FDE *in, const struct cie *cie,
		      struct ug_fde *ret)
{
	const struct ug_object *obj = l->obj;
	uint64_t start, len, aug, lsda = 0;
	struct ug_reader r;

	ug_reader_init(&r, in->start, (size_t)(in->end - in->start));
	if (!take_pointer(l, &r, cie->fde_enc, &start) ||
	    !take_value(&r, cie->fde_enc & 0x0f, &len))
		return false;
	if (cie->augmented && cie->lsda_enc != DW_EH_PE_omit &&
	    (!take_uleb(&r, &aug) || !take_pointer(l, &r, cie->lsda_enc, &lsda)))
		return false;
	start += obj->bias;
	if (!len || start < obj->start || start >= obj->end || len > obj->end - start)
		return false;
	*ret = (struct ug_fde){
		.start = start,
		.end = start + len,
		.signal_frame = cie->signal_frame,
		.lsda = lsda ? lsda + obj->bias : 0,
	};
	return true;
}

static int add_fde(struct lister *l, const Dwarf_FDE *in)
{
	const struct cie *cie = find_cie(l, in->CIE_pointer);
	struct ug_fde fde, *slot;

	if (!cie || !parse_fde(l, in, cie, &fde))
		return 0;
	if (l->ret->n >= UG_FDES_MAX)
		return -UG_E_BAD_ELF;
	slot = ug_vec_add(l->ret);
	if (!slot)
		return -ENOMEM;
	*slot = fde;
	return 0;
}

/*
 * A CIE stands before the FDEs that use it: in .eh_frame by its format, in .debug_frame by
 * the custom of all assemblers; so one pass is enough, and the CIEs come sorted.
 */
static int list(struct lister *l, Elf_Data *data)
{
	static const unsigned char ident[EI_NIDENT] = {
		ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT,
	};
	Dwarf_Off off = 0;
	int ret = 0;

	while (ret == 0 && off < l->size) {
		Dwarf_CFI_Entry entry;
		Dwarf_Off next = off;
		int r = dwarf_next_cfi(ident, data, l->eh_frame, off, &next, &entry);

		if (r == 0 && dwarf_cfi_cie_p(&entry))
			ret = add_cie(l, off, &entry.cie);
		else if (r == 0)
			ret = add_fde(l, &entry.fde);
		if (r > 0 || next <= off)
			break;
		off = next;
	}
	return ret;
}

int ug_fdes_list(const struct ug_object *obj, Elf_Data *data, uint64_t vaddr, bool eh_frame,
		 struct ug_cfi *ret)
{
	struct lister l = {
		.obj = obj,
		.data = data->d_buf,
		.size = data->d_size,
		.vaddr = vaddr,
		.eh_frame = eh_frame,
		.ret = ret,
	};
	int r = list(&l, data);

	ug_vec_free(&l.cies);
	return r;
}
