// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One linear decode of the patch's code. It answers two questions:
 *
 *  - how does the instruction at a relocation use what is computed (ug_pf_use);
 *  - which calls of a new body has the assembler resolved itself, because caller and callee
 *    are local and share a section? Those must go to the entry in the target as well, like
 *    every reference to a replaced function; they get a relocation of ours.
 *
 * Compilers put no data between instructions on x86-64. Where bytes do not decode (assembler
 * sources) the sweep goes on at the next byte or function; a relocation it has not seen in an
 * instruction counts as taking an address, which is the safe side.
 */
#include <errno.h>

#include "patchfile/image.h"
#include "text/insn.h"

struct sweep {
	struct ug_patch_image *image;
	uint32_t section;
	size_t reloc, reloc_end;	/* those not yet passed */
	struct ug_error *err;
};

static bool has_target(const struct ug_insn *insn)
{
	return insn->kind == UG_INSN_CALL || ug_insn_jumps(insn);
}

static enum ug_pf_use use_of(const struct ug_insn *insn, uint64_t offset)
{
	uint64_t at = offset - insn->addr;

	if (has_target(insn))
		return at + 4 == insn->len ? UG_PF_USE_BRANCH : UG_PF_USE_ADDRESS;
	if (!insn->z.raw.disp.size || at != insn->z.raw.disp.offset)
		return UG_PF_USE_ADDRESS;
	if (insn->kind == UG_INSN_CALL_IND || insn->kind == UG_INSN_JMP_IND)
		return UG_PF_USE_BRANCH_IND;
	return insn->z.mnemonic == ZYDIS_MNEMONIC_LEA ? UG_PF_USE_ADDRESS : UG_PF_USE_ACCESS;
}

/*
 * `lea sym(%rip), %reg`, which could as well be `mov slot(%rip), %reg`: REX.W 8d against REX.W 8b, no
 * flags in either. (The other way round linkers do it, x86-64 psABI, "Optimize GOTPCRELX".)
 */
static bool is_plain_lea(const struct ug_insn *insn, const struct ug_pf_reloc *rel)
{
	return insn->z.mnemonic == ZYDIS_MNEMONIC_LEA && insn->len == 7 && insn->z.raw.rex.W &&
	       insn->z.raw.modrm.mod == 0 && insn->z.raw.modrm.rm == 5 &&
	       rel->offset == insn->addr + 3 && rel->addend == -4;
}

/* Does the branch leave for the start of a new body? (A loop back to its own start is none.) */
static const struct ug_pf_start *enters_body(const struct sweep *s, const struct ug_insn *insn)
{
	const struct ug_pf_start *start = ug_pf_start_at(s->image, s->section, insn->target);

	if (!start || start->func < 0)
		return NULL;
	if (insn->kind != UG_INSN_CALL && insn->addr >= start->value &&
	    insn->addr - start->value < start->size)
		return NULL;
	return start;
}

static int add_implicit(struct sweep *s, const struct ug_insn *insn, const struct ug_pf_start *start)
{
	struct ug_pf_reloc *rel;

	if (insn->len < 5)
		return ug_pf_bad(s->err, "section %s+%#llx: a short jump to a replaced function; compile "
				 "with -ffunction-sections", s->image->sections.v[s->section].name,
				 (unsigned long long)insn->addr);
	rel = ug_vec_add(&s->image->relocs);
	if (!rel)
		return ug_err(s->err, -ENOMEM, "out of memory");
	*rel = (struct ug_pf_reloc){ .section = s->section, .type = R_X86_64_PLT32,
				     .sym = start->sym, .use = UG_PF_USE_BRANCH, .implicit = true,
				     .func = start->func, .offset = insn->addr + insn->len - 4,
				     .addend = -4 };
	return 0;
}

static int note_insn(struct sweep *s, const struct ug_insn *insn)
{
	const struct ug_pf_start *start;
	bool covered = false;

	for (; s->reloc < s->reloc_end; s->reloc++) {
		struct ug_pf_reloc *rel = &s->image->relocs.v[s->reloc];

		if (rel->offset >= insn->addr + insn->len)
			break;
		if (rel->offset < insn->addr)
			continue;
		rel->use = use_of(insn, rel->offset);
		rel->lea = is_plain_lea(insn, rel);
		covered = true;
	}
	if (covered || !has_target(insn))
		return 0;
	start = enters_body(s, insn);
	return start ? add_implicit(s, insn, start) : 0;
}

/* Where the function symbol behind `off` begins, or the end of the section. */
static uint64_t next_start(const struct sweep *s, size_t *i, uint64_t off, uint64_t size)
{
	const struct ug_patch_image *image = s->image;

	while (*i < image->starts.n && image->starts.v[*i].shndx == s->section &&
	       image->starts.v[*i].value <= off)
		(*i)++;
	if (*i < image->starts.n && image->starts.v[*i].shndx == s->section)
		return image->starts.v[*i].value;
	return size;
}

static int sweep_section(struct sweep *s)
{
	const struct ug_pf_section *sec = &s->image->sections.v[s->section];
	const uint8_t *code = s->image->r.data + sec->offset;
	size_t i = ug_pf_start_from(s->image, s->section, 0);
	uint64_t off = 0;

	s->reloc = sec->first_reloc;
	s->reloc_end = sec->first_reloc + sec->nrelocs;
	while (off < sec->size) {
		uint64_t next = next_start(s, &i, off, sec->size);
		struct ug_insn insn;
		int rc;

		if (!ug_insn_decode(code + off, next - off, off, &insn)) {
			off++;
			continue;
		}
		rc = note_insn(s, &insn);
		if (rc < 0)
			return rc;
		off += insn.len;
	}
	return 0;
}

int ug_pf_sweep(struct ug_patch *patch, struct ug_error *err)
{
	struct sweep s = { .image = patch->image, .err = err };

	for (size_t i = 0; i < s.image->sections.n; i++) {
		const struct ug_pf_section *sec = &s.image->sections.v[i];
		int rc;

		if (!ug_pf_is_code(sec) || sec->type == SHT_NOBITS)
			continue;
		s.section = (uint32_t)i;
		rc = sweep_section(&s);
		if (rc < 0)
			return rc;
	}
	return 0;
}
