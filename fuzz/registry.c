/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: whatever is in the memory of a process where a registry should be, reading it, and
 * all that is made of it before anything is stopped, ends with an error or without harm.
 *
 * The input is the header, SLOTS slots, LINES lines of the log, and then the records, which lie
 * behind the registry; what is between these in the registry is zero.
 */
#include <stdlib.h>

#include "engine/checkset.h"
#include "engine/entry.h"
#include "engine/funcstack.h"
#include "engine/own.h"
#include "fuzz/driver.h"
#include "fuzz/registry.h"
#include "tests/lib/fake_proc.h"
#include "text/gate.h"

static size_t part(struct fake_proc *f, const uint8_t *data, size_t size, size_t off, size_t len,
		   ug_raddr_t to)
{
	size_t n = off >= size ? 0 : len < size - off ? len : size - off;

	fake_proc_put(f, to, data + off, n);
	return off + n;
}

static void fill(struct fake_proc *f, const uint8_t *data, size_t size)
{
	size_t off = 0;

	off = part(f, data, size, off, sizeof(struct ug_reg_header), FUZZ_REG);
	off = part(f, data, size, off, FUZZ_REG_SLOTS * sizeof(struct ug_reg_slot),
		   FUZZ_REG + UG_REG_SLOT_OFF);
	off = part(f, data, size, off, FUZZ_REG_LINES * UG_REG_LOG_LINE, FUZZ_REG + UG_REG_LOG_OFF);
	fake_proc_put(f, FUZZ_REG + UG_REG_SIZE - 1, "", 1);
	(void)part(f, data, size, off, size, FUZZ_RECORDS);
	fake_proc_map(f, FUZZ_REG, UG_REG_SIZE, PROT_READ | PROT_WRITE,
		      "/memfd:" UG_REG_NAME " (deleted)");
}

static void note(uint64_t pointer, void *ctx)
{
}

static void read_table(struct ug_target *t, const struct ug_reg_trans *trans)
{
	uint8_t *table = malloc(trans->table_used + 1), byte;
	size_t off;

	if (table && trans->table_used &&
	    ug_proc_read(&t->proc, trans->table, table, trans->table_used, NULL) == 0) {
		ug_ignore(ug_table_for_each(table, trans->table_used, note, NULL, NULL));
		(void)ug_table_kill(table, trans->table_used, trans->table & ~7UL, &off, &byte);
	}
	free(table);
}

static void read_sites(struct ug_target *t, const struct ug_seg *seg)
{
	for (uint32_t i = 0; i < seg->sites->nsites; i++) {
		const struct ug_reg_site *s = &ug_seg_sites(seg)[i];
		ug_raddr_t where;

		(void)ug_func_top(&t->reg, s->func, NULL);
		ug_ignore(ug_entry_read(&t->proc, s, &where, NULL));
	}
}

static void read_patch(struct ug_target *t, const struct ug_seg *seg)
{
	uint8_t *image;
	size_t len;

	(void)ug_registry_patch(&t->reg, ug_seg_str(seg, seg->patch->name));
	if (ug_own_has_code(seg) && ug_own_image(t, seg, &image, &len, NULL) == 0)
		free(image);
}

/* As a load does before it stops anything; then as a check asks about a PC in code of ours. */
static void check(struct ug_target *t, const struct ug_seg *trans)
{
	struct ug_stack_ctx ctx;
	struct ug_checkset cs;

	if (ug_checkset_init(&cs, t, trans, NULL) < 0)
		return;
	ug_ignore(ug_checkset_load_own(&cs, t, NULL));
	ug_checkset_stack_ctx(&cs, t, &ctx);
	for (size_t i = 0; i < cs.ranges.n && i < 64; i++) {
		struct ug_own_frame frame;
		char name[128];

		for (size_t off = 0; off < 24; off++)
			(void)ctx.own_code(ctx.own_ctx, cs.ranges.v[i].start + off, true, &frame);
		(void)ctx.own_name(ctx.own_ctx, cs.ranges.v[i].start, name, sizeof(name));
	}
	if (cs.nwords)
		ug_checkset_close(&cs, t, cs.concerned);
	ug_checkset_free(&cs);
}

static void read_all(struct ug_target *t)
{
	char (*lines)[UG_REG_LOG_LINE];
	size_t n;

	for (size_t i = 0; i < t->reg.nsegs; i++) {
		const struct ug_seg *seg = &t->reg.segs[i];

		if (seg->s.kind == UG_REG_SITES)
			read_sites(t, seg);
		else if (seg->s.kind == UG_REG_PATCH)
			read_patch(t, seg);
		else
			read_table(t, seg->trans);
	}
	(void)ug_registry_intent(&t->reg);
	check(t, ug_registry_running_trans(&t->reg));
	if (ug_registry_read_log(&t->proc, &t->reg, &lines, &n, NULL) == 0)
		free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ug_target t = { 0 };
	struct fake_proc f;

	fake_proc_open(&f);
	fill(&f, data, size);
	t.proc = f.proc;
	if (ug_registry_read(&f.proc, &f.maps, &t.reg, NULL) == 0) {
		read_all(&t);
		ug_registry_free(&t.reg);
	}
	fake_proc_close(&f);
	return 0;
}
