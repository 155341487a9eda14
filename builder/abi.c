// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The register check of the author's path.
 *
 * gcc -fipa-ra lets a caller keep values in registers which the callee it can see does not
 * change, though the ABI would allow it to. Such a caller calls directly, from the same
 * object, and only when the old function with its callees makes no unknown call (else the
 * compiler assumed the full set). Then the new function must not change more than the old.
 *
 * Calls of the new function: other code of the patch is followed; functions of the same
 * target are asked for their own set; everything else, replaced functions among it (their
 * newest version is anybody's), counts as changing all that the ABI allows.
 */
#include <errno.h>
#include <stdio.h>

#include "builder/resolve.h"

#define CALLER_SAVED_GPR 0x0fc7u	/* rax rcx rdx rsi rdi r8-r11; vectors: all of them */
#define DEPTH_MAX 16

struct walk {
	struct ug_resolution *r;
	struct ug_target *file;
	size_t section;			/* of the code looked at */
	uint64_t value;
	int depth;
};

static const char *const gpr_names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					 "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

static bool code_of_symbol(struct walk *w, size_t symbol, struct ug_clobbers *ret);

/* A function of the same target: what it changes is known. */
static bool clobbers_of_ref(struct walk *w, size_t symbol, struct ug_clobbers *ret)
{
	const struct ug_resolved_ref *ref = ug_resolved_ref(w->r, symbol);
	struct ug_text *text;

	if (!ref || ref->anywhere || ref->group != w->file->group)
		return false;
	ug_vec_for_each(&ref->pins, pin) {
		if (pin->build != w->file->build)
			continue;
		return ug_target_text(w->file, &text, NULL) == 0 &&
		       ug_text_clobbers(text, pin->offset, pin->size, ret, NULL) == 0;
	}
	return false;
}

static bool is_replaced(const struct walk *w, size_t symbol)
{
	const Elf64_Sym *s = &w->r->o->syms[symbol];

	ug_vec_for_each(&w->r->funcs, f) {
		const Elf64_Sym *body = &w->r->o->syms[f->decl->symbol];

		if (body->st_shndx == s->st_shndx && body->st_value == s->st_value)
			return true;
	}
	return false;
}

struct find_call {
	uint64_t off;
	Elf64_Rela rela;
};

static int at_offset(void *ctx, const Elf64_Rela *rela)
{
	struct find_call *f = ctx;

	if (rela->r_offset != f->off)
		return 0;
	f->rela = *rela;
	return 1;
}

/* Where a direct call inside the patch goes to. */
static bool call_clobbers(void *ctx, size_t rel_off, struct ug_clobbers *ret)
{
	struct walk *w = ctx;
	struct find_call f = { .off = w->value + rel_off };
	const Elf64_Sym *sym;
	size_t target;

	if (!ug_objfile_relocs(w->r->o, w->section, at_offset, &f))
		return false;
	target = ELF64_R_SYM(f.rela.r_info);
	sym = &w->r->o->syms[target];
	if (sym->st_shndx == SHN_UNDEF)
		return clobbers_of_ref(w, target, ret);
	if (ELF64_ST_TYPE(sym->st_info) == STT_SECTION)
		target = ug_objfile_function_at(w->r->o, sym->st_shndx,
						sym->st_value + (uint64_t)f.rela.r_addend + 4);
	return target && code_of_symbol(w, target, ret);
}

static bool code_of_symbol(struct walk *w, size_t symbol, struct ug_clobbers *ret)
{
	const Elf64_Sym *sym = &w->r->o->syms[symbol];
	struct walk inner = *w;
	const Elf64_Shdr *sh;

	if (w->depth >= DEPTH_MAX || sym->st_shndx >= w->r->o->nsh ||
	    (w->depth && is_replaced(w, symbol)))
		return false;
	sh = &w->r->o->sh[sym->st_shndx];
	if (sh->sh_type == SHT_NOBITS || sym->st_value > sh->sh_size ||
	    sym->st_size > sh->sh_size - sym->st_value)
		return false;
	inner.section = sym->st_shndx;
	inner.value = sym->st_value;
	inner.depth++;
	return ug_code_clobbers(w->r->o->data + sh->sh_offset + sym->st_value, sym->st_size,
				call_clobbers, &inner, ret, NULL) == 0;
}

static void add_name(char *buf, size_t size, const char *name, int n)
{
	size_t len = strlen(buf);

	snprintf(buf + len, size - len, n < 0 ? "%s%s" : "%s%s%d", len ? " " : "", name, n);
}

static void name_registers(const struct ug_clobbers *more, char *buf, size_t size)
{
	buf[0] = 0;
	for (unsigned int i = 0; i < UG_ARRAY_SIZE(gpr_names); i++) {
		if (more->gpr & (1u << i))
			add_name(buf, size, gpr_names[i], -1);
	}
	for (int i = 0; i < 32; i++) {
		if (more->vec & (1u << i))
			add_name(buf, size, "xmm", i);
	}
}

static int compare(struct ug_resolution *r, struct ug_target *file, const struct ug_resolved_func *f,
		   const struct ug_clobbers *old, struct ug_error *err)
{
	struct walk w = { .r = r, .file = file };
	struct ug_clobbers new = { 0 }, more = { 0 };
	const char *name = f->decl->rec.old_name;
	char regs[160];

	if (!code_of_symbol(&w, f->decl->symbol, &new))
		new.unknown_call = true;
	if (new.unknown_call) {
		new.gpr = CALLER_SAVED_GPR;
		new.vec = 0xffff;
	}
	more.gpr = new.gpr & CALLER_SAVED_GPR & ~old->gpr;
	more.vec = new.vec & ~old->vec;
	if (!more.gpr && !more.vec)
		return 0;
	name_registers(&more, regs, sizeof(regs));
	ug_err(err, -UG_E_CLOBBER, "%s is called directly in %s, and its replacement changes registers "
	       "the old one does not: %s; a caller may keep values there (gcc -fipa-ra). Patch the "
	       "callers too, or say --assume-abi when they were built with -fno-ipa-ra", name,
	       file->path, regs);
	ug_err_where(err, file->path, name, 0);
	return -UG_E_CLOBBER;
}

static int check_registers(struct ug_resolution *r, struct ug_target *file,
			   const struct ug_resolved_func *f, const struct ug_patch_pin *pin,
			   bool assume_abi, struct ug_build_report *report, struct ug_error *err)
{
	struct ug_clobbers old;
	struct ug_text *text;
	int rc;

	rc = ug_target_text(file, &text, err);
	if (rc < 0)
		return rc;
	if (!ug_text_called_directly(text, pin->offset))
		return 0;
	ug_build_warn(report, "%s is called directly inside %s: callers compiled with it may rely on "
		      "what the old body reads and writes (rule 5 in ugraft/patch.h)",
		      f->decl->rec.old_name, ug_target_label(&r->targets->groups.v[file->group]));
	if (assume_abi)
		return 0;
	rc = ug_text_clobbers(text, pin->offset, pin->size, &old, err);
	if (rc < 0) {
		ug_err_where(err, file->path, f->decl->rec.old_name, pin->offset);
		return rc;
	}
	return old.unknown_call ? 0 : compare(r, file, f, &old, err);
}

/* ---- other names at the same address ---- */

struct aliases {
	const struct ug_resolution *r;
	const struct ug_resolved_func *f;
	char names[160];
};

static void note_alias(const struct ug_symbol *sym, void *ctx)
{
	struct aliases *a = ctx;

	ug_vec_for_each(&a->r->funcs, f) {
		if (f->group == a->f->group && !strcmp(f->decl->rec.old_name, sym->name))
			return;
	}
	add_name(a->names, sizeof(a->names), sym->name, -1);
}

static int check_aliases(const struct ug_resolution *r, const struct ug_target *file,
			 const struct ug_resolved_func *f, const struct ug_patch_pin *pin,
			 struct ug_error *err)
{
	struct aliases a = { .r = r, .f = f };

	if (f->decl->rec.options.aliases_ok)
		return 0;
	(void)ug_symbols_at(file->obj, pin->offset, note_alias, &a);
	if (!a.names[0])
		return 0;
	ug_err(err, -UG_E_ALIASED, "%s has other names at its address in %s: %s; replace them too, or "
	       "say .aliases_ok = 1", f->decl->rec.old_name, file->path, a.names);
	ug_err_where(err, file->path, f->decl->rec.old_name, pin->offset);
	return -UG_E_ALIASED;
}

static int check_func(struct ug_resolution *r, const struct ug_resolved_func *f, bool assume_abi,
		      struct ug_build_report *report, struct ug_error *err)
{
	ug_vec_for_each(&f->pins, pin) {
		ug_vec_for_each(&r->targets->files, file) {
			int rc;

			if (file->group != f->group || file->build != pin->build)
				continue;
			rc = check_aliases(r, file, f, pin, err);
			if (rc == 0)
				rc = check_registers(r, file, f, pin, assume_abi, report, err);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

int ug_check_abi(struct ug_resolution *r, bool assume_abi, struct ug_build_report *report,
		 struct ug_error *err)
{
	ug_vec_for_each(&r->funcs, f) {
		int rc = check_func(r, f, assume_abi, report, err);

		if (rc < 0)
			return rc;
	}
	return 0;
}
