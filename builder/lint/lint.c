// SPDX-License-Identifier: GPL-2.0-or-later
/* ugraft build --lint: the files of the diff, one after the other. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/build.h"
#include "builder/capture/capture.h"
#include "builder/lint/lint.h"

struct lint {
	const struct ug_build_lint_opts *opts;
	struct ug_lint_report *report;
	struct ug_error *err;
	struct ug_sandbox box;		/* only its directories: nothing is run in it but patch(1) */
	ug_source_vec files;
	struct ug_lint_tree tree;
};

static bool is_assembler(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (!strcmp(dot, ".S") || !strcmp(dot, ".s") || !strcmp(dot, ".asm"));
}

static bool is_ignored(const struct lint *l, const char *name)
{
	for (size_t i = 0; i < l->opts->nignore; i++) {
		if (!strcmp(l->opts->ignore[i], name))
			return true;
	}
	return false;
}

static bool add(struct lint *l, enum ug_reason reason, const char *file, const char *what)
{
	return ug_finding_add(&l->report->findings, reason, file, 0, "%s", what);
}

static size_t functions_in(const ug_decl_changes *changes)
{
	size_t n = 0;

	ug_vec_for_each(changes, c)
		n += (c->after ? c->after : c->before)->kind == UG_DECL_FUNC;
	return n;
}

/* Both versions as declarations, their differences, what these mean. */
static bool look_at_c(struct lint *l, const struct ug_source_file *f)
{
	static char empty[] = "";
	struct ug_unit before, after = { 0 };
	ug_decl_changes changes = { 0 };
	bool ok = ug_unit_read(&before, f->before ? f->before : empty);

	ok = ok && ug_unit_read(&after, f->after ? f->after : empty) &&
	     ug_unit_compare(&before, &after, &changes) &&
	     ug_lint_judge(&(struct ug_lint_file){ .name = f->name, .before = &before, .after = &after,
						   .tree = &l->tree, .findings = &l->report->findings },
			   &changes);
	l->report->functions += functions_in(&changes);
	ug_vec_free(&changes);
	ug_unit_free(&before);
	ug_unit_free(&after);
	return ok;
}

static bool look_at(struct lint *l, const struct ug_source_file *f)
{
	if (is_ignored(l, f->name))
		return true;
	if (is_assembler(f->name))
		return add(l, UG_REASON_ASM, f->name, f->name);
	if (ug_lint_is_source(f->name) || ug_lint_is_header(f->name))
		return look_at_c(l, f);
	return add(l, UG_REASON_UNREAD, f->name, f->name);
}

static int prepare(struct lint *l)
{
	const char *tmp = getenv("TMPDIR");
	int rc;

	l->box.tree = realpath(l->opts->src, NULL);
	if (!l->box.tree)
		return ug_err_errno(l->err, "cannot open %s", l->opts->src);
	l->box.path = strdup(l->box.tree);
	if (asprintf(&l->box.work, "%s/ugraft-lint-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0)
		l->box.work = NULL;
	if (!l->box.path || !l->box.work)
		return ug_err(l->err, -ENOMEM, "out of memory");
	if (!mkdtemp(l->box.work)) {
		rc = ug_err_errno(l->err, "cannot make a temporary directory");
		free(l->box.work);
		l->box.work = NULL;
		return rc;
	}
	rc = ug_sources_make(&l->box, l->opts->diffs, l->opts->ndiffs, &l->files, l->err);
	return rc < 0 ? rc : ug_lint_tree_read(l->box.tree, &l->tree, l->err);
}

int ug_build_lint(const struct ug_build_lint_opts *opts, struct ug_lint_report *report, struct ug_error *err)
{
	struct lint l = { .opts = opts, .report = report, .err = err };
	int rc;

	memset(report, 0, sizeof(*report));
	rc = prepare(&l);
	for (size_t i = 0; i < l.files.n && rc == 0; i++) {
		if (!look_at(&l, &l.files.v[i]))
			rc = ug_err(err, -ENOMEM, "out of memory");
	}
	report->files = l.files.n;
	ug_sources_free(&l.files);
	ug_lint_tree_free(&l.tree);
	ug_sandbox_close(&l.box);
	return rc;
}

void ug_lint_report_free(struct ug_lint_report *r)
{
	ug_vec_free(&r->findings);
}
