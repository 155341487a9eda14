// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which implementation an IFUNC resolver has chosen, read from the words that ld.so has
 * filled with the answer.
 */
#include "object/internal.h"

#include <errno.h>
#include <string.h>

#include "base/vec.h"

#define NAME_MAX_LEN 1024

struct query {
	struct ug_proc *p;
	const struct ug_object *def;	/* defines the symbol */
	const struct ug_object *vdso;	/* time, gettimeofday and others may be there; or NULL */
	const struct ug_symbol *sym;
	bool by_name;			/* only one version of the name: a name is enough */
};

/* Resolvers choose among the object's own functions; those of glibc also from the vdso. */
static bool may_be_answer(const struct query *q, uint64_t word)
{
	return word != q->sym->addr && (ug_object_is_text(q->def, word, 1) ||
					(q->vdso && ug_object_is_text(q->vdso, word, 1)));
}

/*
 * A lazy JUMP_SLOT still leads into its own PLT: its file content plus bias. Whatever was
 * written there since is an answer.
 */
static bool read_answer(const struct query *q, const struct ug_object *obj,
			const Elf64_Rela *rela, ug_raddr_t *ret)
{
	ug_raddr_t slot = obj->bias + rela->r_offset;
	uint64_t word, initial;

	if (ug_object_read(q->p, obj, slot, &word, sizeof(word)) < 0 || !may_be_answer(q, word))
		return false;
	if (ug_object_read_file(obj, slot, &initial, sizeof(initial), NULL) == 0 &&
	    (word == initial || word == initial + obj->bias))
		return false;
	*ret = word;
	return true;
}

static bool names_it(const struct query *q, const struct ug_object *obj,
		     const struct ug_dynamic *dyn, const Elf64_Rela *rela)
{
	char name[NAME_MAX_LEN];
	Elf64_Sym sym;

	return q->by_name && ug_dynamic_sym(q->p, obj, dyn, ELF64_R_SYM(rela->r_info), &sym) &&
	       ug_dynamic_str(q->p, obj, dyn, sym.st_name, name, sizeof(name)) &&
	       !strcmp(name, q->sym->name);
}

static bool concerns(const struct query *q, const struct ug_object *obj,
		     const struct ug_dynamic *dyn, const Elf64_Rela *rela)
{
	switch (ELF64_R_TYPE(rela->r_info)) {
	case R_X86_64_IRELATIVE:
		return obj == q->def && obj->bias + (uint64_t)rela->r_addend == q->sym->addr;
	case R_X86_64_GLOB_DAT:
	case R_X86_64_JUMP_SLOT:
		return dyn && names_it(q, obj, dyn, rela);
	case R_X86_64_64:
		return dyn && !rela->r_addend && ELF64_R_SYM(rela->r_info) &&
		       names_it(q, obj, dyn, rela);
	default:
		return false;
	}
}

static bool ask_object(const struct query *q, const struct ug_object *obj, ug_raddr_t *ret)
{
	struct ug_dynamic dyn;
	bool has = ug_object_dynamic(q->p, obj, &dyn), found = false;
	struct ug_relas relas;

	if (ug_object_relas(q->p, obj, has ? &dyn : NULL, &relas, NULL) < 0)
		return false;
	/* The word first: it is one read, a name is three. */
	for (size_t i = 0; i < relas.n && !found; i++)
		found = ELF64_R_TYPE(relas.v[i].r_info) != R_X86_64_RELATIVE &&
			read_answer(q, obj, &relas.v[i], ret) &&
			concerns(q, obj, has ? &dyn : NULL, &relas.v[i]);
	ug_vec_free(&relas);
	return found;
}

/* References carry a version; with several versions of a name, the name alone is no proof. */
static bool is_only_version(const struct ug_object *def, const struct ug_symbol *sym)
{
	for (size_t i = 0; i < ug_symtab_count(def); i++) {
		const struct ug_symbol *s = ug_symtab_at(def, i);

		if (s->dynamic && s->addr != sym->addr && !strcmp(s->name, sym->name))
			return false;
	}
	return true;
}

static const struct ug_object *find_vdso(const struct ug_objects *objs)
{
	for (size_t i = 0; i < objs->n; i++)
		if (objs->v[i]->is_vdso)
			return objs->v[i];
	return NULL;
}

int ug_symbol_ifunc(struct ug_proc *p, const struct ug_objects *objs, const struct ug_symbol *sym,
		    ug_raddr_t *ret, struct ug_error *err)
{
	struct query q = { .p = p, .sym = sym, .vdso = find_vdso(objs) };
	ug_raddr_t found;

	q.def = ug_objects_find(objs, sym->addr);
	if (!q.def || sym->type != STT_GNU_IFUNC)
		return ug_err(err, -EINVAL, "%s is no IFUNC of this process", sym->name);
	q.by_name = sym->dynamic && is_only_version(q.def, sym);
	if (ask_object(&q, q.def, &found)) {
		*ret = found;
		return 0;
	}
	for (size_t i = 0; i < objs->n; i++) {
		if (objs->v[i] == q.def || !ask_object(&q, objs->v[i], &found))
			continue;
		*ret = found;
		return 0;
	}
	return ug_err(err, -UG_E_NO_SYMBOL,
		      "nothing in the process shows which implementation of %s is in use",
		      sym->name);
}
