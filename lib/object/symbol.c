// SPDX-License-Identifier: LGPL-2.1-or-later
/* Questions to the symbol table of one object. */
#include "object/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bisect.h"

/* How far below an address a function that covers it is looked for; hostile tables only. */
#define WALK_MAX 4096

/* ---- by name ---- */

struct matches {
	const struct ug_symbol *nth;	/* the one at the wanted position */
	const struct ug_symbol *only;	/* the last default-version one */
	const struct ug_symbol *global;	/* the last of those that is global */
	unsigned int n, defaults, globals;
};

#define for_each_named(st, nm, sym)                                                                \
	for (uint32_t i_ = ug_symtab_bucket(st, nm); i_; i_ = (st)->next[i_ - 1])                  \
		for (const struct ug_symbol *sym = &(st)->v[i_ - 1]; sym; sym = NULL)

static void find_matches(const struct ug_symtab *st, const char *name, unsigned int pos,
			 struct matches *ret)
{
	memset(ret, 0, sizeof(*ret));
	for_each_named(st, name, s) {
		if (strcmp(s->name, name) != 0)
			continue;
		if (++ret->n == pos)
			ret->nth = s;
		if (s->versioned_hidden)
			continue;
		ret->defaults++;
		ret->only = s;
		if (s->bind != STB_LOCAL) {
			ret->globals++;
			ret->global = s;
		}
	}
}

static int no_symbol(const struct ug_object *obj, const char *name, unsigned int pos,
		     const struct matches *m, struct ug_error *err)
{
	if (pos && m->n)
		return ug_err(err, -UG_E_NO_SYMBOL, "%s has %u symbols \"%s\", there is no %u.",
			      obj->name, m->n, name, pos);
	if (m->n)
		return ug_err(err, -UG_E_NO_SYMBOL,
			      "%s has only old versions of \"%s\": say which by position (1 to %u)",
			      obj->name, name, m->n);
	return ug_err(err, -UG_E_NO_SYMBOL, "no symbol \"%s\" in %s%s", name, obj->name,
		      obj->symtab->has_locals ? ""
					      : " (stripped: only exported names are known; "
						"install its debug symbols)");
}

static int ambiguous(const struct ug_object *obj, const char *name, struct ug_error *err)
{
	char list[400] = "";
	unsigned int pos = 0;
	size_t used = 0;

	for_each_named(obj->symtab, name, s) {
		if (strcmp(s->name, name) != 0 || used >= sizeof(list) - 1)
			continue;
		pos++;
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%u at 0x%" PRIx64,
					 pos > 1 ? ", " : "", pos, s->addr);
	}
	return ug_err(err, -UG_E_AMBIGUOUS, "%.64s is ambiguous in %.64s, say which by position: %s",
		      name, obj->name, list);
}

int ug_symbol_find(struct ug_object *obj, const char *name, unsigned int pos,
		   struct ug_symbol *ret, struct ug_error *err)
{
	const struct ug_symbol *found;
	struct matches m;
	int r;

	r = ug_object_symtab(obj, err);
	if (r < 0)
		return r;
	find_matches(obj->symtab, name, pos, &m);
	if (pos)
		found = m.nth;
	else
		found = m.defaults == 1 ? m.only : m.globals == 1 ? m.global : NULL;
	if (!found) {
		r = !pos && m.defaults ? ambiguous(obj, name, err)
				       : no_symbol(obj, name, pos, &m, err);
		ug_err_where(err, obj->name, name, 0);
		return r;
	}
	*ret = *found;
	return 0;
}

/* ---- by address ---- */

/* How many functions begin at or below addr. */
static size_t functions_up_to(const struct ug_symtab *st, ug_raddr_t addr)
{
	return ug_bisect(0, st->nfuncs, i, st->v[st->funcs[i]].addr <= addr);
}

/* Of several names at one address the one to tell people: typed, sized, global, current. */
static int rank(const struct ug_symbol *s)
{
	return (s->type != STT_NOTYPE) * 16 + (s->size != 0) * 8 + !s->versioned_hidden * 4 +
	       (s->bind == STB_GLOBAL ? 2 : s->bind == STB_WEAK);
}

static const struct ug_symbol *better(const struct ug_symbol *a, const struct ug_symbol *b)
{
	return !a || rank(b) > rank(a) ? b : a;
}

/* The one that begins nearest below addr and whose size covers it; funcs[0..n) are below. */
static const struct ug_symbol *find_sized(const struct ug_symtab *st, size_t n, ug_raddr_t addr)
{
	const struct ug_symbol *best = NULL;

	for (size_t steps = 0; n-- > 0 && steps < WALK_MAX; steps++) {
		const struct ug_symbol *s = &st->v[st->funcs[n]];

		if (st->max_end[n] <= addr || (best && s->addr != best->addr))
			break;
		if (addr - s->addr < s->size)
			best = better(best, s);
	}
	return best;
}

/* The nearest below, if no name at its address has a size: it goes up to the next one. */
static const struct ug_symbol *find_unsized(const struct ug_symtab *st, size_t n)
{
	const struct ug_symbol *best = NULL;

	for (size_t steps = 0; n-- > 0 && steps < WALK_MAX; steps++) {
		const struct ug_symbol *s = &st->v[st->funcs[n]];

		if (best && s->addr != best->addr)
			break;
		if (s->size)
			return NULL;
		best = better(best, s);
	}
	return best;
}

const struct ug_symbol *ug_symbol_by_addr(const struct ug_object *obj, ug_raddr_t addr)
{
	const struct ug_symtab *st = obj->symtab;
	const struct ug_symbol *s;
	size_t n;

	if (!st || addr < obj->start || addr >= obj->end)
		return NULL;
	n = functions_up_to(st, addr);
	s = find_sized(st, n, addr);
	return s ? s : find_unsized(st, n);
}

size_t ug_symbols_at(const struct ug_object *obj, ug_raddr_t addr,
		     void (*fn)(const struct ug_symbol *, void *), void *ctx)
{
	const struct ug_symtab *st = obj->symtab;
	size_t i, n = 0;

	if (!st || !addr)
		return 0;
	for (i = functions_up_to(st, addr - 1); i < st->nfuncs; i++) {
		const struct ug_symbol *s = &st->v[st->funcs[i]];

		if (s->addr != addr)
			break;
		fn(s, ctx);
		n++;
	}
	return n;
}

const char *ug_symbol_describe(const struct ug_objects *objs, ug_raddr_t addr, char *buf,
			       size_t size)
{
	const struct ug_object *obj = ug_objects_find(objs, addr);
	const struct ug_symbol *s = obj ? ug_symbol_by_addr(obj, addr) : NULL;

	if (s)
		(void)snprintf(buf, size, "%s+0x%" PRIx64 " (%s)", s->name, addr - s->addr,
			       obj->name);
	else if (obj)
		(void)snprintf(buf, size, "0x%" PRIx64 " (%s)", addr, obj->name);
	else
		(void)snprintf(buf, size, "0x%" PRIx64, addr);
	return buf;
}

/* ---- names the compiler makes ---- */

static const char *const clone_marks[] = { ".isra.", ".constprop.", ".part.", ".lto_priv.",
					   ".cold" };

/* Does the mark stand at `s`, as a whole word? */
static bool is_mark(const char *s, const char *mark)
{
	size_t n = strlen(mark);

	return !strncmp(s, mark, n) && (mark[n - 1] == '.' || !s[n] || s[n] == '.');
}

static bool at_mark(const char *s)
{
	for (size_t i = 0; i < UG_ARRAY_SIZE(clone_marks); i++)
		if (is_mark(s, clone_marks[i]))
			return true;
	return false;
}

bool ug_symbol_is_clone(const char *name)
{
	for (const char *s = strchr(name, '.'); s; s = strchr(s + 1, '.'))
		if (s != name && at_mark(s))
			return true;
	return false;
}

bool ug_symbol_is_cold(const char *name)
{
	for (const char *s = strchr(name, '.'); s; s = strchr(s + 1, '.'))
		if (s != name && is_mark(s, ".cold"))
			return true;
	return false;
}

size_t ug_symbol_parts(const struct ug_object *obj, const char *name,
		       void (*fn)(const struct ug_symbol *, void *), void *ctx)
{
	size_t len = strlen(name), n = 0;

	if (!obj->symtab)
		return 0;
	for_each_named(obj->symtab, name, s) {
		if (strncmp(s->name, name, len) != 0 || !at_mark(s->name + len) ||
		    (s->type != STT_FUNC && s->type != STT_NOTYPE))
			continue;
		fn(s, ctx);
		n++;
	}
	return n;
}
