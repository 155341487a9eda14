/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: whatever the code and the tables of an object, planning the redirect of its
 * functions ends, and a plan keeps what text.h promises of it.
 */
#include <stdlib.h>

#include "fuzz/code.h"
#include "fuzz/driver.h"
#include "text/insn.h"
#include "text/text.h"

/* What the engine relies on without looking again. */
static void check_plan(const struct ug_object *obj, const struct ug_site_plan *plan)
{
	promise((plan->form == UG_FORM_JMP5 && plan->len == 5) ||
		(plan->form == UG_FORM_JMP2 && plan->len == 2));
	promise(plan->len <= plan->moved && plan->moved <= UG_SITE_BYTES_MAX);
	promise(ug_object_is_text(obj, plan->at, plan->moved));
	promise((plan->form == UG_FORM_JMP2) == (plan->pad_at != 0));
	promise(!plan->pad_at || ug_object_is_text(obj, plan->pad_at, 5));
	promise(plan->nparts > 0);
}

static void displace(const struct ug_site_plan *plan, ug_raddr_t dest)
{
	uint8_t *buf = malloc(UG_DISPLACED_MAX);	/* of that size, so that more is seen */
	size_t len = 0, off;

	if (buf && ug_text_displace(plan, dest, buf, &len, NULL) == 0)
		promise(len <= UG_DISPLACED_MAX);
	for (size_t i = 0; i <= len; i++) {
		if (ug_text_displaced_origin(plan, dest, i, &off) != UG_DISPLACED_NOWHERE)
			promise(off <= plan->moved);
	}
	free(buf);
}

static void plan(struct ug_object *obj, struct ug_text *text, ug_raddr_t func, uint64_t size,
		 const char *name)
{
	struct ug_clobbers clobbers;
	struct ug_site_plan p;

	if (ug_text_plan(text, func, size, name, UG_PLAN_ALIASES_OK, &p, NULL) == 0) {
		check_plan(obj, &p);
		displace(&p, FUZZ_CODE + 0x100000);
		ug_text_reserve(text, p.at, p.len);
		ug_site_plan_free(&p);
	}
	ug_ignore(ug_text_clobbers(text, func, size, &clobbers, NULL));
	(void)ug_text_called_directly(text, func);
}

static bool unknown(void *ctx, size_t rel_off, struct ug_clobbers *ret)
{
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ug_object *obj;
	struct fuzz_code c;
	struct ug_clobbers clobbers;
	struct ug_text *text;
	const uint8_t *stack;

	if (!fuzz_code_open(data, size, &c, &obj, &stack))
		return 0;
	if (ug_text_open(obj, &text, NULL) == 0) {
		for (size_t i = 0; i < FUZZ_SYMBOLS; i++)
			plan(obj, text, FUZZ_CODE + c.sym[i].off, i % 2 ? 0 : c.sym[i].size, "f");
		ug_text_close(text);
	}
	ug_ignore(ug_code_clobbers(stack - c.len, c.text_len, unknown, NULL, &clobbers, NULL));
	ug_object_close(obj);
	return 0;
}
