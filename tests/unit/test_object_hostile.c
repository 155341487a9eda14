/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Damaged ELF files: cut short, with flipped bytes, with lies in every header. Any answer is
 * right as long as there is one; the sanitizers say more than the assertions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "object/internal.h"

#define SEED 20240229u

struct specimen {
	uint8_t *good, *bad;
	size_t size;
	int memfd;
	char path[64];		/* of the memfd */
	unsigned int opened;	/* how many were still good enough to be opened */
};

static uint32_t rng = SEED;

static uint32_t random_u32(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 17;
	rng ^= rng << 5;
	return rng;
}

static void load(struct specimen *s, const char *program)
{
	char self[512], path[600];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	ug_autoclose int fd = -1;
	struct stat st;

	assert_true(n > 0);
	self[n] = 0;
	*strrchr(self, '/') = 0;
	(void)snprintf(path, sizeof(path), "%s/../victims/%s", self, program);
	memset(s, 0, sizeof(*s));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		skip();
	assert_int_equal(fstat(fd, &st), 0);
	s->size = (size_t)st.st_size;
	s->good = malloc(s->size);
	s->bad = malloc(s->size);
	assert_true(s->good && s->bad);
	assert_int_equal(read(fd, s->good, s->size), st.st_size);
	s->memfd = memfd_create("specimen", MFD_CLOEXEC);
	assert_true(s->memfd >= 0);
	(void)snprintf(s->path, sizeof(s->path), "/proc/self/fd/%d", s->memfd);
}

static void unload(struct specimen *s)
{
	free(s->good);
	free(s->bad);
	close(s->memfd);
}

static void ignore(const struct ug_symbol *sym, void *ctx)
{
	*(size_t *)ctx += strlen(sym->name);
}

/* Every query, at every place the object says it has. */
static void ask_everything(struct ug_object *obj)
{
	struct ug_objects objs = { .v = &obj, .n = 1 };
	size_t names = 0;
	struct ug_symbol sym;
	char buf[128];

	(void)!ug_object_symtab(obj, NULL);
	(void)!ug_object_cfi(obj, NULL);
	for (size_t i = 0; i < ug_symtab_count(obj); i += 7) {
		const struct ug_symbol *s = ug_symtab_at(obj, i);

		assert_true(s->type == STT_TLS || (s->addr >= obj->start && s->addr <= obj->end));
		assert_true(s->type == STT_TLS || s->size <= obj->end - s->addr);
		(void)ug_symbols_at(obj, s->addr, ignore, &names);
		(void)ug_symbol_parts(obj, s->name, ignore, &names);
		(void)!ug_symbol_find(obj, s->name, (unsigned int)(i % 3), &sym, NULL);
		(void)ug_symbol_describe(&objs, s->addr, buf, sizeof(buf));
	}
	for (size_t i = 0; i < ug_cfi_count(obj); i++) {
		const struct ug_fde *fde = ug_cfi_at(obj, i);

		assert_true(fde->start >= obj->start && fde->end <= obj->end);
		free(ug_cfi_frame(obj, fde->start));
		free(ug_cfi_frame(obj, fde->end - 1));
	}
	(void)!ug_object_read_file(obj, obj->start, buf, sizeof(buf), NULL);
	(void)!ug_object_read_file(obj, obj->end - 1, buf, 1, NULL);
}

static void try_bytes(struct specimen *s, const uint8_t *bytes, size_t size)
{
	struct ug_object *obj;

	assert_int_equal(ftruncate(s->memfd, 0), 0);
	assert_int_equal(pwrite(s->memfd, bytes, size, 0), (ssize_t)size);
	if (ug_object_open_file(s->path, &obj, NULL) < 0)
		return;
	s->opened++;
	ask_everything(obj);
	ug_object_close(obj);
}

static void truncate_everywhere(struct specimen *s)
{
	for (size_t size = 0; size < 1024; size += 13)
		try_bytes(s, s->good, size);
	for (size_t i = 0; i < 60; i++)
		try_bytes(s, s->good, s->size - s->size * i / 60);
	for (size_t i = 1; i < 100; i += 3)
		try_bytes(s, s->good, s->size - i * 61);
}

/* Change one to four bytes (or a whole word to an extreme) within [off, off + len). */
static void damage(struct specimen *s, size_t off, size_t len)
{
	static const uint64_t extremes[] = { 0, 1, ~0UL, 1UL << 63, 0x7fffffffffffffff,
					     0xffffffff, 0x80000000, 0xfffffffffffff000 };

	if (len < 16 || off > s->size || len > s->size - off)
		return;
	if (random_u32() % 2) {
		uint64_t v = extremes[random_u32() % UG_ARRAY_SIZE(extremes)];
		size_t width = random_u32() % 2 ? 8 : 4;

		memcpy(s->bad + off + (random_u32() % (len / width)) * width, &v, width);
		return;
	}
	for (uint32_t n = 1 + random_u32() % 4; n; n--)
		s->bad[off + random_u32() % len] ^= (uint8_t)(1 + random_u32() % 255);
}

static void damage_headers(struct specimen *s, unsigned int times)
{
	Elf64_Ehdr eh;

	memcpy(&eh, s->good, sizeof(eh));
	for (unsigned int i = 0; i < times; i++) {
		memcpy(s->bad, s->good, s->size);
		if (i % 4 == 0)
			damage(s, 0, sizeof(eh));
		if (i % 4 == 1)
			damage(s, eh.e_phoff, (size_t)eh.e_phnum * sizeof(Elf64_Phdr));
		if (i % 4 >= 2)
			damage(s, eh.e_shoff, (size_t)eh.e_shnum * sizeof(Elf64_Shdr));
		try_bytes(s, s->bad, s->size);
	}
}

static void damage_sections(struct specimen *s, unsigned int times)
{
	static const char *const names[] = {
		".eh_frame", ".eh_frame_hdr", ".symtab", ".strtab", ".dynsym", ".dynamic",
		".gnu.version", ".note.gnu.build-id", ".gnu_debugdata", ".gnu_debuglink",
	};
	Elf *elf = ug_elf_open_mem(s->good, s->size);

	assert_non_null(elf);
	for (unsigned int i = 0; i < times; i++) {
		Elf64_Shdr sh;

		if (!ug_elf_section(elf, names[i % UG_ARRAY_SIZE(names)], &sh))
			continue;
		memcpy(s->bad, s->good, s->size);
		for (unsigned int n = 0; n < 8; n++)
			damage(s, sh.sh_offset, sh.sh_size);
		try_bytes(s, s->bad, s->size);
	}
	elf_end(elf);
}

static void torture(const char *program, unsigned int times)
{
	struct specimen s;

	load(&s, program);
	try_bytes(&s, s.good, s.size);
	assert_int_equal(s.opened, 1);	/* the undamaged one */
	truncate_everywhere(&s);
	damage_headers(&s, times);
	damage_sections(&s, times);
	assert_true(s.opened > 10);	/* else nothing was tested */
	unload(&s);
}

static void test_program(void **state)
{
	torture("object-victim", 600);
}

static void test_debugdata(void **state)
{
	torture("object-victim-debugdata", 300);
}

static void test_debuglink(void **state)
{
	torture("object-victim-noid-debuglink", 300);
}

static void test_static(void **state)
{
	torture("object-victim-musl", 300);
}

static void test_not_elf(void **state)
{
	struct ug_error err = { 0 };
	struct ug_object *obj;

	assert_int_equal(ug_object_open_file("/no/such/file", &obj, &err), -ENOENT);
	assert_int_equal(ug_object_open_file("/etc/passwd", &obj, &err), -UG_E_BAD_ELF);
	assert_true(ug_object_open_file("/dev/zero", &obj, &err) < 0);
	assert_true(ug_object_open_file("/tmp", &obj, &err) < 0);
}

/* A segment larger than the address space, or than the file, costs no memory. */
static void test_vast_sizes(void **state)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	struct specimen s;
	uint64_t start = ug_now_ns();

	load(&s, "object-victim");
	memcpy(&eh, s.good, sizeof(eh));
	for (size_t i = 0; i < eh.e_phnum; i++) {
		memcpy(s.bad, s.good, s.size);
		memcpy(&ph, s.good + eh.e_phoff + i * sizeof(ph), sizeof(ph));
		ph.p_memsz = ph.p_filesz = 1UL << 46;
		memcpy(s.bad + eh.e_phoff + i * sizeof(ph), &ph, sizeof(ph));
		try_bytes(&s, s.bad, s.size);
		ph.p_memsz = ph.p_filesz = ~0UL;
		memcpy(s.bad + eh.e_phoff + i * sizeof(ph), &ph, sizeof(ph));
		try_bytes(&s, s.bad, s.size);
	}
	assert_true(ug_now_ns() - start < 5000000000);
	unload(&s);
}

static void test_notes(void **state)
{
	/* name size 4, descriptor size 3, type 3, "GNU", descriptor, padding */
	static const uint8_t note[] = { 4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0,
					0xab, 0xcd, 0xef, 0 };
	uint8_t vast[sizeof(note)];
	struct ug_build_id id;

	assert_true(ug_note_build_id(note, sizeof(note), 4, &id));
	assert_int_equal(id.len, 3);
	assert_int_equal(id.bytes[2], 0xef);
	for (size_t n = 0; n < 19; n++)
		assert_false(ug_note_build_id(note, n, 4, &id));
	for (size_t i = 0; i < 8; i++) {
		memcpy(vast, note, sizeof(note));
		vast[i] = 0xff;
		assert_false(ug_note_build_id(vast, sizeof(vast), 4, &id));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program),
		cmocka_unit_test(test_debugdata),
		cmocka_unit_test(test_debuglink),
		cmocka_unit_test(test_static),
		cmocka_unit_test(test_not_elf),
		cmocka_unit_test(test_vast_sizes),
		cmocka_unit_test(test_notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
