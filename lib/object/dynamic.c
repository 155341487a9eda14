// SPDX-License-Identifier: LGPL-2.1-or-later
/* The dynamic section and what it points to, from memory: no section header is needed. */
#include "object/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/vec.h"

#define DYNS_MAX 4096

/* ld.so of glibc adds the bias to some pointers in place, musl and the vdso do not. */
static ug_raddr_t pointer(struct ug_proc *p, const struct ug_object *obj, uint64_t v)
{
	if (p && v >= obj->start && v < obj->end)
		return v;
	v += obj->bias;
	return v >= obj->start && v < obj->end ? v : 0;
}

static void take_entry(struct ug_proc *p, const struct ug_object *obj, const Elf64_Dyn *d,
		       struct ug_dynamic *ret)
{
	uint64_t v = d->d_un.d_val;

	switch (d->d_tag) {
	case DT_STRTAB:
		ret->strtab = pointer(p, obj, v);
		break;
	case DT_SYMTAB:
		ret->symtab = pointer(p, obj, v);
		break;
	case DT_RELA:
		ret->rela = pointer(p, obj, v);
		break;
	case DT_JMPREL:
		ret->jmprel = pointer(p, obj, v);
		break;
	case DT_VERSYM:
		ret->versym = pointer(p, obj, v);
		break;
	case DT_VERNEED:
		ret->verneed = pointer(p, obj, v);
		break;
	case DT_VERDEF:
		ret->verdef = pointer(p, obj, v);
		break;
	case DT_STRSZ:
		ret->strsz = v;
		break;
	case DT_RELASZ:
		ret->relasz = v;
		break;
	case DT_PLTRELSZ:
		ret->pltrelsz = v;
		break;
	case DT_VERNEEDNUM:
		ret->verneednum = v;
		break;
	case DT_VERDEFNUM:
		ret->verdefnum = v;
		break;
	case DT_SONAME:
		ret->soname = v;
		ret->has_soname = true;
		break;
	case DT_FLAGS_1:
		ret->is_program = v & DF_1_PIE;
		break;
	default:
		break;
	}
}

bool ug_object_dynamic(struct ug_proc *p, const struct ug_object *obj, struct ug_dynamic *ret)
{
	const Elf64_Phdr *ph = ug_object_phdr(obj, PT_DYNAMIC);
	ug_autofree Elf64_Dyn *dyn = NULL;
	struct ug_dynamic out = { 0 };
	size_t n;

	n = ph ? ph->p_filesz / sizeof(*dyn) : 0;
	if (!n || n > DYNS_MAX)
		return false;
	dyn = calloc(n, sizeof(*dyn));
	if (!dyn || ug_object_read(p, obj, obj->bias + ph->p_vaddr, dyn, n * sizeof(*dyn)) < 0)
		return false;
	for (size_t i = 0; i < n && dyn[i].d_tag != DT_NULL; i++)
		take_entry(p, obj, &dyn[i], &out);
	*ret = out;
	return true;
}

static bool read_str(struct ug_proc *p, const struct ug_object *obj, ug_raddr_t addr, char *buf,
		     size_t size)
{
	if (p)
		return ug_proc_read_str(p, addr, buf, size, NULL) >= 0;
	for (size_t i = 0; i < size; i++) {
		if (ug_object_read_file(obj, addr + i, &buf[i], 1, NULL) < 0)
			return false;
		if (!buf[i])
			return true;
	}
	return false;
}

bool ug_dynamic_str(struct ug_proc *p, const struct ug_object *obj, const struct ug_dynamic *dyn,
		    uint64_t off, char *buf, size_t size)
{
	return dyn->strtab && off < dyn->strsz && off < obj->end - dyn->strtab &&
	       read_str(p, obj, dyn->strtab + off, buf, size);
}

bool ug_dynamic_sym(struct ug_proc *p, const struct ug_object *obj, const struct ug_dynamic *dyn,
		    uint32_t i, Elf64_Sym *ret)
{
	return dyn->symtab &&
	       ug_object_read(p, obj, dyn->symtab + (uint64_t)i * sizeof(*ret), ret,
			      sizeof(*ret)) == 0;
}

static int add_relas(struct ug_relas *relas, const void *data, size_t n)
{
	Elf64_Rela *grown;

	if (n > UG_RELAS_MAX - relas->n)
		return -UG_E_BAD_ELF;
	if (!n)
		return 0;
	grown = reallocarray(relas->v, relas->n + n, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memcpy(grown + relas->n, data, n * sizeof(*grown));
	relas->v = grown;
	relas->n += n;
	relas->cap = relas->n;
	return 0;
}

/* A table that cannot be read is left out: its words then count as not resolved. */
static int add_table(struct ug_proc *p, const struct ug_object *obj, ug_raddr_t addr,
		     uint64_t size, struct ug_relas *relas)
{
	ug_autofree uint8_t *buf = NULL;

	if (!addr || !size || size > obj->end - addr)
		return 0;
	/* Before it is read: the memory of a program may be larger than ours. */
	if (size / sizeof(Elf64_Rela) > UG_RELAS_MAX)
		return -UG_E_BAD_ELF;
	buf = malloc(size);
	if (!buf)
		return -ENOMEM;
	if (ug_object_read(p, obj, addr, buf, size) < 0)
		return 0;
	return add_relas(relas, buf, size / sizeof(Elf64_Rela));
}

static int add_sections(const struct ug_object *obj, struct ug_relas *relas)
{
	int r = 0;

	for (Elf_Scn *scn = NULL; r == 0 && (scn = elf_nextscn(obj->elf, scn));) {
		Elf64_Shdr *sh = elf64_getshdr(scn);
		Elf_Data *d;

		if (!sh || sh->sh_type != SHT_RELA || !(sh->sh_flags & SHF_ALLOC))
			continue;
		d = elf_rawdata(scn, NULL);
		if (d && d->d_buf)
			r = add_relas(relas, d->d_buf, d->d_size / sizeof(Elf64_Rela));
	}
	return r;
}

int ug_object_relas(struct ug_proc *p, const struct ug_object *obj, const struct ug_dynamic *dyn,
		    struct ug_relas *ret, struct ug_error *err)
{
	struct ug_relas relas = UG_VEC_INIT;
	int r = 0;

	if (dyn)
		r = add_table(p, obj, dyn->rela, dyn->relasz, &relas);
	if (dyn && r == 0)
		r = add_table(p, obj, dyn->jmprel, dyn->pltrelsz, &relas);
	if (!dyn && obj->elf)
		r = add_sections(obj, &relas);
	if (r < 0) {
		ug_vec_free(&relas);
		return ug_err(err, r, "cannot read the relocations of %s", obj->name);
	}
	*ret = relas;
	return 0;
}

static bool find_exported(const struct ug_object *obj, Elf_Data *d, size_t strndx, const char *name,
			  struct ug_symbol *ret)
{
	const Elf64_Sym *syms = d->d_buf;

	for (size_t i = 0; i < d->d_size / sizeof(*syms); i++) {
		const char *s = ELF64_ST_TYPE(syms[i].st_info) == STT_FUNC &&
				syms[i].st_shndx != SHN_UNDEF ?
				elf_strptr(obj->elf, strndx, syms[i].st_name) : NULL;

		if (!s || strcmp(s, name) != 0)
			continue;
		*ret = (struct ug_symbol){
			.name = s, .addr = syms[i].st_value + obj->bias, .size = syms[i].st_size,
			.type = STT_FUNC, .bind = ELF64_ST_BIND(syms[i].st_info), .dynamic = true,
		};
		return true;
	}
	return false;
}

bool ug_object_exported(const struct ug_object *obj, const char *name, struct ug_symbol *ret)
{
	for (Elf_Scn *scn = NULL; obj->elf && (scn = elf_nextscn(obj->elf, scn));) {
		Elf64_Shdr *sh = elf64_getshdr(scn);
		Elf_Data *d = sh && sh->sh_type == SHT_DYNSYM ? elf_getdata(scn, NULL) : NULL;

		if (d && d->d_buf)
			return find_exported(obj, d, sh->sh_link, name, ret);
	}
	return false;
}
