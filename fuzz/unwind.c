/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: whatever the unwind tables, the stack and the registers of a thread, its check
 * comes to an end and says what stack.h promises; so does its call chain for people.
 */
#include "fuzz/code.h"
#include "fuzz/driver.h"
#include "stack/stack.h"
#include "tests/lib/fake_proc.h"

static void fill_thread(struct ug_thread *t, const struct fuzz_code *c, pid_t pid)
{
	const uint64_t *r = c->reg;

	*t = (struct ug_thread){
		.tid = pid + (c->alien & 1),
		.regs = {
			.rax = r[0], .rdx = r[1], .rcx = r[2], .rbx = r[3], .rsi = r[4], .rdi = r[5],
			.rbp = r[6], .rsp = r[7], .r8 = r[8], .r9 = r[9], .r10 = r[10],
			.r11 = r[11], .r12 = r[12], .r13 = r[13], .r14 = r[14], .r15 = r[15],
			.rip = r[16], .orig_rax = c->alien, .cs = 0x33,
			.fs_base = FUZZ_STACK_END - 2048,
		},
	};
}

static bool fill_ranges(struct ug_rangeset *set, const struct fuzz_code *c)
{
	bool ok = true;

	for (unsigned int i = 0; i < FUZZ_SYMBOLS; i++) {
		ug_raddr_t start = FUZZ_CODE + c->sym[i].off;
		struct ug_range r = {
			.start = start, .end = start + c->sym[i].size,
			.kind = (enum ug_range_kind)(i % 4), .id = i,
		};

		if (c->sym[i].size)
			ok &= ug_rangeset_add(set, r, NULL) == 0;
	}
	ug_rangeset_seal(set);
	return ok;
}

/* A check that unwinds may only take hits back that the conservative one has found. */
static void check(const struct ug_stack_ctx *ctx, const struct ug_thread *t, const struct ug_rangeset *set)
{
	struct ug_stack_report scan, full;
	uint64_t hits, all;
	char text[512];

	ug_stack_check(ctx, t, set, false, &all, FUZZ_SYMBOLS, &scan);
	ug_stack_check(ctx, t, set, true, &hits, FUZZ_SYMBOLS, &full);
	promise(scan.verdict != UG_SAFE || (full.verdict == UG_SAFE && !hits && !all));
	promise(scan.verdict != UG_UNRELIABLE || full.verdict == UG_UNRELIABLE);
	promise(!(hits & ~all));
	promise((full.verdict == UG_SAFE) == !hits || full.verdict == UG_UNRELIABLE);
	promise(full.nchain <= UG_CHAIN_MAX);
	(void)ug_stack_format(ctx, &full, text, sizeof(text));
	ug_stack_chain(ctx, t, &full);
	(void)ug_stack_format(ctx, &full, text, sizeof(text));
}

static void run(struct ug_object *obj, const struct fuzz_code *c, const uint8_t *code, const uint8_t *stack)
{
	struct ug_objects objects = { .v = &obj, .n = 1 };
	struct ug_rangeset set = { 0 };
	struct ug_stack_ctx ctx;
	struct fake_proc f;
	struct ug_thread t;

	fake_proc_open(&f);
	fake_proc_put(&f, FUZZ_CODE, code, c->len);
	fake_proc_put(&f, FUZZ_STACK_END - c->stack_len, stack, c->stack_len);
	fake_proc_map(&f, FUZZ_CODE, c->len, PROT_READ | PROT_EXEC, "fuzz");
	fake_proc_map(&f, ug_align_down(FUZZ_STACK_END - c->stack_len - 1, UG_PAGE_SIZE),
		      c->stack_len + 1, PROT_READ | PROT_WRITE, "[stack]");
	fill_thread(&t, c, f.proc.pid);
	ctx = (struct ug_stack_ctx){
		.proc = &f.proc, .maps = &f.maps, .objects = &objects,
		.main_stack_top = FUZZ_STACK_END, .max_scan = 1 << 20,
	};
	if (fill_ranges(&set, c))
		check(&ctx, &t, &set);
	ug_rangeset_free(&set);
	fake_proc_close(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ug_object *obj;
	const uint8_t *stack;
	struct fuzz_code c;

	if (!fuzz_code_open(data, size, &c, &obj, &stack))
		return 0;
	if (ug_object_cfi(obj, NULL) == 0 && ug_object_symtab(obj, NULL) == 0)
		run(obj, &c, stack - c.len, stack);
	ug_object_close(obj);
	return 0;
}
