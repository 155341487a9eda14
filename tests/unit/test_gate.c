/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gates are run: every state of the word, every register and flag watched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "text/gate.h"
#include "text/insn.h"

struct regs {
	uint64_t gpr[16];	/* rax rcx rdx rbx rsp rbp rsi rdi r8..r15 */
	uint64_t flags;
	uint64_t id;		/* out: which landing */
	uint8_t xmm[16][16];
};

enum { TO = 1, FROM = 2, BEFORE = 3 };

void probe(const void *code, const struct regs *in, struct regs *out);
extern const char land_to[], land_from[], land_before[];

/*
 * probe: load everything from `in`, go to `code` by ret, arrive at one of the landings with
 * `out` on top of the stack, save everything there.
 */
__asm__(".text\n"
	"probe:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	push %rdx\n"
	"	mov %rsp, 32(%rdx)\n"		/* rsp as the landing must find it */
	"	push %rdi\n"
	"	mov %rsi, %rax\n"
	"	movdqu 144(%rax), %xmm0; movdqu 160(%rax), %xmm1; movdqu 176(%rax), %xmm2\n"
	"	movdqu 192(%rax), %xmm3; movdqu 208(%rax), %xmm4; movdqu 224(%rax), %xmm5\n"
	"	movdqu 240(%rax), %xmm6; movdqu 256(%rax), %xmm7; movdqu 272(%rax), %xmm8\n"
	"	movdqu 288(%rax), %xmm9; movdqu 304(%rax), %xmm10; movdqu 320(%rax), %xmm11\n"
	"	movdqu 336(%rax), %xmm12; movdqu 352(%rax), %xmm13; movdqu 368(%rax), %xmm14\n"
	"	movdqu 384(%rax), %xmm15\n"
	"	pushq 128(%rax); popfq\n"
	"	mov 8(%rax), %rcx; mov 16(%rax), %rdx; mov 24(%rax), %rbx; mov 40(%rax), %rbp\n"
	"	mov 48(%rax), %rsi; mov 56(%rax), %rdi; mov 64(%rax), %r8; mov 72(%rax), %r9\n"
	"	mov 80(%rax), %r10; mov 88(%rax), %r11; mov 96(%rax), %r12; mov 104(%rax), %r13\n"
	"	mov 112(%rax), %r14; mov 120(%rax), %r15; mov 0(%rax), %rax\n"
	"	ret\n"
	"land_to:	pushq $1; jmp 1f\n"
	"land_from:	pushq $2; jmp 1f\n"
	"land_before:	pushq $3\n"
	"1:	xchg %rax, 8(%rsp)\n"
	"	popq 136(%rax)\n"
	"	popq 0(%rax)\n"
	"	pushfq; popq 128(%rax)\n"
	"	cld\n"
	"	mov %rcx, 8(%rax); mov %rdx, 16(%rax); mov %rbx, 24(%rax); mov %rbp, 40(%rax)\n"
	"	mov %rsi, 48(%rax); mov %rdi, 56(%rax); mov %r8, 64(%rax); mov %r9, 72(%rax)\n"
	"	mov %r10, 80(%rax); mov %r11, 88(%rax); mov %r12, 96(%rax); mov %r13, 104(%rax)\n"
	"	mov %r14, 112(%rax); mov %r15, 120(%rax)\n"
	"	lea -8(%rsp), %rcx\n"
	"	sub 32(%rax), %rcx\n"		/* 0 when rsp is what it was */
	"	mov %rcx, 32(%rax)\n"
	"	movdqu %xmm0, 144(%rax); movdqu %xmm1, 160(%rax); movdqu %xmm2, 176(%rax)\n"
	"	movdqu %xmm3, 192(%rax); movdqu %xmm4, 208(%rax); movdqu %xmm5, 224(%rax)\n"
	"	movdqu %xmm6, 240(%rax); movdqu %xmm7, 256(%rax); movdqu %xmm8, 272(%rax)\n"
	"	movdqu %xmm9, 288(%rax); movdqu %xmm10, 304(%rax); movdqu %xmm11, 320(%rax)\n"
	"	movdqu %xmm12, 336(%rax); movdqu %xmm13, 352(%rax); movdqu %xmm14, 368(%rax)\n"
	"	movdqu %xmm15, 384(%rax)\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

_Static_assert(offsetof(struct regs, flags) == 128 && offsetof(struct regs, xmm) == 144,
	       "the assembly above knows the layout");

static uint64_t self_pointer(void)
{
	uint64_t tp;

	__asm__("mov %%fs:0, %0" : "=r"(tp));
	return tp;
}

static bool have_rdfsbase(void)
{
	return getauxval(AT_HWCAP2) & 2;
}

/* One page R-X: the %fs:0 variant at 0, the rdfsbase variant at 256. */
struct gates {
	uint8_t *page;
	uint64_t *word;
};

static uint8_t *pages(size_t n, int prot)
{
	uint8_t *p = mmap(NULL, n * UG_PAGE_SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static void gates_make(struct gates *g, const void *from, const void *to, const void *before)
{
	struct ug_gate gate;

	g->page = pages(1, PROT_READ | PROT_WRITE);
	g->word = (uint64_t *)(void *)pages(1, PROT_READ | PROT_WRITE);
	gate = (struct ug_gate){ (uintptr_t)g->word, (uintptr_t)from, (uintptr_t)to,
				 (uintptr_t)before };
	ug_gate_encode(&gate, false, g->page);
	ug_gate_encode(&gate, true, g->page + 256);
	assert_int_equal(mprotect(g->page, UG_PAGE_SIZE, PROT_READ | PROT_EXEC), 0);
}

static void gates_free(struct gates *g)
{
	munmap(g->page, UG_PAGE_SIZE);
	munmap(g->word, UG_PAGE_SIZE);
}

static void pattern(struct regs *r, uint64_t seed, uint64_t flags)
{
	uint8_t *bytes = (uint8_t *)r;

	for (size_t i = 0; i < sizeof(*r); i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		bytes[i] = (uint8_t)(seed >> 56);
	}
	r->flags = flags;
	r->gpr[4] = 0;
	r->id = 0;
}

/* CF PF AF ZF SF DF OF in turn; bit 1 is always set, IF too in user mode. */
static const uint64_t flag_patterns[] = { 0x202, 0xed7, 0x203, 0x242, 0xa92, 0x606, 0xac3 };

static void expect_landing(const uint8_t *code, uint64_t id)
{
	for (size_t i = 0; i < UG_ARRAY_SIZE(flag_patterns); i++) {
		struct regs in, out;

		pattern(&in, i * 77 + id, flag_patterns[i]);
		if (i == 2)
			in.gpr[1] = 0;		/* rcx is what jrcxz looks at */
		memset(&out, 0, sizeof(out));
		probe(code, &in, &out);
		assert_int_equal(out.id, id);
		in.id = id;
		assert_memory_equal(&in, &out, sizeof(in));
	}
}

static void expect(struct gates *g, uint64_t id)
{
	expect_landing(g->page, id);
	if (have_rdfsbase())
		expect_landing(g->page + 256, id);
}

static void word_null_and_all(void **state)
{
	struct gates g;

	gates_make(&g, land_from, land_to, land_before);
	*g.word = UG_WORD_NULL;
	expect(&g, TO);
	*g.word = UG_WORD_ALL;
	expect(&g, BEFORE);
	gates_free(&g);
}

static uint8_t *table_of(const uint64_t *pointers, size_t n, size_t *ret_size)
{
	size_t size = ug_table_size(n);
	uint8_t *t = pages(size / UG_PAGE_SIZE + 1, PROT_READ | PROT_WRITE);

	memset(t, 0x5a, size);
	assert_int_equal(ug_table_build(pointers, n, t, size, NULL), 0);
	*ret_size = size;
	return t;
}

static void kill_self(uint8_t *t, size_t size)
{
	uint8_t byte;
	size_t off;

	assert_true(ug_table_kill(t, size, self_pointer(), &off, &byte));
	assert_true(off < size);
	assert_int_equal(t[off] ^ byte, 1);
	t[off] = byte;
	assert_false(ug_table_kill(t, size, self_pointer(), &off, &byte));
}

/* n pointers, `same` of them in the bucket of the caller, itself at position `at` or absent. */
static void run_table(size_t n, size_t same, bool self)
{
	ug_autofree uint64_t *pointers = calloc(n + 1, 8);
	uint64_t me = self_pointer();
	struct gates g;
	size_t size, count = 0;
	uint8_t *t;

	for (size_t i = 0; i < same; i++)
		pointers[count++] = me + ((i + 1) << 20);
	for (; count < n; count++)
		pointers[count] = (me & ~0xff000UL) + (count << 32) + (count % 256 << 12);
	if (self)
		pointers[n / 2] = me;
	gates_make(&g, land_from, land_to, land_before);
	t = table_of(pointers, n, &size);
	*g.word = (uintptr_t)t;
	expect(&g, self ? FROM : TO);
	if (self) {
		kill_self(t, size);
		expect(&g, TO);
	}
	munmap(t, (size / UG_PAGE_SIZE + 1) * UG_PAGE_SIZE);
	gates_free(&g);
}

static void tables(void **state)
{
	run_table(0, 0, false);
	run_table(1, 0, true);
	run_table(1, 1, false);
	run_table(300, 0, false);
	run_table(300, 0, true);
	run_table(300, 299, true);
	run_table(300, 300, false);
	run_table(UG_TABLE_MAX, 1000, true);
}

static void sum_pointer(uint64_t pointer, void *ctx)
{
	uint64_t *sum = ctx;

	sum[0]++;
	sum[1] += pointer;
}

static void table_read_back(void **state)
{
	const uint64_t pointers[] = { 0x7f0000001000, 0x7f0000101000, 0x7f0000001000, 0x7fffffffff8,
				      8 };
	uint64_t sum[2] = { 0, 0 };
	struct ug_error err;
	size_t size, off;
	uint8_t byte;
	uint8_t *t = table_of(pointers, UG_ARRAY_SIZE(pointers), &size);

	assert_int_equal(ug_table_for_each(t, size, sum_pointer, sum, &err), 0);
	assert_int_equal(sum[0], 4);
	assert_int_equal(sum[1], pointers[0] + pointers[1] + pointers[3] + pointers[4]);

	assert_true(ug_table_kill(t, size, pointers[1], &off, &byte));
	t[off] = byte;
	memset(sum, 0, sizeof(sum));
	assert_int_equal(ug_table_for_each(t, size, sum_pointer, sum, &err), 0);
	assert_int_equal(sum[0], 3);

	/* Damage: every byte of the starts, then a table cut short. */
	for (size_t i = 0; i < size; i++) {
		uint8_t was = t[i];

		t[i] = 0xff;
		(void)!ug_table_for_each(t, size, sum_pointer, sum, &err);
		ug_table_kill(t, size, pointers[0], &off, &byte);
		t[i] = was;
	}
	/* 8 slots are in use: the common end, 4 pointers in 3 buckets. */
	for (size_t cut = 0; cut < 512 + 8 * 8; cut += 8)
		assert_int_equal(ug_table_for_each(t, cut, sum_pointer, sum, &err),
				 -UG_E_REGISTRY);
	munmap(t, UG_PAGE_SIZE);
}

static void table_refusals(void **state)
{
	uint64_t bad[] = { 0x1000, 0 }, odd = 0x1004;
	uint8_t buf[4096];

	assert_int_equal(ug_table_build(bad, 2, buf, sizeof(buf), NULL), -EINVAL);
	assert_int_equal(ug_table_build(&odd, 1, buf, sizeof(buf), NULL), -EINVAL);
	assert_int_equal(ug_table_build(bad, 1, buf, ug_table_size(1) - 1, NULL), -EINVAL);
	assert_int_equal(ug_table_build(bad, UG_TABLE_MAX + 1, buf, sizeof(buf), NULL), -E2BIG);
}

static void decode(void **state)
{
	const struct ug_gate gate = { 1, 2, 3, 4 };
	uint8_t buf[UG_GATE_SIZE];
	struct ug_gate back;

	for (int variant = 0; variant < 2; variant++) {
		memset(&back, 0, sizeof(back));
		ug_gate_encode(&gate, variant, buf);
		assert_true(ug_gate_decode(buf, &back));
		assert_memory_equal(&gate, &back, sizeof(gate));
		buf[0] ^= 1;
		assert_false(ug_gate_decode(buf, &back));
	}
}

/* Follow every path through the code and compare its pushes with the table. */
static void check_depth(const uint8_t *code, size_t off, uint64_t depth, uint8_t *seen)
{
	struct ug_insn insn;

	while (!seen[off]) {
		assert_true(off < UG_GATE_LITERALS);
		seen[off] = 1;
		assert_int_equal(ug_gate_cfa_offset(off), 8 + depth);
		assert_true(ug_insn_decode(code + off, UG_GATE_LITERALS - off, off, &insn));
		if (insn.z.mnemonic == ZYDIS_MNEMONIC_PUSH)
			depth += 8;
		if (insn.z.mnemonic == ZYDIS_MNEMONIC_POP)
			depth -= 8;
		assert_true(insn.z.cpu_flags == NULL || insn.z.cpu_flags->modified == 0);
		if (insn.kind == UG_INSN_LOOP)
			check_depth(code, insn.target, depth, seen);
		if (insn.kind == UG_INSN_JMP)
			off = insn.target;
		else
			off += insn.len;
		if (insn.kind == UG_INSN_JMP_IND) {
			assert_int_equal(depth, 0);
			return;
		}
	}
}

static void unwinding(void **state)
{
	const struct ug_gate gate = { 0 };
	uint8_t buf[UG_GATE_SIZE];

	for (int variant = 0; variant < 2; variant++) {
		uint8_t seen[UG_GATE_SIZE] = { 0 };

		ug_gate_encode(&gate, variant, buf);
		check_depth(buf, 0, 0, seen);
	}
	assert_int_equal(ug_gate_cfa_offset(UG_GATE_LITERALS), 0);
}

/* Threads call through the gate while one after the other is switched. */
#define THREADS 12

struct caller {
	struct gates *g;
	pthread_t thread;
	_Atomic uint64_t pointer;
	atomic_bool may, must, stop;	/* be switched: set before and after it is */
	_Atomic unsigned long calls, wrong;
};

static int ret_from(void) { return FROM; }
static int ret_to(void) { return TO; }
static int ret_before(void) { return BEFORE; }

static void *call_on(void *arg)
{
	struct caller *c = arg;
	int (*fn[2])(void);
	bool switched = false;

	fn[0] = (int (*)(void))(uintptr_t)c->g->page;
	fn[1] = (int (*)(void))(uintptr_t)(c->g->page + (have_rdfsbase() ? 256 : 0));
	c->pointer = self_pointer();
	while (!c->stop) {
		bool must = c->must;	/* before the call */
		int id = fn[c->calls & 1]();

		if (id == TO)
			switched = true;
		if ((id != TO && (switched || must)) || (id == TO && !c->may))
			c->wrong++;
		c->calls++;
	}
	return NULL;
}

static void wait_calls(struct caller *c, unsigned long more)
{
	unsigned long then = c->calls + more;

	while (c->calls < then)
		sched_yield();
}

static void many_threads(void **state)
{
	static struct caller callers[THREADS];
	uint64_t pointers[THREADS];
	struct gates g;
	uint8_t *t, byte;
	size_t size, off;

	gates_make(&g, ret_from, ret_to, ret_before);
	*g.word = UG_WORD_ALL;
	for (int i = 0; i < THREADS; i++) {
		callers[i].g = &g;
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call_on, &callers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		wait_calls(&callers[i], 10);
		pointers[i] = callers[i].pointer;
	}
	t = table_of(pointers, THREADS, &size);
	__atomic_store_n(g.word, (uintptr_t)t, __ATOMIC_SEQ_CST);
	for (int i = 0; i < THREADS - 1; i++) {
		callers[i].may = true;
		assert_true(ug_table_kill(t, size, pointers[i], &off, &byte));
		__atomic_store_n(t + off, byte, __ATOMIC_SEQ_CST);
		callers[i].must = true;
		wait_calls(&callers[i], 20);
		wait_calls(&callers[i + 1], 50);
	}
	callers[THREADS - 1].may = true;
	__atomic_store_n(g.word, UG_WORD_NULL, __ATOMIC_SEQ_CST);
	for (int i = 0; i < THREADS; i++) {
		wait_calls(&callers[i], 10);
		callers[i].stop = true;
		pthread_join(callers[i].thread, NULL);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(callers[i].wrong, 0);
	munmap(t, UG_PAGE_SIZE);
	gates_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(word_null_and_all),
		cmocka_unit_test(tables),
		cmocka_unit_test(table_read_back),
		cmocka_unit_test(table_refusals),
		cmocka_unit_test(decode),
		cmocka_unit_test(unwinding),
		cmocka_unit_test(many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
