/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The objects of a process: the executable, shared objects, the vdso. An object is
 * identified by its build-id, read from the memory of the process; sonames and paths are
 * labels. Objects are found through /proc/PID/maps (every file mapping that begins with an
 * ELF header), so that static executables, dlmopen namespaces and a hostile link map make
 * no difference; files are opened through /proc/PID/map_files or /proc/PID/root, never by
 * path alone, since the target may live in another mount namespace.
 *
 * Everything here happens before any stop, except the lookups marked "in a stop".
 */
#ifndef UG_OBJECT_OBJECT_H
#define UG_OBJECT_OBJECT_H

#include <elfutils/libdw.h>
#include <libelf.h>

#include "process/maps.h"

struct ug_symtab;
struct ug_cfi;
struct ug_image;

struct ug_segment {		/* one PT_LOAD */
	ug_raddr_t start, end;	/* run-time addresses, memory size */
	uint64_t offset, filesz;
	int prot;
};

struct ug_object {
	char *name;		/* soname, or base name of the path */
	char *path;		/* as maps shows it */
	struct ug_build_id build_id;
	bool is_exe;		/* the program itself */
	bool is_vdso;
	bool is_pie;		/* ET_DYN */
	bool is_static;		/* executable without PT_INTERP */
	bool deleted;		/* file replaced or removed since it was mapped */
	uint64_t bias;		/* run-time address minus link-time address */
	ug_raddr_t start, end;	/* whole extent of the PT_LOADs */
	struct ug_segment *segs;
	size_t nsegs;
	Elf *elf;		/* the mapped file; NULL when it could not be opened */
	int fd;			/* -1 for none */
	struct ug_symtab *symtab;	/* loaded on first use by ug_object_symtab */
	struct ug_cfi *cfi;	/* loaded on first use by ug_object_cfi */
	struct ug_image *image;	/* program headers, code of the file: private */
};

struct ug_objects {
	struct ug_object **v;	/* the executable first, then by address */
	size_t n;
	size_t cap;
};

int ug_objects_load(struct ug_proc *p, const struct ug_maps *maps, struct ug_objects *ret,
		    struct ug_error *err) ug_must_check;
void ug_objects_free(struct ug_objects *objs);

/* One object from a file on disk, bias 0 (for the builder): the same queries work on it. */
int ug_object_open_file(const char *path, struct ug_object **ret, struct ug_error *err) ug_must_check;
void ug_object_close(struct ug_object *obj);

struct ug_object *ug_objects_find(const struct ug_objects *objs, ug_raddr_t addr);	/* in a stop */
struct ug_object *ug_objects_by_build_id(const struct ug_objects *objs, const struct ug_build_id *id);
/* By soname, base name or path; NULL when absent. The executable also by "" . */
struct ug_object *ug_objects_by_name(const struct ug_objects *objs, const char *name);

/* Is the run-time range inside one executable PT_LOAD of the object? */
bool ug_object_is_text(const struct ug_object *obj, ug_raddr_t addr, size_t len);
/*
 * The code there as it is in the file, kept until the object is closed. NULL: not all of it is code
 * of one segment of the file, or it is too large to be kept (ug_object_read_file).
 */
const uint8_t *ug_object_code(const struct ug_object *obj, ug_raddr_t addr, size_t len);

/* Copy code as it is in the *file* (relocations not applied); -UG_E_UNREADABLE if outside. */
int ug_object_read_file(const struct ug_object *obj, ug_raddr_t addr, void *buf, size_t len,
			struct ug_error *err) ug_must_check;

/*
 * TLS: the object's module id in the process, read from a resolved R_X86_64_DTPMOD64 word of
 * its own, and the offset of its TLS block from the thread pointer (static TLS: from a
 * resolved R_X86_64_TPOFF64 word, or, for the executable, from PT_TLS as the psABI lays it
 * out). -UG_E_NO_SYMBOL when the object has no such word.
 */
int ug_object_tls_module(struct ug_proc *p, struct ug_object *obj, uint64_t *ret, struct ug_error *err) ug_must_check;
int ug_object_tls_offset(struct ug_proc *p, struct ug_object *obj, int64_t *ret, struct ug_error *err) ug_must_check;

#endif
