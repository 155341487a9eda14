/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: whatever the bytes of an ELF file, it is an object or it is not, and all that is
 * asked of an object is answered without harm. The process has mapped the file as it wants to be.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/driver.h"
#include "fuzz/fake_file.h"
#include "object/cfi.h"
#include "object/symbol.h"
#include "tests/lib/fake_proc.h"

#define ASKED_MAX 64		/* of symbols, of FDEs */

static void note(const struct ug_symbol *sym, void *ctx)
{
	*(size_t *)ctx += strlen(sym->name);
}

static void ask_symbol(struct ug_proc *p, struct ug_object *obj, const struct ug_symbol *sym)
{
	struct ug_objects objects = { .v = &obj, .n = 1 };
	struct ug_symbol found;
	ug_raddr_t where;
	size_t sum = 0;
	char text[64];

	for (unsigned int pos = 0; pos < 3; pos++)
		ug_ignore(ug_symbol_find(obj, sym->name, pos, &found, NULL));
	(void)ug_symbol_by_addr(obj, sym->addr + sym->size / 2);
	(void)ug_symbols_at(obj, sym->addr, note, &sum);
	(void)ug_symbol_parts(obj, sym->name, note, &sum);
	(void)ug_object_exported(obj, sym->name, &found);
	(void)ug_symbol_is_clone(sym->name);
	(void)ug_symbol_is_cold(sym->name);
	ug_ignore(ug_symbol_ifunc(p, &objects, sym, &where, NULL));
	(void)ug_symbol_describe(&objects, sym->addr + 1, text, sizeof(text));
}

static void ask_frame(struct ug_object *obj, const struct ug_fde *fde)
{
	ug_raddr_t at[] = { fde->start, fde->start + (fde->end - fde->start) / 2, fde->end - 1 };

	(void)ug_cfi_fde(obj, fde->end);
	for (size_t i = 0; i < UG_ARRAY_SIZE(at); i++) {
		Dwarf_Frame *frame = ug_cfi_frame(obj, at[i]);
		Dwarf_Op mem[3], *ops;
		size_t nops;

		for (int reg = 0; frame && reg < 17; reg++)
			(void)dwarf_frame_register(frame, reg, mem, &ops, &nops);
		if (frame)
			(void)dwarf_frame_cfa(frame, &ops, &nops);
		free(frame);
	}
}

static void ask(struct ug_proc *p, struct ug_object *obj)
{
	uint8_t code[64];
	uint64_t module;
	int64_t offset;

	if (ug_object_symtab(obj, NULL) == 0) {
		(void)ug_object_has_locals(obj);
		for (size_t i = 0; i < ug_symtab_count(obj) && i < ASKED_MAX; i++)
			ask_symbol(p, obj, ug_symtab_at(obj, i));
	}
	if (ug_object_cfi(obj, NULL) == 0) {
		for (size_t i = 0; i < ug_cfi_count(obj) && i < ASKED_MAX; i++)
			ask_frame(obj, ug_cfi_at(obj, i));
	}
	for (size_t i = 0; i < obj->nsegs; i++)
		ug_ignore(ug_object_read_file(obj, obj->segs[i].end - 32, code, sizeof(code), NULL));
	ug_ignore(ug_object_tls_module(p, obj, &module, NULL));
	ug_ignore(ug_object_tls_offset(p, obj, &offset, NULL));
	obj->is_exe = !obj->is_exe;
	ug_ignore(ug_object_tls_module(p, obj, &module, NULL));
	ug_ignore(ug_object_tls_offset(p, obj, &offset, NULL));
}

static void map_segments(struct fake_proc *f, const struct ug_object *obj, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < obj->nsegs; i++) {
		const struct ug_segment *s = &obj->segs[i];

		if (s->offset < size)
			fake_proc_put(f, s->start, data + s->offset,
				      s->filesz < size - s->offset ? s->filesz : size - s->offset);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = fake_file(data, size);
	struct ug_object *obj;
	struct fake_proc f;
	char path[32];

	fake_proc_open(&f);
	if (ug_object_open_file(fake_path(fd, path), &obj, NULL) == 0) {
		map_segments(&f, obj, data, size);
		ask(&f.proc, obj);
		ug_object_close(obj);
	}
	fake_proc_close(&f);
	close(fd);
	return 0;
}
