/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patches that must be refused, each with its own code and sentence, the target unchanged.
 *
 *  - files: missing, empty, truncated, of another machine, not regular, hostile in each byte
 *  - another build of the program
 *  - functions: missing, ambiguous, too short, with a call among their first bytes
 *  - references and relocations that lead nowhere, or too far
 *  - entries that hold a breakpoint or somebody's jump, before the load and after it
 *  - a second function that cannot be replaced takes the first one with it
 */
#include "scenarios/refusal.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit/patchfile_make.h"

static struct scenario_victim victim;
static const char *good;		/* a patch that fits */
static uint8_t *good_data;
static size_t good_size;
static struct ug_build_id build_id;
static char dir[64] = "/tmp/ugraft-bad-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static const char *write_file(const char *name, const uint8_t *data, size_t size)
{
	const char *path = path_of(name);
	FILE *f = fopen(path, "we");

	if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0)
		scenario_die("cannot write %s", path);
	return path;
}

static void read_build_id(void)
{
	struct ug_info *info;
	const char *hex;

	if (ug_info(good, &info, NULL) < 0)
		scenario_die("ug_info of the good patch");
	hex = info->objects[0].builds[0];
	build_id.len = (uint8_t)(strlen(hex) / 2);
	for (unsigned int i = 0; i < build_id.len; i++) {
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			scenario_die("build-id %s", hex);
		build_id.bytes[i] = (uint8_t)byte;
	}
	ug_info_free(info);
}

static int set_up(void **state)
{
	const char *argv[] = { scenario_bin("tests/victims/quiet"), NULL };

	alarm(100);	/* a hang is a failure, too */
	if (!mkdtemp(dir))
		scenario_die("mkdtemp");
	scenario_start(&victim, argv);
	scenario_ask(&victim, "?");
	good = scenario_build(scenario_src("tests/scenarios/quiet_fix.c"), argv[0], NULL);
	good_data = slurp(good, &good_size);
	if (!good_data)
		scenario_die("cannot read %s", good);
	read_build_id();
	return 0;
}

static int tear_down(void **state)
{
	char cmd[128];

	scenario_stop(&victim);
	free(good_data);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static void assert_value(unsigned long value)
{
	assert_int_equal(scenario_number(scenario_ask(&victim, "?"), "value"), value);
}

static void test_good_one(void **state)
{
	struct victim_state before;
	struct ug_error err = { 0 };
	char why[512];

	assert_int_equal(victim_snapshot(victim.pid, &before, why, sizeof(why)), 0);
	if (ug_load(victim.pid, good, NULL, NULL, &err) < 0)
		fail_msg("%s", err.message);
	assert_value(1041);
	if (ug_unload(victim.pid, "quiet-fix", NULL, NULL, &err) < 0)
		fail_msg("%s", err.message);
	assert_value(41);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
}

/* ---- files ---- */

static void test_no_file(void **state)
{
	assert_refused(victim.pid, path_of("missing.ugp"), -ENOENT);
	assert_cli_fails(victim.pid, path_of("missing.ugp"), UG_EXIT_FAILED);
}

static void test_not_regular(void **state)
{
	struct ug_error err = { 0 };

	assert_int_equal(mkfifo(path_of("fifo.ugp"), 0600), 0);
	/* Nobody writes to it: reading it would wait for ever. */
	assert_true(ug_load(victim.pid, path_of("fifo.ugp"), NULL, NULL, &err) < 0);
	assert_sentence(&err, err.code);
	assert_true(ug_load(victim.pid, dir, NULL, NULL, &err) < 0);
	assert_sentence(&err, err.code);
}

static void test_truncated(void **state)
{
	const size_t sizes[] = { 0, 1, 15, 63, 64, 200, good_size / 2, good_size - 64,
				 good_size - 1 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_refused(victim.pid, write_file("cut.ugp", good_data, sizes[i]),
			       -UG_E_BAD_PATCH);
	assert_cli_fails(victim.pid, path_of("cut.ugp"), UG_EXIT_FAILED);
}

static void test_text_file(void **state)
{
	static const uint8_t text[] = "This is a diff, not a patch file.\n";

	assert_refused(victim.pid, write_file("text.ugp", text, sizeof(text) - 1), -UG_E_BAD_PATCH);
}

static void test_other_machine(void **state)
{
	Elf64_Ehdr *h = (Elf64_Ehdr *)good_data;

	h->e_machine = EM_AARCH64;
	write_file("arm.ugp", good_data, good_size);
	h->e_machine = EM_X86_64;
	assert_refused(victim.pid, path_of("arm.ugp"), -UG_E_BAD_ARCH);
	assert_cli_fails(victim.pid, path_of("arm.ugp"), UG_EXIT_FAILED);
}

/* The section whose name this is, by its header in a copy of the good file. */
static Elf64_Shdr *section(uint8_t *data, const char *name)
{
	Elf64_Ehdr *h = (Elf64_Ehdr *)data;
	Elf64_Shdr *sh = (Elf64_Shdr *)(data + h->e_shoff);
	const char *names = (const char *)data + sh[h->e_shstrndx].sh_offset;

	for (unsigned int i = 0; i < h->e_shnum; i++)
		if (strcmp(names + sh[i].sh_name, name) == 0)
			return &sh[i];
	scenario_die("no section %s", name);
}

static void test_hostile(void **state)
{
	static const char *const names[] = {
		".text", ".symtab", ".strtab", ".ugraft.patch", ".ugraft.objects", ".ugraft.builds",
		".ugraft.funcs", ".ugraft.strings",
	};
	static const uint64_t values[] = { 0x7fffffffffffffff, 0xfffffffffffffff0, 0xffffffff };
	uint8_t *copy = malloc(good_size);

	assert_non_null(copy);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t k = 0; k < 2 * sizeof(values) / sizeof(values[0]); k++) {
			Elf64_Shdr *sh;

			memcpy(copy, good_data, good_size);
			sh = section(copy, names[i]);
			*(k % 2 ? &sh->sh_size : &sh->sh_offset) = values[k / 2];
			assert_load_fails(victim.pid, write_file("hostile.ugp", copy, good_size),
					  -UG_E_BAD_PATCH);
		}
	free(copy);
	assert_value(41);
}

/* Any byte may be wrong: an answer, no crash. (fuzz/ goes on where this stops.) */
static void flip_bytes(void)
{
	uint8_t *copy = malloc(good_size);

	for (size_t at = 0; copy && at < good_size; at += 1 + at % 3) {
		struct ug_error err = { 0 };
		struct ug_info *info;
		int r;

		memcpy(copy, good_data, good_size);
		copy[at] ^= (uint8_t)(1 + at * 37 % 255);
		r = ug_info(write_file("flipped.ugp", copy, good_size), &info, &err);
		if (r >= 0)
			ug_info_free(info);
		else if (r != err.code || !err.message[0])
			_exit(1);
	}
	_exit(copy ? 0 : 1);
}

static void test_flipped(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		flip_bytes();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_other_build(void **state)
{
	const char *other = scenario_build(scenario_src("tests/scenarios/quiet_fix.c"),
					   scenario_bin("tests/victims/quiet-other"), NULL);

	assert_refused(victim.pid, other, -UG_E_NO_OBJECT);
	assert_cli_fails(victim.pid, other, UG_EXIT_REFUSED);
}

/* ---- functions and references ---- */

/* A patch made without the builder, which would have refused to. `old`: pairs, as pack_text. */
static const char *craft(const char *text, const char *const *old, const struct ug_patch_pin *pin)
{
	struct ug_pack_object object = { "", &build_id, 1 };
	struct ug_pack_func f[4];
	struct ug_pack_ref ref[4];
	struct ug_pack pack = { .name = "crafted", .description = "", .cves = "",
				.objects = &object, .nobjects = 1, .funcs = f, .refs = ref };
	struct ug_error err = { 0 };
	struct elf_view v;
	uint8_t *elf, *out;
	size_t size;

	elf = compile_text("gcc", "-O2 -fPIC", text, &size);
	if (!elf)
		scenario_die("cannot compile");
	view_elf(elf, size, &v);
	for (; *old; old += 2) {
		f[pack.nfuncs] = (struct ug_pack_func){ .old_name = old[0],
							.symbol = symbol_of(&v, old[1]),
							.pins = pin, .npins = pin ? 1 : 0 };
		pack.nfuncs++;
	}
	for (size_t i = 1; i < v.nsyms && pack.nrefs < 4; i++) {
		const char *name = v.strtab + v.syms[i].st_name;

		if (v.syms[i].st_shndx == SHN_UNDEF && *name && strcmp(name, "_GLOBAL_OFFSET_TABLE_"))
			ref[pack.nrefs++] = (struct ug_pack_ref){ .symbol = (uint32_t)i, .name = name,
								  .object = UG_FILE_ANY_OBJECT };
	}
	pack.elf = elf;
	pack.elf_size = size;
	if (ug_pack_write(&pack, &out, &size, &err) < 0)
		scenario_die("%s", err.message);
	write_file("crafted.ugp", out, size);
	free(out);
	free(elf);
	return path_of("crafted.ugp");
}

#define PLAIN_BODY "int n(int x) { return x + 1041; }"

static void refuse_function(const char *name, int code)
{
	const char *const old[] = { name, "n", NULL };

	assert_refused(victim.pid, craft(PLAIN_BODY, old, NULL), code);
}

static void test_missing_function(void **state)
{
	refuse_function("no_such_function", -UG_E_NO_SYMBOL);
	assert_cli_fails(victim.pid, path_of("crafted.ugp"), UG_EXIT_FAILED);
}

static void test_ambiguous_function(void **state)
{
	refuse_function("twin", -UG_E_AMBIGUOUS);
}

static void test_short_function(void **state)
{
	refuse_function("quiet_tiny", -UG_E_TOO_SHORT);
	assert_cli_fails(victim.pid, path_of("crafted.ugp"), UG_EXIT_REFUSED);
}

static void test_call_in_entry(void **state)
{
	refuse_function("quiet_call", -UG_E_ENTRY);
}

static void test_lying_pins(void **state)
{
	static const uint64_t offsets[] = { 0, 1, 0x7fffffffffff, 0xfffffffffffff000,
					    0x8000000000000000 };
	const char *const old[] = { "answer", "n", NULL };

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		struct ug_patch_pin pin = { .build = 0, .offset = offsets[i], .size = 64 };

		assert_refused(victim.pid, craft(PLAIN_BODY, old, &pin), -UG_E_NO_SYMBOL);
	}
}

static void test_missing_reference(void **state)
{
	const char *const old[] = { "answer", "n", NULL };

	assert_refused(victim.pid,
		       craft("int no_such_helper(int); int n(int x) { return no_such_helper(x) + 1; }",
			     old, NULL), -UG_E_NO_SYMBOL);
}

/* A 32-bit absolute address of something in a position-independent program. */
static void test_relocation_out_of_range(void **state)
{
	const char *const old[] = { "answer", "n", NULL };

	assert_refused(victim.pid,
		       craft("__asm__(\".data\\n.global short_ptr\\nshort_ptr: .long answer\\n.text\");"
			     "extern int short_ptr __attribute__((visibility(\"hidden\")));"
			     "int n(int x) { return x + short_ptr; }", old, NULL),
		       -UG_E_RELOC_RANGE);
	assert_cli_fails(victim.pid, path_of("crafted.ugp"), UG_EXIT_FAILED);
}

static void test_all_or_nothing(void **state)
{
	const char *const old[] = { "answer", "n", "quiet_tiny", "m", NULL };

	assert_refused(victim.pid, craft(PLAIN_BODY "int m(void) { return 7; }", old, NULL),
		       -UG_E_TOO_SHORT);
	assert_value(41);
}

/* ---- entries ---- */

static uint64_t entry_address(void)
{
	return scenario_number(scenario_ask(&victim, "?"), "answer");
}

static void poke(uint64_t addr, const uint8_t *bytes, uint8_t *ret_old, size_t n)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", victim.pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	if (ret_old)
		assert_int_equal(pread(fd, ret_old, n, (off_t)addr), n);
	assert_int_equal(pwrite(fd, bytes, n, (off_t)addr), n);
	close(fd);
}

static void test_breakpoint(void **state)
{
	static const uint8_t int3 = 0xcc;
	uint64_t at = entry_address();
	uint8_t old;

	poke(at, &int3, &old, 1);
	assert_refused(victim.pid, good, -UG_E_ENTRY_BUSY);
	assert_cli_fails(victim.pid, good, UG_EXIT_REFUSED);
	poke(at, &old, NULL, 1);
	assert_value(41);
}

static void test_foreign_jump(void **state)
{
	/* Five bytes ahead: as a hook would leave it, and harmless when executed. */
	static const uint8_t jump[5] = { 0xe9, 0, 0, 0, 0 };
	uint64_t at = entry_address();
	uint8_t old[5];

	poke(at, jump, old, 5);
	assert_refused(victim.pid, good, -UG_E_ENTRY_BUSY);
	poke(at, old, NULL, 5);
	assert_value(41);
}

/* Somebody's hook over our jump: neither unload nor anything else may overwrite it. */
static void test_foreign_jump_after_load(void **state)
{
	static const uint8_t jump[5] = { 0xe9, 0, 0, 0, 0 };
	struct victim_state before, patched;
	uint64_t at = entry_address();
	struct ug_error err = { 0 };
	uint8_t ours[5];
	char why[512];

	assert_int_equal(victim_snapshot(victim.pid, &before, why, sizeof(why)), 0);
	if (ug_load(victim.pid, good, NULL, NULL, &err) < 0)
		fail_msg("%s", err.message);
	poke(at, jump, ours, 5);
	assert_int_equal(victim_snapshot(victim.pid, &patched, why, sizeof(why)), 0);
	assert_int_equal(ug_unload(victim.pid, "quiet-fix", NULL, NULL, &err), -UG_E_ENTRY_BUSY);
	assert_sentence(&err, -UG_E_ENTRY_BUSY);
	if (victim_compare(victim.pid, &patched, VICTIM_TEXT | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	poke(at, ours, NULL, 5);
	assert_value(1041);
	if (ug_unload(victim.pid, "quiet-fix", NULL, NULL, &err) < 0)
		fail_msg("%s", err.message);
	assert_value(41);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
	victim_state_free(&patched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_one),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_not_regular),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_text_file),
		cmocka_unit_test(test_other_machine),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_other_build),
		cmocka_unit_test(test_missing_function),
		cmocka_unit_test(test_ambiguous_function),
		cmocka_unit_test(test_short_function),
		cmocka_unit_test(test_call_in_entry),
		cmocka_unit_test(test_lying_pins),
		cmocka_unit_test(test_missing_reference),
		cmocka_unit_test(test_relocation_out_of_range),
		cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_breakpoint),
		cmocka_unit_test(test_foreign_jump),
		cmocka_unit_test(test_foreign_jump_after_load),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
