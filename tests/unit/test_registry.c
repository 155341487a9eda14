// SPDX-License-Identifier: GPL-2.0-or-later
/* A registry of a hostile process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/checkset.h"
#include "engine/own.h"
#include "tests/lib/fake_proc.h"

#define REG 0x10000000UL
#define RECORD (REG + UG_REG_SIZE)
#define CODE (REG + (16UL << 20))

static struct fake_proc proc;
static struct ug_target target;

static void put(ug_raddr_t addr, const void *data, size_t size)
{
	fake_proc_put(&proc, addr, data, size);
}

static int open_target(void **state)
{
	struct ug_reg_header h = {
		.magic = UG_REG_MAGIC, .version = UG_REG_VERSION, .size = UG_REG_SIZE, .ready = 1,
	};

	fake_proc_open(&proc);
	fake_proc_map(&proc, REG, UG_REG_SIZE, PROT_READ | PROT_WRITE,
		      "/memfd:" UG_REG_NAME " (deleted)");
	target = (struct ug_target){ .proc = proc.proc, .maps = proc.maps };
	put(REG, &h, sizeof(h));
	/* All that is read below is there, and costs nothing. */
	put(REG + (512UL << 20), "", 1);
	return 0;
}

static int close_target(void **state)
{
	ug_registry_free(&target.reg);
	fake_proc_close(&proc);
	return 0;
}

/* n slots, all of the one record of `len` bytes, which says that the patch has code. */
static void put_patches(unsigned int n, uint32_t len, uint64_t code_len)
{
	const struct ug_reg_patch p = {
		.meta = { .id = 1, .kind = UG_REG_PATCH, .len = len, .strings = len - 8 },
		.funcs = sizeof(p), .ranges = sizeof(p), .symbols = sizeof(p),
		.base = CODE, .rx_len = code_len, .code_len = UG_PAGE_SIZE,
	};
	const struct ug_reg_slot slot = {
		.id = 1, .kind = UG_REG_PATCH, .state = UG_REG_ENABLED, .ready = 1, .meta = RECORD,
		.meta_len = len,
	};

	put(RECORD, &p, sizeof(p));
	for (unsigned int i = 0; i < n; i++)
		put(REG + UG_REG_SLOT_OFF + i * sizeof(slot), &slot, sizeof(slot));
}

static void limit_memory(uint64_t more)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	if (more)
		limit.rlim_cur = pages * UG_PAGE_SIZE + more;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

static void test_read(void **state)
{
	put_patches(3, sizeof(struct ug_reg_patch) + 8, UG_PAGE_SIZE);
	assert_int_equal(ug_registry_read(&target.proc, &target.maps, &target.reg, NULL), 0);
	assert_int_equal(target.reg.nsegs, 3);
}

/* Each record could be, all together could not: 32 GiB. */
static void test_large_records(void **state)
{
	put_patches(UG_REG_SLOTS, 64u << 20, UG_PAGE_SIZE);
	limit_memory(200u << 20);
	assert_int_equal(ug_registry_read(&target.proc, &target.maps, &target.reg, NULL), -UG_E_REGISTRY);
	limit_memory(0);
}

/* The same with code: what is too much cannot be unwound through, the rest can. */
static void test_large_code(void **state)
{
	struct ug_objects own;

	put_patches(16, sizeof(struct ug_reg_patch) + 8, 64u << 20);
	assert_int_equal(ug_registry_read(&target.proc, &target.maps, &target.reg, NULL), 0);
	limit_memory(600u << 20);
	assert_int_equal(ug_own_load(&target, &own, NULL), 0);
	limit_memory(0);
	assert_int_equal(own.n, 1);	/* they overlap */
	ug_objects_free(&own);
}

#define MOVES 800000u

static void put_transition(void)
{
	const struct ug_reg_trans t = {
		.meta = { .id = 1, .kind = UG_REG_TRANS,
			  .len = sizeof(t) + MOVES * sizeof(struct ug_reg_move) + 8,
			  .strings = sizeof(t) + MOVES * sizeof(struct ug_reg_move) },
		.nmoves = MOVES, .moves = sizeof(t), .members = sizeof(t),
	};
	const struct ug_reg_slot slot = {
		.id = 1, .kind = UG_REG_TRANS, .state = UG_REG_OPEN, .ready = 1, .meta = RECORD,
		.meta_len = t.meta.len,
	};
	struct ug_reg_move *moves = calloc(MOVES, sizeof(*moves));

	assert_non_null(moves);
	for (size_t i = 0; i < MOVES; i++)
		moves[i] = (struct ug_reg_move){ .func = i, .gate = 4096 + i * 128 };
	put(REG + UG_REG_SLOT_OFF, &slot, sizeof(slot));
	put(RECORD, &t, sizeof(t));
	put(RECORD + sizeof(t), moves, MOVES * sizeof(*moves));
	free(moves);
}

/* More functions than any patch has: whoever looks is not kept for minutes. */
static void test_many_moves(void **state)
{
	struct ug_checkset cs;

	put_transition();
	assert_int_equal(ug_registry_read(&target.proc, &target.maps, &target.reg, NULL), 0);
	alarm(60);
	assert_int_equal(ug_checkset_init(&cs, &target, ug_registry_open_trans(&target.reg), NULL), 0);
	alarm(0);
	assert_int_equal(cs.nitems, MOVES);
	assert_true(ug_bit(cs.concerned, MOVES - 1));
	ug_checkset_free(&cs);
}

/* No patch file can bring so many: they are looked for one by one. */
static void test_many_functions(void **state)
{
	struct ug_reg_patch p = { 0 };

	put_patches(1, sizeof(p) + 5000 * sizeof(struct ug_reg_func) + 8, UG_PAGE_SIZE);
	p.nfuncs = 5000;
	put(RECORD + offsetof(struct ug_reg_patch, nfuncs), &p.nfuncs, sizeof(p.nfuncs));
	assert_int_equal(ug_registry_read(&target.proc, &target.maps, &target.reg, NULL), -UG_E_REGISTRY);
}

static void test_site_lookup(void **state)
{
	struct {
		struct ug_reg_sites h;
		struct ug_reg_site v[3];
		char strings[8];
	} rec = {
		.h = { .meta = { .id = 1, .kind = UG_REG_SITES, .len = sizeof(rec),
				 .strings = offsetof(__typeof__(rec), strings) },
		       .nsites = 3, .sites = sizeof(rec.h), .ranges = sizeof(rec.h) },
		.v = { { .func = 0x3000, .len = 5, .moved = 5 }, { .func = 0x1000, .len = 5, .moved = 5 },
		       { .func = 0x2000, .len = 5, .moved = 5 } },
	};
	struct ug_reg_slot slot = {
		.id = 1, .kind = UG_REG_SITES, .state = UG_REG_LEFT, .ready = 1, .meta = RECORD,
		.meta_len = sizeof(rec),
	};
	struct ug_seg *seg = NULL;

	put(RECORD, &rec, sizeof(rec));
	put(REG + UG_REG_SLOT_OFF, &slot, sizeof(slot));
	slot.state = UG_REG_ENABLED;
	put(REG + UG_REG_SLOT_OFF + 3 * sizeof(slot), &slot, sizeof(slot));
	assert_int_equal(ug_registry_read(&target.proc, &target.maps, &target.reg, NULL), 0);
	for (ug_raddr_t func = 0x1000; func <= 0x3000; func += 0x1000) {
		const struct ug_reg_site *site = ug_registry_site(&target.reg, func, &seg);

		assert_non_null(site);
		assert_int_equal(site->func, func);
		assert_int_equal(seg->slot, 3);
	}
	assert_null(ug_registry_site(&target.reg, 0x1001, NULL));
	/* With the state of the copy, which changes as the target's does. */
	target.reg.segs[1].s.state = UG_REG_EMPTY;
	assert_null(ug_registry_site(&target.reg, 0x2000, NULL));
	assert_non_null(ug_registry_usable_site(&target.reg, 0x2000, &seg));
	assert_int_equal(seg->slot, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read, open_target, close_target),
		cmocka_unit_test_setup_teardown(test_large_records, open_target, close_target),
		cmocka_unit_test_setup_teardown(test_large_code, open_target, close_target),
		cmocka_unit_test_setup_teardown(test_many_moves, open_target, close_target),
		cmocka_unit_test_setup_teardown(test_many_functions, open_target, close_target),
		cmocka_unit_test_setup_teardown(test_site_lookup, open_target, close_target),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
