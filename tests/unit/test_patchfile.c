/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patch files made by real compilers, linked into this very process and executed: what the
 * linked code computes must be what the same source computes when the system's linker has
 * done the work.
 */
#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <sys/mman.h>

#include "patchfile_make.h"

#include <cmocka.h>

#include "patchfile/patch.h"
#include "ugraft/ugraft.h"

#define HOST_VAR host_var	/* the patches are compiled with a definition of their own */

#define BOTH(name, ...)                                                                            \
	static const char name[] = #__VA_ARGS__;                                                   \
	__VA_ARGS__

/* What the patches refer to. */
int host_var = 11;
int host_func(int x);
int host_cold(int x) __attribute__((cold));
int host_entry(int x);
__thread int host_tls = 5;
__thread int host_tls2 = 6;

__attribute__((noinline)) int host_func(int x)
{
	return x * 7 + host_var;
}

__attribute__((noinline)) int host_cold(int x)
{
	return x - 1000;
}

static int entry_calls;

__attribute__((noinline)) int host_entry(int x)
{
	entry_calls++;
	return x * 100;
}

/* Code, switch tables, data, bss, read-only data, pointers, a cold path, calls to the host. */
BOTH(body_text,
	extern int host_var; int host_func(int x); int host_cold(int x) __attribute__((cold));
	int body(int x); int body_shared(int x);
	static int counter = 7; static int zero[64]; int shared = 3;
	static const int digits[8] = { 3, 1, 4, 1, 5, 9, 2, 6 };
	static const char *const names[3] = { "a", "bb", "ccc" };
	static __attribute__((noinline)) int triple(int x) { return 3 * x + digits[x & 7]; }
	static int (*const ops[2])(int) = { triple, host_func };
	int body_shared(int x) { shared += x; return shared; }
	static int select_one(int x) {
		switch (x & 15) {
		case 0: return host_func(x);
		case 1: return counter++;
		case 2: return triple(x) + 1;
		case 3: return names[x % 3][0];
		case 4: return ops[x & 1](x + 1);
		case 5: zero[x & 63] += x; return zero[x & 63];
		case 6: return body_shared(x);
		case 7: return (int)sizeof(names) ^ x;
		case 8: return x << 3;
		case 9: return ops[(x >> 4) & 1](x);
		default: return digits[x & 7];
		}
	}
	int body(int x) {
		if (x < 0) {
			counter = 7; shared = 3;
			for (int i = 0; i < 64; i++) zero[i] = 0;
			return 0;
		}
		if (__builtin_expect(x == 5000, 0)) {
			int r = host_cold(x);
			if (r & 1) r += host_cold(r);
			return r * 3;
		}
		return select_one(x) + HOST_VAR;
	}
)

struct linked {
	struct ug_patch *patch;
	struct ug_patch_layout layout;
	uint8_t *base;
};

static int resolve(void *ctx, const struct ug_patch_ref *ref, ug_raddr_t *ret, struct ug_error *err)
{
	static const struct {
		const char *name;
		void *address;
	} known[] = {
		{ "host_var", &host_var },
		{ "host_func", (void *)host_func },
		{ "host_cold", (void *)host_cold },
	};
	void *address;

	for (size_t i = 0; i < UG_ARRAY_SIZE(known); i++) {
		if (!strcmp(known[i].name, ref->name)) {
			*ret = (uintptr_t)known[i].address;
			return 0;
		}
	}
	address = dlsym(RTLD_DEFAULT, ref->name);
	if (!address)
		return ug_err(err, -UG_E_NO_SYMBOL, "no symbol %s", ref->name);
	*ret = (uintptr_t)address;
	return 0;
}

static ug_raddr_t entry(void *ctx, size_t func)
{
	return (uintptr_t)host_entry;
}

static int tls_block(struct dl_phdr_info *info, size_t size, void *ctx)
{
	*(char **)ctx = info->dlpi_tls_data;
	return 1;	/* the first one is the executable */
}

static int resolve_tls(void *ctx, const struct ug_patch_ref *ref, uint64_t *ret_module,
		       uint64_t *ret_module_offset, int64_t *ret_tp_offset, struct ug_error *err)
{
	char *var = !strcmp(ref->name, "host_tls") ? (char *)&host_tls : (char *)&host_tls2;
	char *block;

	dl_iterate_phdr(tls_block, &block);
	if (ret_module) {
		*ret_module = 1;
		*ret_module_offset = (uint64_t)(var - block);
	}
	if (ret_tp_offset)
		*ret_tp_offset = var - (char *)__builtin_thread_pointer();
	return 0;
}

static const struct ug_resolver resolver = { resolve, entry, resolve_tls, NULL };

static uint8_t *map_at(size_t size, bool low)
{
	uintptr_t want = low ? 0x20000000 : ((uintptr_t)host_func & ~0xfffUL) + (64u << 20);
	void *p = mmap((void *)want, size, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static int try_link(struct made m, bool low, struct linked *l, struct ug_error *err)
{
	int rc = ug_patch_parse(m.data, m.size, &l->patch, err);

	if (rc < 0)
		return rc;
	assert_int_equal(ug_patch_layout(l->patch, &l->layout, err), 0);
	l->base = map_at(l->layout.rx_size + l->layout.rw_size, low);
	rc = ug_patch_link(l->patch, &resolver, (uintptr_t)l->base, l->base,
			   l->base + l->layout.rx_size, err);
	if (rc == 0)
		mprotect(l->base, l->layout.rx_size, PROT_READ | PROT_EXEC);
	return rc;
}

static void drop(struct linked *l, struct made *m)
{
	if (l->base)
		munmap(l->base, l->layout.rx_size + l->layout.rw_size);
	ug_patch_close(l->patch);
	free(m->data);
	*l = (struct linked){ 0 };
}

static void link_text(const char *cc, const char *flags, const char *text, const char *const *funcs,
		      bool low, struct linked *l, struct made *m)
{
	struct ug_error err;

	*l = (struct linked){ 0 };
	*m = pack_text(cc, flags, text, funcs, 0);
	assert_non_null(m->data);
	if (try_link(*m, low, l, &err) < 0)
		fail_msg("%s %s: %s", cc, flags, err.message);
}

static void *new_body(const struct linked *l, size_t func)
{
	uint64_t offset, size;
	bool jumped;

	ug_patch_func_range(l->patch, func, 0, &offset, &size, &jumped);
	assert_false(jumped);
	return l->base + offset;
}

static bool have(const char *cc)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "command -v %s >/dev/null", cc);
	return system(cmd) == 0;
}

static void compare_body(const char *cc, const char *flags, bool low)
{
	static const char *const funcs[] = { "old_body", "body", NULL };
	char all[128];
	struct linked l;
	struct made m;
	int (*f)(int);

	/* Without PIC only code of the arena's own is in reach: calls go through stubs. */
	snprintf(all, sizeof(all), "%s -DHOST_VAR=%s", flags, low ? "11" : "host_var");
	link_text(cc, all, body_text, funcs, low, &l, &m);
	f = (int (*)(int))new_body(&l, 0);
	body(-1);
	for (int x = 0; x < 200; x++) {
		int want = body(x), got = f(x);

		if (want != got)
			fail_msg("%s %s: body(%d) = %d, not %d", cc, all, x, got, want);
	}
	assert_int_equal(f(5000), body(5000));
	drop(&l, &m);
}

static void test_execute(void **state)
{
	static const char *const compilers[] = { "gcc", "clang" };

	for (size_t i = 0; i < UG_ARRAY_SIZE(compilers); i++) {
		if (!have(compilers[i]))
			continue;
		for (char o = '0'; o <= '3'; o++) {
			char flags[64];

			snprintf(flags, sizeof(flags), "-O%c -fPIC", o);
			compare_body(compilers[i], flags, false);
			compare_body(compilers[i], flags, true);
			snprintf(flags, sizeof(flags), "-O%c -fPIE", o);
			compare_body(compilers[i], flags, false);
			snprintf(flags, sizeof(flags), "-O%c -fno-pic", o);
			compare_body(compilers[i], flags, true);
		}
		compare_body(compilers[i], "-O2 -fPIC -fno-plt", true);
	}
}

/*
 * Gcc takes a variable of a library to be in reach of a PIE, which gets a copy of it. Where the
 * patch alone refers to it there is none: its address comes from the GOT then.
 */
static void test_far_address(void **state)
{
	static const char *const funcs[] = { "old_body", "body", NULL };
	static const char text[] = "extern int host_var;\n"
		"int *body(int x) { return x ? &host_var : (int *)0; }\n";

	for (int low = 0; low < 2; low++) {
		struct linked l;
		struct made m;
		int *(*f)(int);

		link_text("gcc", "-O2 -fPIE", text, funcs, low, &l, &m);
		f = (int *(*)(int))new_body(&l, 0);
		assert_null(f(0));
		assert_ptr_equal(f(1), &host_var);
		drop(&l, &m);
	}
}

static const char tls_text[] =
	"extern __thread int host_tls, host_tls2;\n"
	"int body(int x) { host_tls += x; host_tls2 -= x; return host_tls * 10 + host_tls2; }\n";

static void test_tls(void **state)
{
	static const char *const models[] = { "global-dynamic", "local-dynamic", "initial-exec",
					      "local-exec" };
	static const char *const funcs[] = { "old_body", "body", NULL };

	for (size_t i = 0; i < UG_ARRAY_SIZE(models) * 2; i++) {
		const char *cc = i & 1 ? "clang" : "gcc";
		char flags[96];
		struct linked l;
		struct made m;
		int (*f)(int);

		if (!have(cc))
			continue;
		snprintf(flags, sizeof(flags), "-O2 %s -ftls-model=%s",
			 i / 2 < 2 ? "-fPIC" : "-fPIE", models[i / 2]);
		link_text(cc, flags, tls_text, funcs, false, &l, &m);
		f = (int (*)(int))new_body(&l, 0);
		host_tls = 5;
		host_tls2 = 6;
		assert_int_equal(f(4), 92);
		assert_int_equal(host_tls, 9);
		assert_int_equal(host_tls2, 2);
		drop(&l, &m);
	}
}

/*
 * A static function's recursion is resolved by the assembler, which leaves no relocation; the
 * linker must find it. Other optimisations may make a loop of a recursion: not here.
 *
 * Recursion, a call from a helper and the address of a new body: all are the entry.
 */
static const char entry_text[] =
	"LINKAGE int body(int x) __attribute__((NOIPA, used));\n"
	"LINKAGE int body(int x) { return x > 1000 ? 7 : body(x + 1) + 1; }\n"
	"int (*pointer)(int) = body;\n"
	"int caller(int x) { return body(x) + 2; }\n"
	"void *taken(int x) { return x ? (void *)body : (void *)pointer; }\n";

static void check_entry(const char *cc, const char *flags, bool low)
{
	static const char *const funcs[] = { "f", "body", "g", "caller", "h", "taken", NULL };
	struct linked l;
	struct made m;

	link_text(cc, flags, entry_text, funcs, low, &l, &m);
	entry_calls = 0;
	assert_int_equal(((int (*)(int))new_body(&l, 0))(2), 301);
	assert_int_equal(((int (*)(int))new_body(&l, 1))(2), 202);
	assert_int_equal(entry_calls, 2);
	assert_int_equal(((int (*)(int))new_body(&l, 0))(2000), 7);
	if (!low) {
		assert_ptr_equal(((void *(*)(int))new_body(&l, 2))(0), host_entry);
		assert_ptr_equal(((void *(*)(int))new_body(&l, 2))(1), host_entry);
	}
	drop(&l, &m);
}

static void test_entry(void **state)
{
	check_entry("gcc", "-O2 -fPIC -DLINKAGE= -DNOIPA=noipa -fno-optimize-sibling-calls", false);
	check_entry("gcc", "-O2 -fPIC -DLINKAGE= -DNOIPA=noipa -fno-optimize-sibling-calls", true);
	check_entry("gcc", "-O0 -fPIC -DLINKAGE= -DNOIPA=noipa", false);
	check_entry("gcc", "-O0 -fPIC -DLINKAGE=static -DNOIPA=noipa", false);
	check_entry("gcc", "-O2 -fPIC -DLINKAGE=static -DNOIPA=noipa -fno-optimize-sibling-calls",
		    false);
	if (have("clang"))
		check_entry("clang", "-O1 -fPIC -DLINKAGE= -DNOIPA=noinline -fno-optimize-sibling-calls", false);
}

static ug_raddr_t two_entries(void *ctx, size_t func)
{
	return (uintptr_t)host_entry + func;
}

/* Aliases: two functions, one new body. Its own name is one address, so theirs must be, too. */
static void test_shared_body(void **state)
{
	static const char text[] = "int body(int x) { return x ? body(x - 1) * x : 1; }";
	static const char *const funcs[] = { "one", "body", "two", "body", NULL };
	static const struct ug_resolver apart = { resolve, two_entries, NULL, NULL };
	struct ug_error err;
	struct linked l;
	struct made m;

	link_text("gcc", "-O0", text, funcs, false, &l, &m);
	assert_int_equal(((int (*)(int))new_body(&l, 1))(3), 600);
	assert_ptr_equal(new_body(&l, 0), new_body(&l, 1));
	mprotect(l.base, l.layout.rx_size, PROT_READ | PROT_WRITE);
	assert_int_equal(ug_patch_link(l.patch, &apart, (uintptr_t)l.base, l.base,
				       l.base + l.layout.rx_size, &err), -UG_E_BAD_PATCH);
	drop(&l, &m);
}

static void test_ranges(void **state)
{
	static const char *const funcs[] = { "old_body", "body", NULL };
	uint64_t offset, size, covered = 0;
	bool jumped = false;
	struct linked l;
	struct made m;

	link_text("gcc", "-O2 -fPIC -DHOST_VAR=0", body_text, funcs, false, &l, &m);
	assert_true(ug_patch_func_ranges(l.patch, 0) >= 2);
	for (size_t i = 0; i < ug_patch_func_ranges(l.patch, 0); i++) {
		ug_patch_func_range(l.patch, 0, i, &offset, &size, &jumped);
		assert_int_equal(jumped, i > 0);
		covered += size;
	}
	for (size_t i = 0; i < ug_patch_other_ranges(l.patch); i++) {
		ug_patch_other_range(l.patch, i, &offset, &size);
		covered += size;
	}
	/* the last range ends the code: bodies, cold parts and others leave no byte out */
	assert_true(ug_patch_other_ranges(l.patch) > 0);
	assert_int_equal(covered, offset + size);
	assert_true(ug_patch_eh_frame(l.patch, &offset, &size));
	assert_int_equal(*(uint32_t *)(l.base + offset + size - 8), 0);
	assert_int_equal(*(uint32_t *)(l.base + offset + 4), 0);	/* a CIE first */
	drop(&l, &m);
}

static unsigned int flags_of(const char *cc, const char *text)
{
	static const char *const funcs[] = { "old_body", "body", NULL };
	struct ug_patch *patch = NULL;
	struct ug_error err;
	unsigned int flags;
	struct made m = pack_text(cc, "-O2 -fPIC", text, funcs, 0);

	assert_non_null(m.data);
	if (ug_patch_parse(m.data, m.size, &patch, &err) < 0)
		fail_msg("%s", err.message);
	flags = patch->flags;
	ug_patch_close(patch);
	free(m.data);
	return flags;
}

static void test_escapes(void **state)
{
	static const struct {
		bool escapes;
		const char *text;
	} cases[] = {
		{ false, "static int n; int body(int x) { n += x; return n; }" },
		{ false, "int puts(const char *); extern const char *s; int body(int x) { return puts(s); }" },
		{ false, "int a(void), b(void), c(void), d(void), e(void), g(void);"
			 "int body(int x) { switch (x) { case 0: return a(); case 1: return b();"
			 "case 2: return c(); case 3: return d(); case 4: return e() + 1;"
			 "case 5: return g(); } return 1; }" },
		{ false, "static __attribute__((noinline)) int h(int x) { return x / 3; }"
			 "int body(int x) { return h(x) + 1; }" },
		{ false, "void set(void *); int body(int x) { set(body); return 0; }" },
		{ true, "int puts(const char *); int body(int x) { return puts(\"hello\"); }" },
		{ true, "static int n; void set(void *); int body(int x) { set(&n); return n; }" },
		{ true, "static int h(int x) { return x / 3; } void set(void *);"
			"int body(int x) { set(h); return 0; }" },
		{ true, "static int h(int x) { return x / 3; } int (*p)(int) = h;"
			"int body(int x) { return p(x); }" },
		{ true, "int n; int body(int x) { return n += x; }" },	/* by its GOT slot */
	};

	for (size_t i = 0; i < UG_ARRAY_SIZE(cases); i++) {
		if (!!(flags_of("gcc", cases[i].text) & UG_PATCH_ESCAPES) != cases[i].escapes)
			fail_msg("case %zu: %s", i, cases[i].text);
	}
}

static int refusal(const char *flags, const char *text, char *message)
{
	static const char *const funcs[] = { "old_body", "body", NULL };
	struct linked l = { 0 };
	struct ug_error err;
	int rc;
	struct made m = pack_text("gcc", flags, text, funcs, 0);

	assert_non_null(m.data);
	memset(&err, 0, sizeof(err));
	/* -fPIE reaches the host's data from nearby. */
	rc = try_link(m, strstr(flags, "-fPIE"), &l, &err);
	snprintf(message, sizeof(err.message), "%s", err.message);
	drop(&l, &m);
	return rc;
}

static void test_refusals(void **state)
{
	static const struct {
		int code;
		const char *flags, *word, *text;
	} cases[] = {
		{ -UG_E_BAD_PATCH, "", "constructor",
		  "__attribute__((constructor)) void c(void) {} int body(int x) { return x; }" },
		{ -UG_E_BAD_PATCH, "", "thread-local",
		  "__thread int t; int body(int x) { return t += x; }" },
		{ -UG_E_BAD_PATCH, "", "IFUNC",
		  "static int h(int x) { return x; } static void *r(void) { return h; }"
		  "int i(int) __attribute__((ifunc(\"r\"))); int body(int x) { return i(x); }" },
		{ -UG_E_BAD_PATCH, "-fcommon", "common", "int c; int body(int x) { return c += x; }" },
		{ -UG_E_BAD_RELOC, "-mcmodel=large", "R_X86_64_GOT",
		  "extern int host_var; int body(int x) { return host_var; }" },
		{ -UG_E_BAD_RELOC, "-mtls-dialect=gnu2", "TLSDESC",
		  "extern __thread int host_tls; int body(int x) { return host_tls; }" },
		{ -UG_E_RELOC_RANGE, "-fno-pic", "R_X86_64_32",
		  "extern int host_var; void *body(int x) { return &host_var; }" },
		{ -UG_E_RELOC_RANGE, "-fPIE", "R_X86_64_PC32",
		  "extern int host_var[]; void *body(int x) { return host_var + 1; }" },
		{ -UG_E_RELOC_RANGE, "-fPIE", "R_X86_64_PC32",
		  "extern int host_var; int body(int x) { return host_var; }" },
		{ -UG_E_NO_SYMBOL, "", "nowhere",
		  "int nowhere(void); int body(int x) { return nowhere(); }" },
		{ 0, "", "",
		  "int nowhere(void) __attribute__((weak)); int body(int x) { return nowhere ? 1 : 2; }" },
	};

	for (size_t i = 0; i < UG_ARRAY_SIZE(cases); i++) {
		char message[512];
		int rc = refusal(cases[i].flags, cases[i].text, message);

		if (rc != cases[i].code || !strstr(message, cases[i].word))
			fail_msg("case %zu: %d, \"%s\"", i, rc, message);
	}
}

static const char small_text[] =
	"extern int host_var; int host_func(int); static int n = 3;\n"
	"int body(int x) { n += x; switch (x) { case 0: return host_func(1); case 1: return n; case 2: "
	"return 9; case 3: return host_var; case 4: return 6; } return host_func(x) + 1; }\n";

/* Whatever the bytes: an error or a patch that can be laid out and linked. */
static int try_bytes(const uint8_t *data, size_t size)
{
	struct ug_patch_layout layout;
	struct ug_patch *patch = NULL;
	struct ug_error err;
	int rc = ug_patch_parse(data, size, &patch, &err);

	if (rc < 0)
		return rc;
	if (ug_patch_layout(patch, &layout, &err) == 0 && layout.rx_size + layout.rw_size < 1 << 20) {
		uint8_t *buf = malloc(layout.rx_size + layout.rw_size);

		assert_non_null(buf);
		(void)!ug_patch_link(patch, &resolver, 0x10000, buf, buf + layout.rx_size, &err);
		free(buf);
	}
	ug_patch_close(patch);
	return 0;
}

static void test_hostile(void **state)
{
	static const char *const funcs[] = { "old_body", "body", NULL };
	static const uint8_t flips[] = { 0x01, 0x80, 0xff };
	struct made m = pack_text("gcc", "-O2", small_text, funcs, 0);

	assert_non_null(m.data);
	assert_int_equal(try_bytes(m.data, m.size), 0);
	for (size_t n = 0; n < m.size; n++) {
		/* an exact copy, so that a sanitizer sees one byte too far */
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, m.data, n);
		assert_true(try_bytes(cut, n) < 0);
		free(cut);
	}
	for (size_t i = 0; i < m.size; i++) {
		for (size_t f = 0; f < UG_ARRAY_SIZE(flips); f++) {
			m.data[i] ^= flips[f];
			(void)try_bytes(m.data, m.size);
			m.data[i] ^= flips[f];
		}
	}
	free(m.data);
}

/* The word at `at` of that section, or its type. */
static uint32_t *poke(const struct made *m, const char *section, size_t at)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)m->data;
	Elf64_Shdr *sh = (Elf64_Shdr *)(m->data + h->e_shoff);
	const char *strings = (const char *)m->data + sh[h->e_shstrndx].sh_offset;

	for (int i = 0; i < h->e_shnum; i++) {
		if (!strcmp(strings + sh[i].sh_name, section))
			return at == SIZE_MAX ? &sh[i].sh_type : (uint32_t *)(m->data + sh[i].sh_offset + at);
	}
	fail_msg("no section %s", section);
	return NULL;
}

/* Who made it, and how: what was written is read; what is no such thing is refused by name. */
static void test_made(void **state)
{
	static const struct {
		const char *section;
		size_t at;		/* SIZE_MAX: its type */
		uint32_t value;
		const char *word;
	} cases[] = {
		{ UG_FILE_SEC_MADE, 0, 0x7fffffff, "version" }, { UG_FILE_SEC_MADE, 0, 0, "version" },
		{ UG_FILE_SEC_MADE, 8, 1, UG_FILE_SEC_MADE },
		{ UG_FILE_SEC_MADE, SIZE_MAX, SHT_NULL, UG_FILE_SEC_MADE " is missing" },
		{ UG_FILE_SEC_COMPILERS, 0, 0x7fffffff, "name of a compiler" },
		{ UG_FILE_SEC_COMPILERS, 0, 0, "name of a compiler" },
		{ UG_FILE_SEC_COMPILERS, 4, 0xfffffff0, "flags" }, { UG_FILE_SEC_COMPILERS, 4, 0, "flags" },
		{ UG_FILE_SEC_COMPILERS, 8, UG_FILE_FLAGS_MAX, "compiler 1" },
		{ UG_FILE_SEC_COMPILERS, 8, 1000, "flags" },
		{ UG_FILE_SEC_COMPILERS, 8, 0xffffffff, "compiler 0" },
		{ UG_FILE_SEC_COMPILERS, 12, 1, "compiler 0" },
		{ UG_FILE_SEC_COMPILERS, SIZE_MAX, SHT_NOTE, UG_FILE_SEC_COMPILERS },
		{ UG_FILE_SEC_UNITS, 0, 1, "src/t.c" }, { UG_FILE_SEC_UNITS, 4, 0x7fffffff, "record 0" },
		{ UG_FILE_SEC_UNITS, 16 + 4, 0, "record 1" }, { UG_FILE_SEC_UNITS, 32 + 8, 2, "record 2" },
		{ UG_FILE_SEC_UNITS, 12, 1, "record 0" },
		{ UG_FILE_SEC_UNITS, SIZE_MAX, SHT_NULL, UG_FILE_SEC_UNITS " is missing" },
	};
	static const char *const funcs[] = { "old_body", "body", NULL };
	static const char *const own[] = { UG_FILE_SEC_MADE, UG_FILE_SEC_COMPILERS, UG_FILE_SEC_UNITS };
	struct made m = pack_text("gcc", "-O2", small_text, funcs, 0);
	struct ug_patch *patch;
	struct ug_error err;

	assert_non_null(m.data);
	assert_int_equal(ug_patch_parse(m.data, m.size, &patch, &err), 0);
	assert_string_equal(patch->made_by, UG_VERSION);
	assert_int_equal(patch->ncompilers, 2);
	assert_int_equal(patch->compilers[0].nflags, 2);
	assert_string_equal(patch->compilers[0].flags[1], "-DNAME=\"a b\"");
	assert_int_equal(patch->compilers[1].nflags, 1);
	assert_string_equal(patch->compilers[1].flags[0], "-O2");
	assert_int_equal(patch->nunits, 3);
	assert_string_equal(patch->units[0].source, "src/t.c");
	assert_int_equal(patch->units[0].object, 0);
	assert_int_equal(patch->units[1].object, UG_PATCH_ANY_OBJECT);
	assert_int_equal(patch->units[1].compiler, 1);
	assert_int_equal(patch->units[2].compiler, 0);
	ug_patch_close(patch);

	for (size_t i = 0; i < UG_ARRAY_SIZE(cases); i++) {
		uint32_t *at = poke(&m, cases[i].section, cases[i].at), old = *at;

		*at = cases[i].value;
		memset(&err, 0, sizeof(err));
		if (ug_patch_parse(m.data, m.size, &patch, &err) != -UG_E_BAD_PATCH ||
		    !strstr(err.message, cases[i].word))
			fail_msg("case %zu: %d, \"%s\"", i, err.code, err.message);
		*at = old;
	}

	/* As older builders wrote it. */
	for (size_t i = 0; i < UG_ARRAY_SIZE(own); i++)
		*poke(&m, own[i], SIZE_MAX) = SHT_NULL;
	assert_int_equal(ug_patch_parse(m.data, m.size, &patch, &err), 0);
	assert_null(patch->made_by);
	assert_int_equal(patch->nunits, 0);
	ug_patch_close(patch);
	free(m.data);
}

static void test_foreign(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		int code;
	} cases[] = {
		{ EI_CLASS, ELFCLASS32, -UG_E_BAD_ARCH }, { EI_DATA, ELFDATA2MSB, -UG_E_BAD_ARCH },
		{ offsetof(Elf64_Ehdr, e_machine), EM_AARCH64, -UG_E_BAD_ARCH },
		{ offsetof(Elf64_Ehdr, e_type), ET_DYN, -UG_E_BAD_PATCH }, { 0, 0, -UG_E_BAD_PATCH },
	};
	static const char *const funcs[] = { "old_body", "body", NULL };
	struct made m = pack_text("gcc", "-O2", small_text, funcs, 0);

	assert_non_null(m.data);
	for (size_t i = 0; i < UG_ARRAY_SIZE(cases); i++) {
		uint8_t old = m.data[cases[i].at];

		m.data[cases[i].at] = cases[i].value;
		assert_int_equal(try_bytes(m.data, m.size), cases[i].code);
		m.data[cases[i].at] = old;
	}
	assert_int_equal(try_bytes((const uint8_t *)"", 0), -UG_E_BAD_PATCH);
	free(m.data);
}

static void test_model(void **state)
{
	static const char *const funcs[] = { "old_body", "body", NULL };
	struct made m = pack_text("gcc", "-O2", small_text, funcs, UG_FILE_REPLACE);
	struct made again = pack_text("gcc", "-O2", small_text, funcs, UG_FILE_REPLACE);
	struct ug_patch *p = NULL;

	assert_int_equal(ug_patch_parse(m.data, m.size, &p, NULL), 0);
	assert_string_equal(p->name, "test");
	assert_string_equal(p->description, "a test");
	assert_string_equal(p->cves, "CVE-1");
	assert_int_equal(p->flags & (UG_PATCH_REPLACE | UG_PATCH_UNLOADABLE), UG_PATCH_REPLACE);
	assert_int_equal(p->nobjects, 1);
	assert_int_equal(p->objects[0].builds[0].len, 4);
	assert_int_equal(p->nfuncs, 1);
	assert_string_equal(p->funcs[0].old_name, "old_body");
	assert_int_equal(p->nrefs, 2);
	assert_int_equal(p->refs[0].object, UG_PATCH_ANY_OBJECT);
	ug_patch_close(p);
	/* compiled in another directory: the same bytes */
	assert_int_equal(m.size, again.size);
	assert_memory_equal(m.data, again.data, m.size);
	free(m.data);
	free(again.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_execute),
		cmocka_unit_test(test_far_address),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_entry),
		cmocka_unit_test(test_shared_body),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_made),
		cmocka_unit_test(test_foreign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
