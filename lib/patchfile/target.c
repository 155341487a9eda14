// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a relocation inside the patch refers to.
 *
 * Gas turns references to local symbols into section plus addend, so "is this the new body of
 * a replaced function?" is a question about places, not names. It is asked wherever C can
 * name a function; not in unwind tables, which do describe the new body, and not for
 * pc-relative data, where the addend also holds the distance from the start of a jump table.
 */
#include "base/bisect.h"
#include "patchfile/image.h"

struct place {
	uint32_t shndx;
	uint64_t value;
};

static bool in_code(const struct ug_patch_image *image, const struct ug_pf_reloc *rel)
{
	return ug_pf_is_code(&image->sections.v[rel->section]);
}

/* The place inside the patch, exact for branches, lea and absolute addresses. */
static struct place place_of(const struct ug_patch_image *image, const struct ug_pf_reloc *rel)
{
	const struct ug_pf_symbol *sym = &image->symbols.v[rel->sym];
	enum ug_pf_class class = ug_pf_reloc_type(rel->type)->class;
	struct place p = { sym->shndx, sym->value };

	if (class == UG_PF_GOT)
		return p;	/* the addend is one to the slot */
	p.value += (uint64_t)rel->addend;
	if (class != UG_PF_ABS && in_code(image, rel))
		p.value += 4;	/* counted from the end of the instruction */
	return p;
}

static int64_t func_of(const struct ug_patch_image *image, const struct ug_pf_reloc *rel)
{
	const struct ug_pf_symbol *sym = &image->symbols.v[rel->sym];
	enum ug_pf_class class = ug_pf_reloc_type(rel->type)->class;
	struct place p = { sym->shndx, sym->value };
	const struct ug_pf_start *start;

	if (sym->shndx == SHN_UNDEF || image->sections.v[rel->section].unwind)
		return -1;
	if (sym->type == STT_SECTION) {
		if (class == UG_PF_PC && !in_code(image, rel))
			return -1;
		p = place_of(image, rel);
	}
	start = ug_pf_start_at(image, p.shndx, p.value);
	return start ? start->func : -1;
}

/* An entry of a switch table: data that names a label inside of a function. */
static bool is_jump_table(const struct ug_patch_image *image, const struct ug_pf_reloc *rel)
{
	const struct ug_pf_symbol *sym = &image->symbols.v[rel->sym];
	struct place p;

	if (sym->shndx == SHN_UNDEF || in_code(image, rel) || rel->func >= 0 ||
	    image->sections.v[rel->section].unwind ||
	    !ug_pf_is_code(&image->sections.v[sym->shndx]) || sym->type == STT_FUNC)
		return false;
	if (ug_pf_reloc_type(rel->type)->class == UG_PF_PC)
		return true;
	p = place_of(image, rel);
	return !ug_pf_start_at(image, p.shndx, p.value);
}

void ug_pf_bind_targets(struct ug_patch *patch)
{
	struct ug_patch_image *image = patch->image;

	ug_vec_for_each(&image->relocs, rel) {
		if (rel->implicit)
			continue;
		rel->func = func_of(image, rel);
		rel->jump_table = is_jump_table(image, rel);
	}
}

/* The first relocation of a section at or behind `offset`, or NULL. */
static const struct ug_pf_reloc *reloc_from(const struct ug_patch_image *image, uint32_t section,
					    uint64_t offset)
{
	const struct ug_pf_section *s = &image->sections.v[section];
	size_t end = s->first_reloc + s->nrelocs;
	size_t at = ug_bisect(s->first_reloc, end, i, image->relocs.v[i].offset < offset);

	return at < end ? &image->relocs.v[at] : NULL;
}

/* The address of a switch table is taken only to jump through it. */
static bool names_jump_table(const struct ug_patch_image *image, const struct ug_pf_reloc *rel)
{
	struct place p = place_of(image, rel);
	const struct ug_pf_reloc *entry = reloc_from(image, p.shndx, p.value);

	return entry && entry->offset == p.value && entry->jump_table;
}

static bool reloc_escapes(const struct ug_patch_image *image, const struct ug_pf_reloc *rel)
{
	const struct ug_pf_symbol *sym = &image->symbols.v[rel->sym];
	enum ug_pf_class class = ug_pf_reloc_type(rel->type)->class;

	if (sym->shndx == SHN_UNDEF || rel->func >= 0 || rel->jump_table ||
	    image->sections.v[rel->section].unwind)
		return false;
	if (class == UG_PF_GOT)	/* the slot is read: what is in it is the address */
		return rel->use != UG_PF_USE_BRANCH_IND;
	if (class == UG_PF_PLT || rel->use != UG_PF_USE_ADDRESS)
		return false;
	return !names_jump_table(image, rel);
}

bool ug_pf_escapes(struct ug_patch *patch)
{
	ug_vec_for_each(&patch->image->relocs, rel) {
		if (reloc_escapes(patch->image, rel))
			return true;
	}
	return false;
}

static bool must_be_near(const struct ug_pf_reloc *rel)
{
	const struct ug_pf_reloc_type *type = ug_pf_reloc_type(rel->type);

	if (type->class == UG_PF_PC)
		return type->size == 4 && rel->use != UG_PF_USE_BRANCH && !rel->lea;
	return type->class == UG_PF_ABS && type->size == 4;
}

const char *ug_patch_near_ref(const struct ug_patch *patch, size_t ref)
{
	const struct ug_patch_image *image = patch->image;

	ug_vec_for_each(&image->relocs, rel) {
		const struct ug_pf_section *s = &image->sections.v[rel->section];

		if (image->symbols.v[rel->sym].ref == (int64_t)ref && ug_pf_is_code(s) && must_be_near(rel))
			return s->name;
	}
	return NULL;
}
