// SPDX-License-Identifier: LGPL-2.1-or-later
#include "job/scope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a look says of each process of the census. */
enum {
	IN = 1 << 0,		/* belongs to the scopes */
	BY_TREE = 1 << 1,	/* its descendants do, too */
};

struct look {
	struct ug_census census;
	uint8_t *marks;
	size_t *order;		/* indexes of those that are IN, parents first */
	size_t n;
	pid_t *missing;		/* named, but not there */
	size_t nmissing;
};

static void include(struct look *look, size_t i, uint8_t marks)
{
	if (!(look->marks[i] & IN))
		look->order[look->n++] = i;
	look->marks[i] |= IN | marks;
}

/* Somebody who names our parent, or our unit, does not mean us. Workers of ours there are none
 * at the time of a look. */
static bool is_meant(const struct ug_census_entry *e)
{
	return !e->kernel && e->pid != getpid();
}

static void add_pid(struct look *look, const struct ug_scope *scope)
{
	size_t i = ug_census_find(&look->census, scope->pid);

	if (i < look->census.n)
		include(look, i, scope->kind == UG_SCOPE_TREE ? BY_TREE : 0);
	else
		look->missing[look->nmissing++] = scope->pid;
}

static void add_group(struct look *look, const struct ug_scope *scope)
{
	for (size_t i = 0; i < look->census.n; i++) {
		const struct ug_census_entry *e = &look->census.v[i];

		if (is_meant(e) && ug_cgroup_holds(e->pid, scope->name, scope->kind == UG_SCOPE_UNIT))
			include(look, i, 0);
	}
}

/* Who was found before is found again by itself: its parent, or its root, may be gone. */
static void add_known(struct look *look, const struct ug_found *known, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		size_t i = ug_census_find(&look->census, known[k].pid);

		if (i < look->census.n && look->census.v[i].start_time == known[k].start_time)
			include(look, i, known[k].by_tree ? BY_TREE : 0);
	}
}

/* Does the process belong to the tree only by its parent, and is that new? */
static bool is_new_child(const struct look *look, size_t i)
{
	size_t up = ug_census_find(&look->census, look->census.v[i].parent);

	return !(look->marks[i] & BY_TREE) && up < look->census.n && (look->marks[up] & BY_TREE) &&
	       is_meant(&look->census.v[i]);
}

/* A child may have a smaller pid than its parent: until nobody is new. */
static void add_descendants(struct look *look)
{
	bool changed;

	do {
		changed = false;
		for (size_t i = 0; i < look->census.n; i++) {
			if (!is_new_child(look, i))
				continue;
			include(look, i, BY_TREE);
			changed = true;
		}
	} while (changed);
}

static int take_look(struct look *look, size_t nscopes, struct ug_error *err)
{
	int r = ug_census_take(&look->census, err);

	if (r < 0)
		return r;
	look->marks = calloc(look->census.n + 1, sizeof(*look->marks));
	look->order = calloc(look->census.n + 1, sizeof(*look->order));
	look->missing = calloc(nscopes + 1, sizeof(*look->missing));
	return look->marks && look->order && look->missing ? 0 :
							     ug_err(err, -ENOMEM, "out of memory");
}

static void end_look(struct look *look)
{
	ug_census_free(&look->census);
	free(look->marks);
	free(look->order);
	free(look->missing);
}

static int report(const struct look *look, struct ug_found **ret, size_t *ret_n,
		  struct ug_error *err)
{
	struct ug_found *v = calloc(look->n + look->nmissing + 1, sizeof(*v));

	if (!v)
		return ug_err(err, -ENOMEM, "out of memory");
	for (size_t k = 0; k < look->n; k++) {
		const struct ug_census_entry *e = &look->census.v[look->order[k]];
		struct ug_found *f = &v[k];

		f->pid = e->pid;
		f->parent = e->parent;
		f->start_time = e->start_time;
		f->image = e->image;
		f->ended = e->zombie;
		f->by_tree = look->marks[look->order[k]] & BY_TREE;
		memcpy(f->comm, e->comm, sizeof(f->comm));
	}
	for (size_t k = 0; k < look->nmissing; k++)
		v[look->n + k] = (struct ug_found){ .pid = look->missing[k], .ended = true };
	*ret = v;
	*ret_n = look->n + look->nmissing;
	return 0;
}

static int check(const struct ug_scope *scopes, size_t n, struct ug_error *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct ug_scope *s = &scopes[i];
		bool by_pid = s->kind == UG_SCOPE_PROCESS || s->kind == UG_SCOPE_TREE;

		if (by_pid ? s->pid <= 0 : !s->name || !*s->name)
			return ug_err(err, -EINVAL, "a scope names no process and no control group");
		/* It would mean every process. */
		if (s->kind == UG_SCOPE_CGROUP && (s->name[0] != '/' || !s->name[strspn(s->name, "/")]))
			return ug_err(err, -EINVAL, "'%s' is no path of a control group below the root",
				      s->name);
	}
	return 0;
}

int ug_scope_look(const struct ug_scope *scopes, size_t n, const struct ug_found *known,
		  size_t nknown, struct ug_found **ret, size_t *ret_n, struct ug_error *err)
{
	struct look look = { 0 };
	int r = check(scopes, n, err);

	if (r < 0)
		return r;
	r = take_look(&look, n, err);
	if (r == 0) {
		for (size_t i = 0; i < n; i++)
			if (scopes[i].kind == UG_SCOPE_PROCESS || scopes[i].kind == UG_SCOPE_TREE)
				add_pid(&look, &scopes[i]);
			else
				add_group(&look, &scopes[i]);
		add_known(&look, known, nknown);
		add_descendants(&look);
		r = report(&look, ret, ret_n, err);
	}
	end_look(&look);
	return r;
}

int ug_scope_find(const struct ug_scope *scopes, size_t n, struct ug_found **ret, size_t *ret_n,
		  struct ug_error *err)
{
	return ug_scope_look(scopes, n, NULL, 0, ret, ret_n, err);
}
