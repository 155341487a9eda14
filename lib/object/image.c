// SPDX-License-Identifier: LGPL-2.1-or-later
/* One object: its program headers, its segments, the bytes of its file. */
#include "object/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/prefault.h"

/* More code than that in one segment is read piecemeal instead of being kept. */
#define CODE_MAX (1UL << 30)

bool ug_ehdr_ok(const Elf64_Ehdr *eh)
{
	return !memcmp(eh->e_ident, ELFMAG, SELFMAG) && eh->e_ident[EI_CLASS] == ELFCLASS64 &&
	       eh->e_ident[EI_DATA] == ELFDATA2LSB && eh->e_ident[EI_VERSION] == EV_CURRENT &&
	       eh->e_machine == EM_X86_64 && (eh->e_type == ET_EXEC || eh->e_type == ET_DYN) &&
	       eh->e_phentsize == sizeof(Elf64_Phdr) && eh->e_phnum > 0 &&
	       eh->e_phnum <= UG_PHDRS_MAX;
}

/* The kernel and ld.so map pages: address and offset must agree within one. */
static bool load_ok(const Elf64_Phdr *ph, uint64_t bias, ug_raddr_t prev_end)
{
	ug_raddr_t start = bias + ph->p_vaddr;

	return ph->p_filesz <= ph->p_memsz && ph->p_memsz <= UG_USER_END &&
	       ph->p_offset <= INT64_MAX && ph->p_filesz <= INT64_MAX - ph->p_offset &&
	       (ph->p_vaddr - ph->p_offset) % UG_PAGE_SIZE == 0 && start >= prev_end &&
	       start <= UG_USER_END - ph->p_memsz;
}

static int prot_of(uint32_t flags)
{
	return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) |
	       (flags & PF_X ? PROT_EXEC : 0);
}

static int fill_segments(struct ug_object *obj, struct ug_error *err)
{
	const struct ug_image *im = obj->image;

	for (size_t i = 0; i < im->ehdr.e_phnum; i++) {
		const Elf64_Phdr *ph = &im->phdrs[i];

		if (ph->p_type != PT_LOAD || !ph->p_memsz)
			continue;
		if (!load_ok(ph, obj->bias, obj->end))
			return ug_err(err, -UG_E_BAD_ELF, "bad program header %zu", i);
		obj->segs[obj->nsegs++] = (struct ug_segment){
			.start = obj->bias + ph->p_vaddr,
			.end = obj->bias + ph->p_vaddr + ph->p_memsz,
			.offset = ph->p_offset,
			.filesz = ph->p_filesz,
			.prot = prot_of(ph->p_flags),
		};
		obj->end = obj->segs[obj->nsegs - 1].end;
	}
	if (!obj->nsegs)
		return ug_err(err, -UG_E_BAD_ELF, "nothing in it is to be loaded");
	obj->start = obj->segs[0].start;
	return 0;
}

int ug_object_new(const Elf64_Ehdr *eh, Elf64_Phdr *phdrs, uint64_t bias,
		  struct ug_object **ret, struct ug_error *err)
{
	struct ug_object *obj = calloc(1, sizeof(*obj));
	int r;

	if (obj)
		obj->image = calloc(1, sizeof(*obj->image));
	if (!obj || !obj->image) {
		free(phdrs);
		free(obj);
		return ug_err(err, -ENOMEM, "out of memory");
	}
	obj->fd = obj->image->debug_fd = -1;
	obj->bias = bias;
	obj->is_pie = eh->e_type == ET_DYN;
	obj->image->ehdr = *eh;
	obj->image->phdrs = phdrs;
	obj->segs = calloc(eh->e_phnum, sizeof(*obj->segs));
	obj->image->code = calloc(eh->e_phnum, sizeof(*obj->image->code));
	r = obj->segs && obj->image->code ? fill_segments(obj, err)
					  : ug_err(err, -ENOMEM, "out of memory");
	if (r < 0) {
		ug_object_close(obj);
		return r;
	}
	*ret = obj;
	return 0;
}

const Elf64_Phdr *ug_object_phdr(const struct ug_object *obj, uint32_t type)
{
	const struct ug_image *im = obj->image;

	for (size_t i = 0; i < im->ehdr.e_phnum; i++)
		if (im->phdrs[i].p_type == type)
			return &im->phdrs[i];
	return NULL;
}

static void image_free(struct ug_image *im, size_t nsegs)
{
	if (!im)
		return;
	if (im->debug_elf)
		elf_end(im->debug_elf);
	if (im->debug_fd >= 0)
		close(im->debug_fd);
	for (size_t i = 0; im->code && i < nsegs; i++)
		free(im->code[i]);
	free(im->code);
	free(im->phdrs);
	free(im->mem);
	ug_root_unref(im->root);
	free(im);
}

void ug_object_close(struct ug_object *obj)
{
	if (!obj)
		return;
	/* Symbols and CFI point into the files: first they, then the files. */
	ug_symtab_free(obj->symtab);
	ug_cfi_free(obj->cfi);
	if (obj->elf)
		elf_end(obj->elf);
	if (obj->fd >= 0)
		close(obj->fd);
	image_free(obj->image, obj->nsegs);
	free(obj->segs);
	free(obj->name);
	free(obj->path);
	free(obj);
}

bool ug_file_read(int fd, uint64_t off, void *buf, size_t len)
{
	while (len) {
		ssize_t n = pread(fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		buf = (char *)buf + n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

/* ---- the file ---- */

static Elf *check_elf(Elf *elf)
{
	Elf64_Ehdr *eh;

	if (!elf)
		return NULL;
	eh = elf_kind(elf) == ELF_K_ELF ? elf64_getehdr(elf) : NULL;
	if (eh && eh->e_machine == EM_X86_64 && eh->e_ident[EI_DATA] == ELFDATA2LSB)
		return elf;
	elf_end(elf);
	return NULL;
}

/*
 * Never mapped: a file that is truncated while it is mapped here would kill the controller
 * by SIGBUS, and it may belong to the target's user.
 */
Elf *ug_elf_open(int fd)
{
	if (elf_version(EV_CURRENT) == EV_NONE)
		return NULL;
	return check_elf(elf_begin(fd, ELF_C_READ, NULL));
}

Elf *ug_elf_open_mem(uint8_t *mem, size_t size)
{
	if (elf_version(EV_CURRENT) == EV_NONE)
		return NULL;
	return check_elf(elf_memory((char *)mem, size));
}

Elf_Scn *ug_elf_section(Elf *elf, const char *name, Elf64_Shdr *ret_shdr)
{
	size_t strndx;

	if (elf_getshdrstrndx(elf, &strndx) < 0)
		return NULL;
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
		Elf64_Shdr *sh = elf64_getshdr(scn);
		const char *s = sh ? elf_strptr(elf, strndx, sh->sh_name) : NULL;

		if (!s || strcmp(s, name) != 0)
			continue;
		*ret_shdr = *sh;
		return scn;
	}
	return NULL;
}

/* What is mapped begins with the headers: a file with other ones is another file. */
static bool same_headers(const struct ug_object *obj, int fd)
{
	const struct ug_image *im = obj->image;
	size_t size = im->ehdr.e_phnum * sizeof(Elf64_Phdr);
	ug_autofree uint8_t *phdrs = malloc(size);
	Elf64_Ehdr eh;

	return phdrs && ug_file_read(fd, 0, &eh, sizeof(eh)) &&
	       !memcmp(&eh, &im->ehdr, sizeof(eh)) &&
	       ug_file_read(fd, eh.e_phoff, phdrs, size) && !memcmp(phdrs, im->phdrs, size);
}

static int check_file_build_id(const struct ug_object *obj, struct ug_error *err)
{
	struct ug_build_id id;

	ug_object_build_id(NULL, obj, &id);
	/* without any build-id the program headers must do: they were compared before */
	if (ug_build_id_equal(&id, &obj->build_id) || (!id.len && !obj->build_id.len))
		return 0;
	return ug_err(err, -UG_E_BAD_ELF, "the file is of another build than what is mapped");
}

int ug_object_attach_take(struct ug_object *obj, int fd, struct ug_error *err)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return ug_err_errno(err, "cannot look at the file");
	if (!same_headers(obj, fd))
		return ug_err(err, -UG_E_BAD_ELF, "the file is not the one that is mapped");
	obj->image->file_size = (uint64_t)st.st_size;
	obj->fd = fd;
	r = check_file_build_id(obj, err);
	if (r == 0) {
		obj->elf = ug_elf_open(fd);
		if (obj->elf)
			return 0;
		r = ug_err(err, -UG_E_BAD_ELF, "libelf cannot read the file: %s", elf_errmsg(-1));
	}
	obj->fd = -1;
	return r;
}

int ug_object_attach_mem_take(struct ug_object *obj, uint8_t *mem, size_t size,
			      struct ug_error *err)
{
	Elf *elf = ug_elf_open_mem(mem, size);

	if (!elf)
		return ug_err(err, -UG_E_BAD_ELF, "libelf cannot read the image: %s",
			      elf_errmsg(-1));
	obj->elf = elf;
	obj->image->mem = mem;
	obj->image->file_size = size;
	return 0;
}

/* ---- bytes ---- */

static const struct ug_segment *segment_of(const struct ug_object *obj, ug_raddr_t addr,
					   size_t len)
{
	for (size_t i = 0; i < obj->nsegs; i++) {
		const struct ug_segment *s = &obj->segs[i];

		if (addr >= s->start && addr < s->end)
			return len <= s->end - addr ? s : NULL;
	}
	return NULL;
}

bool ug_object_is_text(const struct ug_object *obj, ug_raddr_t addr, size_t len)
{
	const struct ug_segment *s = segment_of(obj, addr, len);

	return s && (s->prot & PROT_EXEC);
}

static bool image_read(const struct ug_object *obj, uint64_t off, void *buf, size_t len)
{
	const struct ug_image *im = obj->image;

	if (off > im->file_size || len > im->file_size - off)
		return false;
	if (obj->fd >= 0)
		return ug_file_read(obj->fd, off, buf, len);
	if (!im->mem)
		return false;
	memcpy(buf, im->mem + off, len);
	return true;
}

/* The code of segment i, read on first use; NULL when it cannot be kept. */
static const uint8_t *segment_code(const struct ug_object *obj, size_t i)
{
	const struct ug_segment *s = &obj->segs[i];
	uint8_t *code;

	if (!(s->prot & PROT_EXEC) || s->filesz > CODE_MAX || !s->filesz ||
	    s->filesz > obj->image->file_size)
		return NULL;
	if (obj->image->code[i])
		return obj->image->code[i];
	code = malloc(s->filesz);
	if (code)
		ug_prefault(code, s->filesz);
	if (!code || !image_read(obj, s->offset, code, s->filesz)) {
		free(code);
		return NULL;
	}
	obj->image->code[i] = code;
	return code;
}

/* Where [addr, addr + len) is in the file's part of its segment; false: not all of it is. */
static bool in_file(const struct ug_segment *s, ug_raddr_t addr, size_t len, uint64_t *ret_off)
{
	*ret_off = addr - s->start;
	return *ret_off <= s->filesz && len <= s->filesz - *ret_off;
}

static bool read_segment(const struct ug_object *obj, const struct ug_segment *s,
			 ug_raddr_t addr, void *buf, size_t len)
{
	const uint8_t *code;
	uint64_t off;

	if (!in_file(s, addr, len, &off))
		return false;
	code = segment_code(obj, (size_t)(s - obj->segs));
	if (!code)
		return image_read(obj, s->offset + off, buf, len);
	memcpy(buf, code + off, len);
	return true;
}

const uint8_t *ug_object_code(const struct ug_object *obj, ug_raddr_t addr, size_t len)
{
	const struct ug_segment *s = segment_of(obj, addr, len);
	const uint8_t *code;
	uint64_t off;

	if (!s || !in_file(s, addr, len, &off))
		return NULL;
	code = segment_code(obj, (size_t)(s - obj->segs));
	return code ? code + off : NULL;
}

int ug_object_read_file(const struct ug_object *obj, ug_raddr_t addr, void *buf, size_t len,
			struct ug_error *err)
{
	const struct ug_segment *s = segment_of(obj, addr, len);

	if (s && read_segment(obj, s, addr, buf, len))
		return 0;
	(void)ug_err(err, -UG_E_UNREADABLE, "0x%lx+%zu is not in the file of %s",
		     (unsigned long)addr, len, obj->name ? obj->name : "the object");
	return -UG_E_UNREADABLE;
}

int ug_object_read(struct ug_proc *p, const struct ug_object *obj, ug_raddr_t addr, void *buf,
		   size_t len)
{
	if (!segment_of(obj, addr, len))
		return -UG_E_UNREADABLE;
	return p ? ug_proc_read(p, addr, buf, len, NULL)
		 : ug_object_read_file(obj, addr, buf, len, NULL);
}

int ug_object_preload(struct ug_object *obj, struct ug_error *err)
{
	if (!obj->elf)
		return 0;
	for (size_t i = 0; i < obj->nsegs; i++)
		(void)segment_code(obj, i);
	return 0;
}
