// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <gelf.h>

#include "builder/target.h"

/* One entry of the dynamic section; false when there is none. */
static bool dynamic_entry(Elf *elf, Elf64_Sxword tag, Elf64_Xword *ret)
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(elf, scn))) {
		Elf_Data *data;
		GElf_Shdr sh;
		GElf_Dyn dyn;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_DYNAMIC)
			continue;
		data = elf_getdata(scn, NULL);
		for (int i = 0; data && gelf_getdyn(data, i, &dyn); i++) {
			if (dyn.d_tag == tag) {
				*ret = dyn.d_un.d_val;
				return true;
			}
		}
	}
	return false;
}

static bool has_interpreter(Elf *elf)
{
	GElf_Phdr ph;

	for (int i = 0; gelf_getphdr(elf, i, &ph); i++) {
		if (ph.p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* libc.so.6 has an interpreter and some PIEs lack the flag: neither alone decides. */
static bool is_executable(const struct ug_object *obj)
{
	Elf64_Xword value;
	GElf_Ehdr h;

	if (!obj->elf || !gelf_getehdr(obj->elf, &h))
		return obj->is_exe;
	if (h.e_type == ET_EXEC)
		return true;
	if (dynamic_entry(obj->elf, DT_FLAGS_1, &value) && (value & DF_1_PIE))
		return true;
	return !dynamic_entry(obj->elf, DT_SONAME, &value) && has_interpreter(obj->elf);
}

static struct ug_target_group *group_of(struct ug_targets *t, const char *label, size_t *ret)
{
	struct ug_target_group *g;

	for (*ret = 0; *ret < t->groups.n; (*ret)++) {
		if (!strcmp(t->groups.v[*ret].label, label))
			return &t->groups.v[*ret];
	}
	g = ug_vec_add(&t->groups);
	if (g)
		g->label = label;
	return g;
}

static int add_build(struct ug_targets *t, struct ug_target *file, struct ug_error *err)
{
	const char *label = is_executable(file->obj) ? "" : file->obj->name;
	struct ug_target_group *g = group_of(t, label, &file->group);
	struct ug_build_id *id;

	if (!g)
		return ug_err(err, -ENOMEM, "out of memory");
	if (!file->obj->build_id.len)
		return ug_err(err, -UG_E_NO_BUILD_ID, "%s has no build-id: a patch could not recognise "
			      "it; link it with --build-id", file->path);
	ug_vec_for_each(&g->builds, b) {
		if (ug_build_id_equal(b, &file->obj->build_id))
			return ug_err(err, -UG_E_AMBIGUOUS, "%s: a target with the same build-id was "
				      "already given", file->path);
	}
	file->build = g->builds.n;
	id = ug_vec_add(&g->builds);
	if (!id)
		return ug_err(err, -ENOMEM, "out of memory");
	*id = file->obj->build_id;
	return 0;
}

static int open_one(struct ug_targets *t, const char *path, struct ug_error *err)
{
	struct ug_target *file = ug_vec_add(&t->files);
	int rc;

	if (!file)
		return ug_err(err, -ENOMEM, "out of memory");
	file->path = path;
	rc = ug_object_open_file(path, &file->obj, err);
	if (rc < 0)
		return rc;
	rc = ug_object_symtab(file->obj, err);
	return rc < 0 ? rc : add_build(t, file, err);
}

int ug_targets_open(const char *const *paths, size_t n, struct ug_targets *ret, struct ug_error *err)
{
	struct ug_targets t = { 0 };

	if (!n)
		return ug_err(err, -UG_E_NO_OBJECT, "no --target: name the binary the patch is for");
	for (size_t i = 0; i < n; i++) {
		int rc = open_one(&t, paths[i], err);

		if (rc < 0) {
			ug_targets_close(&t);
			return rc;
		}
	}
	*ret = t;
	return 0;
}

void ug_targets_close(struct ug_targets *t)
{
	ug_vec_for_each(&t->files, f) {
		if (f->text)
			ug_text_close(f->text);
		if (f->obj)
			ug_object_close(f->obj);
	}
	ug_vec_for_each(&t->groups, g)
		ug_vec_free(&g->builds);
	ug_vec_free(&t->files);
	ug_vec_free(&t->groups);
}

const char *ug_target_label(const struct ug_target_group *g)
{
	return g->label[0] ? g->label : "the executable";
}

int ug_targets_group(const struct ug_targets *t, const char *label, size_t *ret,
		     struct ug_error *err)
{
	for (size_t i = 0; i < t->groups.n; i++) {
		if (!strcmp(t->groups.v[i].label, label)) {
			*ret = i;
			return 0;
		}
	}
	if (!label[0])
		return ug_err(err, -UG_E_NO_OBJECT, "the source names UG_EXE, but no --target is an "
			      "executable");
	return ug_err(err, -UG_E_NO_OBJECT, "the source names \"%s\", but no --target has that soname",
		      label);
}

int ug_target_text(struct ug_target *file, struct ug_text **ret, struct ug_error *err)
{
	int rc = file->text ? 0 : ug_text_open(file->obj, &file->text, err);

	*ret = file->text;
	return rc;
}
