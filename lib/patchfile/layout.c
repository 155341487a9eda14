// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where everything goes, before any address is known:
 *
 *	0		code sections
 *			stubs		one 8-byte far jump for each function outside that is called
 *	code_end	read-only data, unwind tables (a terminator behind .eh_frame)
 *			GOT
 *			header of .eh_frame, the last 8 bytes
 *	rx_size		data, bss	(the rw image)
 *
 * Stubs are laid out for whatever might be out of reach of a rel32, and slots for what a lea may
 * not reach; link decides.
 */
#include <errno.h>

#include "patchfile/image.h"

#define EH_TERMINATOR 8u	/* a zero length ends a table; 8 keeps the alignment */
#define EH_HEADER 8u

/* The symbol that owns GOT slots and stubs of what the relocation refers to. */
static struct ug_pf_symbol *owner(struct ug_patch_image *image, const struct ug_pf_reloc *rel)
{
	return &image->symbols.v[rel->func >= 0 ? image->func_symbols[rel->func] : rel->sym];
}

static void take_slots(struct ug_patch_image *image, uint32_t *slot, unsigned int n)
{
	if (*slot)
		return;
	*slot = (uint32_t)image->ngot + 1;
	image->ngot += n;
}

static void count_reloc(struct ug_patch_image *image, const struct ug_pf_reloc *rel)
{
	enum ug_pf_class class = ug_pf_reloc_type(rel->type)->class;
	struct ug_pf_symbol *sym = owner(image, rel);
	bool outside = sym->ref >= 0 || rel->func >= 0;

	if (class == UG_PF_GOT || (class == UG_PF_PC && rel->lea && sym->ref >= 0))
		take_slots(image, &sym->got, 1);
	else if (class == UG_PF_GOTTPOFF)
		take_slots(image, &sym->got_tpoff, 1);
	else if (class == UG_PF_TLSGD)
		take_slots(image, &sym->got_gd, 2);
	else if (class == UG_PF_TLSLD)
		take_slots(image, &image->got_ld, 2);
	else if (outside && (class == UG_PF_PLT ||
			     (class == UG_PF_PC && rel->use == UG_PF_USE_BRANCH))) {
		take_slots(image, &sym->got, 1);
		if (!sym->stub)
			sym->stub = (uint32_t)++image->nstubs;
	}
}

static bool wanted(const struct ug_pf_section *s, enum ug_pf_place place, bool code)
{
	return s->place == place && ug_pf_is_code(s) == code;
}

static uint64_t place_sections(struct ug_patch_image *image, uint64_t at, enum ug_pf_place place,
			       bool code)
{
	ug_vec_for_each(&image->sections, s) {
		if (!wanted(s, place, code))
			continue;
		at = ug_align_up(at, s->align);
		s->addr = at;
		at += s->size;
		if (!strcmp(s->name, ".eh_frame") && s->type != SHT_NOBITS && !image->eh_frame_size) {
			image->eh_frame = s->addr;
			image->eh_frame_size = s->size + EH_TERMINATOR;
			at += EH_TERMINATOR;
		}
	}
	return at;
}

static void place_all(struct ug_patch_image *image)
{
	uint64_t at;

	at = place_sections(image, 0, UG_PF_RX, true);
	image->stubs = ug_align_up(at, 16);
	at = image->stubs + image->nstubs * UG_PF_STUB_SIZE;
	image->code_end = at;
	at = place_sections(image, ug_align_up(at, 16), UG_PF_RX, false);
	image->got = ug_align_up(at, UG_PF_SLOT_SIZE);
	at = image->got + image->ngot * UG_PF_SLOT_SIZE;
	/* Who unwinds in the target finds the header from the address and size of rx alone. */
	image->rx_size = ug_align_up(at + (image->eh_frame_size ? EH_HEADER : 0), UG_PAGE_SIZE);
	image->eh_header = image->rx_size - EH_HEADER;
	at = place_sections(image, image->rx_size, UG_PF_RW, false);
	image->rw_size = ug_align_up(at - image->rx_size, UG_PAGE_SIZE);
}

int ug_patch_layout(struct ug_patch *patch, struct ug_patch_layout *ret, struct ug_error *err)
{
	struct ug_patch_image *image = patch->image;
	int rc;

	if (!image->laid_out) {
		ug_vec_for_each(&image->relocs, rel)
			count_reloc(image, rel);
		place_all(image);
		rc = ug_pf_find_ranges(patch, err);
		if (rc < 0)
			return rc;
		image->laid_out = true;
	}
	ret->code_size = image->code_end;
	ret->rx_size = image->rx_size;
	ret->rw_size = image->rw_size;
	return 0;
}

bool ug_patch_eh_frame(const struct ug_patch *patch, uint64_t *ret_offset, uint64_t *ret_size)
{
	const struct ug_patch_image *image = patch->image;

	if (!image->laid_out || !image->eh_frame_size)
		return false;
	*ret_offset = image->eh_frame;
	*ret_size = image->eh_frame_size;
	return true;
}
