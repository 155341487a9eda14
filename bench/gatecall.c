// SPDX-License-Identifier: GPL-2.0-or-later
#include "gatecall.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "bench.h"
#include "text/gate.h"

#define CALLS 10000000u
#define HWCAP2_FSGSBASE (1 << 1)

static uint64_t word;
static alignas(16) uint8_t table[4096];

__attribute__((noipa, aligned(64))) static int leaf(int x)
{
	return (x ^ 0x12345678) + 1;
}

static int (*make_gate(void))(int)
{
	bool rdfsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
	struct ug_gate gate = {
		.word = (uintptr_t)&word, .from = (uintptr_t)leaf, .to = (uintptr_t)leaf,
		.before = (uintptr_t)leaf,
	};
	uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int32_t distance = 64 - 5;
	int (*func)(int);

	if (page == MAP_FAILED)
		bench_die("mmap: %s", strerror(errno));
	/* As an entry does it: a jump to the gate. */
	page[0] = 0xe9;
	memcpy(page + 1, &distance, 4);
	ug_gate_encode(&gate, rdfsbase, page + 64);
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0)
		bench_die("mprotect: %s", strerror(errno));
	memcpy(&func, &page, sizeof(func));
	return func;
}

static void make_table(void)
{
	/* Another thread's pointer, so that the whole way is gone: no thread has this one. */
	static const uint64_t pointer = 0x1000;
	struct ug_error err = { 0 };

	if (ug_table_build(&pointer, 1, table, ug_table_size(1), &err) < 0)
		bench_die("%s", err.message);
}

double gatecall_time(enum gate_word what)
{
	static int (*through_gate)(int);
	int (*volatile func)(int);
	uint64_t start;
	int x = 0;

	if (!through_gate) {
		through_gate = make_gate();
		make_table();
	}
	func = what == GATE_NONE ? leaf : through_gate;
	word = what == GATE_ALL ? UG_WORD_ALL : what == GATE_NULL ? UG_WORD_NULL : (uintptr_t)table;
	start = bench_now();
	for (unsigned int i = 0; i < CALLS; i++)
		x = func(x);
	__asm__ volatile("" : : "r"(x));
	return (double)(bench_now() - start) / CALLS;
}
