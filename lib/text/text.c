/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The code of an object: bytes, branch index, what belongs to no function. */
#include "base/bisect.h"
#include "base/cleanup.h"
#include "text/text_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* A function of which so many apparent calls are none is taken for one that is not called. */
#define TRIES_MAX 64

static int no_memory(struct ug_error *err)
{
	return ug_err(err, -ENOMEM, "no memory for the code of an object");
}

const uint8_t *ug_text_bytes(const struct ug_text *text, ug_raddr_t addr, size_t *ret_left)
{
	for (size_t i = 0; i < text->code.n; i++) {
		const struct ug_code *c = &text->code.v[i];

		if (addr >= c->start && addr < c->end) {
			*ret_left = c->end - addr;
			return c->bytes + (addr - c->start);
		}
	}
	return NULL;
}

bool ug_text_decode(const struct ug_text *text, ug_raddr_t addr, struct ug_insn *ret)
{
	size_t left;
	const uint8_t *bytes = ug_text_bytes(text, addr, &left);

	return bytes && ug_insn_decode(bytes, left < UG_INSN_MAX ? left : UG_INSN_MAX, addr, ret);
}

static int read_code(struct ug_text *text, const struct ug_segment *seg, struct ug_error *err)
{
	uint64_t size = seg->end - seg->start;
	struct ug_code *c;

	if (size > seg->filesz)
		size = seg->filesz;
	if (size == 0)
		return 0;
	c = ug_vec_add(&text->code);
	if (!c)
		return no_memory(err);
	c->start = seg->start;
	c->end = seg->start + size;
	c->bytes = ug_object_code(text->obj, c->start, size);
	if (c->bytes)
		return 0;
	c->copy = malloc(size);
	if (!c->copy)
		return no_memory(err);
	c->bytes = c->copy;
	return ug_object_read_file(text->obj, c->start, c->copy, size, err);
}

/* How long is a call, jmp or jcc with a rel32 that begins like this? 0: it is none. */
static size_t rel32_branch_len(const uint8_t *p)
{
	if (p[0] == 0xe8 || p[0] == 0xe9)
		return 5;
	return p[0] == 0x0f && (p[1] & 0xf0) == 0x80 ? 6 : 0;
}

static bool in_text(const struct ug_text *text, const struct ug_code *c, ug_raddr_t addr)
{
	size_t left;

	return (addr >= c->start && addr < c->end) || ug_text_bytes(text, addr, &left);
}

/* All bytes of a program are looked at here, and each hundredth is one. */
static int index_code(struct ug_text *text, const struct ug_code *c, struct ug_error *err)
{
	size_t size = c->end - c->start;

	for (size_t i = 0; i + 5 <= size; i++) {
		size_t len = rel32_branch_len(c->bytes + i);
		struct ug_branch *b;
		ug_raddr_t target;
		int32_t rel;

		if (!len || i + len > size)
			continue;
		memcpy(&rel, c->bytes + i + len - 4, 4);
		target = c->start + i + len + (uint64_t)(int64_t)rel;
		if (!in_text(text, c, target))
			continue;
		b = ug_vec_add(&text->branches);
		if (!b)
			return no_memory(err);
		b->target = (uint32_t)(target - text->base);
		b->src = (uint32_t)(c->start + i - text->base);
	}
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct ug_span *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static int own(struct ug_text *text, ug_raddr_t start, ug_raddr_t end, struct ug_error *err)
{
	struct ug_span *s;
	size_t left;

	if (!ug_text_bytes(text, start, &left))
		return 0;
	s = ug_vec_add(&text->owned);
	if (!s)
		return no_memory(err);
	s->start = start;
	s->end = end > start ? end : start + 1;
	return 0;
}

static void merge_owned(struct ug_text *text)
{
	size_t n = 0;

	if (text->owned.n == 0)
		return;
	qsort(text->owned.v, text->owned.n, sizeof(*text->owned.v), by_start);
	for (size_t i = 1; i < text->owned.n; i++) {
		struct ug_span *last = &text->owned.v[n], *s = &text->owned.v[i];

		if (s->start > last->end)
			text->owned.v[++n] = *s;
		else if (s->end > last->end)
			last->end = s->end;
	}
	text->owned.n = n + 1;
}

static int list_owned(struct ug_text *text, struct ug_error *err)
{
	const struct ug_object *obj = text->obj;
	int ret = 0;

	for (size_t i = 0; i < ug_cfi_count(obj) && ret == 0; i++)
		ret = own(text, ug_cfi_at(obj, i)->start, ug_cfi_at(obj, i)->end, err);
	for (size_t i = 0; i < ug_symtab_count(obj) && ret == 0; i++) {
		const struct ug_symbol *s = ug_symtab_at(obj, i);

		/* Data in text (constants of assembly code) is nobody's padding either. */
		if (s->type != STT_TLS && s->type != STT_SECTION && s->type != STT_FILE)
			ret = own(text, s->addr, s->addr + s->size, err);
	}
	merge_owned(text);
	return ret;
}

static int fill(struct ug_text *text, struct ug_error *err)
{
	struct ug_object *obj = text->obj;
	int ret;

	if (obj->end - obj->start > UINT32_MAX)
		return ug_err(err, -UG_E_BAD_ELF, "%s is larger than 4 GiB", obj->name);
	text->base = obj->start;
	ret = ug_object_symtab(obj, err);
	if (ret >= 0)
		ret = ug_object_cfi(obj, err);
	for (size_t i = 0; i < obj->nsegs && ret >= 0; i++) {
		if (obj->segs[i].prot & PROT_EXEC)
			ret = read_code(text, &obj->segs[i], err);
	}
	for (size_t i = 0; i < text->code.n && ret >= 0; i++)
		ret = index_code(text, &text->code.v[i], err);
	if (ret < 0)
		return ret;
	if (!ug_branches_sort(text->branches.v, text->branches.n))
		return no_memory(err);
	return list_owned(text, err);
}

int ug_text_open(struct ug_object *obj, struct ug_text **ret, struct ug_error *err)
{
	struct ug_text *text = calloc(1, sizeof(*text));
	int r;

	if (!text)
		return no_memory(err);
	text->obj = obj;
	r = fill(text, err);
	if (r < 0) {
		ug_text_close(text);
		return r;
	}
	*ret = text;
	return 0;
}

void ug_text_close(struct ug_text *text)
{
	if (!text)
		return;
	ug_vec_for_each(&text->code, c)
		free(c->copy);
	ug_vec_free(&text->code);
	ug_vec_free(&text->branches);
	ug_vec_free(&text->owned);
	ug_vec_free(&text->reserved);
	free(text);
}

/* The first branch of the index with a target not below `target`. */
static size_t first_branch(const struct ug_text *text, uint64_t target)
{
	return ug_bisect(0, text->branches.n, i, text->branches.v[i].target < target);
}

static void named_cb(const struct ug_symbol *sym, void *ctx)
{
	bool *named = ctx;

	if (!strstr(sym->name, ".cold") && !strstr(sym->name, ".__part."))
		*named = true;
}

bool ug_text_named(const struct ug_text *text, ug_raddr_t addr)
{
	bool named = false;

	ug_symbols_at(text->obj, addr, named_cb, &named);
	return named;
}

bool ug_text_on_boundary(const struct ug_text *text, ug_raddr_t src)
{
	const struct ug_fde *fde = ug_cfi_fde(text->obj, src);
	struct ug_insn insn;
	ug_raddr_t at;

	if (!fde)
		return false;
	for (at = fde->start; at < src; at += insn.len) {
		if (!ug_text_decode(text, at, &insn))
			return false;
	}
	return at == src;
}

bool ug_text_is_called(const struct ug_text *text, ug_raddr_t addr)
{
	uint64_t off = addr - text->base;
	size_t left, tries = 0;

	for (size_t i = first_branch(text, off);
	     i < text->branches.n && text->branches.v[i].target == off && tries < TRIES_MAX;
	     i++, tries++) {
		ug_raddr_t src = text->base + text->branches.v[i].src;
		const uint8_t *p = ug_text_bytes(text, src, &left);

		if (p && *p == 0xe8 && ug_text_on_boundary(text, src))
			return true;
	}
	return false;
}

static bool is_short_branch(const uint8_t *p)
{
	return (p[0] & 0xf0) == 0x70 || p[0] == 0xeb || (p[0] >= 0xe0 && p[0] <= 0xe3);
}

struct query {
	ug_raddr_t lo, hi, not_lo, not_hi;
};

static bool hits(const struct query *q, ug_raddr_t src, ug_raddr_t target)
{
	return target >= q->lo && target < q->hi && (src < q->not_lo || src >= q->not_hi);
}

/* rel8 branches of the code that an FDE describes, decoded in a row from its start. */
static bool short_in_fde(const struct ug_text *text, const struct ug_fde *fde,
			 const struct query *q, ug_raddr_t *ret_src)
{
	struct ug_insn insn;

	for (ug_raddr_t at = fde->start; at < fde->end && at < q->hi + 130;) {
		if (!ug_text_decode(text, at, &insn)) {
			at++;
			continue;
		}
		if (ug_insn_jumps(&insn) && hits(q, at, insn.target)) {
			*ret_src = at;
			return true;
		}
		at += insn.len;
	}
	return false;
}

/* Around [lo, hi), as far as a rel8 reaches. Where no FDE says what the instructions are,
 * every byte that looks like a short branch counts. */
static bool short_branch_into(const struct ug_text *text, const struct query *q,
			      ug_raddr_t *ret_src)
{
	ug_raddr_t at = q->lo > 130 ? q->lo - 130 : 0;
	size_t left;

	while (at < q->hi + 130) {
		const struct ug_fde *fde = ug_cfi_fde(text->obj, at);
		const uint8_t *p = ug_text_bytes(text, at, &left);

		if (fde) {
			if (short_in_fde(text, fde, q, ret_src))
				return true;
			at = fde->end > at ? fde->end : at + 1;
			continue;
		}
		if (p && left >= 2 && is_short_branch(p) &&
		    hits(q, at, at + 2 + (uint64_t)(int64_t)(int8_t)p[1])) {
			*ret_src = at;
			return true;
		}
		at++;
	}
	return false;
}

bool ug_text_branch_into(const struct ug_text *text, ug_raddr_t lo, ug_raddr_t hi,
			 ug_raddr_t not_lo, ug_raddr_t not_hi, ug_raddr_t *ret_src)
{
	const struct query q = { lo, hi, not_lo, not_hi };

	for (size_t i = first_branch(text, lo - text->base); i < text->branches.n; i++) {
		ug_raddr_t target = text->base + text->branches.v[i].target;
		ug_raddr_t src = text->base + text->branches.v[i].src;

		if (target >= hi)
			break;
		if (hits(&q, src, target)) {
			*ret_src = src;
			return true;
		}
	}
	return short_branch_into(text, &q, ret_src);
}

bool ug_text_gap(const struct ug_text *text, ug_raddr_t addr, struct ug_span *ret)
{
	size_t lo = ug_bisect(0, text->owned.n, i, text->owned.v[i].start <= addr);

	for (size_t i = 0; i < text->code.n; i++) {
		const struct ug_code *c = &text->code.v[i];

		if (addr >= c->start && addr < c->end)
			*ret = (struct ug_span){ c->start, c->end };
	}
	if (lo == 0)
		return false;	/* nothing known ends before */
	if (text->owned.v[lo - 1].end > addr)
		return false;
	ret->start = text->owned.v[lo - 1].end;
	if (lo < text->owned.n && text->owned.v[lo].start < ret->end)
		ret->end = text->owned.v[lo].start;
	return true;
}

bool ug_text_called_directly(struct ug_text *text, ug_raddr_t func)
{
	const struct ug_fde *fde = ug_cfi_fde(text->obj, func);
	const struct ug_symbol *sym = ug_symbol_by_addr(text->obj, func);
	ug_raddr_t end = func + 1, src;

	if (fde)
		end = fde->end;
	if (sym && sym->addr == func && func + sym->size > end)
		end = func + sym->size;
	return ug_text_branch_into(text, func, func + 1, func, end, &src);
}

void ug_text_reserve(struct ug_text *text, ug_raddr_t addr, size_t len)
{
	struct ug_span *s = ug_vec_add(&text->reserved);

	if (s)
		*s = (struct ug_span){ addr, addr + len };
	else
		text->reserve_failed = true;
}
