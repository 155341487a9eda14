/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Call chains for people. Nothing here enters a verdict. */
#include <stdio.h>
#include <string.h>

#include "object/symbol.h"
#include "stack/internal.h"

struct chain {
	struct ug_stack_report *report;
	ug_raddr_t sp;		/* of the last frame */
};

void ug_chain_add(struct ug_stack_report *r, ug_raddr_t pc, bool exact)
{
	if (r->nchain == UG_CHAIN_MAX)
		return;
	r->exact |= (uint32_t)exact << r->nchain;
	r->chain[r->nchain++] = pc;
}

static bool visit(const struct ug_unwind_frame *f, void *ctx)
{
	struct chain *c = ctx;

	ug_chain_add(c->report, f->pc, f->exact);
	c->sp = f->sp;
	return c->report->nchain < UG_CHAIN_MAX;
}

/* Words that follow a call: mostly the callers, with some that returned long ago. */
static void guess(const struct ug_stack_ctx *ctx, struct ug_stack_report *r, ug_raddr_t sp)
{
	struct ug_stack_mem mem;
	struct ug_region run;
	size_t len;

	ug_stack_mem_init(&mem, ctx);
	if (sp % sizeof(uint64_t) || !ug_stack_run(ctx->maps, sp, &run))
		return;
	len = ug_stack_mem_fill(&mem, sp, run.hi);
	for (size_t i = 0; i < len / sizeof(uint64_t) && r->nchain < UG_CHAIN_MAX; i++) {
		struct ug_object *obj = ug_objects_find(ctx->objects, mem.buf[i]);

		if (obj && ug_object_is_text(obj, mem.buf[i] - 1, 1) &&
		    ug_call_before(obj, mem.buf[i]))
			ug_chain_add(r, mem.buf[i], false);
	}
}

void ug_stack_chain(const struct ug_stack_ctx *ctx, const struct ug_thread *t,
		    struct ug_stack_report *ret)
{
	struct chain c = { .report = ret };
	const char *reason;
	ug_raddr_t where;

	ret->nchain = 0;
	ret->exact = 0;
	if (!ug_unwind(ctx, t, visit, &c, &reason, &where))
		guess(ctx, ret, c.sp);
}

/*
 * A return address can lie behind the last byte of its function: the byte before it is looked up.
 * What a signal has interrupted can be the first one of its function: that itself is.
 */
static void name_frame(const struct ug_stack_ctx *ctx, ug_raddr_t pc, bool first, bool exact,
		       char *buf, size_t size)
{
	struct ug_object *obj = ug_objects_find(ctx->objects, pc);
	const struct ug_symbol *sym = NULL;

	if (ctx->own_name && ctx->own_name(ctx->own_ctx, exact ? pc : pc - 1, buf, size))
		return;
	if (obj)
		sym = ug_symbol_by_addr(obj, exact ? pc : pc - 1);
	if (sym && first)
		(void)snprintf(buf, size, "%s+%#llx", sym->name,
			       (unsigned long long)(pc - sym->addr));
	else if (sym)
		(void)snprintf(buf, size, "%s", sym->name);
	else if (obj && obj->name)
		(void)snprintf(buf, size, "%s+%#llx", obj->name,
			       (unsigned long long)(pc - obj->start));
	else
		(void)snprintf(buf, size, "%#llx", (unsigned long long)pc);
}

const char *ug_stack_format(const struct ug_stack_ctx *ctx, const struct ug_stack_report *r,
			    char *buf, size_t size)
{
	size_t len = 0;

	if (size)
		buf[0] = 0;
	for (unsigned int i = 0; i < r->nchain; i++) {
		char name[256], item[272];
		size_t n;

		name_frame(ctx, r->chain[i], i == 0, r->exact >> i & 1, name, sizeof(name));
		(void)snprintf(item, sizeof(item), "%s%s", i ? " \u2190 " : "", name);
		n = strlen(item);
		if (n >= size - len)
			break;	/* whole names only */
		memcpy(buf + len, item, n + 1);
		len += n;
	}
	return buf;
}
