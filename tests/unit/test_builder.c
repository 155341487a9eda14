/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The author's path against small targets made here: what is pinned, and what is refused. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "builder/build.h"
#include "builder/compile.h"
#include "builder/diff/diff.h"
#include "object/symbol.h"

static char dir[64];

static const char target_a[] =
	"#include <stdio.h>\n"
	"#define NOINLINE __attribute__((noinline))\n"
	"int limit = 3; static int hidden = 4; __thread int per_thread = 5;\n"
	"static int state = 1;\n"
	"static NOINLINE int leaf(int x) { return x * 5; }\n"
	"static NOINLINE int twin(int x) { return x - hidden * state; }\n"
	"static NOINLINE int split(int *p, int unused) { return *p * 9 + hidden; }\n"
	"int printing(int x) { return printf(\"%d\", x); }\n"
	"int callback(int x) { return x + hidden; }\n"
	"int alias_one(int x) { return x ^ 77; }\n"
	"int alias_two(int) __attribute__((alias(\"alias_one\")));\n"
	"int (*volatile table[])(int) = { callback, alias_one };\n"
	"int other(int);\n"
	"int main(int c, char **v) { state += c; hidden += c; per_thread += c; return leaf(c) + twin(c) + split(&c, 1) + other(c)\n"
	"	+ printing(c) + leaf(c + 1) + table[c & 1](c); }\n";

static const char target_b[] =
	"static int state = 2;\n"
	"static __attribute__((noinline)) int twin(int x) { return x + 1000 + state; }\n"
	"int other(int x) { state += x; return twin(x); }\n";

static const char *in_dir(const char *name)
{
	static char paths[8][128];
	static unsigned int n;
	char *p = paths[n++ % 8];

	snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
	return p;
}

static void put(const char *name, const char *text)
{
	ug_autofclose FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	fputs(text, f);
}

static void shell(const char *fmt, ...) ug_printf(1, 2);

static void shell(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	assert_int_equal(system(cmd), 0);
}

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/ugraft-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	put("a.c", target_a);
	put("b.c", target_b);
	shell("cd %s && gcc -O2 -g0 -Wl,--build-id -o prog %s %s", dir, "a.c", "b.c");
	shell("cd %s && gcc -O1 -g0 -Wl,--build-id -o prog2 %s %s", dir, "a.c", "b.c");
	shell("cd %s && gcc -O2 -g0 -Wl,--build-id=none -o noid %s %s", dir, "a.c", "b.c");
	shell("cd %s && gcc -O2 -shared -fPIC -Wl,--build-id,-soname,%s -o %s b.c", dir, "libb.so.1",
	      "libb.so");
	return 0;
}

static int teardown(void **state)
{
	shell("rm -rf %s", dir);
	return 0;
}

struct attempt {
	const char *text;
	const char *targets[3];
	const char *compiler;
	const char *cflags;
	bool assume_abi;
	const char *output;
};

/* Registers the compiler would not touch by itself, really changed. */
static const char change[] =
	"#define CHANGE asm volatile(\"xor %%esi, %%esi; xor %%r9d, %%r9d; pxor %%xmm3, %%xmm3\" ::: "
	"\"rsi\", \"r9\", \"xmm3\", \"cc\")\n";

static struct ug_build_report report;
static struct ug_error err;

static int build(struct attempt a)
{
	struct ug_build_source_opts opts = { .source = in_dir("fix.c"), .targets = a.targets,
					     .output = in_dir(a.output ? a.output : "fix.ugp"),
					     .compiler = a.compiler, .cflags = &a.cflags,
					     .ncflags = a.cflags ? 1 : 0,
					     .assume_abi = a.assume_abi };
	char text[2048];

	if (!a.targets[0])
		a.targets[0] = in_dir("prog");
	while (opts.ntargets < 3 && a.targets[opts.ntargets])
		opts.ntargets++;
	snprintf(text, sizeof(text), "#include <ugraft/patch.h>\n%s%s", change, a.text);
	put("fix.c", text);
	unlink(opts.output);
	memset(&err, 0, sizeof(err));
	return ug_build_source(&opts, &report, &err);
}

static struct ug_patch *open_built(const char *name)
{
	struct ug_patch *patch = NULL;
	struct ug_error e;

	if (ug_patch_open(in_dir(name), &patch, &e) < 0)
		fail_msg("%s", e.message);
	return patch;
}

#define PATCH "UG_PATCH(t, .description = \"d\");\n"

static void test_plain(void **state)
{
	static const char text[] =
		"extern int hidden, limit; int printf(const char *, ...); int twin(int);\n"
		"static int new_callback(int x) { return twin(x) + hidden + limit; }\n"
		"UG_PATCH(fix-1.0, .replace = 1, .description = \"adds\", .cves = \"CVE-1 CVE-2\");\n"
		"UG_FUNC(UG_EXE, callback, new_callback);\n"
		"UG_SYMBOL_POS(UG_EXE, twin, 2);\n";
	struct ug_symbol sym;
	struct ug_object *obj;
	struct ug_patch *p;

	if (build((struct attempt){ .text = text }) < 0)
		fail_msg("%s\n%s", err.message, report.compiler_output);
	p = open_built("fix.ugp");
	assert_string_equal(p->name, "fix-1.0");
	assert_string_equal(p->cves, "CVE-1 CVE-2");
	assert_int_equal(p->flags, UG_PATCH_REPLACE);
	assert_int_equal(p->nobjects, 1);
	assert_string_equal(p->objects[0].name, "");
	assert_int_equal(p->nfuncs, 1);
	assert_int_equal(p->nrefs, 3);
	assert_int_equal(ug_object_open_file(in_dir("prog"), &obj, NULL), 0);
	assert_int_equal(ug_object_symtab(obj, NULL), 0);
	assert_true(ug_build_id_equal(&p->objects[0].builds[0], &obj->build_id));
	assert_int_equal(ug_symbol_find(obj, "callback", 0, &sym, NULL), 0);
	assert_int_equal(p->funcs[0].pins[0].offset, sym.addr);
	assert_int_equal(p->funcs[0].pins[0].size, sym.size);
	for (size_t i = 0; i < p->nrefs; i++) {
		if (ug_symbol_find(obj, p->refs[i].name, p->refs[i].pos, &sym, &err))
			fail_msg("%s", err.message);
		assert_int_equal(p->refs[i].pins[0].offset, sym.addr);
		if (!strcmp(p->refs[i].name, "twin"))
			assert_int_equal(p->refs[i].pos, 2);
	}
	assert_int_equal(report.functions, 1);
	assert_int_equal(report.nwarnings, 0);
	ug_object_close(obj);
	ug_patch_close(p);
}

static void test_reproducible(void **state)
{
	static const char text[] =
		"const char *where(void); extern int hidden;\n"
		"int new_callback(int x) { return x + hidden + __FILE__[0]; }\n" PATCH
		"UG_FUNC(UG_EXE, callback, new_callback);\n";

	assert_int_equal(build((struct attempt){ .text = text, .output = "1.ugp", .cflags = "-g" }), 0);
	assert_int_equal(build((struct attempt){ .text = text, .output = "2.ugp", .cflags = "-g" }), 0);
	shell("cmp %s %s", in_dir("1.ugp"), in_dir("2.ugp"));
	shell("! grep -q %s %s", dir, in_dir("1.ugp"));
	shell("! grep -q ugraft-build %s", in_dir("1.ugp"));
}

static void test_objects(void **state)
{
	static const char text[] =
		"int new_other(int x) { return x + 5; }\n" PATCH
		"UG_FUNC(\"libb.so.1\", other, new_other);\n";
	static const char twice[] =
		"int new_callback(int x) { return x; }\n" PATCH
		"UG_FUNC(UG_EXE, callback, new_callback);\n";
	struct ug_patch *p;

	if (build((struct attempt){ .text = text, .targets = { in_dir("prog"), in_dir("libb.so") } }))
		fail_msg("%s", err.message);
	p = open_built("fix.ugp");
	assert_int_equal(p->nobjects, 1);	/* the executable is not used */
	assert_string_equal(p->objects[0].name, "libb.so.1");
	ug_patch_close(p);

	if (build((struct attempt){ .text = twice, .targets = { in_dir("prog"), in_dir("prog2") } }))
		fail_msg("%s", err.message);
	p = open_built("fix.ugp");
	assert_int_equal(p->objects[0].nbuilds, 2);
	assert_int_equal(p->funcs[0].npins, 2);
	ug_patch_close(p);
	assert_int_equal(build((struct attempt){ .text = twice,
						 .targets = { in_dir("prog"), in_dir("prog") } }),
			 -UG_E_AMBIGUOUS);
	if (build((struct attempt){ .text = twice, .targets = { in_dir("noid") } }) != -UG_E_NO_BUILD_ID)
		fail_msg("%s", err.message);
	assert_int_equal(build((struct attempt){ .text = twice, .targets = { in_dir("absent") } }),
			 -ENOENT);
}

static void test_refusals(void **state)
{
	static const struct {
		int code;
		const char *word, *text;
	} cases[] = {
		{ -UG_E_NO_SYMBOL, "absent", "int n(int x) { return x; }\n" PATCH
		  "UG_FUNC(UG_EXE, absent, n);\n" },
		{ -UG_E_AMBIGUOUS, "twin", "int n(int x) { return x; }\n" PATCH
		  "UG_FUNC(UG_EXE, twin, n);\n" },
		{ -UG_E_AMBIGUOUS, "twin", "int twin(int); int n(int x) { return twin(x); }\n" PATCH
		  "UG_FUNC(UG_EXE, callback, n);\n" },
		{ -UG_E_NO_OBJECT, "libz.so.9", "int n(int x) { return x; }\n" PATCH
		  "UG_FUNC(\"libz.so.9\", twin, n);\n" },
		{ -UG_E_CLONE, "clone", "int n(int x) { return x; }\n" PATCH
		  "UG_FUNC(UG_EXE, \"split.isra.0\", n);\n" },
		{ -UG_E_ALIASED, "alias_two", "int n(int x) { return x; }\n" PATCH
		  "UG_FUNC(UG_EXE, alias_one, n);\n" },
		{ -UG_E_COMPILE, "error", "int n(int x) { return y; }\n" PATCH
		  "UG_FUNC(UG_EXE, callback, n);\n" },
		{ -UG_E_BAD_PATCH, "UG_PATCH", "int n(int x) { return x; }\n"
		  "UG_FUNC(UG_EXE, callback, n);\n" },
		{ -UG_E_BAD_PATCH, "UG_FUNC", PATCH },
		{ -UG_E_BAD_PATCH, "not defined", "int n(int x);\n" PATCH
		  "UG_FUNC(UG_EXE, callback, n);\n" },
		{ -UG_E_BAD_PATCH, "name of the patch", "int n(int x) { return x; }\n"
		  "UG_PATCH(\"a/b\"); UG_FUNC(UG_EXE, callback, n);\n" },
		{ -UG_E_BAD_PATCH, "constructor", "__attribute__((constructor)) void c(void) {}\n"
		  "int n(int x) { return x; }\n" PATCH "UG_FUNC(UG_EXE, callback, n);\n" },
		{ -UG_E_BAD_RELOC, "thread-local", "extern int per_thread;"
		  "int n(int x) { return x + per_thread; }\n" PATCH "UG_FUNC(UG_EXE, callback, n);\n" },
	};

	for (size_t i = 0; i < UG_ARRAY_SIZE(cases); i++) {
		int rc = build((struct attempt){ .text = cases[i].text });

		if (rc != cases[i].code || !strstr(err.message, cases[i].word))
			fail_msg("case %zu: %d \"%s\"", i, rc, err.message);
		assert_int_not_equal(access(in_dir("fix.ugp"), F_OK), 0);
	}
}

/* leaf() leaves nearly all registers alone and is called directly: the callers may know. */
static void test_registers(void **state)
{
	static const char same[] = "int n(int x) { return x * 5 + 1; }\n" PATCH
		"UG_FUNC(UG_EXE, leaf, n);\n";
	static const char more[] =
		"int n(int x) { CHANGE; return x; }\n" PATCH
		"UG_FUNC(UG_EXE, leaf, n);\n";
	static const char calls[] =
		"int printing(int); int n(int x) { return printing(x); }\n" PATCH
		"UG_FUNC(UG_EXE, leaf, n);\n";
	static const char helper[] =
		"static __attribute__((noinline)) int h(int x) { asm volatile(\"xor %%r10d, %%r10d\" ::: \"r10\", \"cc\"); return x; }\n"
		"int n(int x) { return h(x) + 1; }\n" PATCH "UG_FUNC(UG_EXE, leaf, n);\n";
	static const char unknown[] =
		"int n(int x) { CHANGE; return x; }\n" PATCH
		"UG_FUNC(UG_EXE, printing, n);\n";

	if (build((struct attempt){ .text = same }))
		fail_msg("%s", err.message);
	assert_int_equal(report.nwarnings, 1);
	assert_non_null(strstr(report.warnings[0], "directly"));
	assert_int_equal(build((struct attempt){ .text = more }), -UG_E_CLOBBER);
	assert_non_null(strstr(err.message, "rsi r9 xmm3"));
	assert_int_equal(build((struct attempt){ .text = calls }), -UG_E_CLOBBER);
	assert_int_equal(build((struct attempt){ .text = helper }), -UG_E_CLOBBER);
	assert_non_null(strstr(err.message, "r10"));
	assert_int_equal(build((struct attempt){ .text = more, .assume_abi = true }), 0);
	/* printing() calls through the PLT: its callers expect everything */
	if (build((struct attempt){ .text = unknown }))
		fail_msg("%s", err.message);
}

static void test_references(void **state)
{
	static const char text[] =
		"extern int state_a, state_b; extern __thread int per_thread; int getpid(void);\n"
		"int n(int x) { return state_a * state_b + per_thread + getpid(); }\n" PATCH
		"UG_FUNC(UG_EXE, callback, n); UG_FUNC(UG_EXE, alias_one, n, .aliases_ok = 1);\n"
		"UG_SYMBOL_AS(UG_EXE, state, 1, state_a); UG_SYMBOL_AS(UG_EXE, state, 2, state_b);\n";
	bool tls = false, anywhere = false;
	unsigned int positions = 0;
	struct ug_patch *p;

	if (build((struct attempt){ .text = text }))
		fail_msg("%s", err.message);
	assert_int_equal(report.nwarnings, 1);	/* getpid */
	p = open_built("fix.ugp");
	assert_int_equal(p->nfuncs, 2);
	assert_true(p->funcs[0].aliases_ok != p->funcs[1].aliases_ok);
	for (size_t i = 0; i < p->nrefs; i++) {
		const struct ug_patch_ref *r = &p->refs[i];

		assert_string_not_equal(r->name, "__tls_get_addr");	/* all in the executable */
		if (!strcmp(r->name, "state"))
			positions += r->pos;
		if (!strcmp(r->name, "getpid"))
			anywhere = r->object == UG_PATCH_ANY_OBJECT && !r->npins;
		if (!strcmp(r->name, "per_thread"))
			tls = r->tls && r->npins == 1 && r->pins[0].offset < 64;
	}
	assert_int_equal(positions, 3);
	assert_true(tls && anywhere);
	ug_patch_close(p);
}

/* Whoever wants no detail still learns that it failed. */
static void test_no_detail(void **state)
{
	static const struct ug_diff_opts opts = { 0 };
	struct ug_diff *diff = NULL;

	assert_true(ug_diff_open("/no/such/a.o", "/no/such/b.o", &opts, &diff, NULL) < 0);
	assert_null(diff);
}

static void test_clang(void **state)
{
	static const char text[] = "int n(int x) { return x; }\n" PATCH
		"UG_FUNC(UG_EXE, callback, n);\n";
	static const char local[] = "static int n(int x) { return x; }\n" PATCH
		"UG_FUNC(UG_EXE, callback, n);\n";

	if (system("command -v clang >/dev/null"))
		skip();
	if (build((struct attempt){ .text = text, .compiler = "clang" }))
		fail_msg("%s", err.message);
	assert_int_equal(build((struct attempt){ .text = local, .compiler = "clang" }),
			 -UG_E_UNSUPPORTED);
	assert_int_equal(build((struct attempt){ .text = text, .compiler = "no-such-cc" }),
			 -UG_E_COMPILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_reproducible),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_no_detail),
		cmocka_unit_test(test_clang),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
