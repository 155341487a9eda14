// SPDX-License-Identifier: LGPL-2.1-or-later
/* An ELF image around code in memory. */
#include "object/code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "object/internal.h"

enum { NONE, TEXT, EH_FRAME, SYMTAB, STRTAB, SHSTRTAB, SECTIONS };

static const char section_names[] = "\0.text\0.eh_frame\0.symtab\0.strtab\0.shstrtab";

struct head {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];		/* code; what it reads */
	Elf64_Shdr sh[SECTIONS];
	char names[sizeof(section_names)];
};

/* Offsets in the image. */
struct plan {
	size_t bytes, symbols, strings, strings_len, len;
};

static bool code_ok(const struct ug_code *c)
{
	return c->start % UG_PAGE_SIZE == 0 && c->len && c->text_len && c->text_len <= c->len &&
	       c->start <= UG_USER_END - c->len && c->eh_frame <= c->len &&
	       c->eh_frame_len <= c->len - c->eh_frame;
}

static struct plan make_plan(const struct ug_code *c)
{
	struct plan p = { .bytes = ug_align_up(sizeof(struct head), UG_PAGE_SIZE), .strings_len = 1 };

	for (size_t i = 0; i < c->nsymbols; i++)
		p.strings_len += strlen(c->symbols[i].name) + 1;
	p.symbols = p.bytes + ug_align_up(c->len, 8);
	p.strings = p.symbols + (c->nsymbols + 1) * sizeof(Elf64_Sym);
	p.len = p.strings + p.strings_len;
	return p;
}

static void fill_ehdr(Elf64_Ehdr *eh, const struct ug_code *c)
{
	*eh = (Elf64_Ehdr){
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = c->start,
		.e_phoff = offsetof(struct head, ph),
		.e_shoff = offsetof(struct head, sh),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = c->text_len < c->len ? 2 : 1,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = SECTIONS,
		.e_shstrndx = SHSTRTAB,
	};
}

/* Both from one stretch of the file; only the page with the border belongs to two. */
static void fill_phdrs(Elf64_Phdr *ph, const struct ug_code *c, const struct plan *p)
{
	for (int i = 0; i < 2; i++) {
		size_t at = i ? c->text_len : 0, end = i ? c->len : c->text_len;

		ph[i] = (Elf64_Phdr){
			.p_type = PT_LOAD,
			.p_flags = i ? PF_R : PF_R | PF_X,
			.p_offset = p->bytes + at,
			.p_vaddr = c->start + at,
			.p_paddr = c->start + at,
			.p_filesz = end - at,
			.p_memsz = end - at,
			.p_align = UG_PAGE_SIZE,
		};
	}
}

static uint32_t name_of(unsigned int section)
{
	const char *s = section_names;

	while (section--)
		s += strlen(s) + 1;
	return (uint32_t)(s - section_names);
}

static void fill_shdrs(Elf64_Shdr *sh, const struct ug_code *c, const struct plan *p)
{
	sh[TEXT] = (Elf64_Shdr){
		.sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
		.sh_addr = c->start, .sh_offset = p->bytes, .sh_size = c->text_len,
		.sh_addralign = 16,
	};
	sh[EH_FRAME] = (Elf64_Shdr){
		.sh_type = c->eh_frame_len ? SHT_PROGBITS : SHT_NULL, .sh_flags = SHF_ALLOC,
		.sh_addr = c->start + c->eh_frame, .sh_offset = p->bytes + c->eh_frame,
		.sh_size = c->eh_frame_len, .sh_addralign = 8,
	};
	sh[SYMTAB] = (Elf64_Shdr){
		.sh_type = SHT_SYMTAB, .sh_offset = p->symbols,
		.sh_size = (c->nsymbols + 1) * sizeof(Elf64_Sym), .sh_link = STRTAB, .sh_info = 1,
		.sh_addralign = 8, .sh_entsize = sizeof(Elf64_Sym),
	};
	sh[STRTAB] = (Elf64_Shdr){
		.sh_type = SHT_STRTAB, .sh_offset = p->strings, .sh_size = p->strings_len,
		.sh_addralign = 1,
	};
	sh[SHSTRTAB] = (Elf64_Shdr){
		.sh_type = SHT_STRTAB, .sh_offset = offsetof(struct head, names),
		.sh_size = sizeof(section_names), .sh_addralign = 1,
	};
	for (unsigned int i = 0; i < SECTIONS; i++)
		sh[i].sh_name = name_of(i);
}

static void fill_symbols(uint8_t *image, const struct ug_code *c, const struct plan *p)
{
	Elf64_Sym *sym = (Elf64_Sym *)(image + p->symbols) + 1;
	char *strings = (char *)image + p->strings;
	size_t at = 1;

	for (size_t i = 0; i < c->nsymbols; i++) {
		size_t len = strlen(c->symbols[i].name) + 1;

		sym[i] = (Elf64_Sym){
			.st_name = (uint32_t)at,
			.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
			.st_shndx = TEXT,
			.st_value = c->symbols[i].addr,
			.st_size = c->symbols[i].size,
		};
		memcpy(strings + at, c->symbols[i].name, len);
		at += len;
	}
}

int ug_code_image(const struct ug_code *code, uint8_t **ret, size_t *ret_len, struct ug_error *err)
{
	struct plan p = make_plan(code);
	struct head *head;
	uint8_t *image;

	if (!code_ok(code))
		return ug_err(err, -UG_E_BAD_ELF, "the code of %s is described wrongly", code->name);
	image = calloc(1, p.len);
	if (!image)
		return ug_err(err, -ENOMEM, "out of memory");
	head = (struct head *)image;
	fill_ehdr(&head->eh, code);
	fill_phdrs(head->ph, code, &p);
	fill_shdrs(head->sh, code, &p);
	memcpy(head->names, section_names, sizeof(section_names));
	memcpy(image + p.bytes, code->bytes, code->len);
	fill_symbols(image, code, &p);
	*ret = image;
	*ret_len = p.len;
	return 0;
}

static int object_of_image(uint8_t *image, size_t len, struct ug_object **ret, struct ug_error *err)
{
	const struct head *head = (const struct head *)image;
	Elf64_Phdr *phdrs = malloc(sizeof(head->ph));
	int r;

	if (!phdrs)
		return ug_err(err, -ENOMEM, "out of memory");
	memcpy(phdrs, head->ph, sizeof(head->ph));
	r = ug_object_new(&head->eh, phdrs, 0, ret, err);
	if (r < 0)
		return r;
	r = ug_object_attach_mem_take(*ret, image, len, err);
	if (r < 0)
		ug_object_close(*ret);
	return r;
}

int ug_object_of_code(const struct ug_code *code, struct ug_object **ret, struct ug_error *err)
{
	struct ug_object *obj = NULL;
	uint8_t *image = NULL;
	size_t len = 0;
	int r = ug_code_image(code, &image, &len, err);

	if (r == 0)
		r = object_of_image(image, len, &obj, err);
	if (r < 0) {
		free(image);
		return r;
	}
	obj->name = strdup(code->name);
	obj->path = strdup("");
	if (!obj->name || !obj->path) {
		ug_object_close(obj);
		return ug_err(err, -ENOMEM, "out of memory");
	}
	*ret = obj;
	return 0;
}
