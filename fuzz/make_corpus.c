/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the corpus files that no tool makes (make-corpus.sh): records of a registry, code with
 * registers and a stack, expressions, filters.
 *
 *	make-corpus DIR ELF
 *
 * ELF: a program linked at FUZZ_CODE by fuzz/corpus.lds, whose sections lie in one piece.
 */
#include <dwarf.h>
#include <err.h>
#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "engine/record.h"
#include "fuzz/code.h"
#include "fuzz/registry.h"
#include "inject/seccomp.h"
#include "text/gate.h"
#include "text/text.h"

static const char *dir;

static void save(const char *name, const void *data, size_t size)
{
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0)
		err(1, "%s", path);
}

/* ---- registry ---- */

#define CODE_AT 4096		/* behind FUZZ_RECORDS: the patch's code, page-aligned */
#define CODE_LEN 512
#define FUNC 0x400100UL

/* Two frames' worth of unwind tables, as as(1) writes them, for [CODE, CODE + 64). */
static const uint8_t eh_frame[] = {
	20, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b, 12, 7, 8, 0x90, 1, 0, 0,
	20, 0, 0, 0, 28, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0x41, 14, 16, 0x44, 14, 8, 0,
	0, 0, 0, 0,
};

struct input {			/* as registry.c takes it */
	struct ug_reg_header h;
	struct ug_reg_slot slots[FUZZ_REG_SLOTS];
	char log[FUZZ_REG_LINES][UG_REG_LOG_LINE];
	uint8_t records[CODE_AT];
	uint8_t code[CODE_LEN];
	uint8_t table[UG_TABLE_BUCKETS * 2 + 64];
};

#define CODE (FUZZ_RECORDS + CODE_AT)
#define TABLE (CODE + CODE_LEN)
#define GATE (CODE + 256)
#define DISPLACED (CODE + 128)

static void add_record(struct input *in, size_t *used, unsigned int slot, enum ug_reg_kind kind,
		       uint8_t state, struct ug_record *rec)
{
	if (ug_record_finish(rec, slot + 1, kind, NULL) < 0 || *used + rec->len > CODE_AT)
		errx(1, "a record does not fit");
	memcpy(in->records + *used, rec->data, rec->len);
	in->slots[slot] = (struct ug_reg_slot){
		.id = slot + 1, .kind = (uint8_t)kind, .state = state, .ready = 1,
		.meta = FUZZ_RECORDS + *used, .meta_len = (uint32_t)rec->len, .order = slot + 1,
	};
	*used += ug_align_up(rec->len, 8);
	ug_record_free(rec);
}

static void add_patch(struct input *in, size_t *used, unsigned int slot, uint8_t state)
{
	struct ug_reg_patch p = { 0 };
	struct ug_record rec;
	uint32_t off;

	ug_record_init(&rec, sizeof(p));
	p.name = ug_record_string(&rec, "fix");
	p.description = ug_record_string(&rec, "what it mends");
	p.nfuncs = p.nsymbols = 1;
	p.nranges = 2;
	p.other = p.nother = 1;
	p.base = CODE;
	p.rx_len = CODE_LEN;
	p.code_len = 64;
	p.eh_frame = CODE + 64;
	p.eh_frame_len = sizeof(eh_frame);
	off = p.funcs = ug_record_add(&rec, sizeof(struct ug_reg_func));
	*(struct ug_reg_func *)ug_record_at(&rec, off) = (struct ug_reg_func){
		.func = FUNC, .entry = CODE, .name = ug_record_string(&rec, "f"),
		.object = ug_record_string(&rec, "libf.so.1"), .nranges = 1,
	};
	off = p.ranges = ug_record_add(&rec, 2 * sizeof(struct ug_reg_range));
	memcpy(ug_record_at(&rec, off),
	       (struct ug_reg_range[]){ { CODE, CODE + 32, 0, 0 }, { CODE + 32, CODE + 64, 1, 0 } },
	       2 * sizeof(struct ug_reg_range));
	off = p.symbols = ug_record_add(&rec, sizeof(struct ug_reg_symbol));
	*(struct ug_reg_symbol *)ug_record_at(&rec, off) = (struct ug_reg_symbol){
		.addr = CODE, .size = 32, .name = ug_record_string(&rec, "f_new"),
	};
	memcpy(&p.meta, rec.data, sizeof(p.meta));
	p.meta.areas[0] = (struct ug_reg_area){ CODE & ~4095UL, 4096 };
	memcpy(rec.data, &p, sizeof(p));
	add_record(in, used, slot, UG_REG_PATCH, state, &rec);
}

static void add_sites(struct input *in, size_t *used, unsigned int slot)
{
	struct ug_reg_sites h = { .nsites = 2, .nranges = 2 };
	struct ug_reg_site s = {
		.func = FUNC, .size = 32, .at = FUNC, .displaced = DISPLACED, .displaced_len = 11,
		.form = UG_FORM_JMP5, .len = 5, .moved = 6,
		.orig = { 0x55, 0x48, 0x89, 0xe5, 0x31, 0xc0 }, .nranges = 1,
	};
	struct ug_record rec;

	ug_record_init(&rec, sizeof(h));
	s.name = ug_record_string(&rec, "f");
	s.object = ug_record_string(&rec, "libf.so.1");
	h.sites = ug_record_add(&rec, 2 * sizeof(s));
	memcpy(ug_record_at(&rec, h.sites), &s, sizeof(s));
	s.func = s.at = FUNC + 64;
	s.form = UG_FORM_JMP2;
	s.len = 2;
	s.moved = 2;
	memcpy(s.orig, (uint8_t[]){ 0x74, 0x10 }, 2);
	s.pad_at = FUNC + 56;
	s.range = 1;
	s.displaced += 16;
	s.hook = CODE + 48;
	s.hook_len = 16;
	memcpy(ug_record_at(&rec, h.sites + (uint32_t)sizeof(s)), &s, sizeof(s));
	h.ranges = ug_record_add(&rec, 2 * sizeof(struct ug_reg_range));
	memcpy(ug_record_at(&rec, h.ranges),
	       (struct ug_reg_range[]){ { FUNC, FUNC + 32, 0, 0 }, { FUNC + 64, FUNC + 96, 0, 0 } },
	       2 * sizeof(struct ug_reg_range));
	memcpy(&h.meta, rec.data, sizeof(h.meta));
	memcpy(rec.data, &h, sizeof(h));
	add_record(in, used, slot, UG_REG_SITES, UG_REG_ENABLED, &rec);
}

static void add_trans(struct input *in, size_t *used, unsigned int slot, uint8_t state)
{
	struct ug_reg_trans t = {
		.word = TABLE, .patch = 1, .patching = 1, .nmoves = 1, .start_time = 1,
		.table = TABLE, .table_len = sizeof(in->table), .nmembers = 1, .group = 7,
	};
	struct ug_record rec;

	ug_record_init(&rec, sizeof(t));
	t.moves = ug_record_add(&rec, sizeof(struct ug_reg_move));
	*(struct ug_reg_move *)ug_record_at(&rec, t.moves) = (struct ug_reg_move){
		.func = FUNC, .gate = GATE, .from = DISPLACED, .to = CODE, .before = DISPLACED,
	};
	t.members = ug_record_add(&rec, sizeof(struct ug_reg_member));
	*(struct ug_reg_member *)ug_record_at(&rec, t.members) = (struct ug_reg_member){ 1, 0, 1 };
	t.table_used = (uint32_t)ug_table_size(2);
	memcpy(&t.meta, rec.data, sizeof(t.meta));
	memcpy(rec.data, &t, sizeof(t));
	add_record(in, used, slot, UG_REG_TRANS, state, &rec);
}

static void fill_code(struct input *in)
{
	const uint64_t threads[] = { 0x7f0000001700, 0x7f0000802700 };
	const struct ug_gate gate = { .word = TABLE, .from = DISPLACED, .to = CODE, .before = DISPLACED };

	memset(in->code, 0x90, sizeof(in->code));
	memcpy(in->code + 64, eh_frame, sizeof(eh_frame));
	in->code[64 + 24 + 8] = 0x100 - (64 + 24 + 8) % 256;	/* pc-relative: to CODE */
	memset(in->code + 64 + 24 + 9, 0xff, 3);
	ug_gate_encode(&gate, true, in->code + 256);
	if (ug_table_build(threads, 2, in->table, sizeof(in->table), NULL) < 0)
		errx(1, "no table");
}

static void make_registry(void)
{
	static struct input in;
	size_t used = 0;

	in.h = (struct ug_reg_header){
		.magic = UG_REG_MAGIC, .version = UG_REG_VERSION, .size = UG_REG_SIZE, .owner_pid = 1,
		.log_next = 2, .owner_start = 1, .next_id = 9, .next_order = 9, .slots_used = 4, .ready = 1,
	};
	(void)snprintf(in.log[0], UG_REG_LOG_LINE, "1 'fix': enabling patch");
	(void)snprintf(in.log[1], UG_REG_LOG_LINE, "2 'fix': patching complete");
	fill_code(&in);
	add_patch(&in, &used, 0, UG_REG_ENABLED);
	save("registry/patch", &in, sizeof(in));
	add_sites(&in, &used, 1);
	add_trans(&in, &used, 2, UG_REG_OPEN);
	save("registry/open", &in, sizeof(in));
	add_patch(&in, &used, 3, UG_REG_LEFT);
	add_trans(&in, &used, 4, UG_REG_CLOSED);
	save("registry/many", &in, sizeof(in));
}

/* ---- code ---- */

static uint32_t offset_of(struct ug_object *obj, const char *name, uint32_t *ret_size)
{
	struct ug_symbol sym;

	if (ug_symbol_find(obj, name, 0, &sym, NULL) < 0)
		errx(1, "no %s", name);
	if (ret_size)
		*ret_size = (uint32_t)sym.size;
	return (uint32_t)(sym.addr - FUZZ_CODE);
}

static void fill_head(struct ug_object *obj, struct fuzz_code *c)
{
	const char *const names[FUZZ_SYMBOLS] = {
		"simple", "caller", "table", "thrower", "small", "tail", "loop", "_start",
	};

	for (size_t i = 0; i < FUZZ_SYMBOLS; i++)
		c->sym[i].off = offset_of(obj, names[i], &c->sym[i].size);
	c->text_len = offset_of(obj, "text_end", NULL);
	c->eh_frame = offset_of(obj, "eh_frame_start", NULL);
	c->len = offset_of(obj, "eh_frame_end", NULL);
	c->eh_frame_len = c->len - c->eh_frame;
}

struct code_input {
	struct fuzz_code c;
	uint8_t bytes[65536];
};

/* A thread at the beginning of `simple`, whose return address is the first word of the stack. */
static void save_stack(const char *name, struct code_input *in, const uint64_t *stack, size_t words)
{
	in->c.stack_len = (uint32_t)(words * 8);
	in->c.reg[7] = FUZZ_STACK_END - in->c.stack_len;
	in->c.reg[16] = FUZZ_CODE + in->c.sym[0].off;
	memcpy(in->bytes + in->c.len, stack, words * 8);
	save(name, in, sizeof(in->c) + in->c.len + in->c.stack_len);
}

#define CALL_LEN 5

static void make_stacks(struct code_input *in, struct ug_object *obj)
{
	/* `caller`: sub $8, %rsp; call. _start: xor; call. */
	const uint64_t in_caller = FUZZ_CODE + in->c.sym[1].off + 4 + CALL_LEN;
	const uint64_t in_start = FUZZ_CODE + in->c.sym[7].off + 2 + CALL_LEN;
	uint64_t stack[128] = { in_caller, 1, in_start, 2, 3 };

	save_stack("unwind/main", in, stack, 8);
	in->c.alien = 1;
	save_stack("unwind/alien", in, stack, 8);
	in->c.alien = 0;
	for (size_t i = 0; i < 80; i += 2)
		stack[i] = in_caller;
	stack[80] = in_start;
	save_stack("unwind/deep", in, stack, 82);
	/* struct rt_sigframe: the return word, then a ucontext (lib/stack/internal.h) */
	memset(stack, 0, sizeof(stack));
	stack[0] = FUZZ_CODE + offset_of(obj, "restorer", NULL);
	stack[1 + 5 + 15] = FUZZ_STACK_END - 4 * 8;	/* rsp */
	stack[1 + 5 + 16] = FUZZ_CODE + in->c.sym[0].off;
	stack[1 + 5 + 18] = 0x002b000000000033;
	stack[64 - 4] = in_caller;
	stack[64 - 2] = in_start;
	save_stack("unwind/signal", in, stack, 64);
}

static void make_code(const char *elf)
{
	static struct code_input in;
	struct ug_object *obj;

	if (ug_object_open_file(elf, &obj, NULL) < 0 || ug_object_symtab(obj, NULL) < 0)
		errx(1, "%s is no object", elf);
	fill_head(obj, &in.c);
	if (ug_object_read_file(obj, FUZZ_CODE, in.bytes, in.c.len, NULL) < 0)
		errx(1, "%s is not in one piece", elf);
	save("text/code", &in, sizeof(in.c) + in.c.len);
	make_stacks(&in, obj);
	ug_object_close(obj);
}

/* ---- expressions and filters ---- */

static void make_dwarf(void)
{
	/* atom, offset, four bytes of operand, two of the second one */
	static const uint8_t plt[][8] = {
		{ DW_OP_breg7, 0, 8 }, { DW_OP_breg16, 2, 0 }, { DW_OP_lit15, 4 }, { DW_OP_and, 5 },
		{ DW_OP_lit11, 6 }, { DW_OP_ge, 7 }, { DW_OP_lit3, 8 }, { DW_OP_shl, 9 }, { DW_OP_plus, 10 },
	};
	static const uint8_t loop[][8] = {
		{ DW_OP_breg6, 0, 0xf8, 0xff, 0xff, 0xff }, { DW_OP_deref, 2 }, { DW_OP_dup, 3 },
		{ DW_OP_lit1, 4 }, { DW_OP_minus, 5 }, { DW_OP_dup, 6 }, { DW_OP_bra, 7, 0xf9, 0xff, 0xff, 0xff },
		{ DW_OP_pick, 10, 1 }, { DW_OP_call_frame_cfa, 12 }, { DW_OP_bregx, 13, 3, 0, 0, 0, 4, 0 },
		{ DW_OP_rot, 16 }, { DW_OP_stack_value, 17 },
	};

	save("dwarf/plt", plt, sizeof(plt));
	save("dwarf/loop", loop, sizeof(loop));
}

static void make_bpf(void)
{
	const struct {
		struct seccomp_data asked;
		struct sock_filter prog[12];
	} in = {
		{ .nr = SYS_mmap, .arch = AUDIT_ARCH_X86_64, .args = { 0, 4096, 5 } },
		{
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
			BPF_STMT(BPF_ST, 3),
			BPF_STMT(BPF_MISC | BPF_TAX, 0),
			BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
			BPF_JUMP(BPF_JMP | BPF_JSET | BPF_X, 0, 0, 2),
			BPF_STMT(BPF_LDX | BPF_MEM, 3),
			BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 16),
			BPF_STMT(BPF_RET | BPF_A, 0),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		},
	};

	save("bpf/filter", &in, sizeof(in));
}

int main(int argc, char **argv)
{
	if (argc != 3)
		errx(2, "usage: make-corpus DIR ELF");
	dir = argv[1];
	make_registry();
	make_code(argv[2]);
	make_dwarf();
	make_bpf();
	return 0;
}
