/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans of entries of every form, and displaced code that is run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "text/text_priv.h"

struct victim {
	struct ug_object *obj;
	struct ug_text *text;
	void *handle;		/* dlopen */
	ug_raddr_t base;
	char path[PATH_MAX + 64];
};

static bool victim_open(struct victim *v, const char *name)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct ug_error err;

	memset(v, 0, sizeof(*v));
	assert_true(n > 0);
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	(void)snprintf(v->path, sizeof(v->path), "%s/../victims/%s", self, name);
	if (access(v->path, R_OK) != 0)
		return false;
	assert_int_equal(ug_object_open_file(v->path, &v->obj, &err), 0);
	assert_int_equal(ug_text_open(v->obj, &v->text, &err), 0);
	return true;
}

static void victim_load(struct victim *v)
{
	Dl_info info;
	void *any;

	v->handle = dlopen(v->path, RTLD_NOW | RTLD_LOCAL);
	assert_non_null(v->handle);
	any = dlsym(v->handle, ug_symtab_at(v->obj, ug_symtab_count(v->obj) - 1)->name);
	for (size_t i = 0; i < ug_symtab_count(v->obj) && !any; i++)
		any = dlsym(v->handle, ug_symtab_at(v->obj, i)->name);
	assert_true(dladdr(any, &info) != 0);
	v->base = (uintptr_t)info.dli_fbase;
}

static void victim_close(struct victim *v)
{
	if (v->handle)
		dlclose(v->handle);
	ug_text_close(v->text);
	ug_object_close(v->obj);
}

static struct ug_symbol symbol(struct victim *v, const char *name)
{
	struct ug_symbol sym;
	struct ug_error err;

	assert_int_equal(ug_symbol_find(v->obj, name, 0, &sym, &err), 0);
	return sym;
}

static int plan_of(struct victim *v, const char *name, struct ug_site_plan *plan)
{
	struct ug_symbol sym = symbol(v, name);
	struct ug_error err = { 0 };
	int ret;

	memset(plan, 0, sizeof(*plan));
	ret = ug_text_plan(v->text, sym.addr, sym.size, name, 0, plan, &err);

	if (ret < 0) {
		assert_int_equal(err.code, ret);
		assert_true(err.message[0]);
		assert_string_equal(err.function, name);
	}
	return ret;
}

struct expected {
	const char *name;
	int ret;
	uint8_t form, moved, skip;	/* skip: at - func */
	bool nop;
};

static void check_form(struct victim *v, const struct expected *e)
{
	struct ug_site_plan plan;
	int ret = plan_of(v, e->name, &plan);

	if (ret != e->ret)
		print_message("%s: %s\n", e->name, ug_error_name(ret));
	assert_int_equal(ret, e->ret);
	if (ret < 0)
		return;
	if (plan.form != e->form || plan.moved != e->moved)
		print_message("%s: form %d moved %d\n", e->name, plan.form, plan.moved);
	assert_int_equal(plan.form, e->form);
	assert_int_equal(plan.moved, e->moved);
	assert_int_equal(plan.at - plan.func, e->skip);
	assert_int_equal(plan.is_nop, e->nop);
	assert_int_equal(plan.len, e->form == UG_FORM_JMP5 ? 5 : 2);
	assert_int_equal(plan.pad_at != 0, e->form == UG_FORM_JMP2);
	assert_true(plan.exported);
	assert_true(plan.nparts >= 1);
	assert_int_equal(plan.parts[0].start, plan.func);
	ug_site_plan_free(&plan);
}

static void forms(void **state)
{
	static const struct expected expected[] = {
		{ "short_ret", 0, UG_FORM_JMP5, 5 },
		{ "loop_entry", 0, UG_FORM_JMP5, 6 },
		{ "loop_second", 0, UG_FORM_JMP2, 2 },
		{ "call_fifth", 0, UG_FORM_JMP5, 9 },
		{ "call_first", 0, UG_FORM_JMP5, 5 },
		{ "call_addr32", 0, UG_FORM_JMP5, 10 },
		{ "call_through", 0, UG_FORM_JMP5, 6 },
		{ "call_below", 0, UG_FORM_JMP5, 6 },
		{ "syscall_third", 0, UG_FORM_JMP2, 2 },
		{ "jrcxz_first", 0, UG_FORM_JMP5, 5 },
		{ "rip_first", 0, UG_FORM_JMP5, 7 },
		{ "rip_imm", 0, UG_FORM_JMP5, 7 },
		{ "jcc_first", 0, UG_FORM_JMP5, 5 },
		{ "jmp_first", 0, UG_FORM_JMP5, 5 },
		{ "endbr_first", 0, UG_FORM_JMP5, 7, 4 },
		{ "nops_first", 0, UG_FORM_JMP5, 5, 4, true },
		{ "entered_by_other", 0, UG_FORM_JMP2, 2 },
		{ "entered_by_table", 0, UG_FORM_JMP2, 2 },
		{ "doubtful", -UG_E_ENTRY },
		{ "no_padding", 0, UG_FORM_JMP5, 5, 0, true },
		{ "tight_ret", -UG_E_TOO_SHORT },
		{ "tight_loop", -UG_E_ENTRY },
		{ "tight_call", -UG_E_ENTRY },
		{ "tight_call_stack", -UG_E_ENTRY },
		{ "tight_syscall", -UG_E_ENTRY },
		{ "tight_two_entries", -UG_E_ENTRY },
		{ "tight_undecodable", -UG_E_ENTRY },
		{ "page_end", 0, UG_FORM_JMP2, 2 },
	};
	struct victim v;

	assert_true(victim_open(&v, "text-forms.so"));
	for (size_t i = 0; i < UG_ARRAY_SIZE(expected); i++)
		check_form(&v, &expected[i]);
	victim_close(&v);
}

static void entries_of_compilers(void **state)
{
	struct victim cet, nops;
	struct ug_site_plan plan;

	assert_true(victim_open(&cet, "text-leaf-cet.so"));
	assert_int_equal(plan_of(&cet, "leaf_add", &plan), 0);
	assert_int_equal(plan.at - plan.func, 4);
	ug_site_plan_free(&plan);
	victim_close(&cet);

	assert_true(victim_open(&nops, "text-leaf-nops.so"));
	assert_int_equal(plan_of(&nops, "leaf_add", &plan), 0);
	assert_true(plan.is_nop);
	assert_int_equal(plan.moved, 5);
	ug_site_plan_free(&plan);
	victim_close(&nops);
}

static void no_function(void **state)
{
	struct ug_site_plan plan;
	struct ug_error err = { 0 };
	struct victim v;
	ug_raddr_t addr;

	assert_true(victim_open(&v, "text-leaf.so"));
	addr = symbol(&v, "leaf_loop").addr;
	assert_int_equal(ug_text_plan(v.text, addr + 1, 0, NULL, 0, &plan, &err),
			 -UG_E_NO_SYMBOL);
	assert_int_equal(ug_text_plan(v.text, 1, 0, NULL, 0, &plan, &err), -UG_E_NO_SYMBOL);
	assert_int_equal(ug_text_plan(v.text, addr, 0, "f.constprop.0", UG_PLAN_ALIASES_OK, &plan,
				      &err), -UG_E_CLONE);
	assert_int_equal(ug_text_plan(v.text, addr, 0, "f.cold", UG_PLAN_ALIASES_OK | UG_PLAN_CLONE_OK,
				      &plan, &err), -UG_E_CLONE);
	assert_int_equal(ug_text_plan(v.text, addr, 0, "f.constprop.0",
				      UG_PLAN_ALIASES_OK | UG_PLAN_CLONE_OK, &plan, &err), 0);
	ug_site_plan_free(&plan);
	assert_int_equal(ug_text_plan(v.text, addr, 0, "other", 0, &plan, &err), -UG_E_ALIASED);
	assert_non_null(strstr(err.message, "leaf_loop"));
	victim_close(&v);
}

typedef long (*leaf_t)(long, long, long);

/* Memory within reach of the victim. */
static uint8_t *near_pages(ug_raddr_t base)
{
	for (ug_raddr_t at = base + (64UL << 20);; at += 16UL << 20) {
		void *p = mmap((void *)(uintptr_t)at, 4 * UG_PAGE_SIZE,
			       PROT_READ | PROT_WRITE | PROT_EXEC,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		assert_true(at < base + (1UL << 30));
		if (p != MAP_FAILED)
			return p;
	}
}

static void compare(leaf_t a, leaf_t b)
{
	static const long values[] = { 0, 1, -1, 2, 7, 8, 77, -3, 1L << 40, LONG_MAX / 4 };
	size_t n = UG_ARRAY_SIZE(values);

	for (size_t i = 0; i < n * n * n; i++) {
		long x = values[i % n], y = values[i / n % n], z = values[i / n / n];
		long first = a(x, y, z);

		assert_int_equal(first, b(x, y, z));
	}
}

/* Every piece of the copy stands for an instruction of the original. */
static void check_origins(const struct ug_site_plan *plan, ug_raddr_t dest, size_t len)
{
	size_t origin, found = 0, last = 0;

	for (size_t off = 0; off < len; off++) {
		if (ug_text_displaced_origin(plan, dest, off, &origin) == UG_DISPLACED_NOWHERE)
			continue;
		assert_true(origin <= plan->moved);
		last = origin;
		found++;
	}
	assert_true(found > 0);
	assert_int_equal(ug_text_displaced_origin(plan, dest, 0, &origin), UG_DISPLACED_INSN);
	assert_int_equal(origin, 0);
	assert_true(last <= plan->moved);
}

static leaf_t displaced(struct victim *v, struct ug_site_plan *plan, uint8_t *code)
{
	uint8_t buf[UG_DISPLACED_MAX];
	struct ug_error err;
	size_t len;

	plan->at += v->base;
	plan->func += v->base;
	assert_memory_equal((void *)(uintptr_t)plan->at, plan->orig, plan->moved);
	assert_int_equal(ug_text_displace(plan, (uintptr_t)code, buf, &len, &err), 0);
	assert_true(len <= sizeof(buf));
	memcpy(code, buf, len);
	check_origins(plan, (uintptr_t)code, len);
	return (leaf_t)(uintptr_t)code;
}

static void run_displaced(const char *object, const char *const *names, size_t n)
{
	struct ug_site_plan plan;
	struct victim v;
	uint8_t *code;

	assert_true(victim_open(&v, object));
	victim_load(&v);
	code = near_pages(v.base);
	for (size_t i = 0; i < n; i++) {
		leaf_t original = (leaf_t)(uintptr_t)(v.base + symbol(&v, names[i]).addr);

		assert_int_equal(plan_of(&v, names[i], &plan), 0);
		compare(original, displaced(&v, &plan, code + i * 256));
		ug_site_plan_free(&plan);
	}
	munmap(code, 4 * UG_PAGE_SIZE);
	victim_close(&v);
}

static const char *const leaves[] = {
	"leaf_add", "leaf_global", "leaf_store", "leaf_table_get", "leaf_branch", "leaf_loop",
	"leaf_cmp", "leaf_div", "leaf_double", "leaf_short", "leaf_address", "leaf_const",
};

static void run_leaves(void **state)
{
	run_displaced("text-leaf.so", leaves, UG_ARRAY_SIZE(leaves));
	run_displaced("text-leaf-cet.so", leaves, UG_ARRAY_SIZE(leaves));
	run_displaced("text-leaf-nops.so", leaves, UG_ARRAY_SIZE(leaves));
}

static void run_forms(void **state)
{
	static const char *const names[] = { "jrcxz_first", "rip_first", "rip_imm", "jcc_first",
					     "jmp_first", "endbr_first", "nops_first",
					     "entered_by_other", "page_end", "call_fifth",
					     "call_first", "call_addr32", "call_through",
					     "call_below" };

	run_displaced("text-forms.so", names, UG_ARRAY_SIZE(names));
}

static long method(long a, long b, long c)
{
	return b * 3;
}

/* What a compiler makes of `object->method(...)` at the beginning of a function. */
static void run_method_call(void **state)
{
	static const uint8_t body[] = {
		0x53,			/* push %rbx */
		0x48, 0x8b, 0x07,	/* mov (%rdi),%rax */
		0xff, 0x50, 0x10,	/* call *16(%rax) */
		0x5b, 0xc3,		/* pop %rbx; ret */
	};
	const leaf_t table[] = { NULL, NULL, method };
	const leaf_t *object = table;
	struct ug_site_plan plan = { .len = 5, .moved = 7 };
	uint8_t buf[UG_DISPLACED_MAX], *code = near_pages(0x10000000);
	size_t len, at;

	memcpy(code, body, sizeof(body));
	memcpy(plan.orig, body, plan.moved);
	plan.func = plan.at = (uintptr_t)code;
	assert_int_equal(ug_text_displace(&plan, (uintptr_t)code + 256, buf, &len, NULL), 0);
	memcpy(code + 256, buf, len);
	assert_int_equal(((leaf_t)(uintptr_t)code)((long)(uintptr_t)&object, 7, 0), 21);
	assert_int_equal(((leaf_t)(uintptr_t)(code + 256))((long)(uintptr_t)&object, 7, 0), 21);
	/* push, mov, push of the return address, jmp *16(%rax) */
	assert_int_equal(ug_text_displaced_origin(&plan, (uintptr_t)code + 256, 4, &at),
			 UG_DISPLACED_INSN);
	assert_int_equal(at, 4);
	assert_int_equal(ug_text_displaced_origin(&plan, (uintptr_t)code + 256, 10, &at),
			 UG_DISPLACED_CALLEE);
	munmap(code, 4 * UG_PAGE_SIZE);
}

static long replacement(long a, long b, long c)
{
	return a + 1000;
}

/* Redirect the function for good and reach the original only through its copy. */
static void redirect(struct victim *v, const char *name, const long *args, uint8_t *code)
{
	struct ug_site_plan plan;
	ug_raddr_t func = v->base + symbol(v, name).addr;
	leaf_t f = (leaf_t)(uintptr_t)func, copy;
	long was = f(args[0], args[1], args[2]);
	void *page = (void *)(uintptr_t)ug_align_down(func, UG_PAGE_SIZE);
	struct ug_error err;
	uint8_t *thunk = code + 200;

	assert_int_equal(plan_of(v, name, &plan), 0);
	copy = displaced(v, &plan, code);
	memcpy(thunk, "\x48\xb8", 2);		/* movabs $replacement,%rax; jmp *%rax */
	memcpy(thunk + 2, &(leaf_t){ replacement }, 8);
	memcpy(thunk + 10, "\xff\xe0", 2);
	assert_int_equal(mprotect(page, 2 * UG_PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	if (plan.form == UG_FORM_JMP5) {
		assert_int_equal(ug_text_jump5(plan.at, (uintptr_t)thunk,
					       (void *)(uintptr_t)plan.at, &err), 0);
	} else {
		plan.pad_at += v->base;
		assert_memory_equal((void *)(uintptr_t)plan.pad_at, plan.pad_orig, 5);
		ug_text_reserve(v->text, plan.pad_at - v->base, 5);
		assert_int_equal(ug_text_jump5(plan.pad_at, (uintptr_t)thunk,
					       (void *)(uintptr_t)plan.pad_at, &err), 0);
		assert_int_equal(ug_text_jump2(plan.at, plan.pad_at, (void *)(uintptr_t)plan.at,
					       &err), 0);
	}
	assert_int_equal(f(args[0], args[1], args[2]), args[0] + 1000);
	assert_int_equal(copy(args[0], args[1], args[2]), was);
	ug_site_plan_free(&plan);
}

static void redirects(void **state)
{
	static const char *const names[] = { "short_ret", "loop_second", "call_fifth",
					     "call_first", "call_addr32", "call_through",
					     "call_below", "jcc_first", "endbr_first", "nops_first",
					     "entered_by_other" };
	static const long args[] = { 5, 6, 7 };
	struct victim v;
	uint8_t *code;

	assert_true(victim_open(&v, "text-forms.so"));
	victim_load(&v);
	code = near_pages(v.base);
	/* short_ret returns what rax holds: run it last, its value is not compared. */
	for (size_t i = 1; i < UG_ARRAY_SIZE(names); i++)
		redirect(&v, names[i], args, code + i * 256);
	munmap(code, 4 * UG_PAGE_SIZE);
	victim_close(&v);
}

static void out_of_reach(void **state)
{
	struct ug_site_plan plan;
	uint8_t buf[UG_DISPLACED_MAX];
	struct victim v;
	size_t len;

	assert_int_equal(ug_text_jump5(0x1000, 0x1000 + 5 + 0x7fffffffUL, buf, NULL), 0);
	assert_int_equal(ug_text_jump5(0x1000, 0x1000 + 5 + 0x80000000UL, buf, NULL),
			 -UG_E_NO_ROOM);
	assert_int_equal(ug_text_jump2(0x1000, 0x1002 + 127, buf, NULL), 0);
	assert_int_equal(ug_text_jump2(0x1000, 0x1002 + 128, buf, NULL), -UG_E_NO_ROOM);
	assert_true(victim_open(&v, "text-forms.so"));
	assert_int_equal(plan_of(&v, "rip_first", &plan), 0);
	assert_int_equal(ug_text_displace(&plan, plan.at + (3UL << 30), buf, &len, NULL),
			 -UG_E_NO_ROOM);
	ug_site_plan_free(&plan);
	victim_close(&v);
}

static bool covered(const struct ug_site_plan *plan, ug_raddr_t start, ug_raddr_t end)
{
	for (size_t i = 0; i < plan->nparts; i++) {
		if (plan->parts[i].start <= start && plan->parts[i].end >= end)
			return true;
	}
	return false;
}

struct cold {
	struct victim *stripped;
	const char *func;
	size_t n;
};

static void cold_cb(const struct ug_symbol *sym, void *ctx)
{
	struct cold *c = ctx;
	struct ug_site_plan plan;

	if (!strstr(sym->name, ".cold"))
		return;
	c->n++;
	assert_int_equal(plan_of(c->stripped, c->func, &plan), 0);
	assert_true(covered(&plan, sym->addr, sym->addr + sym->size));
	ug_site_plan_free(&plan);
}

/* What names say in the unstripped object, control flow must say in the stripped one. */
static size_t compare_stripped(const char *kind)
{
	static const char *const names[] = { "sw_cases", "sw_loop", "cold_path", "tail_pointer",
					     "tail_ops", "landing_pad" };
	struct victim full, stripped;
	struct ug_site_plan plan;
	char name[64];
	size_t colds = 0;

	(void)snprintf(name, sizeof(name), "text-switch-%s", kind);
	if (!victim_open(&full, name))
		return 1;
	(void)snprintf(name, sizeof(name), "text-switch-%s-stripped", kind);
	assert_true(victim_open(&stripped, name));
	assert_true(ug_object_has_locals(full.obj));
	assert_false(ug_object_has_locals(stripped.obj));
	for (size_t i = 0; i < UG_ARRAY_SIZE(names); i++) {
		struct cold c = { .stripped = &stripped, .func = names[i] };

		assert_int_equal(plan_of(&full, names[i], &plan), 0);
		ug_site_plan_free(&plan);
		assert_int_equal(plan_of(&stripped, names[i], &plan), 0);
		ug_site_plan_free(&plan);
		ug_symbol_parts(full.obj, names[i], cold_cb, &c);
		colds += c.n;
	}
	/* Not to be bounded by control flow; with symbols it never is for that reason. */
	assert_int_equal(plan_of(&stripped, "threaded", &plan), -UG_E_PARTS);
	assert_int_not_equal(plan_of(&full, "threaded", &plan), -UG_E_PARTS);
	ug_site_plan_free(&plan);
	victim_close(&full);
	victim_close(&stripped);
	return colds;
}

static void parts_of_stripped(void **state)
{
	assert_true(compare_stripped("gcc-pic") >= 3);
	assert_true(compare_stripped("gcc-exe") >= 3);
	(void)compare_stripped("clang-pic");
	(void)compare_stripped("clang-exe");
}

static void calls(void **state)
{
	struct victim v;

	assert_true(victim_open(&v, "text-forms.so"));
	assert_true(ug_text_called_directly(v.text, symbol(&v, "short_ret").addr));
	assert_false(ug_text_called_directly(v.text, symbol(&v, "loop_entry").addr));
	assert_false(ug_text_called_directly(v.text, symbol(&v, "rip_first").addr));
	victim_close(&v);
}

static struct ug_clobbers clobbers_of(struct victim *v, const char *name)
{
	struct ug_symbol sym = symbol(v, name);
	struct ug_clobbers c;

	assert_int_equal(ug_text_clobbers(v->text, sym.addr, sym.size, &c, NULL), 0);
	return c;
}

enum { RAX = 1, RCX = 2, RDX = 4, RSI = 64, RDI = 128 };

static void clobbers(void **state)
{
	struct victim v, leaf, sw;
	struct ug_clobbers c;

	assert_true(victim_open(&v, "text-forms.so"));
	c = clobbers_of(&v, "short_ret");
	assert_int_equal(c.gpr, 0);
	assert_false(c.flags || c.unknown_call || c.vec);
	c = clobbers_of(&v, "loop_second");
	assert_int_equal(c.gpr, RAX | RDI);
	assert_true(c.flags);
	c = clobbers_of(&v, "jrcxz_first");
	assert_int_equal(c.gpr, RAX | RCX);
	assert_false(c.flags);
	c = clobbers_of(&v, "tight_syscall");
	assert_int_equal(c.gpr, RAX | RCX | 1 << 11);
	/* A tail jump into the middle of another function: that one's registers too. */
	c = clobbers_of(&v, "enters_other");
	assert_int_equal(c.gpr, RAX | RDX);
	assert_false(c.unknown_call);
	assert_true(victim_open(&leaf, "text-leaf.so"));
	assert_int_equal(clobbers_of(&leaf, "leaf_double").vec & 3, 3);
	assert_int_equal(clobbers_of(&leaf, "leaf_short").vec, 0);
	assert_true(victim_open(&sw, "text-switch-gcc-pic"));
	assert_true(clobbers_of(&sw, "tail_pointer").unknown_call);
	assert_true(clobbers_of(&sw, "outside").unknown_call);
	victim_close(&v);
	victim_close(&leaf);
	victim_close(&sw);
}

static bool callee(void *ctx, size_t rel_off, struct ug_clobbers *ret)
{
	*(size_t *)ctx = rel_off;
	ret->gpr = 1 << 9;
	return true;
}

static void clobbers_of_code(void **state)
{
	/* push %rbx; mov %edi,%ebx; call 0; lea (%rax,%rbx),%eax; pop %rbx; ret */
	static const uint8_t code[] = { 0x53, 0x89, 0xfb, 0xe8, 0, 0, 0, 0, 0x8d, 0x04, 0x18, 0x5b,
					0xc3 };
	struct ug_clobbers c;
	size_t off = 0;

	assert_int_equal(ug_code_clobbers(code, sizeof(code), callee, &off, &c, NULL), 0);
	assert_int_equal(off, 4);
	assert_int_equal(c.gpr, RAX | 1 << 9);
	assert_false(c.flags || c.unknown_call);
	assert_int_equal(ug_code_clobbers(code, sizeof(code), NULL, NULL, &c, NULL), 0);
	assert_true(c.unknown_call);
}

/* Every function of a real library: no crash, and nearly all can be redirected. */
static void whole_object(const char *path, unsigned int percent)
{
	struct ug_object *obj;
	struct ug_text *text;
	struct ug_error err;
	unsigned int total = 0, good = 0;

	if (access(path, R_OK) != 0)
		return;
	assert_int_equal(ug_object_open_file(path, &obj, &err), 0);
	assert_int_equal(ug_text_open(obj, &text, &err), 0);
	for (size_t i = 0; i < ug_symtab_count(obj); i++) {
		const struct ug_symbol *sym = ug_symtab_at(obj, i);
		struct ug_site_plan plan;

		if (sym->type != STT_FUNC || !sym->dynamic)
			continue;
		total++;
		if (ug_text_plan(text, sym->addr, sym->size, sym->name, UG_PLAN_ALIASES_OK, &plan,
				 &err) < 0)
			continue;
		good++;
		ug_site_plan_free(&plan);
	}
	assert_true(total > 100);
	assert_true(good * 100 >= total * percent);
	ug_text_close(text);
	ug_object_close(obj);
}

static void real_objects(void **state)
{
	whole_object("/lib/x86_64-linux-gnu/libc.so.6", 97);
	whole_object("/lib/x86_64-linux-gnu/libcrypto.so.3", 97);
	whole_object("/usr/bin/redis-server", 97);
}

/* ---- the branch index ---- */

static int by_target(const void *a, const void *b)
{
	const struct ug_branch *x = a, *y = b;

	if (x->target != y->target)
		return x->target < y->target ? -1 : 1;
	return (x->src > y->src) - (x->src < y->src);
}

/* Numbered by src: those with one target must stay in their order. */
static void sorted(uint32_t n, uint32_t mask)
{
	struct ug_branch *v = malloc((n + 1) * sizeof(*v)), *want = malloc((n + 1) * sizeof(*v));

	assert_non_null(v);
	assert_non_null(want);
	for (uint32_t i = 0; i < n; i++)
		v[i] = (struct ug_branch){ .target = (uint32_t)mrand48() & mask, .src = i };
	memcpy(want, v, n * sizeof(*v));
	qsort(want, n, sizeof(*want), by_target);
	assert_true(ug_branches_sort(v, n));
	assert_memory_equal(v, want, n * sizeof(*v));
	free(want);
	free(v);
}

static void branches_sorted(void **state)
{
	const uint32_t masks[] = { 0, 0xff, 0xfff0, 0x7ff800, 0xffc00000, UINT32_MAX };

	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		for (uint32_t n = 0; n < 5; n++)
			sorted(n, masks[i]);
		sorted(5000, masks[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(branches_sorted),
		cmocka_unit_test(forms),
		cmocka_unit_test(entries_of_compilers),
		cmocka_unit_test(no_function),
		cmocka_unit_test(run_leaves),
		cmocka_unit_test(run_forms),
		cmocka_unit_test(run_method_call),
		cmocka_unit_test(redirects),
		cmocka_unit_test(out_of_reach),
		cmocka_unit_test(parts_of_stripped),
		cmocka_unit_test(calls),
		cmocka_unit_test(clobbers),
		cmocka_unit_test(clobbers_of_code),
		cmocka_unit_test(real_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
