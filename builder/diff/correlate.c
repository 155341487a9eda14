// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>

#include "builder/diff/correlate.h"

struct pairing {
	struct ug_dobj *b, *a;
};

static void join(struct pairing *p, size_t b, size_t a)
{
	p->b->items.v[b].pair = a;
	p->a->items.v[a].pair = b;
}

/* Length of the name without the numbers a compiler appends: "f.constprop.0" -> "f.constprop",
 * "cnt.12" -> "cnt", "f.llvm.8123" -> "f". */
static size_t base_length(const char *name)
{
	size_t len = strlen(name);

	for (;;) {
		size_t n = len;

		while (n && isdigit((unsigned char)name[n - 1]))
			n--;
		if (n < 2 || n == len || name[n - 1] != '.')
			break;
		len = n - 1;
		if (len > 5 && !strncmp(name + len - 5, ".llvm", 5))
			len -= 5;
	}
	return len;
}

static bool same_base(const char *a, const char *b)
{
	size_t n = base_length(a);

	return n == base_length(b) && !strncmp(a, b, n);
}

static bool is_numbered(const char *name)
{
	return name[base_length(name)] != 0;
}

static bool is_shared(const struct ug_item *item)
{
	return !item->literal && item->name[0];
}

/* ---- an index of names ---- */

struct named {
	const char *name;
	size_t item;
};

typedef UG_VEC(struct named) name_vec;

static int compare_named(const void *pa, const void *pb)
{
	const struct named *a = pa, *b = pb;
	size_t la = base_length(a->name), lb = base_length(b->name);
	int c = strncmp(a->name, b->name, la < lb ? la : lb);

	if (c)
		return c;
	if (la != lb)
		return la < lb ? -1 : 1;
	c = strcmp(a->name, b->name);
	return c ? c : a->item < b->item ? -1 : a->item > b->item;
}

/* All names, aliases too. */
static int index_names(const struct ug_dobj *o, name_vec *ret)
{
	for (size_t i = 1; i < o->file.nsyms; i++) {
		size_t item = o->sym_item[i];
		const char *name = ug_objfile_symbol_name(&o->file, i);
		struct named *n;

		if (item == UG_NO_ITEM || !name[0] || !is_shared(&o->items.v[item]))
			continue;
		n = ug_vec_add(ret);
		if (!n)
			return -ENOMEM;
		*n = (struct named){ name, item };
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), compare_named);
	return 0;
}

static bool may_pair(const struct ug_item *b, const struct ug_item *a)
{
	return b->kind == a->kind && b->pair == UG_NO_ITEM && a->pair == UG_NO_ITEM &&
	       b->ifunc == a->ifunc;
}

static bool is_static_local(const struct ug_item *item)
{
	return item->kind != UG_ITEM_FUNC && item->bind == STB_LOCAL &&
	       (item->scope || is_numbered(item->name) || strchr(item->name, '.'));
}

/* The same name, and not one whose numbers or function matter. */
static void pair_exact(struct pairing *p, const name_vec *nb, const name_vec *na)
{
	size_t i = 0, j = 0;

	while (i < nb->n && j < na->n) {
		int c = strcmp(nb->v[i].name, na->v[j].name);
		struct ug_item *b = &p->b->items.v[nb->v[i].item], *a = &p->a->items.v[na->v[j].item];

		if (c == 0) {
			if (may_pair(b, a) && !is_static_local(b) && !is_static_local(a) &&
			    !(b->kind == UG_ITEM_FUNC && is_numbered(nb->v[i].name)))
				join(p, nb->v[i].item, na->v[j].item);
			i++;
			j++;
			continue;
		}
		c = compare_named(&nb->v[i], &na->v[j]);
		if (c < 0)
			i++;
		else
			j++;
	}
}

/* ---- clones and nested functions: f.constprop.0, inner.3 ---- */

static size_t group_end(const struct pairing *p, const name_vec *v, size_t i, bool after, size_t *funcs)
{
	const char *name = v->v[i].name;

	*funcs = 0;
	for (; i < v->n && same_base(v->v[i].name, name); i++) {
		const struct ug_item *item = &(after ? p->a : p->b)->items.v[v->v[i].item];

		*funcs += item->kind == UG_ITEM_FUNC && item->pair == UG_NO_ITEM &&
			  item->parent == UG_NO_ITEM;
	}
	return i;
}

static void pair_in_order(struct pairing *p, const name_vec *nb, size_t i, size_t ie,
			  const name_vec *na, size_t j, size_t je)
{
	for (; i < ie && j < je; i++, j++) {
		while (i < ie && (p->b->items.v[nb->v[i].item].kind != UG_ITEM_FUNC ||
				  p->b->items.v[nb->v[i].item].pair != UG_NO_ITEM))
			i++;
		while (j < je && (p->a->items.v[na->v[j].item].kind != UG_ITEM_FUNC ||
				  p->a->items.v[na->v[j].item].pair != UG_NO_ITEM))
			j++;
		if (i < ie && j < je)
			join(p, nb->v[i].item, na->v[j].item);
	}
}

static void pair_clones(struct pairing *p, const name_vec *nb, const name_vec *na)
{
	size_t i = 0, j = 0;

	while (i < nb->n && j < na->n) {
		size_t nfb, nfa, ie = group_end(p, nb, i, false, &nfb);
		size_t je = group_end(p, na, j, true, &nfa);
		int c = same_base(nb->v[i].name, na->v[j].name) ? 0 :
			compare_named(&nb->v[i], &na->v[j]);

		/* Different counts: no guess which one went; all of them are new. */
		if (c == 0 && nfb == nfa)
			pair_in_order(p, nb, i, ie, na, j, je);
		if (c <= 0)
			i = ie;
		if (c >= 0)
			j = je;
	}
}

/* The only cold part of the one with the only cold part of the other. */
static size_t only_cold(const struct ug_dobj *o, size_t parent)
{
	size_t found = UG_NO_ITEM;

	for (size_t i = 0; i < o->items.n; i++) {
		if (o->items.v[i].parent != parent)
			continue;
		if (found != UG_NO_ITEM)
			return UG_NO_ITEM;
		found = i;
	}
	return found;
}

static void pair_cold_parts(struct pairing *p)
{
	for (size_t i = 0; i < p->b->items.n; i++) {
		size_t parent = p->b->items.v[i].parent, cold;

		if (parent == UG_NO_ITEM)
			continue;
		if (p->b->items.v[i].pair != UG_NO_ITEM) {	/* a name may have matched */
			p->a->items.v[p->b->items.v[i].pair].pair = UG_NO_ITEM;
			p->b->items.v[i].pair = UG_NO_ITEM;
		}
		if (p->b->items.v[parent].pair == UG_NO_ITEM || only_cold(p->b, parent) != i)
			continue;
		cold = only_cold(p->a, p->b->items.v[parent].pair);
		if (cold == UG_NO_ITEM)
			continue;
		if (p->a->items.v[cold].pair != UG_NO_ITEM)
			p->b->items.v[p->a->items.v[cold].pair].pair = UG_NO_ITEM;
		join(p, i, cold);
	}
}

/* ---- static locals ---- */

/* By debug information: the n-th variable of that name in that function. */
static bool same_variable(const struct ug_item *x, const struct ug_item *y)
{
	size_t nx, ny;

	if (!x->scope || !y->scope || !x->var || !y->var || strcmp(x->var, y->var) || x->kind != y->kind)
		return false;
	nx = strcspn(x->scope, "/");
	ny = strcspn(y->scope, "/");
	return nx == ny && !strncmp(x->scope, y->scope, nx);
}

static size_t count_variables(const struct ug_dobj *o, const struct ug_item *like, const char *scope,
			      size_t *last)
{
	size_t n = 0;

	for (size_t i = 0; i < o->items.n; i++) {
		const struct ug_item *item = &o->items.v[i];

		if (item->literal || !same_variable(item, like) || (scope && strcmp(item->scope, scope)))
			continue;
		n++;
		*last = i;
	}
	return n;
}

/* Which of several in one block: by the order of their declarations. */
static size_t rank_of(const struct ug_dobj *o, const struct ug_item *like)
{
	size_t n = 0;

	ug_vec_for_each(&o->items, item)
		n += !item->literal && same_variable(item, like) && !strcmp(item->scope, like->scope) &&
		     item->line < like->line;
	return n;
}

static size_t with_rank(const struct ug_dobj *o, const struct ug_item *like, size_t rank)
{
	for (size_t i = 0; i < o->items.n; i++) {
		const struct ug_item *item = &o->items.v[i];

		if (!item->literal && same_variable(item, like) && !strcmp(item->scope, like->scope) &&
		    rank_of(o, item) == rank)
			return i;
	}
	return UG_NO_ITEM;
}

/* One of that name in the function; if there are more, as many in the very same block. */
static size_t counterpart(const struct pairing *p, const struct ug_item *b)
{
	size_t one = UG_NO_ITEM, nb = count_variables(p->b, b, NULL, &one);
	size_t na = count_variables(p->a, b, NULL, &one);

	if (nb == 1 && na == 1)
		return one;
	if (nb != na || count_variables(p->b, b, b->scope, &one) != count_variables(p->a, b, b->scope, &one))
		return UG_NO_ITEM;
	return with_rank(p->a, b, rank_of(p->b, b));
}

static void pair_by_scope(struct pairing *p)
{
	for (size_t i = 0; i < p->b->items.n; i++) {
		struct ug_item *b = &p->b->items.v[i];
		size_t other;

		if (b->literal || b->pair != UG_NO_ITEM || !is_static_local(b) || !b->scope)
			continue;
		other = counterpart(p, b);
		if (other != UG_NO_ITEM && p->a->items.v[other].pair == UG_NO_ITEM)
			join(p, i, other);
	}
}

/* Without it: the order in which a function names them. */
struct seen {
	size_t *v;
	size_t n;
};

static int statics_of(const struct ug_dobj *o, const struct ug_item *f, struct seen *ret)
{
	const struct ug_rel *rels;
	size_t n;

	ug_dobj_rels(o, f->section, f->value, f->value + f->size, &rels, &n);
	ret->v = calloc(n + 1, sizeof(*ret->v));
	ret->n = 0;
	if (!ret->v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct ug_place p = ug_dobj_place(o, &rels[i], ug_dobj_insn_end(o, &rels[i]), 0);
		size_t j = 0;

		if (p.item == UG_NO_ITEM || o->items.v[p.item].literal ||
		    !is_static_local(&o->items.v[p.item]))
			continue;
		while (j < ret->n && ret->v[j] != p.item)
			j++;
		if (j == ret->n)
			ret->v[ret->n++] = p.item;
	}
	return 0;
}

static size_t nth_of_base(const struct ug_dobj *o, const struct seen *s, const char *name, size_t n)
{
	for (size_t i = 0; i < s->n; i++) {
		if (same_base(o->items.v[s->v[i]].name, name) && n-- == 0)
			return s->v[i];
	}
	return UG_NO_ITEM;
}

static size_t count_of_base(const struct ug_dobj *o, const struct seen *s, const char *name)
{
	size_t n = 0;

	while (nth_of_base(o, s, name, n) != UG_NO_ITEM)
		n++;
	return n;
}

static void pair_seen(struct pairing *p, const struct seen *sb, const struct seen *sa)
{
	for (size_t i = 0; i < sb->n; i++) {
		struct ug_item *b = &p->b->items.v[sb->v[i]];
		size_t rank = 0, a;

		for (size_t j = 0; j < i; j++)
			rank += same_base(p->b->items.v[sb->v[j]].name, b->name);
		if (b->pair != UG_NO_ITEM ||
		    count_of_base(p->b, sb, b->name) != count_of_base(p->a, sa, b->name))
			continue;
		a = nth_of_base(p->a, sa, b->name, rank);
		/* Debug information that knows both has decided already. */
		if (a != UG_NO_ITEM && b->scope && p->a->items.v[a].scope)
			continue;
		if (a != UG_NO_ITEM && p->a->items.v[a].pair == UG_NO_ITEM &&
		    p->a->items.v[a].size == b->size && p->a->items.v[a].kind == b->kind)
			join(p, sb->v[i], a);
	}
}

static int pair_by_reference(struct pairing *p)
{
	ug_vec_for_each(&p->b->items, f) {
		struct seen sb = { 0 }, sa = { 0 };
		int rc;

		if (f->kind != UG_ITEM_FUNC || f->pair == UG_NO_ITEM)
			continue;
		rc = statics_of(p->b, f, &sb);
		if (rc == 0)
			rc = statics_of(p->a, &p->a->items.v[f->pair], &sa);
		if (rc == 0)
			pair_seen(p, &sb, &sa);
		free(sb.v);
		free(sa.v);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int ug_correlate(struct ug_dobj *before, struct ug_dobj *after, struct ug_error *err)
{
	struct pairing p = { before, after };
	name_vec nb = { 0 }, na = { 0 };
	int rc = index_names(before, &nb);

	if (rc == 0)
		rc = index_names(after, &na);
	if (rc == 0) {
		pair_exact(&p, &nb, &na);
		pair_clones(&p, &nb, &na);
		pair_cold_parts(&p);
		pair_by_scope(&p);
		rc = pair_by_reference(&p);
	}
	ug_vec_free(&nb);
	ug_vec_free(&na);
	return rc < 0 ? ug_err(err, rc, "out of memory") : 0;
}
