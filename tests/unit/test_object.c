/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects, symbols, unwind tables of real processes, held against what the victim says of
 * itself (tests/victims/object_victim.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "object/code.h"
#include "object/internal.h"

#define MAX_FACTS 32

struct fact {
	char key[32];
	uint64_t value;
};

struct victim {
	pid_t pid;
	struct fact facts[MAX_FACTS];
	size_t nfacts;
	struct ug_proc proc;
	struct ug_maps maps;
	struct ug_objects objs;
	struct ug_object *exe;
};

/* ---- harness ---- */

static void victim_path(char *buf, size_t size, const char *program)
{
	char self[512];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = 0;
	*strrchr(self, '/') = 0;
	(void)snprintf(buf, size, "%s/../victims/%s", self, program);
}

static void read_facts(struct victim *v, FILE *in)
{
	char line[256];

	while (fgets(line, sizeof(line), in)) {
		struct fact *f = &v->facts[v->nfacts];

		if (!strcmp(line, "ready\n"))
			return;
		assert_true(v->nfacts < MAX_FACTS);
		assert_int_equal(sscanf(line, "%31s %lx", f->key, &f->value), 2);
		v->nfacts++;
	}
	fail_msg("the victim died");
}

static uint64_t fact(const struct victim *v, const char *key)
{
	for (size_t i = 0; i < v->nfacts; i++)
		if (!strcmp(v->facts[i].key, key))
			return v->facts[i].value;
	fail_msg("the victim does not say %s", key);
	return 0;
}

static void reload(struct victim *v)
{
	struct ug_error err = { 0 };

	ug_objects_free(&v->objs);
	ug_maps_free(&v->maps);
	if (ug_maps_read(&v->proc, &v->maps, &err) < 0 ||
	    ug_objects_load(&v->proc, &v->maps, &v->objs, &err) < 0)
		fail_msg("%s", err.message);
	v->exe = v->objs.v[0];
}

static void start_path(struct victim *v, const char *path)
{
	struct ug_error err = { 0 };
	ug_autofclose FILE *in = NULL;
	int fd[2];

	memset(v, 0, sizeof(*v));
	assert_int_equal(pipe(fd), 0);
	v->pid = fork();
	assert_true(v->pid >= 0);
	if (v->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);	/* also when an assertion fails */
		dup2(fd[1], 1);
		close(fd[0]);
		close(fd[1]);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	close(fd[1]);
	in = fdopen(fd[0], "r");
	assert_non_null(in);
	read_facts(v, in);
	if (ug_proc_open(v->pid, &v->proc, &err) < 0)
		fail_msg("%s", err.message);
	reload(v);
}

static void start(struct victim *v, const char *program)
{
	char path[600];

	victim_path(path, sizeof(path), program);
	if (access(path, X_OK) < 0) {
		print_message("# SKIPPED: %s could not be built here\n", program);
		skip();
	}
	start_path(v, path);
}

static void stop(struct victim *v)
{
	ug_objects_free(&v->objs);
	ug_maps_free(&v->maps);
	ug_proc_close(&v->proc);
	kill(v->pid, SIGKILL);
	waitpid(v->pid, NULL, 0);
}

static struct ug_symbol find(struct ug_object *obj, const char *name, unsigned int pos)
{
	struct ug_error err = { 0 };
	struct ug_symbol sym;

	if (ug_symbol_find(obj, name, pos, &sym, &err) < 0)
		fail_msg("%s: %s", name, err.message);
	return sym;
}

static struct ug_object *open_ok(const char *path)
{
	struct ug_error err = { 0 };
	struct ug_object *obj;

	if (ug_object_open_file(path, &obj, &err) < 0)
		fail_msg("%s: %s", path, err.message);
	if (ug_object_symtab(obj, &err) < 0 || ug_object_cfi(obj, &err) < 0)
		fail_msg("%s: %s", path, err.message);
	return obj;
}

/* ---- what holds for every victim ---- */

static void check_program(struct victim *v, bool pie, bool is_static)
{
	assert_true(v->exe->is_exe);
	assert_int_equal(v->exe->is_pie, pie);
	assert_int_equal(v->exe->is_static, is_static);
	assert_false(v->exe->deleted);
	assert_non_null(v->exe->elf);
	assert_true(pie ? v->exe->bias != 0 : v->exe->bias == 0);
	assert_ptr_equal(ug_objects_find(&v->objs, fact(v, "main")), v->exe);
	assert_ptr_equal(ug_objects_by_name(&v->objs, ""), v->exe);
	assert_null(ug_objects_by_name(&v->objs, "no-such-object"));
	assert_true(ug_object_is_text(v->exe, fact(v, "main"), 4));
	assert_false(ug_object_is_text(v->exe, v->exe->end - 1, 2));
	/* The ELF file that is only read through a mapping is no object. */
	assert_null(ug_objects_find(&v->objs, fact(v, "decoy")));
	for (size_t i = 1; i < v->objs.n; i++)
		assert_true(i == 1 || v->objs.v[i - 1]->end <= v->objs.v[i]->start);
}

static void check_duplicates(struct victim *v)
{
	uint64_t a = fact(v, "twice"), b = fact(v, "other_twice");
	struct ug_symbol sym;
	struct ug_error err;

	assert_int_equal(ug_symbol_find(v->exe, "twice", 0, &sym, &err), -UG_E_AMBIGUOUS);
	assert_non_null(strstr(err.message, "1 at 0x"));
	assert_non_null(strstr(err.message, "2 at 0x"));
	assert_int_equal(find(v->exe, "twice", 1).addr, a < b ? a : b);
	assert_int_equal(find(v->exe, "twice", 2).addr, a < b ? b : a);
	assert_int_equal(ug_symbol_find(v->exe, "twice", 3, &sym, &err), -UG_E_NO_SYMBOL);
	assert_int_equal(ug_symbol_find(v->exe, "thrice", 0, &sym, &err), -UG_E_NO_SYMBOL);
}

static void count_name(const struct ug_symbol *sym, void *ctx)
{
	unsigned int *seen = ctx;

	*seen |= !strcmp(sym->name, "many_names") ? 1 : 0;
	*seen |= !strcmp(sym->name, "first_alias") ? 2 : 0;
	*seen |= !strcmp(sym->name, "second_alias") ? 4 : 0;
}

static void check_names(struct victim *v)
{
	uint64_t addr = fact(v, "many_names");
	const struct ug_symbol *sym;
	unsigned int seen = 0;
	char buf[256], expect[128];

	assert_int_equal(find(v->exe, "main", 0).addr, fact(v, "main"));
	assert_int_equal(find(v->exe, "second_alias", 0).addr, addr);
	assert_int_equal(ug_symbols_at(v->exe, addr, count_name, &seen), 3);
	assert_int_equal(seen, 7);
	sym = ug_symbol_by_addr(v->exe, fact(v, "main") + 1);
	assert_non_null(sym);
	assert_string_equal(sym->name, "main");
	sym = ug_symbol_by_addr(v->exe, addr);
	assert_non_null(sym);
	assert_int_not_equal(sym->bind, STB_WEAK);
	(void)snprintf(expect, sizeof(expect), "main+0x1 (%s)", v->exe->name);
	assert_string_equal(ug_symbol_describe(&v->objs, fact(v, "main") + 1, buf, sizeof(buf)),
			    expect);
	assert_string_equal(ug_symbol_describe(&v->objs, 0x10, buf, sizeof(buf)), "0x10");
}

/* The bytes of main in the file are those in memory. */
static void check_bytes(struct victim *v)
{
	struct ug_symbol sym = find(v->exe, "main", 0);
	uint8_t file[256], mem[256];
	size_t n = sym.size < sizeof(file) ? sym.size : sizeof(file);

	assert_true(n > 16);
	assert_int_equal(ug_object_read_file(v->exe, sym.addr, file, n, NULL), 0);
	assert_int_equal(ug_proc_read(&v->proc, sym.addr, mem, n, NULL), 0);
	assert_memory_equal(file, mem, n);
	assert_int_equal(ug_object_read_file(v->exe, v->exe->end, file, 1, NULL),
			 -UG_E_UNREADABLE);
	assert_int_equal(ug_object_read_file(v->exe, v->exe->start - 1, file, 8, NULL),
			 -UG_E_UNREADABLE);
}

static void check_exe_tls(struct victim *v)
{
	struct ug_symbol sym = find(v->exe, "exe_tls", 0);
	uint64_t module;
	int64_t off;

	assert_int_equal(sym.type, STT_TLS);
	assert_int_equal(ug_object_tls_module(&v->proc, v->exe, &module, NULL), 0);
	assert_int_equal(module, 1);
	assert_int_equal(ug_object_tls_offset(&v->proc, v->exe, &off, NULL), 0);
	assert_int_equal((uint64_t)off + sym.addr, fact(v, "exe_tls"));
}

static void check_all(struct victim *v, bool pie, bool is_static)
{
	check_program(v, pie, is_static);
	check_duplicates(v);
	check_names(v);
	check_bytes(v);
	check_exe_tls(v);
}

/* ---- kinds of programs ---- */

static void test_pie(void **state)
{
	struct victim v;

	start(&v, "object-victim");
	check_all(&v, true, false);
	assert_true(ug_object_has_locals(v.exe));
	stop(&v);
}

static void test_non_pie(void **state)
{
	struct victim v;

	start(&v, "object-victim-nopie");
	check_all(&v, false, false);
	stop(&v);
}

static void test_static_musl(void **state)
{
	struct victim v;

	start(&v, "object-victim-musl");
	check_all(&v, false, true);
	assert_int_equal(v.objs.n, 2);	/* and the vdso */
	assert_true(v.objs.v[1]->is_vdso);
	stop(&v);
}

static void test_gnu_debugdata(void **state)
{
	struct victim v;

	start(&v, "object-victim-debugdata");
	assert_int_equal(ug_object_symtab(v.exe, NULL), 0);
	assert_non_null(v.exe->symtab->mini_elf);
	check_all(&v, true, false);
	stop(&v);
}

static void test_debuglink(void **state)
{
	struct victim v;

	/* With a build-id that decides; without one the checksum does. */
	start(&v, "object-victim-debuglink");
	assert_int_equal(ug_object_symtab(v.exe, NULL), 0);
	assert_non_null(ug_object_debug_elf(v.exe));
	check_all(&v, true, false);
	stop(&v);
	start(&v, "object-victim-noid-debuglink");
	assert_int_equal(v.exe->build_id.len, 0);
	assert_int_equal(ug_object_symtab(v.exe, NULL), 0);
	assert_non_null(ug_object_debug_elf(v.exe));
	check_all(&v, true, false);
	stop(&v);
}

/* ---- identity ---- */

static void copy_file(const char *from, const char *to)
{
	ug_autoclose int in = open(from, O_RDONLY | O_CLOEXEC);
	ug_autoclose int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	struct stat st;

	assert_true(in >= 0 && out >= 0);
	assert_int_equal(fchmod(out, 0755), 0);
	assert_int_equal(fstat(in, &st), 0);
	assert_int_equal(sendfile(out, in, NULL, (size_t)st.st_size), st.st_size);
}

/* The file was replaced by another program: what is mapped counts, never the new file. */
static void test_replaced_file(void **state)
{
	char from[600], other[600], path[] = "/tmp/ug-object-XXXXXX";
	struct ug_build_id before;
	struct victim v;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	victim_path(from, sizeof(from), "object-victim-musl");
	victim_path(other, sizeof(other), "object-victim-nopie");
	if (access(from, X_OK) < 0)
		victim_path(from, sizeof(from), "object-victim");
	copy_file(from, path);
	start_path(&v, path);
	assert_false(v.exe->deleted);
	before = v.exe->build_id;
	assert_int_equal(unlink(path), 0);
	copy_file(other, path);
	reload(&v);
	assert_true(v.exe->deleted);
	assert_true(ug_build_id_equal(&before, &v.exe->build_id));
	assert_string_equal(v.exe->path, path);
	/* Whether the old inode can still be opened depends on our privilege. */
	if (v.exe->elf)
		assert_int_equal(find(v.exe, "main", 0).addr, fact(&v, "main"));
	stop(&v);
	assert_int_equal(unlink(path), 0);
}

static void test_foreign_file_refused(void **state)
{
	char path[600], other[600];
	struct ug_error err = { 0 };
	struct ug_object *obj;
	int fd, own;
	Elf *elf;

	victim_path(path, sizeof(path), "object-victim");
	victim_path(other, sizeof(other), "object-victim-nopie");
	obj = open_ok(path);
	own = obj->fd;
	elf = obj->elf;
	fd = open(other, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ug_object_attach_take(obj, fd, &err), -UG_E_BAD_ELF);
	close(fd);
	/* The same headers, but the build-id in memory is another one. */
	obj->build_id.bytes[0] ^= 1;
	assert_int_equal(ug_object_attach_take(obj, own, &err), -UG_E_BAD_ELF);
	assert_ptr_equal(obj->elf, elf);
	obj->fd = own;
	ug_object_close(obj);
}

static void check_build_id(const struct ug_object *obj)
{
	struct ug_build_id truth;

	assert_non_null(obj->elf);
	ug_elf_build_id(obj->elf, &truth);
	assert_true(truth.len > 0);
	assert_true(ug_build_id_equal(&truth, &obj->build_id));
}

static void test_build_ids(void **state)
{
	struct ug_build_id none = { 0 };
	struct victim v;

	start(&v, "object-victim");
	assert_true(v.objs.n >= 5);	/* program, libobject-tls, libc, ld.so, vdso */
	for (size_t i = 0; i < v.objs.n; i++) {
		check_build_id(v.objs.v[i]);
		assert_ptr_equal(ug_objects_by_build_id(&v.objs, &v.objs.v[i]->build_id),
				 v.objs.v[i]);
	}
	assert_null(ug_objects_by_build_id(&v.objs, &none));
	stop(&v);
}

static void test_libraries(void **state)
{
	struct ug_object *lib, *vdso;
	struct victim v;

	start(&v, "object-victim");
	lib = ug_objects_by_name(&v.objs, "libobject-tls.so");
	assert_non_null(lib);
	assert_int_equal(lib->bias, fact(&v, "lib_bias"));
	assert_false(lib->is_exe);
	assert_ptr_equal(ug_objects_by_name(&v.objs, lib->path), lib);
	assert_non_null(ug_objects_by_name(&v.objs, "libc.so.6"));
	vdso = ug_objects_by_name(&v.objs, "linux-vdso.so.1");
	assert_non_null(vdso);
	assert_true(vdso->is_vdso);
	assert_non_null(vdso->elf);
	assert_int_equal(find(vdso, "__vdso_clock_gettime", 0).type, STT_FUNC);
	assert_int_equal(ug_object_cfi(vdso, NULL), 0);
	assert_true(ug_cfi_count(vdso) > 0);
	stop(&v);
}

static void test_process_that_dies(void **state)
{
	struct ug_objects objs = { 0 };
	struct ug_error err = { 0 };
	struct victim v;

	start(&v, "object-victim");
	kill(v.pid, SIGKILL);
	waitpid(v.pid, NULL, 0);
	assert_int_equal(ug_objects_load(&v.proc, &v.maps, &objs, &err), -UG_E_GONE);
	assert_int_equal(objs.n, 0);
	/* What was loaded before still answers. */
	assert_int_equal(find(v.exe, "main", 0).addr, fact(&v, "main"));
	ug_objects_free(&v.objs);
	ug_maps_free(&v.maps);
	ug_proc_close(&v.proc);
}

/* ---- TLS, IFUNC ---- */

static void test_tls_of_library(void **state)
{
	struct ug_object *lib, *libc;
	struct ug_symbol sym;
	struct victim v;
	uint64_t module;
	int64_t off;

	start(&v, "object-victim");
	lib = ug_objects_by_name(&v.objs, "libobject-tls.so");
	libc = ug_objects_by_name(&v.objs, "libc.so.6");
	assert_true(lib && libc);
	assert_int_equal(ug_object_tls_module(&v.proc, lib, &module, NULL), 0);
	assert_int_equal(module, fact(&v, "lib_tls_module"));
	assert_int_equal(ug_object_tls_offset(&v.proc, lib, &off, NULL), 0);
	assert_int_equal(off, fact(&v, "lib_tls_block"));
	assert_int_equal(ug_object_tls_offset(&v.proc, libc, &off, NULL), 0);
	sym = find(libc, "errno", 0);
	assert_int_equal((uint64_t)off + sym.addr, fact(&v, "errno"));
	assert_int_equal(ug_object_tls_offset(&v.proc, v.objs.v[v.objs.n - 1], &off, NULL),
			 -UG_E_NO_SYMBOL);
	stop(&v);
}

static void check_ifunc(struct victim *v, struct ug_object *obj, const char *name, uint64_t truth)
{
	struct ug_symbol sym = find(obj, name, 0);
	struct ug_error err = { 0 };
	ug_raddr_t impl = 0;

	assert_int_equal(sym.type, STT_GNU_IFUNC);
	if (ug_symbol_ifunc(&v->proc, &v->objs, &sym, &impl, &err) < 0)
		fail_msg("%s: %s", name, err.message);
	assert_int_equal(impl, truth);
	assert_int_not_equal(impl, sym.addr);
}

static void test_ifunc(void **state)
{
	struct ug_symbol sym;
	struct ug_object *libc;
	ug_raddr_t impl;
	struct victim v;

	start(&v, "object-victim");
	libc = ug_objects_by_name(&v.objs, "libc.so.6");
	assert_non_null(libc);
	check_ifunc(&v, libc, "strlen", fact(&v, "strlen"));
	check_ifunc(&v, libc, "memcpy", fact(&v, "memcpy"));
	/* In the vdso, where there is one. */
	check_ifunc(&v, libc, "time", fact(&v, "time"));
	check_ifunc(&v, v.exe, "chosen", fact(&v, "impl_a"));
	sym = find(v.exe, "main", 0);
	assert_int_equal(ug_symbol_ifunc(&v.proc, &v.objs, &sym, &impl, NULL), -EINVAL);
	stop(&v);
	start(&v, "object-victim-nopie");
	check_ifunc(&v, v.exe, "chosen", fact(&v, "impl_a"));
	stop(&v);
}

/* ---- names ---- */

static void test_versions(void **state)
{
	struct ug_object *libc = open_ok("/lib/x86_64-linux-gnu/libc.so.6");
	struct ug_symbol sym = find(libc, "memcpy", 0);
	unsigned int hidden = 0;

	assert_false(sym.versioned_hidden);
	assert_true(sym.dynamic);
	for (size_t i = 0; i < ug_symtab_count(libc); i++) {
		const struct ug_symbol *s = ug_symtab_at(libc, i);

		assert_null(strchr(s->name, '@'));
		if (strcmp(s->name, "memcpy") != 0 || s->addr == sym.addr)
			continue;
		assert_true(s->versioned_hidden);
		hidden++;
	}
	assert_int_equal(hidden, 1);	/* memcpy@GLIBC_2.2.5 */
	ug_object_close(libc);
}

static void test_clone_names(void **state)
{
	static const char *const clones[] = { "f.isra.0", "f.constprop.3.cold", "f.part.1",
					      "f.lto_priv.0", "f.cold", "f.cold.2" };
	static const char *const others[] = { "f", "f.colder", ".cold", "cold", "f.1", "f.partial" };

	for (size_t i = 0; i < UG_ARRAY_SIZE(clones); i++) {
		assert_true(ug_symbol_is_clone(clones[i]));
		assert_int_equal(ug_symbol_is_cold(clones[i]), strstr(clones[i], ".cold") != NULL);
	}
	for (size_t i = 0; i < UG_ARRAY_SIZE(others); i++)
		assert_false(ug_symbol_is_clone(others[i]));
}

static void take_part(const struct ug_symbol *sym, void *ctx)
{
	*(const struct ug_symbol **)ctx = sym;
}

static void test_parts(void **state)
{
	const struct ug_symbol *part = NULL;
	struct victim v;
	size_t n;

	start(&v, "object-victim");
	assert_int_equal(ug_object_symtab(v.exe, NULL), 0);
	n = ug_symbol_parts(v.exe, "split_me", take_part, &part);
	assert_int_equal(ug_symbol_parts(v.exe, "split", take_part, &part), 0);
	stop(&v);
#ifdef __clang__
	skip();	/* does not split without a profile */
#endif
	assert_int_equal(n, 1);
}

/* ---- unwind tables ---- */

static void check_cfi(struct ug_object *obj)
{
	for (size_t i = 0; i < ug_cfi_count(obj); i++) {
		const struct ug_fde *fde = ug_cfi_at(obj, i);
		Dwarf_Frame *frame = ug_cfi_frame(obj, fde->end - 1);
		Dwarf_Addr start, end;
		bool signal_frame;

		assert_true(fde->start < fde->end);
		assert_true(!i || ug_cfi_at(obj, i - 1)->end <= fde->start);
		assert_ptr_equal(ug_cfi_fde(obj, fde->start), fde);
		assert_ptr_equal(ug_cfi_fde(obj, fde->end - 1), fde);
		assert_true(!fde->lsda || (fde->lsda >= obj->start && fde->lsda < obj->end));
		assert_non_null(frame);
		assert_true(dwarf_frame_info(frame, &start, &end, &signal_frame) >= 0);
		assert_int_equal(signal_frame, fde->signal_frame);
		assert_true(start + obj->bias >= fde->start && end + obj->bias <= fde->end);
		free(frame);
	}
	assert_null(ug_cfi_fde(obj, obj->start));
	assert_null(ug_cfi_frame(obj, obj->start));
}

static void test_cfi_of_process(void **state)
{
	size_t signal_frames = 0, lsdas = 0;
	struct ug_object *libc;
	struct victim v;

	start(&v, "object-victim");
	for (size_t i = 0; i < v.objs.n; i++) {
		assert_int_equal(ug_object_cfi(v.objs.v[i], NULL), 0);
		assert_int_equal(ug_object_symtab(v.objs.v[i], NULL), 0);
		check_cfi(v.objs.v[i]);
	}
	assert_non_null(ug_cfi_fde(v.exe, fact(&v, "main")));
	libc = ug_objects_by_name(&v.objs, "libc.so.6");
	assert_non_null(libc);
	for (size_t i = 0; i < ug_cfi_count(libc); i++) {
		signal_frames += ug_cfi_at(libc, i)->signal_frame;
		lsdas += ug_cfi_at(libc, i)->lsda != 0;
	}
	assert_int_equal(signal_frames, 1);	/* __restore_rt */
	assert_true(lsdas > 10);
	stop(&v);
}

/* ---- real programs ---- */

static void check_daemon(const char *path, size_t min_fdes)
{
	struct ug_object *obj;
	uint64_t start = ug_now_ns();

	if (access(path, R_OK) < 0) {
		print_message("# SKIPPED: %s is not installed\n", path);
		return;
	}
	obj = open_ok(path);
	/* Far more than it takes (3 ms), far less than a quadratic algorithm would. */
	assert_true(ug_now_ns() - start < 1000000000);
	assert_true(obj->is_exe && obj->is_pie && !obj->is_static);
	assert_int_equal(obj->bias, 0);
	check_build_id(obj);
	assert_true(ug_cfi_count(obj) >= min_fdes);
	check_cfi(obj);
	ug_object_close(obj);
}

static void test_daemons(void **state)
{
	check_daemon("/usr/sbin/nginx", 1000);
	check_daemon("/usr/bin/redis-server", 2000);
	check_daemon("/usr/bin/memcached", 200);
}

/* ---- code that no file was mapped for ---- */

/* One CIE and one FDE: 16 bytes of code at +16, whose return address is 24 above rsp. */
static const uint8_t code_tables[] = {
	0x14, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 24, 0x90, 1, 0, 0,
	0x10, 0, 0, 0, 0x1c, 0, 0, 0, 0xd0, 0xff, 0xff, 0xff, 0x10, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0,
};

#define CODE_AT 0x7f0000000000ull

static struct ug_code code_example(uint8_t *bytes, size_t len)
{
	static const struct ug_code_symbol symbols[] = {
		{ "first", CODE_AT, 16 }, { "second", CODE_AT + 16, 16 },
	};

	memset(bytes, 0x90, len);
	memcpy(bytes + 32, code_tables, sizeof(code_tables));
	return (struct ug_code){
		.name = "example", .start = CODE_AT, .bytes = bytes, .len = len, .text_len = 32,
		.eh_frame = 32, .eh_frame_len = sizeof(code_tables), .symbols = symbols,
		.nsymbols = UG_ARRAY_SIZE(symbols),
	};
}

static void test_code(void **state)
{
	uint8_t bytes[128], b[4];
	struct ug_code code = code_example(bytes, sizeof(bytes));
	struct ug_object *obj;
	Dwarf_Frame *frame;
	Dwarf_Op *ops;
	size_t n;

	assert_int_equal(ug_object_of_code(&code, &obj, NULL), 0);
	assert_int_equal(ug_object_cfi(obj, NULL), 0);
	assert_int_equal(ug_object_symtab(obj, NULL), 0);
	assert_string_equal(ug_symbol_by_addr(obj, CODE_AT + 31)->name, "second");
	assert_true(ug_object_is_text(obj, CODE_AT + 31, 1));
	assert_false(ug_object_is_text(obj, CODE_AT + 32, 1));
	assert_int_equal(ug_object_read_file(obj, CODE_AT + 16, b, 4, NULL), 0);
	assert_memory_equal(b, bytes + 16, 4);
	assert_null(ug_cfi_fde(obj, CODE_AT + 15));
	assert_int_equal(ug_cfi_fde(obj, CODE_AT + 16)->end, CODE_AT + 32);
	frame = ug_cfi_frame(obj, CODE_AT + 20);
	assert_non_null(frame);
	assert_int_equal(dwarf_frame_cfa(frame, &ops, &n), 0);
	assert_int_equal(ops[0].number2, 24);
	free(frame);
	ug_object_close(obj);
}

static void test_code_refused(void **state)
{
	uint8_t bytes[128];
	struct ug_code code = code_example(bytes, sizeof(bytes)), bad;
	struct ug_object *obj;

	bad = code, bad.start++;
	assert_int_equal(ug_object_of_code(&bad, &obj, NULL), -UG_E_BAD_ELF);
	bad = code, bad.eh_frame = 128 - sizeof(code_tables) + 1;
	assert_int_equal(ug_object_of_code(&bad, &obj, NULL), -UG_E_BAD_ELF);
	bad = code, bad.eh_frame_len = ~0ul;
	assert_int_equal(ug_object_of_code(&bad, &obj, NULL), -UG_E_BAD_ELF);
	bad = code, bad.text_len = 129;
	assert_int_equal(ug_object_of_code(&bad, &obj, NULL), -UG_E_BAD_ELF);
	bad = code, bad.start = UG_USER_END & ~4095ul;
	bad.len = bad.text_len = 8192;
	assert_int_equal(ug_object_of_code(&bad, &obj, NULL), -UG_E_BAD_ELF);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pie),
		cmocka_unit_test(test_non_pie),
		cmocka_unit_test(test_static_musl),
		cmocka_unit_test(test_gnu_debugdata),
		cmocka_unit_test(test_debuglink),
		cmocka_unit_test(test_replaced_file),
		cmocka_unit_test(test_foreign_file_refused),
		cmocka_unit_test(test_build_ids),
		cmocka_unit_test(test_libraries),
		cmocka_unit_test(test_process_that_dies),
		cmocka_unit_test(test_tls_of_library),
		cmocka_unit_test(test_ifunc),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_clone_names),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_cfi_of_process),
		cmocka_unit_test(test_code),
		cmocka_unit_test(test_code_refused),
		cmocka_unit_test(test_daemons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
