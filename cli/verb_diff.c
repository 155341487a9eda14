/* SPDX-License-Identifier: GPL-2.0-or-later */
/* diff: two versions of an object, as `ugraft build` sees them. */
#include <stdio.h>
#include <string.h>

#include "builder/build.h"
#include "findings.h"
#include "message.h"
#include "table.h"
#include "text.h"

void print_changes(const struct cli *cli, const struct ug_build_change *v, size_t n)
{
	static const struct table_column columns[] = {
		{ "" }, { "NAME" }, { "KIND" }, { "WHY" }, { "WHERE" }, { NULL },
	};
	struct table t;

	table_init(&t, cli, columns);
	for (size_t i = 0; i < n; i++) {
		const char *file = basename(v[i].file);

		table_row(&t);
		table_cell(&t, v[i].kept ? "*" : "", NULL);
		table_cell(&t, v[i].name, NULL);
		table_cell(&t, v[i].kind, NULL);
		table_cellf(&t, "%s%s%s", v[i].reason, v[i].detail[0] ? ": " : "", v[i].detail);
		if (v[i].line)
			table_cellf(&t, "%s:%u", file, v[i].line);
		else
			table_cell(&t, file, NULL);
	}
	table_print(&t);
}

void print_findings(const struct cli *cli, const struct ug_finding *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		cli_autofree char *what = text_clean(cli, v[i].what);
		cli_autofree char *file = text_clean(cli, v[i].file);
		cli_autofree char *place = v[i].line ? xasprintf(" (%s:%u)", file, v[i].line) :
					   *file ? xasprintf(" (%s)", file) : xstrdup("");

		message(cli, "%s%s: %s%s; see 'ugraft build --explain=%s'",
			ug_reason_refuses(v[i].reason) ? "" : "note: ", ug_reason_text(v[i].reason), what,
			place, ug_reason_name(v[i].reason));
	}
}

json_t *changes_json(const struct ug_build_change *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "name", json_clean(v[i].name));
		json_object_set_new(o, "kind", json_clean(v[i].kind));
		json_object_set_new(o, "verdict", json_clean(v[i].verdict));
		json_object_set_new(o, "reason", json_clean(v[i].reason));
		json_object_set_new(o, "detail", json_clean(v[i].detail));
		json_object_set_new(o, "file", json_clean(v[i].file));
		json_object_set_new(o, "line", json_integer(v[i].line));
		json_object_set_new(o, "in_patch", json_boolean(v[i].kept));
		json_array_append_new(list, o);
	}
	return list;
}

json_t *findings_json(const struct ug_finding *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "code", json_clean(ug_reason_name(v[i].reason)));
		json_object_set_new(o, "refuses", json_boolean(ug_reason_refuses(v[i].reason)));
		json_object_set_new(o, "what", json_clean(v[i].what));
		json_object_set_new(o, "file", json_clean(v[i].file));
		json_object_set_new(o, "line", json_integer(v[i].line));
		json_array_append_new(list, o);
	}
	return list;
}

static void print_diff(const struct cli *cli, const struct ug_diff_report *r)
{
	if (!r->changes.n)
		printf("no change in %s\n", text_count(r->functions, "function"));
	print_changes(cli, r->changes.v, r->changes.n);
	fflush(stdout);
	print_findings(cli, r->findings.v, r->findings.n);
}

int verb_diff(struct cli *cli)
{
	struct ug_diff_report report;
	struct ug_error err;

	if (ug_build_diff(cli->args[0], cli->args[1], &report, &err) < 0)
		return fail_file(cli, &err, err.object[0] ? err.object : cli->args[0]);
	if (cli->json) {
		json_t *root = document(cli);

		json_object_set_new(root, "functions", json_integer((json_int_t)report.functions));
		json_object_set_new(root, "changes", changes_json(report.changes.v, report.changes.n));
		json_object_set_new(root, "findings",
				    findings_json(report.findings.v, report.findings.n));
		json_object_set_new(root, "exit", json_integer(UG_EXIT_OK));
		print_document(cli, root);
	} else {
		print_diff(cli, &report);
	}
	ug_diff_report_free(&report);
	return UG_EXIT_OK;
}
