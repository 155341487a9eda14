// SPDX-License-Identifier: GPL-2.0-or-later
/* From pairs of objects to a patch file: compare, place in the targets, link, verify, write. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "builder/link.h"
#include "builder/output.h"
#include "builder/report.h"
#include "builder/units.h"

struct build {
	const struct ug_build_objects_opts *opts;
	struct ug_patch_report *report;
	struct ug_error *err;
	struct ug_targets targets;
	struct ug_linked *linked;	/* of each target */
	struct ug_program_makers **makers;	/* of each target; opened when they are asked */
	struct ug_diff **diffs;		/* of each pair */
	UG_VEC(struct ug_placed) placed;
	UG_VEC(struct ug_diff *) lefts;	/* of placed comparisons: ug_diff_open_left() */
	UG_VEC(struct ug_diff *) views;	/* of placed comparisons: without what others replace */
	uint8_t *file;
	size_t size;
	struct ug_patch *patch;		/* the file, read back */
};

static const char *label(const struct ug_object_pair *p)
{
	return p->source ? p->source : p->after;
}

/* ---- symbols of the targets ---- */

static void debug_path(const struct ug_build_id *id, char *buf, size_t size)
{
	char hex[2 * UG_BUILD_ID_MAX + 1];

	ug_build_id_hex(id, hex);
	snprintf(buf, size, "/usr/lib/debug/.build-id/%.2s/%s.debug", hex, hex + 2);
}

static int open_symbols(struct build *b, size_t i)
{
	const char *path = b->opts->symbols && b->opts->symbols[i] ? b->opts->symbols[i] : NULL;
	const struct ug_build_id *id = &b->targets.files.v[i].obj->build_id;
	char debug[200];
	int rc;

	rc = ug_linked_open(path ? path : b->opts->targets[i], &b->linked[i], b->err);
	if (rc == -UG_E_NO_DEBUG && !path) {
		debug_path(id, debug, sizeof(debug));
		if (access(debug, R_OK) == 0)
			rc = ug_linked_open(debug, &b->linked[i], b->err);
	}
	if (rc == -UG_E_NO_DEBUG)
		return ug_err(b->err, rc, "%s is stripped, and its debug file is not installed: name it "
			      "with --debug", path ? path : b->opts->targets[i]);
	if (rc == 0 && path && !(b->opts->proven && b->opts->proven[i]) &&
	    !ug_build_id_equal(id, &b->linked[i].build_id))
		return ug_err(b->err, -UG_E_IDENTITY, "%s is not the debug file of %s: another build-id",
			      path, b->opts->targets[i]);
	/* A file of debug information has no table of imports. */
	return rc < 0 ? rc : ug_linked_imports_of(&b->linked[i], b->opts->targets[i], b->err);
}

static int open_targets(struct build *b)
{
	int rc = ug_targets_open(b->opts->targets, b->opts->ntargets, &b->targets, b->err);

	b->linked = rc == 0 ? calloc(b->opts->ntargets + 1, sizeof(*b->linked)) : NULL;
	b->makers = rc == 0 ? calloc(b->opts->ntargets + 1, sizeof(*b->makers)) : NULL;
	if (rc == 0 && (!b->linked || !b->makers))
		return ug_err(b->err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < b->opts->ntargets && rc == 0; i++)
		rc = open_symbols(b, i);
	return rc;
}

/* ---- which objects are in which target ---- */

/* Does another object of the patch replace the function at that address already? */
static bool is_replaced(const struct build *b, size_t target, uint64_t addr)
{
	const struct ug_linked *l = &b->linked[target];

	ug_vec_for_each(&b->placed, p) {
		if (p->target != target)
			continue;
		ug_vec_for_each(&p->diff->changes, c) {
			const struct ug_linked_symbol *s;

			if (c->kind != UG_ITEM_FUNC || c->verdict != UG_DIFF_CHANGED)
				continue;
			s = ug_match_symbol(p->diff, l, p->group, c->before);
			if (s && s->value == addr)
				return true;
		}
	}
	return false;
}

struct overlap {			/* of an object's changed functions with those of others */
	bool *taken;			/* one for each change */
	size_t ntaken, nleft;
};

static int find_overlap(const struct build *b, const struct ug_diff *d, size_t target, uint32_t group,
			struct overlap *ret)
{
	*ret = (struct overlap){ .taken = calloc(d->changes.n + 1, sizeof(bool)) };
	if (!ret->taken)
		return ug_err(b->err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < d->changes.n; i++) {
		const struct ug_change *c = &d->changes.v[i];
		const struct ug_linked_symbol *s;

		if (c->kind != UG_ITEM_FUNC || c->verdict != UG_DIFF_CHANGED)
			continue;
		s = ug_match_symbol(d, &b->linked[target], group, c->before);
		ret->taken[i] = s && is_replaced(b, target, s->value);
		ret->ntaken += ret->taken[i];
		ret->nleft += !ret->taken[i];
	}
	return 0;
}

/* Inline functions are in every object that uses them, and the program has one: the first
 * object replaces it, the others refer to it. */
static int make_view(struct build *b, const struct ug_diff *d, const struct overlap *o,
		     const struct ug_diff **ret)
{
	struct ug_diff *view = calloc(1, sizeof(*view)), **slot;
	int rc;

	slot = view ? ug_vec_add(&b->views) : NULL;
	if (!slot) {
		free(view);
		return ug_err(b->err, -ENOMEM, "out of memory");
	}
	*slot = view;
	*view = *d;
	rc = ug_diff_find_kept(view, o->taken);
	*ret = view;
	return rc < 0 ? ug_err(b->err, rc, "out of memory") : 0;
}

static int add_placed(struct build *b, const struct ug_diff *d, size_t pair, size_t target,
		      uint32_t group)
{
	struct ug_placed *p;
	int rc;

	p = ug_vec_add(&b->placed);
	if (!p)
		return ug_err(b->err, -ENOMEM, "out of memory");
	*p = (struct ug_placed){ .diff = d, .target = target, .group = group, .pair = pair };
	rc = ug_report_changes(d, &b->report->changes);
	if (rc == 0)
		rc = ug_report_findings(d, &b->report->findings);
	return rc < 0 ? ug_err(b->err, rc, "out of memory") : 0;
}

/* Not for each object. */
static int note_silent(struct build *b, const char *target)
{
	struct ug_note note;

	snprintf(note.text, sizeof(note.text), "%s does not say which compiler made it", target);
	ug_vec_for_each(&b->report->notes, n) {
		if (!strcmp(n->text, note.text))
			return 0;
	}
	return ug_note(b, "%s", note.text);
}

/*
 * Code that is equal by chance, or in one of two objects of a source, proves no compiler: the new
 * code must come from the one that made the old. What the build has made itself is not asked.
 */
static int ask_maker(struct build *b, size_t i, size_t target, struct ug_match *m)
{
	struct ug_program_makers **makers = &b->makers[target];
	char text[sizeof(m->text)];
	int rc = 0;

	if (!m->address || (b->opts->own_makers && b->opts->own_makers[target]))
		return 0;
	if (!*makers)
		rc = ug_program_makers_open(b->linked[target].path, makers, b->err);
	if (rc < 0)
		return rc;
	rc = ug_maker_compare(*makers, b->diffs[i]->before, m->address, m->shared, text, sizeof(text));
	if (rc < 0)
		return ug_err(b->err, rc, "out of memory");
	if (rc == UG_MAKER_UNKNOWN && m->result == UG_MATCH_OK)
		return note_silent(b, b->opts->targets[target]);
	if (rc != UG_MAKER_OTHER)
		return 0;
	if (b->opts->compiler_ok)
		return ug_note(b, "%s: another compiler or other flags, accepted: %s",
			       label(&b->opts->pairs[i]), text);
	m->result = UG_MATCH_DIFFERENT;
	m->maker = true;
	memcpy(m->text, text, sizeof(text));
	return 0;
}

static int place_in(struct build *b, size_t i, size_t target, struct ug_match *m)
{
	const struct ug_diff *d = b->diffs[i];
	struct overlap o = { 0 };
	int rc;

	rc = ug_match_diff(d, b->targets.files.v[target].obj, &b->linked[target], m, b->err);
	if (rc == 0 && m->result != UG_MATCH_ABSENT)
		rc = ask_maker(b, i, target, m);
	if (rc < 0 || m->result != UG_MATCH_OK)
		return rc;
	rc = find_overlap(b, d, target, m->group, &o);
	if (rc == 0 && o.ntaken && o.nleft)
		rc = make_view(b, d, &o, &d);
	/* Two objects of one source (with and without PIC) may both fit: one is enough. */
	if (rc == 0 && (!o.ntaken || o.nleft))
		rc = add_placed(b, d, i, target, m->group);
	free(o.taken);
	return rc;
}

/* Was another object of the same source placed in the same target? */
static bool has_sibling(const struct build *b, size_t i, const bool *found)
{
	for (size_t j = 0; j < b->opts->npairs; j++) {
		if (j != i && found[j] && !strcmp(label(&b->opts->pairs[i]), label(&b->opts->pairs[j])))
			return true;
	}
	return false;
}

static int other_maker(struct build *b, size_t i, const struct ug_match *m)
{
	const char *name = label(&b->opts->pairs[i]);

	if (!ug_finding_add(&b->report->findings, UG_REASON_COMPILER, name, 0, "%s", m->text))
		return ug_err(b->err, -ENOMEM, "out of memory");
	return ug_err(b->err, -UG_E_IDENTITY, "%s: %s: %s; see 'ugraft build --explain=%s'", name,
		      ug_reason_text(UG_REASON_COMPILER), m->text, ug_reason_name(UG_REASON_COMPILER));
}

static int different(struct build *b, size_t i, const struct ug_match *m)
{
	if (m->maker)
		return other_maker(b, i, m);
	ug_err(b->err, -UG_E_IDENTITY, "%s: the binary does not run this code (%s); see "
	       "'ugraft build --explain=DIFFERENT'", label(&b->opts->pairs[i]), m->text);
	ug_err_where(b->err, b->opts->targets[0], NULL, 0);
	return -UG_E_IDENTITY;
}

/* Pair i in every target that holds it. */
static int place_in_targets(struct build *b, size_t i, bool *found, struct ug_match *bad)
{
	for (size_t t = 0; t < b->opts->ntargets; t++) {
		struct ug_match m;
		int rc = place_in(b, i, t, &m);

		if (rc < 0)
			return rc;
		found[i] |= m.result == UG_MATCH_OK;
		if (m.result == UG_MATCH_DIFFERENT)
			bad[i] = m;
	}
	return 0;
}

static int place_all(struct build *b, bool *found, struct ug_match *bad)
{
	for (size_t i = 0; i < b->opts->npairs; i++) {
		int rc;

		if (!ug_diff_changes_code(b->diffs[i]))
			continue;
		rc = place_in_targets(b, i, found, bad);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Does a placed object use a function that is new in this one? */
static bool is_needed(const struct build *b, const struct ug_diff *d)
{
	ug_vec_for_each(&d->changes, c) {
		if (c->kind != UG_ITEM_FUNC || c->verdict != UG_DIFF_NEW || !d->kept[c->after])
			continue;
		ug_vec_for_each(&b->placed, p) {
			const struct ug_objfile *f = &p->diff->after->file;

			for (size_t i = 1; i < f->nsyms; i++) {
				if (f->syms[i].st_shndx == SHN_UNDEF &&
				    !strcmp(ug_objfile_symbol_name(f, i), c->name))
					return true;
			}
		}
	}
	return false;
}

/* Objects in which nothing changes, but which have new functions others call: until no more. */
static int place_needed(struct build *b, bool *found, struct ug_match *bad)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < b->opts->npairs; i++) {
			int rc;

			if (found[i] || bad[i].text[0] || has_sibling(b, i, found) ||
			    ug_diff_changes_code(b->diffs[i]) ||
			    !is_needed(b, b->diffs[i]))
				continue;
			rc = place_in_targets(b, i, found, bad);
			if (rc < 0)
				return rc;
			again |= found[i];
		}
	}
	return 0;
}

static int judge_places(struct build *b, const bool *found, const struct ug_match *bad)
{
	for (size_t i = 0; i < b->opts->npairs; i++) {
		const struct ug_diff *d = b->diffs[i];
		int rc = 0;

		if (found[i])
			continue;
		if (!ug_diff_changes_code(d) && !bad[i].text[0]) {
			/* No function tells whether it is in a target: what refuses, refuses. */
			if (ug_diff_refused(d) && ug_report_findings(d, &b->report->findings) < 0)
				return ug_err(b->err, -ENOMEM, "out of memory");
			rc = ug_note(b, "%s: no change", label(&b->opts->pairs[i]));
		} else if (bad[i].text[0] && !has_sibling(b, i, found)) {
			return different(b, i, &bad[i]);
		} else {
			rc = ug_note(b, "%s: not in the target", label(&b->opts->pairs[i]));
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int compare_all(struct build *b)
{
	struct ug_diff_opts opts = { b->opts->layout_ok, b->opts->nlayout_ok };

	b->diffs = calloc(b->opts->npairs + 1, sizeof(*b->diffs));
	if (!b->diffs)
		return ug_err(b->err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < b->opts->npairs; i++) {
		int rc = ug_diff_open(b->opts->pairs[i].before, b->opts->pairs[i].after, &opts,
				      &b->diffs[i], b->err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int place(struct build *b)
{
	bool *found = calloc(b->opts->npairs + 1, sizeof(*found));
	struct ug_match *bad = calloc(b->opts->npairs + 1, sizeof(*bad));
	int rc = found && bad ? 0 : ug_err(b->err, -ENOMEM, "out of memory");

	if (rc == 0)
		rc = place_all(b, found, bad);
	if (rc == 0)
		rc = place_needed(b, found, bad);
	if (rc == 0)
		rc = judge_places(b, found, bad);
	free(found);
	free(bad);
	return rc;
}

/* What is gone while threads may be in it goes where its object is. */
static int place_left(struct build *b)
{
	for (size_t i = 0, n = b->placed.n; i < n; i++) {
		struct ug_placed p = b->placed.v[i], *slot;
		struct ug_diff *old, **keep;
		int rc = ug_diff_open_left(p.diff, &old, b->err);

		if (rc < 0)
			return rc;
		if (!old)
			continue;
		keep = ug_vec_add(&b->lefts);
		if (!keep) {
			ug_diff_close(old);
			return ug_err(b->err, -ENOMEM, "out of memory");
		}
		*keep = old;
		slot = ug_vec_add(&b->placed);
		if (!slot)
			return ug_err(b->err, -ENOMEM, "out of memory");
		*slot = (struct ug_placed){ old, p.target, p.group, true, p.pair };
	}
	return 0;
}

/* ---- the patch ---- */

static int refused(struct build *b)
{
	ug_vec_for_each(&b->report->findings, f) {
		if (!ug_reason_refuses(f->reason))
			continue;
		return ug_err(b->err, -UG_E_CHANGE, "%s: %s; see 'ugraft build --explain=%s'",
			      ug_reason_text(f->reason), f->what, ug_reason_name(f->reason));
	}
	return 0;
}

static int make_patch(struct build *b)
{
	struct ug_link_in in = { .placed = b->placed.v, .nplaced = b->placed.n,
				 .targets = &b->targets, .linked = b->linked, .name = b->opts->name,
				 .description = b->opts->description ? b->opts->description : "",
				 .cves = b->opts->cves ? b->opts->cves : "" };
	struct ug_units units;
	int rc;

	if (ug_units_make(b->opts->pairs, b->diffs, b->opts->npairs, b->placed.v, b->placed.n, &units)) {
		in.units = units.v;
		in.nunits = units.n;
		rc = ug_link(&in, &b->report->findings, &b->file, &b->size, &b->patch, b->err);
	} else {
		rc = ug_err(b->err, -ENOMEM, "out of memory");
	}
	ug_units_free(&units);
	return rc;
}

static void report_patch(struct build *b)
{
	const struct ug_patch *patch = b->patch;

	snprintf(b->report->name, sizeof(b->report->name), "%s", patch->name);
	b->report->functions = patch->nfuncs;
	b->report->references = patch->nrefs;
	b->report->pins_memory = patch->flags & UG_PATCH_ESCAPES && !(patch->flags & UG_PATCH_UNLOADABLE);
}

static int run(struct build *b)
{
	int rc;

	rc = open_targets(b);
	if (rc == 0)
		rc = compare_all(b);
	if (rc == 0)
		rc = place(b);
	if (rc == 0)
		rc = refused(b);
	if (rc < 0)
		return rc;
	b->report->no_change = b->placed.n == 0;
	if (b->report->no_change)
		return 0;
	rc = place_left(b);
	if (rc == 0)
		rc = make_patch(b);
	if (rc == 0)
		rc = refused(b);
	if (rc < 0)
		return rc;
	report_patch(b);
	return ug_output_publish(b->opts->output, b->file, b->size, b->err);
}

int ug_build_objects(const struct ug_build_objects_opts *opts, struct ug_patch_report *report,
		     struct ug_error *err)
{
	memset(report, 0, sizeof(*report));
	return ug_build_objects_into(opts, report, err);
}

int ug_build_objects_into(const struct ug_build_objects_opts *opts, struct ug_patch_report *report,
			  struct ug_error *err)
{
	struct build b = { .opts = opts, .report = report, .err = err };
	int rc;

	rc = run(&b);
	for (size_t i = 0; b.diffs && i < opts->npairs; i++)
		ug_diff_close(b.diffs[i]);
	for (size_t i = 0; b.linked && i < opts->ntargets; i++)
		ug_linked_close(&b.linked[i]);
	for (size_t i = 0; b.makers && i < opts->ntargets; i++)
		ug_program_makers_close(b.makers[i]);
	free(b.diffs);
	free(b.linked);
	free(b.makers);
	ug_patch_close(b.patch);
	free(b.file);
	ug_vec_for_each(&b.views, view) {
		free((*view)->kept);
		free(*view);
	}
	ug_vec_free(&b.views);
	ug_vec_for_each(&b.lefts, d)
		ug_diff_close(*d);
	ug_vec_free(&b.lefts);
	ug_vec_free(&b.placed);
	ug_targets_close(&b.targets);
	return rc;
}

void ug_patch_report_free(struct ug_patch_report *r)
{
	ug_vec_free(&r->changes);
	ug_vec_free(&r->findings);
	ug_vec_free(&r->notes);
}
