// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The targets and the files of the build: the one with a target's build-id is the target, with
 * symbols. Where none has it, the one of the target's name may still hold the same program
 * (identity.h).
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/capture/capture.h"
#include "builder/identity.h"
#include "builder/output.h"
#include "builder/report.h"
#include "builder/symbols.h"

struct targets {
	const struct ug_for_targets *in;
	const struct ug_build_tree_opts *opts;
	struct ug_patch_report *report;
	struct ug_error *err;
	char **symbols;			/* of each target, owned */
	bool *proven;			/* they have another build-id */
	bool *own;			/* this very build has made it */
};

static int no_memory(const struct targets *t)
{
	return ug_err(t->err, -ENOMEM, "out of memory");
}

/* ---- files of the build ---- */

struct search {
	const struct ug_build_id *id;	/* that build-id, or NULL: */
	const char *name;		/* that name */
	char *found;			/* owned */
};

static struct search search;		/* nftw() passes no context */

static bool is_wanted(const char *path)
{
	struct ug_build_id id;

	if (!search.id && strcmp(basename(path), search.name))
		return false;
	ug_linked_build_id(path, &id);
	return id.len && (!search.id || ug_build_id_equal(&id, search.id));
}

static int look_at_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct ug_linked l;

	if (type != FTW_F || !S_ISREG(st->st_mode) || st->st_size < 1024 || !is_wanted(path))
		return 0;
	if (ug_linked_open(path, &l, NULL) < 0)
		return 0;		/* a stripped copy */
	ug_linked_close(&l);
	search.found = strdup(path);
	return 1;
}

static char *find_file(const struct targets *t, const struct ug_build_id *id, const char *name)
{
	search = (struct search){ .id = id, .name = name };
	(void)nftw(t->in->tree, look_at_file, 32, FTW_PHYS);
	return search.found;
}

/* The unstripped file of that name: what is installed may be a copy under debian/, stripped. */
static char *find_namesake(const struct targets *t, const char *target)
{
	ug_autofree char *real = realpath(target, NULL);
	const char *base = real ? strrchr(real, '/') + 1 : target;

	return find_file(t, NULL, base);
}

/* A build that was kept may be of another day, and of a compiler that is no longer there. */
static bool is_fresh(const struct targets *t)
{
	return t->opts->from < UG_STAGE_PATCH;
}

static int prove(struct targets *t, size_t i, char *path)
{
	struct ug_identity id;
	int rc = ug_identity_prove(t->opts->targets[i], path, &id, t->err);

	if (rc < 0) {
		free(path);
		return rc;
	}
	t->symbols[i] = path;
	t->proven[i] = true;
	t->own[i] = is_fresh(t);
	rc = ug_note(t, "%s: rebuilt with another build-id, the same program: of %zu functions "
		     "%zu have equal bytes, %zu others equal ones but for addresses, %zu other "
		     "equal instructions",
		     t->opts->targets[i], id.functions, id.equal, id.masked, id.decoded);
	if (rc == 0 && id.cause[0])
		rc = ug_note(t, "%s: what differs: %s", t->opts->targets[i], id.cause);
	return rc;
}

static int find_symbols(struct targets *t, size_t i)
{
	const char *target = t->opts->targets[i];
	struct ug_build_id id;
	struct ug_linked l;
	char *path;

	ug_linked_build_id(target, &id);
	if (!id.len)
		return 0;
	t->symbols[i] = find_file(t, &id, NULL);
	t->own[i] = t->symbols[i] && is_fresh(t);
	if (t->symbols[i])
		return ug_note(t, "%s: rebuilt identically (equal build-id)", target);
	if (i == 0 && t->opts->debug) {
		t->symbols[i] = strdup(t->opts->debug);
		return t->symbols[i] ? 0 : no_memory(t);
	}
	if (ug_linked_open(target, &l, NULL) == 0) {
		ug_linked_close(&l);
		return ug_note(t, "%s: rebuilt with another build-id; each function is compared",
			       target);
	}
	path = find_namesake(t, target);
	return path ? prove(t, i, path) :
	       ug_note(t, "%s: the build makes no file of that build-id or name", target);
}

/* ---- the patch ---- */

static int make(const struct targets *t, size_t first, size_t n, const char *output,
		struct ug_patch_report *report)
{
	const struct ug_build_tree_opts *o = t->opts;

	return ug_build_objects_into(&(struct ug_build_objects_opts){
		.pairs = t->in->pairs, .npairs = t->in->npairs, .targets = o->targets + first,
		.ntargets = n, .symbols = (const char *const *)t->symbols + first,
		.proven = t->proven + first, .own_makers = t->own + first,
		.compiler_ok = o->compiler_ok, .output = output, .name = o->name,
		.description = o->description, .cves = o->cves, .layout_ok = o->layout_ok,
		.nlayout_ok = o->nlayout_ok }, report, t->err);
}

static int make_for_all(struct targets *t)
{
	for (size_t i = 0; i < t->opts->ntargets; i++) {
		int rc = find_symbols(t, i);

		if (rc < 0)
			return rc;
	}
	return make(t, 0, t->opts->ntargets, t->opts->output, t->report);
}

/* What was found out about the one target becomes the report; notes are kept. */
static int take_report(struct targets *t, struct ug_patch_report *from)
{
	bool ok = true;

	ug_vec_for_each(&from->notes, n)
		ok &= ug_note(t, "%s", n->text) == 0;
	ug_vec_free(&from->notes);
	from->notes.v = t->report->notes.v;
	from->notes.n = t->report->notes.n;
	from->notes.cap = t->report->notes.cap;
	ug_vec_free(&t->report->changes);	/* of another target with the changed code */
	ug_vec_free(&t->report->findings);
	from->times = t->report->times;
	*t->report = *from;
	return ok ? 0 : no_memory(t);
}

static int publish(struct targets *t, const char *path)
{
	ug_autofree char *data = NULL;
	size_t n;

	data = ug_load_text(path, &n);
	if (!data)
		return ug_err_errno(t->err, "cannot read %s", path);
	return ug_output_publish(t->opts->output, data, n, t->err);
}

/* A patch for target i alone. Takes over its report when it has the changed code, or fails. */
static int try_target(struct targets *t, size_t i, const char *output, bool *ret)
{
	struct ug_patch_report report = { 0 };
	int rc = find_symbols(t, i), taken;

	*ret = false;
	if (rc < 0 || !t->symbols[i])
		return rc;
	rc = make(t, i, 1, output, &report);
	*ret = rc == 0 && !report.no_change;
	if (rc == 0 && !*ret) {
		ug_patch_report_free(&report);
		return 0;
	}
	taken = take_report(t, &report);
	return rc < 0 ? rc : taken;
}

static int make_for_one(struct targets *t)
{
	size_t chosen = SIZE_MAX;
	ug_autofree char *output = NULL;

	if (asprintf(&output, "%s/picked.ugp", t->in->work) < 0) {
		output = NULL;
		return no_memory(t);
	}
	for (size_t i = 0; i < t->opts->ntargets; i++) {
		bool has;
		int rc = try_target(t, i, output, &has);

		if (rc < 0)
			return rc;
		if (has && chosen != SIZE_MAX)
			return ug_err(t->err, -UG_E_AMBIGUOUS, "%s and %s both have the changed code: name "
				      "one with --target", t->opts->targets[chosen],
				      t->opts->targets[i]);
		if (has)
			chosen = i;
	}
	t->report->no_change = chosen == SIZE_MAX;
	if (t->report->no_change)
		return 0;
	return ug_note(t, "the patch is for %s", t->opts->targets[chosen]) < 0 ? no_memory(t) :
	       publish(t, output);
}

int ug_build_for_targets(const struct ug_for_targets *in, struct ug_patch_report *report,
			 struct ug_error *err)
{
	struct targets t = { .in = in, .opts = in->opts, .report = report, .err = err };
	size_t n = in->opts->ntargets;
	int rc;

	t.symbols = calloc(n + 1, sizeof(*t.symbols));
	t.proven = calloc(n + 1, sizeof(*t.proven));
	t.own = calloc(n + 1, sizeof(*t.own));
	if (!t.symbols || !t.proven || !t.own)
		rc = no_memory(&t);
	else
		rc = in->opts->pick_target && n > 1 ? make_for_one(&t) : make_for_all(&t);
	for (size_t i = 0; t.symbols && i < n; i++)
		free(t.symbols[i]);
	free(t.symbols);
	free(t.proven);
	free(t.own);
	return rc;
}
