// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/needed.h"

static Elf *open_elf(const char *path, int *ret_fd)
{
	elf_version(EV_CURRENT);
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? NULL : elf_begin(*ret_fd, ELF_C_READ, NULL);
}

static void close_elf(Elf *elf, int fd)
{
	if (elf)
		elf_end(elf);
	if (fd >= 0)
		close(fd);
}

static Elf_Data *section_of_type(Elf *elf, GElf_Word type, GElf_Shdr *sh)
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(elf, scn))) {
		if (gelf_getshdr(scn, sh) && sh->sh_type == type)
			return elf_getdata(scn, NULL);
	}
	return NULL;
}

/* STT_NOTYPE: of any type. */
static bool exports(const char *path, const char *name, unsigned char type)
{
	bool found = false;
	GElf_Shdr sh;
	GElf_Sym sym;
	int fd;
	Elf *elf = open_elf(path, &fd);
	Elf_Data *data = elf ? section_of_type(elf, SHT_DYNSYM, &sh) : NULL;

	for (int i = 0; data && !found && gelf_getsym(data, i, &sym); i++) {
		const char *s = elf_strptr(elf, sh.sh_link, sym.st_name);

		found = sym.st_shndx != SHN_UNDEF && s && !strcmp(s, name) &&
			(type == STT_NOTYPE || GELF_ST_TYPE(sym.st_info) == type);
	}
	close_elf(elf, fd);
	return found;
}

static bool library_exports(const char *soname, const char *name, unsigned char type)
{
	static const char *const dirs[] = { "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64",
					    "/usr/lib64", "/usr/local/lib", "/lib", "/usr/lib" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", dirs[i], soname);
		if (access(path, R_OK) == 0)
			return exports(path, name, type);
	}
	return false;
}

static bool needed_exports(const char *binary, const char *name, unsigned char type)
{
	bool found = false;
	GElf_Shdr sh;
	GElf_Dyn dyn;
	int fd;
	Elf *elf = open_elf(binary, &fd);
	Elf_Data *data = elf ? section_of_type(elf, SHT_DYNAMIC, &sh) : NULL;

	for (int i = 0; data && !found && gelf_getdyn(data, i, &dyn); i++) {
		const char *soname = dyn.d_tag == DT_NEEDED ? elf_strptr(elf, sh.sh_link, dyn.d_un.d_val) :
				     NULL;

		found = soname && library_exports(soname, name, type);
	}
	close_elf(elf, fd);
	return found;
}

bool ug_needed_exports(const char *binary, const char *name)
{
	return needed_exports(binary, name, STT_NOTYPE);
}

bool ug_needed_exports_data(const char *binary, const char *name)
{
	return needed_exports(binary, name, STT_OBJECT);
}
