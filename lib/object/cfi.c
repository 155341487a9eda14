// SPDX-License-Identifier: LGPL-2.1-or-later
/* Finding the call frame information of an object, and looking it up. */
#include "object/internal.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bisect.h"
#include "base/vec.h"

/* Where .eh_frame is: in the file, and in the address space of the linker. */
struct place {
	uint64_t vaddr, offset, size;
};

void ug_cfi_free(struct ug_cfi *cfi)
{
	if (!cfi)
		return;
	if (cfi->eh)
		dwarf_cfi_end(cfi->eh);
	if (cfi->dwarf)
		dwarf_end(cfi->dwarf);
	if (cfi->mini_elf)
		elf_end(cfi->mini_elf);
	free(cfi->mini);
	free(cfi->v);
	free(cfi);
}

/* From vaddr to the end of what its segment has of the file. */
static bool place_of_vaddr(const struct ug_object *obj, uint64_t vaddr, struct place *ret)
{
	ug_raddr_t addr = vaddr + obj->bias;

	for (size_t i = 0; i < obj->nsegs; i++) {
		const struct ug_segment *s = &obj->segs[i];

		if (addr < s->start || addr - s->start >= s->filesz)
			continue;
		ret->vaddr = vaddr;
		ret->offset = s->offset + (addr - s->start);
		ret->size = s->filesz - (addr - s->start);
		return true;
	}
	return false;
}

/*
 * PT_GNU_EH_FRAME: version 1, three encodings, then the pointer to .eh_frame, which every
 * linker writes as 4 bytes relative to itself. libdw finds the section this way too; both
 * have to look at the same entries.
 */
static bool place_by_header(const struct ug_object *obj, struct place *ret)
{
	const Elf64_Phdr *ph = ug_object_phdr(obj, PT_GNU_EH_FRAME);
	uint8_t head[8];
	int32_t rel;

	if (!ph || ug_object_read_file(obj, obj->bias + ph->p_vaddr, head, sizeof(head), NULL) < 0)
		return false;
	if (head[0] != 1 || head[1] != (DW_EH_PE_pcrel | DW_EH_PE_sdata4))
		return false;
	memcpy(&rel, head + 4, sizeof(rel));
	return place_of_vaddr(obj, ph->p_vaddr + 4 + (uint64_t)(int64_t)rel, ret);
}

static bool find_eh_frame(const struct ug_object *obj, struct place *ret)
{
	bool found = place_by_header(obj, ret);
	Elf64_Shdr sh;

	if (!ug_elf_section(obj->elf, ".eh_frame", &sh) || sh.sh_type == SHT_NOBITS)
		return found;
	if (!found && !place_of_vaddr(obj, sh.sh_addr, ret))
		return false;
	if (ret->vaddr == sh.sh_addr && sh.sh_size < ret->size)
		ret->size = sh.sh_size;
	return true;
}

static int by_start(const void *pa, const void *pb)
{
	const struct ug_fde *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

static void sort(struct ug_cfi *cfi)
{
	if (cfi->n)
		qsort(cfi->v, cfi->n, sizeof(*cfi->v), by_start);
}

static int load_eh_frame(struct ug_object *obj, struct ug_cfi *cfi)
{
	struct place where;
	Elf_Data *d;
	int r;

	if (!find_eh_frame(obj, &where) || where.offset > obj->image->file_size ||
	    where.size > obj->image->file_size - where.offset)
		return 0;
	d = elf_getdata_rawchunk(obj->elf, (int64_t)where.offset, where.size, ELF_T_BYTE);
	if (!d || !d->d_buf)
		return 0;
	r = ug_fdes_list(obj, d, where.vaddr, true, cfi);
	sort(cfi);
	cfi->eh = dwarf_getcfi_elf(obj->elf);
	return r;
}

/* ---- .debug_frame ---- */

struct mini {			/* an ELF file with nothing but .debug_frame */
	Elf64_Ehdr eh;
	Elf64_Shdr sh[3];
	char names[32];
};

static const char mini_names[] = "\0.debug_frame\0.shstrtab";

static void fill_mini(struct mini *m, size_t size)
{
	*m = (struct mini){
		.eh = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
				     ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_DYN,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_shoff = offsetof(struct mini, sh),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = UG_ARRAY_SIZE(m->sh),
			.e_shstrndx = 2,
		},
		.sh[1] = {
			.sh_name = 1,
			.sh_type = SHT_PROGBITS,
			.sh_offset = sizeof(*m),
			.sh_size = size,
			.sh_addralign = 8,
		},
		.sh[2] = {
			.sh_name = 14,
			.sh_type = SHT_STRTAB,
			.sh_offset = offsetof(struct mini, names),
			.sh_size = sizeof(mini_names),
			.sh_addralign = 1,
		},
	};
	memcpy(m->names, mini_names, sizeof(mini_names));
}

/*
 * Given a whole file, libdw reads and unpacks all of its debug sections, hundreds of
 * megabytes for a large program. It is given one section.
 */
static bool open_debug_frame(struct ug_cfi *cfi, const void *data, size_t size)
{
	cfi->mini = malloc(sizeof(struct mini) + size);
	if (!cfi->mini)
		return false;
	fill_mini((struct mini *)cfi->mini, size);
	memcpy(cfi->mini + sizeof(struct mini), data, size);
	cfi->mini_elf = ug_elf_open_mem(cfi->mini, sizeof(struct mini) + size);
	if (cfi->mini_elf)
		cfi->dwarf = dwarf_begin_elf(cfi->mini_elf, DWARF_C_READ, NULL);
	if (cfi->dwarf)
		cfi->debug = dwarf_getcfi(cfi->dwarf);
	return cfi->debug;
}

static Elf_Data *debug_frame_data(Elf *elf)
{
	Elf64_Shdr sh;
	Elf_Scn *scn = elf ? ug_elf_section(elf, ".debug_frame", &sh) : NULL;
	Elf_Data *d;

	if (!scn || sh.sh_type != SHT_PROGBITS || !sh.sh_size)
		return NULL;
	if ((sh.sh_flags & SHF_COMPRESSED) && elf_compress(scn, 0, 0) < 0)
		return NULL;
	d = elf_rawdata(scn, NULL);
	return d && d->d_buf && d->d_size ? d : NULL;
}

/* Is nothing of [start, end) covered by the first n FDEs (which are sorted)? */
static bool is_uncovered(const struct ug_cfi *cfi, size_t n, ug_raddr_t start, ug_raddr_t end)
{
	size_t lo = ug_bisect(0, n, i, cfi->v[i].start < end);

	return !lo || cfi->v[lo - 1].end <= start;
}

static int load_debug_frame(struct ug_object *obj, struct ug_cfi *cfi)
{
	size_t n = cfi->n, kept = cfi->n;
	Elf_Data *d = debug_frame_data(obj->elf);
	int r;

	if (!d)
		d = debug_frame_data(ug_object_debug_elf(obj));
	if (!d || !open_debug_frame(cfi, d->d_buf, d->d_size))
		return 0;
	r = ug_fdes_list(obj, d, 0, false, cfi);
	for (size_t i = n; i < cfi->n; i++)
		if (is_uncovered(cfi, n, cfi->v[i].start, cfi->v[i].end))
			cfi->v[kept++] = cfi->v[i];
	cfi->n = kept;
	sort(cfi);
	return r;
}

int ug_object_cfi(struct ug_object *obj, struct ug_error *err)
{
	struct ug_cfi *cfi;
	int r = 0;

	if (obj->cfi)
		return 0;
	cfi = calloc(1, sizeof(*cfi));
	if (!cfi)
		return ug_err(err, -ENOMEM, "out of memory");
	if (obj->elf)
		r = load_eh_frame(obj, cfi);
	if (r == 0 && obj->elf)
		r = load_debug_frame(obj, cfi);
	if (r == 0)
		r = ug_object_preload(obj, NULL);
	if (r < 0) {
		ug_cfi_free(cfi);
		return ug_err(err, r, "cannot list the unwind tables of %s: %s", obj->name,
			      r == -ENOMEM ? "out of memory" : "there are too many");
	}
	obj->cfi = cfi;
	return 0;
}

/* ---- queries ---- */

size_t ug_cfi_count(const struct ug_object *obj)
{
	return obj->cfi ? obj->cfi->n : 0;
}

const struct ug_fde *ug_cfi_at(const struct ug_object *obj, size_t i)
{
	return i < ug_cfi_count(obj) ? &obj->cfi->v[i] : NULL;
}

const struct ug_fde *ug_cfi_fde(const struct ug_object *obj, ug_raddr_t addr)
{
	size_t lo = ug_bisect(0, ug_cfi_count(obj), i, obj->cfi->v[i].start <= addr);

	return lo && addr < obj->cfi->v[lo - 1].end ? &obj->cfi->v[lo - 1] : NULL;
}

Dwarf_Frame *ug_cfi_frame(struct ug_object *obj, ug_raddr_t addr)
{
	struct ug_cfi *cfi = obj->cfi;
	Dwarf_Frame *frame;

	if (!cfi)
		return NULL;
	addr -= obj->bias;
	if (cfi->eh && dwarf_cfi_addrframe(cfi->eh, addr, &frame) == 0)
		return frame;
	if (cfi->debug && dwarf_cfi_addrframe(cfi->debug, addr, &frame) == 0)
		return frame;
	return NULL;
}
