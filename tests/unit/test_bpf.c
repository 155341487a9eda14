// SPDX-License-Identifier: GPL-2.0-or-later
/* The interpreter of seccomp filters. */
#include <linux/bpf_common.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "inject/inject.h"

static uint32_t run(const struct sock_filter *prog, size_t n)
{
	struct seccomp_data d = {
		.nr = 9, .arch = 0xc000003e, .instruction_pointer = 0x1122334455667788,
		.args = { 0x0102030405060708, 2, 3, 4, 5, 0xdeadbeefcafef00d },
	};

	return ug_seccomp_run(prog, n, &d);
}

#define RUN(...)                                                                                   \
	run((const struct sock_filter[]){ __VA_ARGS__ },                                           \
	    sizeof((const struct sock_filter[]){ __VA_ARGS__ }) / sizeof(struct sock_filter))
#define S BPF_STMT
#define J BPF_JUMP
#define RET_A S(BPF_RET | BPF_A, 0)
#define BAD SECCOMP_RET_KILL_PROCESS

static void test_bpf_load(void **state)
{
	assert_int_equal(RUN(S(BPF_RET | BPF_K, 0x7fff0000)), 0x7fff0000);
	assert_int_equal(RUN(S(BPF_LD | BPF_W | BPF_ABS, 0), RET_A), 9);
	assert_int_equal(RUN(S(BPF_LD | BPF_W | BPF_ABS, 4), RET_A), 0xc000003e);
	assert_int_equal(RUN(S(BPF_LD | BPF_W | BPF_ABS, 8), RET_A), 0x55667788);
	assert_int_equal(RUN(S(BPF_LD | BPF_W | BPF_ABS, 16), RET_A), 0x05060708);
	assert_int_equal(RUN(S(BPF_LD | BPF_W | BPF_ABS, 60), RET_A), 0xdeadbeef);
	assert_int_equal(RUN(S(BPF_LD | BPF_W | BPF_LEN, 0), RET_A), 64);
	assert_int_equal(RUN(S(BPF_LDX | BPF_W | BPF_LEN, 0), S(BPF_MISC | BPF_TXA, 0), RET_A), 64);
	assert_int_equal(RUN(S(BPF_LD | BPF_IMM, 7), S(BPF_ST, 3), S(BPF_LDX | BPF_MEM, 3),
			     S(BPF_STX, 15), S(BPF_LD | BPF_IMM, 0), S(BPF_LD | BPF_MEM, 15),
			     RET_A), 7);
}

static void test_bpf_alu(void **state)
{
#define ALU(op, a, k) RUN(S(BPF_LD | BPF_IMM, a), S(BPF_ALU | (op) | BPF_K, k), RET_A)
#define ALUX(op, a, x)                                                                             \
	RUN(S(BPF_LDX | BPF_IMM, x), S(BPF_LD | BPF_IMM, a), S(BPF_ALU | (op) | BPF_X, 0), RET_A)
	assert_int_equal(ALU(BPF_ADD, 0xffffffff, 2), 1);
	assert_int_equal(ALUX(BPF_SUB, 1, 2), 0xffffffff);
	assert_int_equal(ALU(BPF_MUL, 0x10000, 0x10001), 0x10000);
	assert_int_equal(ALU(BPF_DIV, 100, 7), 14);
	assert_int_equal(ALU(BPF_AND, 0xff, 0x18), 0x18);
	assert_int_equal(ALUX(BPF_OR, 0xf0, 0x18), 0xf8);
	assert_int_equal(ALU(BPF_XOR, 0xf0, 0x18), 0xe8);
	assert_int_equal(ALU(BPF_LSH, 1, 31), 0x80000000);
	assert_int_equal(ALUX(BPF_RSH, 0x80000000, 31), 1);
	assert_int_equal(ALU(BPF_NEG, 1, 0), 0xffffffff);
	/* By X == 0 the program ends with 0; by a constant 0 it is none. */
	assert_int_equal(ALUX(BPF_DIV, 5, 0), SECCOMP_RET_KILL_THREAD);
	assert_int_equal(ALU(BPF_DIV, 5, 0), BAD);
	assert_int_equal(ALU(BPF_LSH, 1, 32), BAD);
}

static void test_bpf_jump(void **state)
{
#define CMP(op, a, k)                                                                              \
	RUN(S(BPF_LD | BPF_IMM, a), J(BPF_JMP | (op) | BPF_K, k, 1, 0), S(BPF_RET | BPF_K, 0xf),   \
	    S(BPF_RET | BPF_K, 0xa))
	assert_int_equal(CMP(BPF_JEQ, 5, 5), 0xa);
	assert_int_equal(CMP(BPF_JEQ, 5, 6), 0xf);
	assert_int_equal(CMP(BPF_JGT, 0x80000000, 1), 0xa);
	assert_int_equal(CMP(BPF_JGT, 5, 5), 0xf);
	assert_int_equal(CMP(BPF_JGE, 5, 5), 0xa);
	assert_int_equal(CMP(BPF_JSET, 6, 2), 0xa);
	assert_int_equal(CMP(BPF_JSET, 6, 1), 0xf);
	assert_int_equal(RUN(S(BPF_JMP | BPF_JA, 1), S(BPF_RET | BPF_K, 1),
			     S(BPF_RET | BPF_K, 2)), 2);
	assert_int_equal(RUN(S(BPF_LDX | BPF_IMM, 5), S(BPF_LD | BPF_IMM, 5),
			     J(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1), S(BPF_RET | BPF_K, 1),
			     S(BPF_RET | BPF_K, 2)), 1);
}

/* What the kernel would not have let in is forbidden, not guessed. */
static void test_bpf_malformed(void **state)
{
	assert_int_equal(ug_seccomp_run(NULL, 0, NULL), BAD);
	assert_int_equal(RUN(S(BPF_LD | BPF_IMM, 0)), BAD);
	assert_int_equal(RUN(S(BPF_JMP | BPF_JA, 0xffffffff), S(BPF_RET | BPF_K, 1)), BAD);
	assert_int_equal(RUN(S(BPF_LD | BPF_W | BPF_ABS, 64), RET_A), BAD);
	assert_int_equal(RUN(S(BPF_LD | BPF_W | BPF_ABS, 2), RET_A), BAD);
	assert_int_equal(RUN(S(BPF_LD | BPF_H | BPF_ABS, 0), RET_A), BAD);
	assert_int_equal(RUN(S(BPF_LD | BPF_W | BPF_IND, 0), RET_A), BAD);
	assert_int_equal(RUN(S(BPF_LD | BPF_MEM, 16), RET_A), BAD);
	assert_int_equal(RUN(S(BPF_ST, 16), RET_A), BAD);
	assert_int_equal(RUN(S(BPF_ALU | BPF_MOD | BPF_K, 3), RET_A), BAD);
	assert_int_equal(RUN(S(0xffff, 0), RET_A), BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bpf_load),
		cmocka_unit_test(test_bpf_alu),
		cmocka_unit_test(test_bpf_jump),
		cmocka_unit_test(test_bpf_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
