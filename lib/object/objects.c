// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finding the objects of a process. An object is a mapping that begins with an ELF header
 * whose executable PT_LOADs are mapped executable where the header says, seen from there:
 * so an ELF file that is merely read through a mapping is none, and no link map is asked.
 */
#include "object/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bisect.h"
#include "base/cleanup.h"
#include "base/vec.h"

#define VDSO_MAX (1UL << 20)
#define DELETED " (deleted)"

struct search {
	struct ug_proc *p;
	const struct ug_maps *maps;
	struct ug_objects objs;
	struct ug_root *root;
	ug_raddr_t at_phdr;	/* of the program; 0: not known */
	char exe[PATH_MAX];	/* as maps shows it; "": not known */
};

/* ---- the headers, from memory ---- */

static bool is_candidate(const struct ug_map *m)
{
	if (!strcmp(m->name, "[vdso]"))
		return true;
	/* Reading a mapped device can have effects; shared memory files are none. */
	if (!strncmp(m->name, "/dev/", 5) && strncmp(m->name, "/dev/shm/", 9) != 0)
		return false;
	return m->inode && !m->offset;
}

/* The headers lie in the mapping that begins with them, or in those that adjoin it. */
static bool read_headers(struct search *s, const struct ug_map *m, Elf64_Ehdr *eh,
			 Elf64_Phdr **ret)
{
	ug_autofree Elf64_Phdr *phdrs = NULL;
	uint64_t room, size;

	if (ug_proc_read(s->p, m->start, eh, sizeof(*eh), NULL) < 0 || !ug_ehdr_ok(eh))
		return false;
	room = ug_maps_readable_end(s->maps, m->start) - m->start;
	size = (uint64_t)eh->e_phnum * sizeof(*phdrs);
	if (eh->e_phoff > room || size > room - eh->e_phoff)
		return false;
	phdrs = malloc(size);
	if (!phdrs || ug_proc_read(s->p, m->start + eh->e_phoff, phdrs, size, NULL) < 0)
		return false;
	*ret = ug_take_ptr(phdrs);
	return true;
}

/* The bias that puts the PT_LOAD with the file's first page at `start`. */
static bool find_bias(const Elf64_Ehdr *eh, const Elf64_Phdr *phdrs, ug_raddr_t start,
		      uint64_t *ret)
{
	for (size_t i = 0; i < eh->e_phnum; i++) {
		if (phdrs[i].p_type != PT_LOAD)
			continue;
		if (phdrs[i].p_offset >= UG_PAGE_SIZE)
			return false;
		*ret = start - (phdrs[i].p_vaddr - phdrs[i].p_offset);
		return eh->e_type == ET_DYN || *ret == 0;
	}
	return false;
}

static bool code_is_mapped(const struct ug_object *obj, const struct ug_maps *maps)
{
	bool any = false;

	for (size_t i = 0; i < obj->nsegs; i++) {
		const struct ug_map *m;

		if (!(obj->segs[i].prot & PROT_EXEC))
			continue;
		m = ug_maps_find(maps, obj->segs[i].start);
		if (!m || !(m->prot & PROT_EXEC))
			return false;
		any = true;
	}
	return any;
}

static bool overlaps(const struct ug_objects *objs, const struct ug_object *obj)
{
	/* Mappings come by address, so only the last one can reach this far. */
	return objs->n && objs->v[objs->n - 1]->end > obj->start;
}

/* ---- labels ---- */

static void make_printable(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

static bool ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), t = strlen(tail);

	return n > t && !strcmp(s + n - t, tail);
}

static int set_labels(struct ug_proc *p, struct ug_object *obj, const char *path)
{
	const char *base = strrchr(path, '/');
	struct ug_dynamic dyn;
	char soname[256];

	obj->path = strdup(path);
	if (!obj->path)
		return -ENOMEM;
	if (path[0] == '/' && ends_with(path, DELETED)) {
		obj->path[strlen(path) - strlen(DELETED)] = '\0';
		obj->deleted = true;
		base = strrchr(obj->path, '/');
	}
	if (ug_object_dynamic(p, obj, &dyn) && dyn.has_soname &&
	    ug_dynamic_str(p, obj, &dyn, dyn.soname, soname, sizeof(soname)) && soname[0])
		base = soname;
	else
		base = base ? base + 1 : obj->path;
	obj->name = strdup(base);
	if (!obj->name)
		return -ENOMEM;
	make_printable(obj->name);
	return 0;
}

/* ---- the file ---- */

static bool same_inode(int fd, const struct ug_map *m)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_ino == m->inode && st.st_dev == m->dev;
}

static bool try_file(struct ug_object *obj, int fd)
{
	if (fd < 0)
		return false;
	if (ug_object_attach_take(obj, fd, NULL) == 0)
		return true;
	close(fd);
	return false;
}

/*
 * In order: the very file that is mapped (needs CAP_CHECKPOINT_RESTORE); the file at that
 * path in the target's root; the program's own link, which works for a deleted one too.
 * Headers and build-id decide whether it is the right file. An object without a build-id
 * needs the inode as well: maps and stat disagree on the device of btrfs and overlayfs, so
 * the inode is not asked for otherwise.
 */
static void open_file(struct search *s, struct ug_object *obj, const struct ug_map *m)
{
	char link[64];
	int fd;

	(void)snprintf(link, sizeof(link), "map_files/%lx-%lx", (unsigned long)m->start,
		       (unsigned long)m->end);
	if (try_file(obj, ug_open_regular(s->p->dirfd, link)))
		return;
	fd = s->root ? ug_open_in_root(s->root->fd, obj->path) : -1;
	if (fd >= 0 && !obj->build_id.len && !same_inode(fd, m)) {
		close(fd);
		fd = -1;
	}
	if (try_file(obj, fd))
		return;
	fd = ug_open_regular(s->p->dirfd, "exe");
	if (fd >= 0 && !obj->build_id.len && !same_inode(fd, m)) {
		close(fd);
		return;
	}
	(void)try_file(obj, fd);
}

static void open_vdso(struct search *s, struct ug_object *obj, const struct ug_map *m)
{
	size_t size = m->end - m->start;
	uint8_t *mem = size <= VDSO_MAX ? malloc(size) : NULL;

	if (!mem)
		return;
	if (ug_proc_read(s->p, m->start, mem, size, NULL) < 0 ||
	    ug_object_attach_mem_take(obj, mem, size, NULL) < 0)
		free(mem);
}

/* ---- one mapping ---- */

static int add_object(struct search *s, struct ug_object *obj, const struct ug_map *m,
		      struct ug_error *err)
{
	struct ug_object **slot;

	if (set_labels(s->p, obj, m->name) < 0)
		return ug_err(err, -ENOMEM, "out of memory");
	if (s->objs.n >= UG_OBJECTS_MAX)
		return ug_err(err, -UG_E_BAD_ELF, "process %d maps more than %d objects",
			      s->p->pid, UG_OBJECTS_MAX);
	slot = ug_vec_add(&s->objs);
	if (!slot)
		return ug_err(err, -ENOMEM, "out of memory");
	*slot = obj;
	return 0;
}

static int take_mapping(struct search *s, const struct ug_map *m, struct ug_error *err)
{
	struct ug_object *obj = NULL;
	Elf64_Phdr *phdrs = NULL;
	Elf64_Ehdr eh;
	uint64_t bias;
	int r;

	if (!is_candidate(m) || !read_headers(s, m, &eh, &phdrs))
		return 0;
	if (!find_bias(&eh, phdrs, m->start, &bias)) {
		free(phdrs);
		return 0;
	}
	r = ug_object_new(&eh, phdrs, bias, &obj, err);
	if (r < 0)	/* malformed: not an object; without memory we cannot go on */
		return r == -ENOMEM ? r : 0;
	if (!code_is_mapped(obj, s->maps) || overlaps(&s->objs, obj)) {
		ug_object_close(obj);
		return 0;
	}
	ug_object_build_id(s->p, obj, &obj->build_id);
	obj->image->root = ug_root_ref(s->root);
	r = add_object(s, obj, m, err);
	if (r < 0) {
		ug_object_close(obj);
		return r;
	}
	obj->is_vdso = !m->inode;
	if (obj->is_vdso)
		open_vdso(s, obj, m);
	else
		open_file(s, obj, m);
	return 0;
}

/* ---- which one is the program ---- */

static void read_auxv(struct search *s)
{
	ug_autoclose int fd = ug_proc_open_mm_file(s->p->dirfd, "auxv", O_RDONLY);
	Elf64_auxv_t v[128];
	ssize_t n = fd < 0 ? 0 : read(fd, v, sizeof(v));

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(v[0]); i++)
		if (v[i].a_type == AT_PHDR)
			s->at_phdr = v[i].a_un.a_val;
}

static void read_exe(struct search *s)
{
	ssize_t n = readlinkat(s->p->dirfd, "exe", s->exe, sizeof(s->exe) - 1);

	s->exe[n > 0 ? n : 0] = '\0';
	if (n > 0 && ends_with(s->exe, DELETED))
		s->exe[(size_t)n - strlen(DELETED)] = '\0';
}

static size_t find_program(const struct search *s)
{
	const struct ug_objects *objs = &s->objs;

	for (size_t i = 0; i < objs->n; i++)
		if (s->at_phdr >= objs->v[i]->start && s->at_phdr < objs->v[i]->end)
			return i;
	for (size_t i = 0; i < objs->n; i++)
		if (s->exe[0] && !strcmp(objs->v[i]->path, s->exe))
			return i;
	for (size_t i = 0; i < objs->n; i++)
		if (!objs->v[i]->is_pie)
			return i;
	return objs->n;
}

static int put_program_first(struct search *s, struct ug_error *err)
{
	size_t i = find_program(s);
	struct ug_object *exe;

	if (i == s->objs.n)
		return ug_err(err, -UG_E_BAD_ELF,
			      "the ELF header of process %d's program is not in its memory",
			      s->p->pid);
	exe = s->objs.v[i];
	memmove(&s->objs.v[1], &s->objs.v[0], i * sizeof(s->objs.v[0]));
	s->objs.v[0] = exe;
	exe->is_exe = true;
	exe->is_static = !ug_object_phdr(exe, PT_INTERP);
	return 0;
}

static int run_search(struct search *s, struct ug_error *err)
{
	int r = 0;

	read_auxv(s);
	read_exe(s);
	ug_maps_for_each(s->maps, m) {
		r = take_mapping(s, m, err);
		if (r < 0)
			return r;
	}
	r = ug_proc_check(s->p, err);
	return r < 0 ? r : put_program_first(s, err);
}

int ug_objects_load(struct ug_proc *p, const struct ug_maps *maps, struct ug_objects *ret,
		    struct ug_error *err)
{
	struct search s = { .p = p, .maps = maps };
	int fd = ug_proc_open_mm_file(p->dirfd, "root", O_PATH | O_DIRECTORY);
	int r;

	s.root = fd >= 0 ? ug_root_create(fd) : NULL;
	if (fd >= 0 && !s.root) {
		close(fd);
		return ug_err(err, -ENOMEM, "out of memory");
	}
	r = run_search(&s, err);
	ug_root_unref(s.root);
	if (r < 0) {
		ug_objects_free(&s.objs);
		return r;
	}
	*ret = s.objs;
	return 0;
}

void ug_objects_free(struct ug_objects *objs)
{
	if (!objs)
		return;
	for (size_t i = 0; i < objs->n; i++)
		ug_object_close(objs->v[i]);
	ug_vec_free(objs);
}

/* ---- a file ---- */

static int read_file_headers(int fd, const char *path, Elf64_Ehdr *eh, Elf64_Phdr **ret,
			     struct ug_error *err)
{
	ug_autofree Elf64_Phdr *phdrs = NULL;
	size_t size;

	if (!ug_file_read(fd, 0, eh, sizeof(*eh)) || !ug_ehdr_ok(eh))
		return ug_err(err, -UG_E_BAD_ELF, "%s is no ELF program or library for x86-64",
			      path);
	size = eh->e_phnum * sizeof(*phdrs);
	phdrs = malloc(size);
	if (!phdrs)
		return ug_err(err, -ENOMEM, "out of memory");
	if (!ug_file_read(fd, eh->e_phoff, phdrs, size))
		return ug_err(err, -UG_E_BAD_ELF, "the program headers of %s are not in the file",
			      path);
	*ret = ug_take_ptr(phdrs);
	return 0;
}

/* libc.so.6 can be run and has an interpreter too; but programs have no soname. */
static void classify_file(struct ug_object *obj)
{
	struct ug_dynamic dyn = { 0 };
	bool has = ug_object_dynamic(NULL, obj, &dyn);
	bool interp = ug_object_phdr(obj, PT_INTERP);

	obj->is_exe = !obj->is_pie || (has && dyn.is_program) || (interp && !dyn.has_soname);
	obj->is_static = obj->is_exe && !interp;
}

static int open_object(int *fd, const char *path, struct ug_object **ret, struct ug_error *err)
{
	struct ug_object *obj;
	Elf64_Phdr *phdrs = NULL;
	struct stat st;
	Elf64_Ehdr eh;
	int r;

	r = read_file_headers(*fd, path, &eh, &phdrs, err);
	if (r == 0)
		r = ug_object_new(&eh, phdrs, 0, &obj, err);
	if (r < 0)
		return r;
	*ret = obj;
	obj->fd = *fd;	/* the build-id is read through it */
	obj->image->file_size = fstat(*fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	ug_object_build_id(NULL, obj, &obj->build_id);
	r = ug_object_attach_take(obj, *fd, err);
	if (r < 0)
		return r;
	(void)ug_take_fd(fd);
	classify_file(obj);
	r = set_labels(NULL, obj, path);
	return r < 0 ? ug_err(err, r, "out of memory") : 0;
}

int ug_object_open_file(const char *path, struct ug_object **ret, struct ug_error *err)
{
	ug_autoclose int fd = ug_open_regular(AT_FDCWD, path);
	struct ug_object *obj = NULL;
	int r;

	if (fd < 0)
		return ug_err(err, errno ? -errno : -ENOENT, "cannot open %s", path);
	r = open_object(&fd, path, &obj, err);
	if (r < 0) {
		if (obj && fd >= 0)
			obj->fd = -1;
		ug_object_close(obj);
		ug_err_where(err, path, NULL, 0);
		return r;
	}
	*ret = obj;
	return 0;
}

/* ---- queries ---- */

static bool covers(const struct ug_object *obj, ug_raddr_t addr)
{
	return addr >= obj->start && addr < obj->end;
}

struct ug_object *ug_objects_find(const struct ug_objects *objs, ug_raddr_t addr)
{
	size_t at;

	if (objs->n && covers(objs->v[0], addr))
		return objs->v[0];
	at = ug_bisect(1, objs->n, i, objs->v[i]->end <= addr);
	return at < objs->n && covers(objs->v[at], addr) ? objs->v[at] : NULL;
}

struct ug_object *ug_objects_by_build_id(const struct ug_objects *objs,
					 const struct ug_build_id *id)
{
	for (size_t i = 0; id->len && i < objs->n; i++)
		if (ug_build_id_equal(&objs->v[i]->build_id, id))
			return objs->v[i];
	return NULL;
}

static bool has_name(const struct ug_object *obj, const char *name)
{
	const char *base = strrchr(obj->path, '/');

	return !strcmp(obj->name, name) || !strcmp(obj->path, name) ||
	       (base && !strcmp(base + 1, name));
}

struct ug_object *ug_objects_by_name(const struct ug_objects *objs, const char *name)
{
	if (!name[0])
		return objs->n ? objs->v[0] : NULL;
	for (size_t i = 0; i < objs->n; i++)
		if (has_name(objs->v[i], name))
			return objs->v[i];
	return NULL;
}
