// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * samecode PATCH.ugp REBUILT [DEBUG]
 *
 * Is the code of a patch that of the program rebuilt with the fix? For each function of the patch
 * one line:
 *
 *	equal      the same bytes; every address in them belongs to the same name, or to a literal of
 *	           the same content
 *	masked     so but for addresses that no name tells: how many
 *	decoded    the same instructions in another encoding: widths of branches, padding, what the
 *	           linker has relaxed
 *	different  where first, and how
 *
 * REBUILT is the linked program or library, DEBUG its file of symbols when it is stripped. Exit
 * 0: nothing is different; 1: something is; 2: an error.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "builder/code.h"
#include "builder/diff/compare.h"
#include "patchfile/format.h"
#include "rebuilt.h"

#define DEPTH_MAX 8

struct proof {
	struct ug_dobj *o;		/* the patch */
	struct rebuilt r;
	struct ug_code_walk other;	/* the function a label was last asked of */
	size_t unnamed;			/* addresses of the function looked at */
	int depth;
};

/* The second of two functions of one name is "f..1" in a patch, its cold part "f..1.cold". */
static const char *name_of(const struct ug_item *item, char *buf, size_t size)
{
	const char *dots = strstr(item->name, ".."), *rest;

	snprintf(buf, size, "%s", item->name);
	if (!dots || strspn(dots + 2, "0123456789") == 0)
		return buf;
	rest = dots + 2 + strspn(dots + 2, "0123456789");
	if (!*rest || *rest == '.')
		snprintf(buf, size, "%.*s%s", (int)(dots - item->name), item->name, rest);
	return buf;
}

/* ---- addresses ---- */

static bool is_place(struct proof *p, struct ug_place place, uint64_t addr);

static bool is_named(struct proof *p, const char *name, int64_t off, uint64_t addr)
{
	enum rebuilt_named named = rebuilt_named(&p->r, addr, name, off);

	p->unnamed += named == SAME_BUT_FOR_NUMBERS;
	return named != OTHER_NAME;
}

/* An instruction of a function: the n-th in both. */
static bool is_label(struct proof *p, const struct ug_item *f, int64_t off, uint64_t addr)
{
	char name[256];
	size_t n;

	if (!ug_item_insn_at(p->o, f, off, &n))
		return false;
	name_of(f, name, sizeof(name));
	ug_vec_for_each(&p->r.symbols.symbols, s) {
		const uint8_t *bytes;

		if (addr < s->value || addr >= s->value + s->size || strcmp(s->name, name))
			continue;
		bytes = rebuilt_bytes(&p->r, s->value, s->size);
		if (p->other.addr != s->value || p->other.size != s->size) {
			p->other.addr = s->value;
			p->other.size = s->size;
			if (!bytes || ug_code_decode(&p->other, bytes) < 0)
				return false;
		}
		if (ug_code_index(&p->other, addr) == n)
			return true;
	}
	return false;
}

static bool is_pointer(struct proof *p, struct ug_place place, uint64_t at)
{
	struct rebuilt_pointer ptr;
	enum rebuilt_named named;
	const char *name;
	char buf[256];

	if (!rebuilt_pointer(&p->r, at, &ptr))
		return false;
	if (!ptr.name)
		return is_place(p, place, ptr.addr);
	name = place.item == UG_NO_ITEM ? ug_objfile_symbol_name(&p->o->file, place.sym) :
	       name_of(&p->o->items.v[place.item], buf, sizeof(buf));
	named = rebuilt_alias(&p->r, ptr.name, (int64_t)ptr.addr - place.off, name);
	p->unnamed += named == SAME_BUT_FOR_NUMBERS;
	return named != OTHER_NAME;
}

/* ---- data ---- */

/* The next place of an item that somebody refers to: where what is at `off` ends. */
static uint64_t end_of(const struct proof *p, size_t item, uint64_t off)
{
	uint64_t end = p->o->items.v[item].size;

	ug_vec_for_each(&p->o->rels, rel) {
		struct ug_place place;

		if (!ug_dobj_is_code(&p->o->file, rel->section))
			continue;
		place = ug_dobj_place(p->o, rel, ug_dobj_insn_end(p->o, rel), 0);
		if (place.item == item && place.off > (int64_t)off && (uint64_t)place.off < end)
			end = (uint64_t)place.off;
	}
	return end;
}

/* A field of data that is relocated: a pointer, or the distance of a label from its table. */
static bool is_field(struct proof *p, const struct ug_rel *rel, uint64_t table, uint64_t at, uint64_t table_at)
{
	const uint8_t *bytes = rebuilt_bytes(&p->r, at, ug_rel_size(rel->type));
	int32_t distance;

	if (rel->type == R_X86_64_64)
		return is_pointer(p, ug_dobj_place(p->o, rel, 0, 0), at);
	if (rel->type != R_X86_64_PC32 || !bytes)
		return false;
	memcpy(&distance, bytes, 4);
	return is_place(p, ug_dobj_place(p->o, rel, 0, table), table_at + (uint64_t)(int64_t)distance);
}

/* The same content, from there to its end? */
static bool is_data(struct proof *p, size_t index, int64_t off, uint64_t addr)
{
	const struct ug_item *item = &p->o->items.v[index];
	const uint8_t *ours = ug_item_bytes(p->o, item), *theirs;
	const struct ug_rel *rels;
	uint64_t from = off < 0 ? 0 : (uint64_t)off, end, at;
	size_t n;

	if (!ours || from >= item->size || p->depth >= DEPTH_MAX) {
		p->unnamed++;
		return true;
	}
	end = end_of(p, index, from);
	at = from;
	addr -= (uint64_t)off;			/* of the item */
	theirs = rebuilt_bytes(&p->r, addr + from, end - from);
	if (!theirs)
		return false;
	ug_dobj_rels(p->o, item->section, item->value + from, item->value + end, &rels, &n);
	p->depth++;
	for (size_t i = 0; i <= n; i++) {
		uint64_t until = i < n ? rels[i].offset - item->value : end;

		if (until < at || memcmp(ours + at, theirs + (at - from), until - at) ||
		    (i < n && !is_field(p, &rels[i], item->value + from, addr + until, addr + from)))
			break;
		at = i < n ? until + ug_rel_size(rels[i].type) : until;
	}
	p->depth--;
	return at == end;
}

/* Is `addr` of the rebuilt program what the patch means by `place`? */
static bool is_place(struct proof *p, struct ug_place place, uint64_t addr)
{
	const struct ug_item *item;
	char name[256];

	if (place.item == UG_NO_ITEM) {
		const Elf64_Sym *sym = &p->o->file.syms[place.sym];

		return (addr == 0 && ELF64_ST_BIND(sym->st_info) == STB_WEAK) ||
		       is_named(p, ug_objfile_symbol_name(&p->o->file, place.sym), place.off, addr);
	}
	item = &p->o->items.v[place.item];
	if (item->kind == UG_ITEM_FUNC && place.off)
		return is_label(p, item, place.off, addr);
	if (item->kind == UG_ITEM_FUNC)
		return is_named(p, name_of(item, name, sizeof(name)), 0, addr);
	if (item->name[0] && !item->literal &&
	    !is_named(p, name_of(item, name, sizeof(name)), place.off, addr))
		return false;
	if (item->name[0] && !ug_item_bytes(p->o, item))
		return true;		/* all zero */
	return is_data(p, place.item, place.off, addr);
}

static bool same_address(struct ug_code_walk *w, const struct ug_op *op, const struct ug_rel *rel,
			 struct ug_place place, uint64_t addr, bool direct)
{
	struct proof *p = w->ctx;
	char name[96];

	if (ug_rel_is_tls(rel->type)) {
		p->unnamed++;
		return true;
	}
	if (direct ? is_place(p, place, addr) : is_pointer(p, place, addr))
		return true;
	return ug_code_differs(w, op, "at %#llx is not %s", (unsigned long long)addr,
			       ug_item_describe(p->o, place, name, sizeof(name)));
}

/* ---- functions ---- */

enum verdict { EQUAL, MASKED, DECODED, DIFFERENT };

/* Compared with one function of that name. */
static enum verdict compare_with(struct proof *p, struct ug_code_walk *w, const struct ug_linked_symbol *s)
{
	const uint8_t *bytes = rebuilt_bytes(&p->r, s->value, s->size);
	bool same = false;

	p->unnamed = 0;
	w->addr = s->value;
	w->size = s->size;
	if (!bytes) {
		snprintf(w->text, sizeof(w->text), "%s has no code in the rebuilt file", s->name);
		return DIFFERENT;
	}
	if (ug_code_compare(w, bytes, &same) < 0 || !same)
		return DIFFERENT;
	return w->encoded ? DECODED : p->unnamed ? MASKED : EQUAL;
}

static enum verdict compare_function(struct proof *p, const struct ug_item *f)
{
	static const char *const names[] = { "equal", "masked", "decoded", "different" };
	struct ug_code_walk w = { .o = p->o, .f = f, .address = same_address, .ctx = p };
	char name[256], text[256] = "the rebuilt file has no such function";
	enum verdict best = DIFFERENT;
	size_t unnamed = 0;

	name_of(f, name, sizeof(name));
	ug_vec_for_each(&p->r.symbols.symbols, s) {
		enum verdict v;

		if (s->type != STT_FUNC || strcmp(s->name, name) || best == EQUAL)
			continue;
		v = compare_with(p, &w, s);
		if (v == DIFFERENT && best == DIFFERENT)
			snprintf(text, sizeof(text), "%s", w.text);
		if (v < best) {
			best = v;
			unnamed = p->unnamed;
		}
	}
	ug_code_free(&w);
	printf("%-9s %s", names[best], name);
	if (best == DIFFERENT)
		printf("  %s", text);
	else if (unnamed)
		printf("  %zu address%s without a name", unnamed, unnamed == 1 ? "" : "es");
	printf("\n");
	return best;
}

/* What is gone in the rebuilt program, and in the patch as it was: docs/builder.md. */
static bool is_old_code(const struct proof *p, size_t item)
{
	const struct ug_objfile *f = &p->o->file;
	const Elf64_Shdr *sh = &f->sh[ug_objfile_section(f, UG_FILE_SEC_FUNCS)];

	if (p->o->items.v[item].parent != UG_NO_ITEM)
		item = p->o->items.v[item].parent;
	for (uint64_t at = 0; at + sizeof(struct ug_file_func) <= sh->sh_size; at += sizeof(struct ug_file_func)) {
		struct ug_file_func rec;

		memcpy(&rec, f->r.data + sh->sh_offset + at, sizeof(rec));
		if (rec.symbol < f->nsyms && p->o->sym_item[rec.symbol] == item)
			return rec.flags & UG_FILE_FUNC_OLD_CODE;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct proof p = { .r.fd = -1 };
	struct ug_error err = { 0 };
	int status = 0, rc;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: samecode PATCH.ugp REBUILT [DEBUG]\n");
		return 2;
	}
	rc = ug_dobj_open(argv[1], &p.o, &err);
	if (rc == 0)
		rc = rebuilt_open(&p.r, argv[2], argv[3], &err);
	for (size_t i = 0; rc == 0 && i < p.o->items.n; i++) {
		if (p.o->items.v[i].kind == UG_ITEM_FUNC && !is_old_code(&p, i))
			status |= compare_function(&p, &p.o->items.v[i]) == DIFFERENT;
	}
	if (rc < 0)
		fprintf(stderr, "samecode: %s\n", err.message);
	ug_code_free(&p.other);
	rebuilt_close(&p.r);
	ug_dobj_close(p.o);
	return rc < 0 ? 2 : status;
}
