// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>

#include "builder/resolve.h"

static struct ug_patch_pin *add_pin(ug_pin_vec *pins, const struct ug_target *file,
				    const struct ug_symbol *sym)
{
	struct ug_patch_pin *pin = ug_vec_add(pins);

	/* bias 0: run-time and link-time addresses are the same */
	if (pin)
		*pin = (struct ug_patch_pin){ .build = (uint32_t)file->build, .offset = sym->addr,
					      .size = sym->size };
	return pin;
}

/* ---- functions ---- */

static int find_func(struct ug_target *file, struct ug_resolved_func *f, struct ug_error *err)
{
	const struct ug_author_func *rec = &f->decl->rec;
	struct ug_symbol sym;
	int rc;

	rc = ug_symbol_find(file->obj, rec->old_name, rec->position, &sym, err);
	if (rc < 0) {
		ug_err_where(err, file->path, rec->old_name, 0);
		return rc;
	}
	if (sym.type == STT_GNU_IFUNC)
		return 0;	/* which implementation is in use is known in the process only */
	if (sym.type != STT_FUNC)
		return ug_err(err, -UG_E_NO_SYMBOL, "%s in %s is not a function", rec->old_name,
			      file->path);
	if (!add_pin(&f->pins, file, &sym))
		return ug_err(err, -ENOMEM, "out of memory");
	return 0;
}

static int resolve_func(struct ug_resolution *r, const struct ug_declared_func *decl,
			struct ug_error *err)
{
	struct ug_resolved_func *f = ug_vec_add(&r->funcs);
	int rc;

	if (!f)
		return ug_err(err, -ENOMEM, "out of memory");
	f->decl = decl;
	if (ug_symbol_is_clone(decl->rec.old_name))
		return ug_err(err, -UG_E_CLONE, "%s is a clone the compiler made with an ABI of its own; "
			      "patch the function it is a clone of, or its callers",
			      decl->rec.old_name);
	rc = ug_targets_group(r->targets, decl->rec.object, &f->group, err);
	if (rc < 0)
		return rc;
	ug_vec_for_each(&r->targets->files, file) {
		if (file->group != f->group)
			continue;
		rc = find_func(file, f, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- references ---- */

/* Look in every build of a group: 1 found in all, 0 in none. */
static int find_in_group(struct ug_resolution *r, struct ug_resolved_ref *ref, size_t group,
			 bool *ret_exported, struct ug_error *err)
{
	const struct ug_target *missing = NULL;
	bool found = false;

	*ret_exported = true;
	ug_vec_for_each(&r->targets->files, file) {
		struct ug_symbol sym;
		int rc;

		if (file->group != group)
			continue;
		rc = ug_symbol_find(file->obj, ref->name, ref->pos, &sym, err);
		if (rc == -UG_E_NO_SYMBOL) {
			missing = file;
			continue;
		}
		if (rc < 0) {
			ug_err_where(err, file->path, ref->name, 0);
			return rc;
		}
		found = true;
		*ret_exported &= sym.dynamic;
	}
	if (found && missing)
		return ug_err(err, -UG_E_NO_SYMBOL, "%s has no %s, other builds of it have", missing->path,
			      ref->name);
	return found;
}

static int pin_in_file(struct ug_target *file, struct ug_resolved_ref *ref, bool tls,
		       struct ug_error *err)
{
	struct ug_symbol sym;
	int rc;

	rc = ug_symbol_find(file->obj, ref->name, ref->pos, &sym, err);
	if (rc < 0) {
		ug_err_where(err, file->path, ref->name, 0);
		return rc;
	}
	if (sym.type == STT_GNU_IFUNC)
		return 0;
	if ((sym.type == STT_TLS) != tls)
		return ug_err(err, -UG_E_BAD_RELOC, "%s is %sthread-local in %s, but the source declares "
			      "it otherwise", ref->name, tls ? "not " : "", file->path);
	return add_pin(&ref->pins, file, &sym) ? 0 : ug_err(err, -ENOMEM, "out of memory");
}

static int pin_ref(struct ug_resolution *r, struct ug_resolved_ref *ref, struct ug_error *err)
{
	bool tls = ELF64_ST_TYPE(r->o->syms[ref->symbol].st_info) == STT_TLS;

	ug_vec_for_each(&r->targets->files, file) {
		int rc = file->group == ref->group ? pin_in_file(file, ref, tls, err) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * Which object a plain extern means: the only one that has it; among several the first given,
 * when all export it, as the dynamic linker would. A local one among them is ambiguous.
 */
static int choose_group(struct ug_resolution *r, struct ug_resolved_ref *ref, struct ug_error *err)
{
	bool all_exported = true;
	size_t found = 0;

	for (size_t g = 0; g < r->targets->groups.n; g++) {
		bool exported;
		int rc = find_in_group(r, ref, g, &exported, err);

		if (rc < 0)
			return rc;
		if (!rc)
			continue;
		if (!found++)
			ref->group = g;
		all_exported &= exported;
	}
	if (found > 1 && !all_exported)
		return ug_err(err, -UG_E_AMBIGUOUS, "%s is in several targets and not exported by all; "
			      "choose one: UG_SYMBOL(object, %s)", ref->name, ref->name);
	ref->anywhere = !found;
	return 0;
}

/* Always there, and no name a person has written. */
static bool from_runtime(const char *name)
{
	return !strcmp(name, "__tls_get_addr") || !strcmp(name, "__stack_chk_fail");
}

static int resolve_ref(struct ug_resolution *r, struct ug_resolved_ref *ref,
		       struct ug_build_report *report, struct ug_error *err)
{
	const char *symbol = ug_objfile_symbol_name(r->o, ref->symbol);
	const struct ug_author_symbol *decl = ug_author_symbol(r->author, symbol);
	int rc;

	ref->name = decl ? decl->name : symbol;
	ref->pos = decl ? decl->position : 0;
	if (decl)
		rc = ug_targets_group(r->targets, decl->object, &ref->group, err);
	else
		rc = choose_group(r, ref, err);
	if (rc < 0)
		return rc;
	if (!ref->anywhere)
		return pin_ref(r, ref, err);
	if (!from_runtime(ref->name))
		ug_build_warn(report, "%s is in no --target: it will be looked for in all objects of "
			      "the process", ref->name);
	return 0;
}

const struct ug_resolved_ref *ug_resolved_ref(const struct ug_resolution *r, size_t symbol)
{
	ug_vec_for_each(&r->refs, ref) {
		if (ref->symbol == symbol)
			return ref;
	}
	return NULL;
}

static int note_undefined(void *ctx, const Elf64_Rela *rela)
{
	struct ug_resolution *r = ctx;
	size_t symbol = ELF64_R_SYM(rela->r_info);
	struct ug_resolved_ref *ref;

	if (!symbol || r->o->syms[symbol].st_shndx != SHN_UNDEF || ug_resolved_ref(r, symbol))
		return 0;
	ref = ug_vec_add(&r->refs);
	if (!ref)
		return -ENOMEM;
	ref->symbol = symbol;
	return 0;
}

int ug_resolve(struct ug_resolution *r, struct ug_build_report *report, struct ug_error *err)
{
	int rc = 0;

	ug_vec_for_each(&r->author->funcs, decl) {
		rc = resolve_func(r, decl, err);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < r->o->nsh && rc == 0; i++) {
		if (ug_objfile_is_loaded(r->o, i))
			rc = ug_objfile_relocs(r->o, i, note_undefined, r);
	}
	if (rc < 0)
		return ug_err(err, rc, "out of memory");
	ug_vec_for_each(&r->refs, ref) {
		rc = resolve_ref(r, ref, report, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void ug_resolution_free(struct ug_resolution *r)
{
	ug_vec_for_each(&r->funcs, f)
		ug_vec_free(&f->pins);
	ug_vec_for_each(&r->refs, ref)
		ug_vec_free(&ref->pins);
	ug_vec_free(&r->funcs);
	ug_vec_free(&r->refs);
}
