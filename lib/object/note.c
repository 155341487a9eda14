// SPDX-License-Identifier: LGPL-2.1-or-later
/* Build-ids: the note NT_GNU_BUILD_ID, where a process, a file or a debug file has it. */
#include "object/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/reader.h"

#define NOTES_MAX 65536

/*
 * A note: name size, descriptor size, type, then name and descriptor, each padded. ld pads
 * to 8 bytes in segments aligned to 8 (.note.gnu.property), to 4 in all others.
 */
bool ug_note_build_id(const uint8_t *buf, size_t size, uint64_t align, struct ug_build_id *ret)
{
	struct ug_reader r;
	Elf64_Nhdr nh;
	char name[4];

	ug_reader_init(&r, buf, size);
	while (ug_reader_next(&r, &nh, sizeof(nh))) {
		uint64_t desc = ug_align_up(r.pos + (uint64_t)nh.n_namesz, align);

		if (nh.n_type == NT_GNU_BUILD_ID && nh.n_namesz == sizeof(name) &&
		    nh.n_descsz > 0 && nh.n_descsz <= UG_BUILD_ID_MAX &&
		    ug_reader_at(&r, r.pos, name, sizeof(name)) && !memcmp(name, "GNU", 4) &&
		    ug_reader_at(&r, desc, ret->bytes, nh.n_descsz)) {
			ret->len = (uint8_t)nh.n_descsz;
			return true;
		}
		if (!ug_reader_check(&r, desc, nh.n_descsz))
			return false;
		r.pos = ug_align_up(desc + nh.n_descsz, align);
	}
	return false;
}

static bool segment_build_id(struct ug_proc *p, const struct ug_object *obj,
			     const Elf64_Phdr *ph, struct ug_build_id *ret)
{
	ug_autofree uint8_t *buf = NULL;

	if (ph->p_type != PT_NOTE || !ph->p_filesz || ph->p_filesz > NOTES_MAX)
		return false;
	buf = malloc(ph->p_filesz);
	return buf &&
	       ug_object_read(p, obj, obj->bias + ph->p_vaddr, buf, ph->p_filesz) == 0 &&
	       ug_note_build_id(buf, ph->p_filesz, ph->p_align == 8 ? 8 : 4, ret);
}

void ug_object_build_id(struct ug_proc *p, const struct ug_object *obj, struct ug_build_id *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < obj->image->ehdr.e_phnum; i++)
		if (segment_build_id(p, obj, &obj->image->phdrs[i], ret))
			return;
}

void ug_elf_build_id(Elf *elf, struct ug_build_id *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
		Elf64_Shdr *sh = elf64_getshdr(scn);
		Elf_Data *d;

		if (!sh || sh->sh_type != SHT_NOTE || sh->sh_size > NOTES_MAX)
			continue;
		d = elf_rawdata(scn, NULL);
		if (d && d->d_buf &&
		    ug_note_build_id(d->d_buf, d->d_size, sh->sh_addralign == 8 ? 8 : 4, ret))
			return;
	}
}
