/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stack check against victims that are parked where it matters. Threads are stopped here
 * with bare ptrace, so that only the layer below (process, object) is needed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dwarf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "object/cfi.h"
#include "object/symbol.h"
#include "stack/internal.h"

#define MAX_THREADS 16

struct victim {
	pid_t pid;
	pid_t tid;		/* the parked thread */
	struct ug_proc proc;
	struct ug_maps maps;
	struct ug_objects objs;
	struct ug_stack_ctx ctx;
	struct ug_thread threads[MAX_THREADS];
	size_t nthreads;
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

static pid_t spawn(const char *program, const char *mode, FILE **out)
{
	char path[600];
	int fd[2];
	pid_t pid;

	victim_path(path, sizeof(path), program);
	if (access(path, X_OK) != 0)
		return -1;
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fd[1], 1);
		close(fd[0]);
		close(fd[1]);
		execl(path, path, mode, (char *)NULL);
		_exit(127);
	}
	close(fd[1]);
	*out = fdopen(fd[0], "r");
	return pid;
}

static char task_state(pid_t pid, pid_t tid)
{
	char path[64], line[512], *s;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	f = fopen(path, "r");
	assert_non_null(f);
	s = fgets(line, sizeof(line), f);
	fclose(f);
	assert_non_null(s);
	s = strrchr(line, ')');
	assert_non_null(s);
	return s[2];
}

static void refresh(struct victim *v)
{
	ug_maps_free(&v->maps);
	assert_int_equal(ug_maps_read(&v->proc, &v->maps, NULL), 0);
	assert_int_equal(ug_stack_main_top(&v->proc, &v->maps, &v->ctx.main_stack_top, NULL), 0);
}

static void load(struct victim *v)
{
	struct ug_error err = { 0 };

	if (ug_proc_open(v->pid, &v->proc, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(ug_maps_read(&v->proc, &v->maps, NULL), 0);
	if (ug_objects_load(&v->proc, &v->maps, &v->objs, &err) < 0)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < v->objs.n; i++) {
		if (ug_object_cfi(v->objs.v[i], &err) < 0)
			fail_msg("%s", err.message);
		if (ug_object_symtab(v->objs.v[i], &err) < 0)
			fail_msg("%s", err.message);
	}
	v->ctx.proc = &v->proc;
	v->ctx.maps = &v->maps;
	v->ctx.objects = &v->objs;
	refresh(v);
}

/* Start a victim and wait until it is parked. False: this victim was not built. */
static bool victim_start(struct victim *v, const char *program, const char *mode)
{
	FILE *out = NULL;
	int tid = 0;

	memset(v, 0, sizeof(*v));
	v->pid = spawn(program, mode, &out);
	if (v->pid < 0)
		return false;
	if (fscanf(out, "%d", &tid) != 1)
		fail_msg("victim %s did not park", mode);
	fclose(out);
	v->tid = tid;
	for (int i = 0; i < 2000 && task_state(v->pid, tid) != 'S'; i++)
		usleep(1000);
	load(v);
	return true;
}

static void seize(struct victim *v, pid_t tid)
{
	struct ug_thread *t = &v->threads[v->nthreads];
	int status;

	assert_true(v->nthreads < MAX_THREADS);
	assert_int_equal(ptrace(PTRACE_SEIZE, tid, 0, 0), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, tid, 0, 0), 0);
	assert_int_equal(waitpid(tid, &status, __WALL), tid);
	memset(t, 0, sizeof(*t));
	t->tid = tid;
	assert_int_equal(ptrace(PTRACE_GETREGS, tid, 0, &t->regs), 0);
	v->nthreads++;
}

static void seize_all(struct victim *v)
{
	struct ug_tasks tasks = UG_VEC_INIT;

	assert_int_equal(ug_tasks_list(&v->proc, &tasks, NULL), 0);
	ug_vec_for_each(&tasks, it)
		seize(v, it->tid);
	ug_tasks_free(&tasks);
}

static void let_go(struct victim *v)
{
	while (v->nthreads)
		ptrace(PTRACE_DETACH, v->threads[--v->nthreads].tid, 0, 0);
}

static void victim_end(struct victim *v)
{
	kill(v->pid, SIGKILL);
	while (waitpid(v->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	ug_objects_free(&v->objs);
	ug_maps_free(&v->maps);
	ug_proc_close(&v->proc);
}

static struct ug_symbol symbol(struct victim *v, const char *name)
{
	struct ug_error err = { 0 };
	struct ug_symbol sym;

	if (ug_symbol_find(v->objs.v[0], name, 0, &sym, &err) < 0)
		fail_msg("%s: %s", name, err.message);
	assert_true(sym.size > 0);
	return sym;
}

static void add_function(struct victim *v, struct ug_rangeset *set, const char *name,
			 enum ug_range_kind kind, unsigned int id)
{
	struct ug_symbol sym = symbol(v, name);
	struct ug_range r = { .start = sym.addr, .end = sym.addr + sym.size, .kind = kind,
			      .id = id };

	assert_int_equal(ug_rangeset_add(set, r, NULL), 0);
}

static struct ug_stack_report check(struct victim *v, const char *function,
				    enum ug_range_kind kind, bool tier2)
{
	struct ug_rangeset set = { 0 };
	struct ug_stack_report r;

	add_function(v, &set, function, kind, 7);
	ug_rangeset_seal(&set);
	ug_stack_check(&v->ctx, &v->threads[0], &set, tier2, NULL, 0, &r);
	ug_rangeset_free(&set);
	return r;
}

static const char *const verdict_name[] = { "safe", "blocked", "unreliable" };

static void expect(struct victim *v, const char *mode, const char *function,
		   enum ug_range_kind kind, enum ug_verdict tier1, enum ug_verdict both)
{
	struct ug_stack_report r = check(v, function, kind, false);
	char chain[1024];

	if (r.verdict != tier1)
		fail_msg("%s: %s: tier 1 says %s %s, not %s", mode, function,
			 verdict_name[r.verdict], r.reason, verdict_name[tier1]);
	r = check(v, function, kind, true);
	if (r.verdict != both)
		fail_msg("%s: %s: %s %s at %#llx, not %s: %s", mode, function,
			 verdict_name[r.verdict], r.reason, (unsigned long long)r.hit,
			 verdict_name[both], ug_stack_format(&v->ctx, &r, chain, sizeof(chain)));
	if (r.verdict == UG_SAFE)
		assert_int_equal(r.refuted, tier1 == UG_BLOCKED);
	if (r.verdict == UG_BLOCKED)
		assert_int_equal(r.range_id, 7);
}

struct parked {
	const char *mode;
	const char *function;
	enum ug_range_kind kind;
	enum ug_verdict tier1, both;
};

static void check_parked(const char *program, const struct parked *p, size_t n)
{
	for (size_t i = 0; i < n; i++, p++) {
		struct victim v;

		if (!victim_start(&v, program, p->mode))
			skip();
		seize(&v, v.tid);
		expect(&v, p->mode, p->function, p->kind, p->tier1, p->both);
		let_go(&v);
		victim_end(&v);
	}
}

#define CALLED UG_RANGE_CALLED
#define JUMPED UG_RANGE_JUMPED
#define S UG_SAFE
#define B UG_BLOCKED
#define U UG_UNRELIABLE

static void test_parked(void **state)
{
	static const struct parked p[] = {
		{ "plain", "target", CALLED, B, B },
		{ "plain", "outer", CALLED, B, B },
		{ "plain", "park", CALLED, B, B },
		{ "plain", "split", CALLED, S, S },
		{ "plain", "target", UG_RANGE_BYTES, B, B },
		{ "thread-plain", "target", CALLED, B, B },
		{ "thread-plain", "split", CALLED, S, S },
		{ "bystander", "target", CALLED, S, S },
		{ "thread-bystander", "target", CALLED, S, S },
		{ "cold", "split.cold", JUMPED, B, B },
		{ "cold", "split", CALLED, S, S },
		{ "mlock", "target", CALLED, B, B },
		{ "thread-mlock", "target", CALLED, B, B },
		{ "mlock", "split", CALLED, S, S },
	};

	check_parked("stack-victim", p, UG_ARRAY_SIZE(p));
}

static void test_signals(void **state)
{
	static const struct parked p[] = {
		{ "signal", "target", CALLED, B, B },
		{ "thread-signal", "target", CALLED, B, B },
		{ "signal", "split", CALLED, S, S },
		{ "altstack", "target", CALLED, B, B },
		{ "altstack", "on_signal", CALLED, B, B },
		{ "altstack", "split", CALLED, S, S },
		{ "thread-altstack", "target", CALLED, B, B },
		{ "thread-altstack", "split", CALLED, S, S },
		{ "localalt", "target", CALLED, B, B },
		{ "thread-localalt", "target", CALLED, B, B },
		{ "altstale", "target", CALLED, S, S },
		{ "thread-altstale", "target", CALLED, S, S },
		{ "first", "stack_spin", CALLED, B, B },
		{ "first", "stack_spin", UG_RANGE_BYTES, S, S },
	};

	check_parked("stack-victim", p, UG_ARRAY_SIZE(p));
}

static void test_doubt(void **state)
{
	static const struct parked p[] = {
		{ "asm", "target", CALLED, B, U },
		{ "asm", "stack_nocfi_call", CALLED, B, U },
		{ "asm", "split", CALLED, S, S },
		{ "coroutine", "target", CALLED, B, U },
		{ "thread-coroutine", "target", CALLED, B, U },
		{ "coroutine-home", "target", CALLED, B, U },
		{ "thread-coroutine-home", "target", CALLED, B, U },
		{ "coroutine-home", "split", CALLED, S, S },
		{ "false-end", "target", CALLED, B, U },
		{ "thread-false-end", "target", CALLED, B, U },
	};

	check_parked("stack-victim", p, UG_ARRAY_SIZE(p));
}

/* A static program with musl, which has no CFI: tier 1 has to do, and does. */
static void test_musl(void **state)
{
	static const struct parked p[] = {
		{ "plain", "target", CALLED, B, U },
		{ "thread-plain", "target", CALLED, B, U },
		{ "plain", "split", CALLED, S, S },
		{ "thread-plain", "split", CALLED, S, S },
		{ "signal", "target", CALLED, B, U },
		{ "thread-altstack", "target", CALLED, B, U },
		{ "altstack", "split", CALLED, S, S },
		{ "thread-altstack", "split", CALLED, S, S },
		{ "first", "stack_spin", CALLED, B, U },
	};

	check_parked("stack-victim-musl", p, UG_ARRAY_SIZE(p));
}

/* A stale return address: tier 1 hits, tier 2 refutes. */
static void test_stale(void **state)
{
	static const struct parked p[] = {
		{ "stale", "target", CALLED, B, S },
		{ "thread-stale", "target", CALLED, B, S },
	};

	check_parked("stack-victim", p, UG_ARRAY_SIZE(p));
}

static void test_deep(void **state)
{
	struct ug_stack_report r;
	struct victim v;
	uint64_t t0;

	assert_true(victim_start(&v, "stack-victim", "deep"));
	seize(&v, v.tid);
	r = check(&v, "deep", CALLED, true);
	assert_int_equal(r.verdict, UG_BLOCKED);
	assert_true(r.frame < 10);
	t0 = ug_now_ns();
	r = check(&v, "target", CALLED, true);
	print_message("# 10000 frames unwound in %lu us\n", (unsigned long)(ug_now_ns() - t0) / 1000);
	assert_int_equal(r.verdict, UG_BLOCKED);
	assert_true(r.frame > 10000);
	r = check(&v, "split", CALLED, true);
	assert_int_equal(r.verdict, UG_SAFE);
	let_go(&v);
	victim_end(&v);
}

/* The frame of code without CFI, described by its owner. */
struct own {
	struct ug_symbol sym;
};

static bool own_code(void *ctx, ug_raddr_t pc, bool exact, struct ug_own_frame *ret)
{
	struct own *o = ctx;

	if (pc < o->sym.addr || pc >= o->sym.addr + o->sym.size)
		return false;
	ret->cfa_offset = 48 + 8 + 8;	/* as the function has it during its call */
	return true;
}

static void test_own_code(void **state)
{
	struct own own = { 0 };
	struct victim v;

	assert_true(victim_start(&v, "stack-victim", "asm"));
	seize(&v, v.tid);
	own.sym = symbol(&v, "stack_nocfi_call");
	v.ctx.own_code = own_code;
	v.ctx.own_ctx = &own;
	expect(&v, "own", "target", CALLED, B, B);
	expect(&v, "own", "stack_nocfi_call", CALLED, B, B);
	expect(&v, "own", "split", CALLED, S, S);
	let_go(&v);
	victim_end(&v);
}

static void test_limits(void **state)
{
	struct ug_stack_report r;
	uint64_t hits[2] = { 0, ~0ull };
	struct ug_rangeset set = { 0 };
	struct victim v;
	uint64_t rsp;

	assert_true(victim_start(&v, "stack-victim", "thread-bystander"));
	seize(&v, v.tid);
	rsp = v.threads[0].regs.rsp;
	v.threads[0].regs.rsp = rsp + 4;
	assert_int_equal(check(&v, "target", CALLED, true).verdict, UG_UNRELIABLE);
	v.threads[0].regs.rsp = 0x1000;
	assert_int_equal(check(&v, "target", CALLED, true).verdict, UG_UNRELIABLE);
	v.threads[0].regs.rsp = rsp;
	v.ctx.max_scan = 64;
	assert_int_equal(check(&v, "target", CALLED, true).verdict, UG_UNRELIABLE);
	v.ctx.max_scan = 0;
	v.threads[0].regs.cs = 0x23;
	assert_int_equal(check(&v, "target", CALLED, true).verdict, UG_UNRELIABLE);
	v.threads[0].regs.cs = 0x33;
	assert_int_equal(check(&v, "target", CALLED, true).verdict, UG_SAFE);
	v.threads[0].regs.fs_base = 0;
	add_function(&v, &set, "target", CALLED, 7);
	ug_rangeset_seal(&set);
	ug_stack_check(&v.ctx, &v.threads[0], &set, true, hits, 66, &r);
	assert_int_equal(r.verdict, UG_UNRELIABLE);
	assert_true(r.reason[0] != 0);
	assert_true(hits[0] == ~0ull && hits[1] == 3);	/* all, since tier 1 was not finished */
	ug_rangeset_free(&set);
	let_go(&v);
	victim_end(&v);
}

static void test_hits(void **state)
{
	struct ug_rangeset set = { 0 };
	struct ug_stack_report r;
	uint64_t hits[2];
	struct victim v;
	char buf[512];

	assert_true(victim_start(&v, "stack-victim", "plain"));
	seize(&v, v.tid);
	add_function(&v, &set, "target", CALLED, 3);
	add_function(&v, &set, "outer", CALLED, 70);
	add_function(&v, &set, "split", CALLED, 5);
	ug_rangeset_seal(&set);
	ug_stack_check(&v.ctx, &v.threads[0], &set, true, hits, 128, &r);
	assert_int_equal(r.verdict, UG_BLOCKED);
	assert_int_equal(r.range_id, 3);
	assert_true(hits[0] == 1 << 3 && hits[1] == 1 << 6);
	ug_stack_format(&v.ctx, &r, buf, sizeof(buf));
	print_message("# %s\n", buf);
	assert_non_null(strstr(buf, "park \u2190 target \u2190 outer"));
	ug_stack_chain(&v.ctx, &v.threads[0], &r);
	assert_non_null(strstr(ug_stack_format(&v.ctx, &r, buf, sizeof(buf)), "\u2190 main"));
	ug_rangeset_free(&set);
	let_go(&v);
	victim_end(&v);
}

/* Below a signal frame: the first instruction of a function, which no return address can be. */
static void test_interrupted_name(void **state)
{
	struct ug_stack_report r;
	struct ug_symbol sym;
	struct victim v;
	char buf[512];

	assert_true(victim_start(&v, "stack-victim", "plain"));
	seize(&v, v.tid);
	r = check(&v, "target", CALLED, true);
	assert_true(r.nchain > 2 && r.exact == 1);
	sym = symbol(&v, "target");
	r.chain[1] = sym.addr;
	r.nchain = 2;
	assert_null(strstr(ug_stack_format(&v.ctx, &r, buf, sizeof(buf)), "target"));
	r.exact |= 1 << 1;
	assert_non_null(strstr(ug_stack_format(&v.ctx, &r, buf, sizeof(buf)), "\u2190 target"));
	let_go(&v);
	victim_end(&v);
	assert_true(victim_start(&v, "stack-victim", "signal"));
	seize(&v, v.tid);
	r = check(&v, "target", CALLED, true);
	assert_int_equal(__builtin_popcount(r.exact), 2);
	let_go(&v);
	victim_end(&v);
}

/* A register that holds an address in the range counts. */
static void test_registers(void **state)
{
	struct ug_symbol sym;
	struct victim v;

	assert_true(victim_start(&v, "stack-victim", "bystander"));
	seize(&v, v.tid);
	sym = symbol(&v, "split");
	assert_int_equal(check(&v, "split", CALLED, false).verdict, UG_SAFE);
	v.threads[0].regs.r13 = sym.addr;
	assert_int_equal(check(&v, "split", CALLED, false).verdict, UG_BLOCKED);
	assert_int_equal(check(&v, "split", UG_RANGE_BYTES, false).verdict, UG_SAFE);
	assert_int_equal(check(&v, "split", CALLED, true).verdict, UG_SAFE);
	v.threads[0].regs.r13 = 0;
	v.threads[0].regs.rip = sym.addr + sym.size;
	assert_int_equal(check(&v, "split", CALLED, false).verdict, UG_BLOCKED);
	let_go(&v);
	victim_end(&v);
}

/* ---- soundness on a running victim ---- */

struct pcs {
	struct ug_unwind_frame v[256];
	size_t n;
};

static bool collect(const struct ug_unwind_frame *f, void *ctx)
{
	struct pcs *p = ctx;

	if (p->n < UG_ARRAY_SIZE(p->v))
		p->v[p->n++] = *f;
	return true;
}

struct tally {
	unsigned int samples, unwound, safe1, hit1, refuted, blocked, unreliable;
	uint64_t scan_ns, unwind_ns;
};

static bool frames_hit(const struct pcs *p, const struct ug_range *r)
{
	for (size_t i = 0; i < p->n; i++)
		if (ug_range_holds(r, p->v[i].pc, p->v[i].exact ? UG_ADDR_PC : UG_ADDR_WORD))
			return true;
	return false;
}

static const struct ug_symbol *any_function(const struct ug_object *obj)
{
	for (;;) {
		const struct ug_symbol *s =
			ug_symtab_at(obj, (size_t)rand() % ug_symtab_count(obj));

		if (s->size && ug_symbol_by_addr(obj, s->addr))
			return s;
	}
}

/* One thread against one function: what tier 1 calls safe, unwinding must not find. */
static void sample(struct victim *v, const struct ug_thread *t, const struct ug_object *obj,
		   struct tally *n)
{
	const struct ug_symbol *s = any_function(obj);
	struct ug_range r = { .start = s->addr, .end = s->addr + s->size };
	struct ug_rangeset set = { 0 };
	struct ug_stack_report one, two;
	struct pcs pcs = { .n = 0 };
	const char *reason;
	ug_raddr_t where;
	uint64_t t0;

	assert_int_equal(ug_rangeset_add(&set, r, NULL), 0);
	ug_rangeset_seal(&set);
	n->samples++;
	t0 = ug_now_ns();
	ug_stack_check(&v->ctx, t, &set, false, NULL, 0, &one);
	n->scan_ns += ug_now_ns() - t0;
	ug_stack_check(&v->ctx, t, &set, true, NULL, 0, &two);
	t0 = ug_now_ns();
	if (ug_unwind(&v->ctx, t, collect, &pcs, &reason, &where))
		n->unwound++;
	n->unwind_ns += ug_now_ns() - t0;
	assert_int_not_equal(one.verdict, UG_UNRELIABLE);
	n->safe1 += one.verdict == UG_SAFE;
	n->hit1 += one.verdict == UG_BLOCKED;
	n->refuted += two.refuted;
	n->blocked += two.verdict == UG_BLOCKED;
	n->unreliable += two.verdict == UG_UNRELIABLE;
	if (one.verdict == UG_SAFE || two.verdict == UG_SAFE)
		assert_false(frames_hit(&pcs, &r));
	ug_rangeset_free(&set);
}

static void test_running(void **state)
{
	struct tally n = { 0 };
	struct victim v;

	srand(1);
	assert_true(victim_start(&v, "stack-victim", "busy"));
	for (int i = 0; i < 100; i++) {
		seize_all(&v);
		refresh(&v);
		for (size_t k = 0; k < v.nthreads * 5; k++)
			sample(&v, &v.threads[k % v.nthreads], v.objs.v[k % 5 ? 0 : 1], &n);
		let_go(&v);
		usleep(1000);
	}
	print_message("# %u samples, %u unwound; tier 1: %u safe, %u hits; then %u refuted, "
		      "%u blocked, %u unreliable; %lu us a scan, %lu us an unwinding\n",
		      n.samples, n.unwound, n.safe1, n.hit1, n.refuted, n.blocked, n.unreliable,
		      (unsigned long)(n.scan_ns / n.samples / 1000),
		      (unsigned long)(n.unwind_ns / n.samples / 1000));
	assert_true(n.samples >= 2000);
	assert_true(n.blocked > 0 && n.safe1 > 0);
	assert_true(n.unwound > n.samples * 9 / 10);
	victim_end(&v);
}

/* ---- pure ---- */

static bool read_addr(void *ctx, ug_raddr_t addr, void *buf, size_t len)
{
	ug_raddr_t x = addr + 1;

	if (addr == 0)
		return false;
	memcpy(buf, &x, len);
	return true;
}

static bool eval(const Dwarf_Op *ops, size_t n, const uint64_t *reg, uint64_t *ret,
		 enum ug_dwarf_kind *kind)
{
	const struct ug_dwarf_env env = { .reg = reg, .known = 0x100c0, .cfa = 0x7000,
					  .have_cfa = true, .read = read_addr };

	return ug_dwarf_eval(ops, n, &env, ret, kind);
}

#define EVAL(ops, reg, ret, kind) eval(ops, UG_ARRAY_SIZE(ops), reg, ret, kind)

/* The CFA of a PLT: rsp + 8 + ((rip & 15) >= 11) << 3. */
static void test_eval_plt(void **state)
{
	static const Dwarf_Op ops[] = {
		{ .atom = DW_OP_breg7, .number = 8 }, { .atom = DW_OP_breg16, .number = 0 },
		{ .atom = DW_OP_lit15 }, { .atom = DW_OP_and }, { .atom = DW_OP_lit11 },
		{ .atom = DW_OP_ge }, { .atom = DW_OP_lit3 }, { .atom = DW_OP_shl },
		{ .atom = DW_OP_plus },
	};
	uint64_t reg[UG_DWARF_REGS] = { [7] = 0x1000, [16] = 0x402006 }, x;
	enum ug_dwarf_kind kind;

	assert_true(EVAL(ops, reg, &x, &kind));
	assert_int_equal(x, 0x1008);
	assert_int_equal(kind, UG_DWARF_ADDRESS);
	reg[16] = 0x40200b;
	assert_true(EVAL(ops, reg, &x, &kind));
	assert_int_equal(x, 0x1010);
}

static void test_eval_forms(void **state)
{
	static const Dwarf_Op saved[] = { { .atom = DW_OP_call_frame_cfa },
					  { .atom = DW_OP_plus_uconst, .number = (Dwarf_Word)-16 } };
	static const Dwarf_Op value[] = { { .atom = DW_OP_bregx, .number = 6, .number2 = 32 },
					  { .atom = DW_OP_stack_value } };
	static const Dwarf_Op reg6[] = { { .atom = DW_OP_regx, .number = 6 } };
	static const Dwarf_Op load[] = { { .atom = DW_OP_breg7, .number = 160 },
					 { .atom = DW_OP_deref } };
	static const Dwarf_Op loop[] = { { .atom = DW_OP_lit3, .offset = 0 },
					 { .atom = DW_OP_lit1, .offset = 1 },
					 { .atom = DW_OP_minus, .offset = 2 },
					 { .atom = DW_OP_dup, .offset = 3 },
					 { .atom = DW_OP_bra, .offset = 4, .number = (Dwarf_Word)-6 },
					 { .atom = DW_OP_lit31, .offset = 7 } };
	uint64_t reg[UG_DWARF_REGS] = { [6] = 0x500, [7] = 0x1000 }, x;
	enum ug_dwarf_kind kind;

	assert_true(EVAL(saved, reg, &x, &kind));
	assert_true(x == 0x6ff0 && kind == UG_DWARF_ADDRESS);
	assert_true(EVAL(value, reg, &x, &kind));
	assert_true(x == 0x520 && kind == UG_DWARF_VALUE);
	assert_true(EVAL(reg6, reg, &x, &kind));
	assert_true(x == 6 && kind == UG_DWARF_REGISTER);
	assert_true(EVAL(load, reg, &x, &kind));
	assert_int_equal(x, 0x10a1);
	assert_true(EVAL(loop, reg, &x, &kind));
	assert_int_equal(x, 31);
}

static void test_eval_doubt(void **state)
{
	static const Dwarf_Op unknown[] = { { .atom = DW_OP_breg3 } };
	static const Dwarf_Op far[] = { { .atom = DW_OP_bregx, .number = 40 } };
	static const Dwarf_Op underflow[] = { { .atom = DW_OP_lit1 }, { .atom = DW_OP_plus } };
	static const Dwarf_Op empty[] = { { .atom = DW_OP_nop } };
	static const Dwarf_Op address[] = { { .atom = DW_OP_addr, .number = 1 } };
	static const Dwarf_Op zero[] = { { .atom = DW_OP_lit1 }, { .atom = DW_OP_lit0 },
					 { .atom = DW_OP_div } };
	static const Dwarf_Op unreadable[] = { { .atom = DW_OP_lit0 }, { .atom = DW_OP_deref } };
	static const Dwarf_Op endless[] = {
		{ .atom = DW_OP_skip, .offset = 0, .number = (Dwarf_Word)-3 } };
	static const Dwarf_Op grows[] = {
		{ .atom = DW_OP_lit0, .offset = 0 },
		{ .atom = DW_OP_skip, .offset = 1, .number = (Dwarf_Word)-4 } };
	static const Dwarf_Op nowhere[] = {
		{ .atom = DW_OP_skip, .offset = 0, .number = 99 }, { .atom = DW_OP_lit0, .offset = 3 } };
	static const struct {
		const Dwarf_Op *ops;
		size_t n;
	} all[] = {
		{ unknown, 1 }, { far, 1 }, { underflow, 2 }, { empty, 1 }, { address, 1 },
		{ zero, 3 }, { unreadable, 2 }, { endless, 1 }, { grows, 2 }, { nowhere, 2 },
	};
	uint64_t reg[UG_DWARF_REGS] = { 0 }, x;
	enum ug_dwarf_kind kind;

	for (size_t i = 0; i < UG_ARRAY_SIZE(all); i++)
		if (eval(all[i].ops, all[i].n, reg, &x, &kind))
			fail_msg("expression %zu has a value", i);
}

static void test_rangeset(void **state)
{
	static const struct ug_range r[] = {
		{ .start = 0x100, .end = 0x900, .kind = CALLED, .id = 1 },
		{ .start = 0x200, .end = 0x210, .kind = JUMPED, .id = 2 },
		{ .start = 0x300, .end = 0x305, .kind = UG_RANGE_BYTES, .id = 3 },
		{ .start = 0x900, .end = 0x910, .kind = CALLED, .id = 4 },
		{ .start = 0xa00, .end = 0xa05, .kind = UG_RANGE_PAD, .id = 5 },
	};
	static const struct {
		ug_raddr_t addr;
		enum ug_addr_how how;
		uint64_t ids;
	} q[] = {
		{ 0xff, UG_ADDR_PC, 0 },	 { 0x100, UG_ADDR_WORD, 0 },
		{ 0x100, UG_ADDR_PC, 1 << 1 },	 { 0x101, UG_ADDR_WORD, 1 << 1 },
		{ 0x200, UG_ADDR_WORD, 6 },	 { 0x210, UG_ADDR_WORD, 6 },
		{ 0x211, UG_ADDR_WORD, 2 },	 { 0x300, UG_ADDR_PC, 2 },
		{ 0x301, UG_ADDR_WORD, 0xa },	 { 0x305, UG_ADDR_PC, 2 },
		{ 0x900, UG_ADDR_WORD, 1 << 1 }, { 0x900, UG_ADDR_PC, 0x12 },
		{ 0x910, UG_ADDR_WORD, 1 << 4 }, { 0x911, UG_ADDR_WORD, 0 },
		{ 0xa00, UG_ADDR_WORD, 0 },	 { 0xa00, UG_ADDR_PC, 1 << 5 },
		{ 0xa04, UG_ADDR_WORD, 1 << 5 }, { 0xa05, UG_ADDR_PC, 0 },
	};
	struct ug_rangeset set = { 0 };

	for (size_t i = UG_ARRAY_SIZE(r); i-- > 0;)
		assert_int_equal(ug_rangeset_add(&set, r[i], NULL), 0);
	assert_int_equal(ug_rangeset_add(&set, (struct ug_range){ 5, 5, CALLED, 0, 0 }, NULL), -EINVAL);
	ug_rangeset_seal(&set);
	for (size_t i = 0; i < UG_ARRAY_SIZE(q); i++) {
		uint64_t bits = 0;
		struct ug_hits h = { .set = &set, .bits = &bits, .nbits = 64 };

		assert_int_equal(ug_hits_test(&h, q[i].addr, q[i].how), q[i].ids != 0);
		if (bits != q[i].ids)
			fail_msg("%#lx: %#lx, not %#lx", (long)q[i].addr, (long)bits, (long)q[i].ids);
	}
	ug_rangeset_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eval_plt),   cmocka_unit_test(test_eval_forms),
		cmocka_unit_test(test_eval_doubt), cmocka_unit_test(test_rangeset),
		cmocka_unit_test(test_parked),	   cmocka_unit_test(test_signals),
		cmocka_unit_test(test_interrupted_name),
		cmocka_unit_test(test_doubt),	   cmocka_unit_test(test_stale),
		cmocka_unit_test(test_musl),	   cmocka_unit_test(test_deep),
		cmocka_unit_test(test_limits),	   cmocka_unit_test(test_hits),
		cmocka_unit_test(test_registers),  cmocka_unit_test(test_own_code),
		cmocka_unit_test(test_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
