// SPDX-License-Identifier: LGPL-2.1-or-later
/* The indexes of a symbol table: by address, by name, functions by address. */
#include "object/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *pa, const void *pb)
{
	const struct ug_symbol *a = pa, *b = pb;
	int c;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	c = a->name == b->name ? 0 : strcmp(a->name, b->name);
	return c ? c : (a->type == STT_TLS) - (b->type == STT_TLS);
}

static int bind_rank(uint8_t bind)
{
	return bind == STB_LOCAL ? 0 : bind == STB_WEAK ? 1 : 2;
}

/* The same symbol seen twice: keep what says most. */
static void merge_into(struct ug_symbol *to, const struct ug_symbol *from)
{
	if (to->type == STT_NOTYPE || from->type == STT_GNU_IFUNC)
		to->type = from->type;
	if (bind_rank(from->bind) > bind_rank(to->bind))
		to->bind = from->bind;
	if (from->size > to->size)
		to->size = from->size;
	to->dynamic |= from->dynamic;
	to->versioned_hidden &= from->versioned_hidden;
}

static void merge(struct ug_symtab *st)
{
	size_t n = 0;

	for (size_t i = 0; i < st->n; i++) {
		if (n && compare(&st->v[n - 1], &st->v[i]) == 0)
			merge_into(&st->v[n - 1], &st->v[i]);
		else
			st->v[n++] = st->v[i];
	}
	st->n = n;
}

/*
 * Buckets go by the name up to its first dot, so that a function and its split parts
 * (f, f.cold, f.part.0) share one. FNV-1a.
 */
static size_t hash_base(const char *name)
{
	uint32_t h = 2166136261u;

	for (const char *s = name; *s && (*s != '.' || s == name); s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

static bool index_names(struct ug_symtab *st)
{
	size_t size = 16;

	while (size < st->n)
		size *= 2;
	st->mask = size - 1;
	st->heads = calloc(size, sizeof(*st->heads));
	st->next = calloc(st->n + 1, sizeof(*st->next));
	if (!st->heads || !st->next)
		return false;
	for (size_t i = st->n; i-- > 0;) {
		uint32_t *head = &st->heads[hash_base(st->v[i].name) & st->mask];

		st->next[i] = *head;
		*head = (uint32_t)i + 1;
	}
	return true;
}

uint32_t ug_symtab_bucket(const struct ug_symtab *st, const char *name)
{
	return st->heads[hash_base(name) & st->mask];
}

/* Hand-written assembly often forgets the type; local labels in text are not functions. */
static bool is_function(const struct ug_object *obj, const struct ug_symbol *s)
{
	if (s->type == STT_FUNC || s->type == STT_GNU_IFUNC)
		return true;
	return s->type == STT_NOTYPE && s->bind != STB_LOCAL &&
	       ug_object_is_text(obj, s->addr, 1);
}

static bool index_functions(const struct ug_object *obj, struct ug_symtab *st)
{
	ug_raddr_t top = 0;

	st->funcs = calloc(st->n + 1, sizeof(*st->funcs));
	st->max_end = calloc(st->n + 1, sizeof(*st->max_end));
	if (!st->funcs || !st->max_end)
		return false;
	for (size_t i = 0; i < st->n; i++) {
		const struct ug_symbol *s = &st->v[i];

		if (!is_function(obj, s))
			continue;
		if (s->addr + s->size > top)
			top = s->addr + s->size;
		st->funcs[st->nfuncs] = (uint32_t)i;
		st->max_end[st->nfuncs++] = top;
	}
	return true;
}

int ug_symtab_index(const struct ug_object *obj, struct ug_symtab *st)
{
	if (st->n)
		qsort(st->v, st->n, sizeof(*st->v), compare);
	merge(st);
	return index_names(st) && index_functions(obj, st) ? 0 : -ENOMEM;
}
