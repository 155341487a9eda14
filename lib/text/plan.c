/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where and how the entry of a function is redirected, or why it cannot be.
 *
 * The overwritten bytes [at, at + len) must be whole instructions (with what follows up to
 * at + moved) without system call, and with none but the last one a call; nothing may branch
 * into their middle, no function may start there, they must not cross a page. Behind a return or
 * jump they may be padding that belongs to nobody. If five bytes are not to be had, two are tried,
 * with the long jump in padding nearby.
 */
#include "text/text_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ENDBR64_LEN 4

static const uint8_t endbr64[ENDBR64_LEN] = { 0xf3, 0x0f, 0x1e, 0xfa };

struct names {
	const char *wanted;	/* the name asked for, or the first one found */
	struct ug_site_plan *plan;
	uint64_t size;
	size_t n;
};

static void add_alias(struct ug_site_plan *plan, const char *name)
{
	size_t used = strlen(plan->aliases);

	plan->naliases++;
	snprintf(plan->aliases + used, sizeof(plan->aliases) - used, "%s%s", used ? ", " : "",
		 name);
}

static void name_cb(const struct ug_symbol *sym, void *ctx)
{
	struct names *names = ctx;

	names->n++;
	if (sym->size > names->size)
		names->size = sym->size;
	if (sym->dynamic)
		names->plan->exported = true;
	if (!names->wanted)
		names->wanted = sym->name;
	else if (strcmp(names->wanted, sym->name) != 0)
		add_alias(names->plan, sym->name);
}

static int identify(struct ug_text *text, const char *name, uint64_t size, unsigned int flags,
		    struct ug_site_plan *plan, struct ug_error *err)
{
	const struct ug_fde *fde = ug_cfi_fde(text->obj, plan->func);
	struct names names = { .wanted = name, .plan = plan, .size = size };

	ug_symbols_at(text->obj, plan->func, name_cb, &names);
	if (names.n == 0 && !(fde && fde->start == plan->func))
		return ug_err(err, -UG_E_NO_SYMBOL,
			      "no function starts at 0x%llx: neither a symbol nor CFI says so",
			      (unsigned long long)plan->func);
	plan->size = names.size;
	if (fde && fde->end - plan->func > plan->size)
		plan->size = fde->end - plan->func;
	if (plan->size == 0)
		return ug_err(err, -UG_E_NO_SYMBOL, "the size of the function is not known");
	if (names.wanted && ug_symbol_is_cold(names.wanted))
		return ug_err(err, -UG_E_CLONE, "%s is a part of a function, not one of its own: patch "
			      "the function", names.wanted);
	if (names.wanted && ug_symbol_is_clone(names.wanted) && !(flags & UG_PLAN_CLONE_OK))
		return ug_err(err, -UG_E_CLONE, "%s is a clone made by the compiler: patch the "
			      "functions that call it", names.wanted);
	if (plan->naliases > 0 && !(flags & UG_PLAN_ALIASES_OK))
		return ug_err(err, -UG_E_ALIASED,
			      "the same code is also %s: name all of them in the patch",
			      plan->aliases);
	return 0;
}

static bool is_padding_byte(uint8_t byte)
{
	return byte == 0xcc || byte == 0x90 || byte == 0;
}

/* Does [addr, addr + len) lie in a gap and consist of padding from its start on? */
static bool is_padding(const struct ug_text *text, ug_raddr_t addr, size_t len)
{
	struct ug_span gap;
	struct ug_insn insn;
	const uint8_t *p;
	size_t left;

	if (!ug_text_gap(text, addr, &gap) || gap.end - addr < len)
		return false;
	for (ug_raddr_t at = gap.start; at < addr + len;) {
		p = ug_text_bytes(text, at, &left);
		if (p && is_padding_byte(*p)) {
			at++;
			continue;
		}
		if (!p || !ug_text_decode(text, at, &insn) || !insn.is_nop)
			return false;
		at += insn.len;
	}
	return true;
}

static bool crosses_page(ug_raddr_t at, size_t len)
{
	return ug_align_down(at, UG_PAGE_SIZE) != ug_align_down(at + len - 1, UG_PAGE_SIZE);
}

static bool in_open(ug_raddr_t addr, ug_raddr_t start, size_t len)
{
	return addr > start && addr < start + len;
}

static void ignore_symbol(const struct ug_symbol *sym, void *ctx)
{
}

/* Does an instruction begin inside (at, at + len)? */
static bool has_boundary(const struct ug_text *text, ug_raddr_t at, size_t len)
{
	struct ug_insn insn;

	return !ug_text_decode(text, at, &insn) || insn.len < len;
}

/* Why something leads into the middle of the bytes; NULL: nothing does. */
static const char *entered(struct ug_text *text, const struct ug_flow *flow, ug_raddr_t at,
			   size_t len, ug_raddr_t *ret_src)
{
	const struct ug_fde *fde;

	*ret_src = at;
	for (ug_raddr_t a = at + 1; a < at + len; a++) {
		fde = ug_cfi_fde(text->obj, a);
		if (ug_symbols_at(text->obj, a, ignore_symbol, NULL) > 0 ||
		    (fde && fde->start == a))
			return "another function starts in them";
	}
	for (size_t i = 0; i < flow->targets.n; i++) {
		if (in_open(flow->targets.v[i], at, len)) {
			*ret_src = flow->targets.v[i];
			return "a branch of the function leads into them";
		}
	}
	if (flow->doubt && has_boundary(text, at, len)) {
		*ret_src = flow->doubt;
		return "an indirect jump that is not understood may lead into them";
	}
	if (ug_text_branch_into(text, at + 1, at + len, at, at + 1, ret_src))
		return "a branch leads into them";
	return NULL;
}

struct refusal {
	int code;
	ug_raddr_t addr;
	const char *why;
};

static bool refuse(struct refusal *r, int code, ug_raddr_t addr, const char *why)
{
	r->code = code;
	r->addr = addr;
	r->why = why;
	return false;
}

static bool is_reserved(const struct ug_text *text, ug_raddr_t addr, size_t len)
{
	for (size_t i = 0; i < text->reserved.n; i++) {
		if (addr < text->reserved.v[i].end && addr + len > text->reserved.v[i].start)
			return true;
	}
	return text->reserve_failed;
}

/* How many bytes of whole instructions cover len; false with the reason. */
static bool measure(const struct ug_text *text, const struct ug_site_plan *plan, size_t len,
		    size_t *ret_moved, bool *ret_nops, struct refusal *why)
{
	ug_raddr_t at = plan->at;
	struct ug_insn insn;
	size_t off = 0;

	*ret_nops = true;
	while (off < len) {
		if (at + off >= plan->func + plan->size)
			return refuse(why, -UG_E_TOO_SHORT, at + off, "the function ends in them");
		if (!ug_text_decode(text, at + off, &insn))
			return refuse(why, -UG_E_ENTRY, at + off, "one cannot be decoded");
		if (ug_insn_calls(&insn) && off + insn.len < len)
			return refuse(why, -UG_E_ENTRY, at + off,
				      "a call in them returns into the middle of them");
		if (ug_insn_calls(&insn) && !ug_insn_call_displaceable(&insn))
			return refuse(why, -UG_E_ENTRY, at + off,
				      "there is a call in them that works there only");
		if (insn.kind == UG_INSN_SYSCALL || insn.kind == UG_INSN_XBEGIN)
			return refuse(why, -UG_E_ENTRY, at + off,
				      "there is a system call in them");
		*ret_nops &= insn.is_nop;
		off += insn.len;
		if (!ug_insn_ends_flow(&insn) || off >= len)
			continue;
		if (!is_padding(text, at + off, len - off) ||
		    is_reserved(text, at + off, len - off))
			return refuse(why, -UG_E_TOO_SHORT, at + off,
				      "the function ends in them and what follows is in use");
		off = len;
	}
	*ret_moved = off;
	return true;
}

static bool copy_orig(const struct ug_text *text, ug_raddr_t addr, uint8_t *buf, size_t n)
{
	size_t left;
	const uint8_t *p = ug_text_bytes(text, addr, &left);

	if (!p || left < n)
		return false;
	memcpy(buf, p, n);
	return true;
}

/* Try len bytes at the entry; fills the plan, or says why not. */
static bool try_entry(struct ug_text *text, const struct ug_flow *flow, size_t len,
		      struct ug_site_plan *plan, struct refusal *why)
{
	const char *reason;
	ug_raddr_t src;
	size_t moved;
	bool nops;

	if (crosses_page(plan->at, len))
		return refuse(why, -UG_E_ENTRY, plan->at, "they cross a page");
	if (!measure(text, plan, len, &moved, &nops, why))
		return false;
	reason = entered(text, flow, plan->at, len, &src);
	if (reason)
		return refuse(why, -UG_E_ENTRY, src, reason);
	if (moved > UG_SITE_BYTES_MAX || !copy_orig(text, plan->at, plan->orig, moved))
		return refuse(why, -UG_E_ENTRY, plan->at, "they cannot be read");
	plan->len = (uint8_t)len;
	plan->moved = (uint8_t)moved;
	plan->is_nop = nops;
	return true;
}

static bool pad_fits(struct ug_text *text, ug_raddr_t addr)
{
	ug_raddr_t src;

	return !is_reserved(text, addr, 5) && !crosses_page(addr, 5) && is_padding(text, addr, 5) &&
	       !ug_text_branch_into(text, addr, addr + 5, 0, 0, &src);
}

/* Five bytes of padding within reach of a jmp rel8 at plan->at, the nearest behind first. */
static bool find_pad(struct ug_text *text, struct ug_site_plan *plan)
{
	ug_raddr_t next = plan->at + 2;
	struct ug_span gap;

	for (int dist = 0; dist <= INT8_MAX; dist++) {
		if (ug_text_gap(text, next + dist, &gap) && pad_fits(text, next + dist)) {
			plan->pad_at = next + dist;
			return copy_orig(text, plan->pad_at, plan->pad_orig, 5);
		}
	}
	for (int dist = -7; dist >= INT8_MIN; dist--) {
		if (ug_text_gap(text, next + dist, &gap) && pad_fits(text, next + dist)) {
			plan->pad_at = next + dist;
			return copy_orig(text, plan->pad_at, plan->pad_orig, 5);
		}
	}
	return false;
}

static bool choose_form(struct ug_text *text, const struct ug_flow *flow,
			struct ug_site_plan *plan, struct refusal *why)
{
	struct refusal shorter;

	plan->form = UG_FORM_JMP5;
	if (try_entry(text, flow, 5, plan, why))
		return true;
	plan->form = UG_FORM_JMP2;
	return try_entry(text, flow, 2, plan, &shorter) && find_pad(text, plan);
}

static int plan_entry(struct ug_text *text, const struct ug_flow *flow,
		      struct ug_site_plan *plan, struct ug_error *err)
{
	uint8_t head[ENDBR64_LEN], buf[UG_DISPLACED_MAX];
	struct refusal why;
	size_t len;
	int ret;

	plan->at = plan->func;
	if (plan->size > ENDBR64_LEN && copy_orig(text, plan->func, head, ENDBR64_LEN) &&
	    memcmp(head, endbr64, ENDBR64_LEN) == 0)
		plan->at += ENDBR64_LEN;
	if (!choose_form(text, flow, plan, &why)) {
		ug_err(err, why.code,
		       "the first bytes at 0x%llx cannot be overwritten: %s (0x%llx), and there "
		       "is no way by a short jump",
		       (unsigned long long)plan->at, why.why, (unsigned long long)why.addr);
		return why.code;
	}
	/* Distances aside, can the instructions be displaced? */
	ret = ug_text_displace(plan, plan->at, buf, &len, err);
	return ret < 0 ? ret : 0;
}

struct part_names {
	struct ug_site_plan *plan;
	bool nomem;
};

static bool add_range(struct ug_site_plan *plan, ug_raddr_t start, ug_raddr_t end,
		      enum ug_range_kind kind)
{
	struct ug_range *v;

	for (size_t i = 0; i < plan->nparts; i++) {
		if (plan->parts[i].start <= start && plan->parts[i].end >= end)
			return true;
	}
	v = realloc(plan->parts, (plan->nparts + 1) * sizeof(*v));
	if (!v)
		return false;
	plan->parts = v;
	v[plan->nparts++] = (struct ug_range){ .start = start, .end = end, .kind = kind };
	return true;
}

static void part_cb(const struct ug_symbol *sym, void *ctx)
{
	struct part_names *p = ctx;

	if (sym->size && !add_range(p->plan, sym->addr, sym->addr + sym->size, UG_RANGE_JUMPED))
		p->nomem = true;
}

static int collect_parts(struct ug_text *text, const struct ug_flow *flow, const char *name,
			 struct ug_site_plan *plan, struct ug_error *err)
{
	struct part_names by_name = { .plan = plan };

	/* Names bound a function whose control flow is not understood, if there are any. */
	if (flow->doubt && (!ug_object_has_locals(text->obj) ||
			    flow->steps >= UG_FLOW_STEPS_MAX))
		return ug_err(err, -UG_E_PARTS,
			      "the parts of the function cannot be bounded: %s (0x%llx); symbols "
			      "of %s would help", flow->why, (unsigned long long)flow->doubt,
			      text->obj->name);
	for (size_t i = 0; i < flow->parts.n; i++) {
		if (!add_range(plan, flow->parts.v[i].start, flow->parts.v[i].end,
			       i == 0 ? UG_RANGE_CALLED : UG_RANGE_JUMPED))
			by_name.nomem = true;
	}
	if (name)
		ug_symbol_parts(text->obj, name, part_cb, &by_name);
	if (by_name.nomem)
		return ug_err(err, -ENOMEM, "no memory for the parts of a function");
	return 0;
}

static int plan_function(struct ug_text *text, const char *name, struct ug_site_plan *plan,
			 struct ug_error *err)
{
	struct ug_flow flow;
	int ret = ug_flow_run(text, plan->func, plan->size, &flow, err);

	if (ret < 0)
		return ret;
	if (flow.parts.n == 0)
		ret = ug_err(err, -UG_E_NO_SYMBOL, "0x%llx is not text of %s",
			     (unsigned long long)plan->func, text->obj->name);
	if (ret >= 0)
		ret = collect_parts(text, &flow, name, plan, err);
	if (ret >= 0)
		ret = plan_entry(text, &flow, plan, err);
	ug_flow_free(&flow);
	return ret;
}

int ug_text_plan(struct ug_text *text, ug_raddr_t func, uint64_t size, const char *name,
		 unsigned int flags, struct ug_site_plan *ret, struct ug_error *err)
{
	struct ug_site_plan plan = { .func = func };
	int r = identify(text, name, size, flags, &plan, err);

	if (r >= 0)
		r = plan_function(text, name, &plan, err);
	if (r < 0) {
		ug_site_plan_free(&plan);
		if (err)
			ug_err_where(err, text->obj->name, name, func);
		return r;
	}
	*ret = plan;
	return 0;
}

void ug_site_plan_free(struct ug_site_plan *plan)
{
	free(plan->parts);
	plan->parts = NULL;
	plan->nparts = 0;
}
