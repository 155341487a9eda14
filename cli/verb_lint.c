/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build --lint: what a diff may run into, before anything is built. */
#include <stdio.h>

#include "builder/build.h"
#include "findings.h"
#include "message.h"
#include "text.h"

static bool any_refuses(const struct ug_lint_report *r)
{
	for (size_t i = 0; i < r->findings.n; i++) {
		if (ug_reason_refuses(r->findings.v[i].reason))
			return true;
	}
	return false;
}

/* "src/x.c:12: may be refused: ..." and the way out below it. */
static void print_one(const struct cli *cli, const struct ug_finding *f)
{
	cli_autofree char *what = text_clean(cli, f->what);
	cli_autofree char *file = text_clean(cli, f->file);
	cli_autofree char *line = f->line ? xasprintf(":%u", f->line) : xstrdup("");

	printf("%s%s: %s: %s: %s [%s]\n", file, line, ug_reason_refuses(f->reason) ? "may be refused" : "note",
	       ug_reason_text(f->reason), what, ug_reason_name(f->reason));
	if (cli->verbosity >= 0)
		printf("    %s\n", ug_reason_advice(f->reason));
}

static void print_lint(const struct cli *cli, const struct ug_lint_report *r)
{
	size_t refused = 0;

	for (size_t i = 0; i < r->findings.n; i++) {
		print_one(cli, &r->findings.v[i]);
		refused += ug_reason_refuses(r->findings.v[i].reason);
	}
	if (cli->verbosity < 0)
		return;
	printf("%s in ", text_count(r->functions, "function"));
	printf("%s of the diff; ", text_count(r->files, "file"));
	printf("%s that may be refused, ", text_count(refused, "change"));
	printf("%s. Nothing was compiled: which files the build reads, and what the compiler makes of them, "
	       "only a build can tell.\n", text_count(r->findings.n - refused, "note"));
}

static void print_lint_json(const struct cli *cli, const struct ug_lint_report *r, int code)
{
	json_t *root = document(cli);

	json_object_set_new(root, "files", json_integer((json_int_t)r->files));
	json_object_set_new(root, "functions", json_integer((json_int_t)r->functions));
	json_object_set_new(root, "findings", findings_json(r->findings.v, r->findings.n));
	json_object_set_new(root, "exit", json_integer(code));
	print_document(cli, root);
}

int build_lint(struct cli *cli)
{
	struct ug_lint_report report;
	struct ug_error err;
	int rc, code;

	if (!cli->src || !cli->ndiffs) {
		usage_error(&err, "--lint needs --src DIR and --diff FILE");
		return fail(cli, &err);
	}
	rc = ug_build_lint(&(struct ug_build_lint_opts){ .src = cli->src, .diffs = cli->diffs,
			   .ndiffs = cli->ndiffs, .ignore = cli->ignore, .nignore = cli->nignore },
			   &report, &err);
	if (rc < 0) {
		ug_lint_report_free(&report);
		return fail(cli, &err);
	}
	code = any_refuses(&report) ? UG_EXIT_REFUSED : UG_EXIT_OK;
	if (cli->json)
		print_lint_json(cli, &report, code);
	else
		print_lint(cli, &report);
	ug_lint_report_free(&report);
	return code;
}
