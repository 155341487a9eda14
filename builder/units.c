// SPDX-License-Identifier: GPL-2.0-or-later
#include "builder/units.h"

static const char *or_unknown(const char *s)
{
	return s && s[0] ? s : "unknown";
}

static bool is_listed(const struct ug_units *u, const struct ug_placed *placed, const size_t *from,
		      const struct ug_placed *p)
{
	for (size_t i = 0; i < u->n; i++) {
		if (placed[from[i]].pair == p->pair && placed[from[i]].target == p->target)
			return true;
	}
	return false;
}

static struct ug_link_unit describe(const struct ug_object_pair *pair, const struct ug_diff *d,
				    const struct ug_maker *m, size_t target)
{
	const char *name = pair->name ? pair->name : basename(ug_dobj_source(d->after));
	struct ug_link_unit u = { .target = target };

	u.unit.source = or_unknown(name);
	u.unit.compiler = or_unknown(m->compiler);
	u.unit.flags = pair->flags ? pair->flags : (const char *const *)m->flags.v;
	u.unit.nflags = pair->flags ? pair->nflags : m->flags.n;
	return u;
}

bool ug_units_make(const struct ug_object_pair *pairs, struct ug_diff *const *diffs, size_t npairs,
		   const struct ug_placed *placed, size_t nplaced, struct ug_units *ret)
{
	size_t *from = calloc(nplaced + 1, sizeof(*from));
	bool ok;

	*ret = (struct ug_units){ .v = calloc(nplaced + 1, sizeof(*ret->v)),
				  .makers = calloc(npairs + 1, sizeof(*ret->makers)) };
	ok = from && ret->v && ret->makers;
	for (size_t i = 0; i < npairs && ok; i++)
		ok = ug_maker_of_object(diffs[i]->after, &ret->makers[ret->nmakers++]);
	for (size_t i = 0; i < nplaced && ok; i++) {
		const struct ug_placed *p = &placed[i];

		if (is_listed(ret, placed, from, p))
			continue;
		from[ret->n] = i;
		ret->v[ret->n++] = describe(&pairs[p->pair], diffs[p->pair], &ret->makers[p->pair],
					    p->target);
	}
	free(from);
	return ok;
}

void ug_units_free(struct ug_units *u)
{
	for (size_t i = 0; i < u->nmakers; i++)
		ug_maker_free(&u->makers[i]);
	free(u->makers);
	free(u->v);
	*u = (struct ug_units){ 0 };
}
