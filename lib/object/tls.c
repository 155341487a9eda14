// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where the thread-local storage of an object is, from words that ld.so has resolved:
 * "ELF Handling For Thread-Local Storage", 3.4 (x86-64: blocks lie below the thread pointer).
 */
#include "object/internal.h"

#include "base/vec.h"

/* The word of one relocation; false while it is not resolved or cannot be read. */
static bool read_word(struct ug_proc *p, const struct ug_object *obj, const Elf64_Rela *rela,
		      uint64_t *ret)
{
	return ug_object_read(p, obj, obj->bias + rela->r_offset, ret, sizeof(*ret)) == 0 && *ret;
}

/* The link-time offset in the TLS block a relocation refers to; false when not our own. */
static bool own_tls_value(struct ug_proc *p, const struct ug_object *obj,
			  const struct ug_dynamic *dyn, const Elf64_Rela *rela, uint64_t *ret)
{
	uint32_t i = ELF64_R_SYM(rela->r_info);
	Elf64_Sym sym;

	*ret = 0;
	if (!i)
		return true;
	if (!dyn || !ug_dynamic_sym(p, obj, dyn, i, &sym) || sym.st_shndx == SHN_UNDEF ||
	    ELF64_ST_TYPE(sym.st_info) != STT_TLS)
		return false;
	*ret = sym.st_value;
	return true;
}

/*
 * The first resolved word of relocation `type`, less what the symbol and the addend put in
 * (`relative`). Words without a symbol come first: an exported symbol could be interposed
 * by another object's.
 */
static bool find_word(struct ug_proc *p, const struct ug_object *obj, uint32_t type,
		      bool relative, uint64_t *ret)
{
	struct ug_dynamic dyn;
	bool has = ug_object_dynamic(p, obj, &dyn), found = false;
	struct ug_relas relas;
	uint64_t word, value;

	if (ug_object_relas(p, obj, has ? &dyn : NULL, &relas, NULL) < 0)
		return false;
	for (int with_symbol = 0; with_symbol < 2 && !found; with_symbol++) {
		for (size_t i = 0; i < relas.n && !found; i++) {
			const Elf64_Rela *r = &relas.v[i];

			if (ELF64_R_TYPE(r->r_info) != type ||
			    (ELF64_R_SYM(r->r_info) != 0) != with_symbol ||
			    !own_tls_value(p, obj, has ? &dyn : NULL, r, &value) ||
			    !read_word(p, obj, r, &word))
				continue;
			*ret = relative ? word - value - (uint64_t)r->r_addend : word;
			found = true;
		}
	}
	ug_vec_free(&relas);
	return found;
}

static int no_tls(const struct ug_object *obj, struct ug_error *err)
{
	return ug_err(err, -UG_E_NO_SYMBOL, "%s has no thread-local storage", obj->name);
}

int ug_object_tls_module(struct ug_proc *p, struct ug_object *obj, uint64_t *ret,
			 struct ug_error *err)
{
	if (!ug_object_phdr(obj, PT_TLS))
		return no_tls(obj, err);
	if (obj->is_exe) {
		*ret = 1;	/* by the ABI */
		return 0;
	}
	if (find_word(p, obj, R_X86_64_DTPMOD64, false, ret))
		return 0;
	return ug_err(err, -UG_E_NO_SYMBOL, "%s has no word with its TLS module id", obj->name);
}

/*
 * The program's block ends at the thread pointer, so far rounded up that its start is as
 * aligned as its link-time address asks; linkers compute the same for local-exec code.
 */
static bool program_offset(const Elf64_Phdr *ph, int64_t *ret)
{
	uint64_t align = ph->p_align ? ph->p_align : 1;

	if ((align & (align - 1)) || align > (1UL << 30) || ph->p_memsz > (1UL << 40) ||
	    ph->p_vaddr > UG_USER_END)
		return false;
	*ret = -(int64_t)(ug_align_up(ph->p_vaddr + ph->p_memsz, align) - ph->p_vaddr);
	return true;
}

int ug_object_tls_offset(struct ug_proc *p, struct ug_object *obj, int64_t *ret,
			 struct ug_error *err)
{
	const Elf64_Phdr *ph = ug_object_phdr(obj, PT_TLS);
	uint64_t word;

	if (!ph)
		return no_tls(obj, err);
	if (obj->is_exe) {
		if (program_offset(ph, ret))
			return 0;
		return ug_err(err, -UG_E_BAD_ELF, "%s has a senseless PT_TLS", obj->name);
	}
	if (!find_word(p, obj, R_X86_64_TPOFF64, true, &word))
		return ug_err(err, -UG_E_NO_SYMBOL, "%s has no word with its static TLS offset",
			      obj->name);
	*ret = (int64_t)word;
	return 0;
}
