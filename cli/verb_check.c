/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plan and verify: lists of findings with their verdicts; nothing is changed. */
#include <errno.h>
#include <stdio.h>

#include "message.h"
#include "table.h"
#include "targets.h"
#include "text.h"

struct check_verb {
	const char *file;		/* plan only */
	const char *all_well;
	const char *not_well;
	const char *refused;		/* the word for the verdict */
	target_filter filter;
};

static const char *verdict_name(const struct check_verb *verb, enum ug_check_verdict verdict)
{
	return verdict == UG_CHECK_OK ? "ok" :
	       verdict == UG_CHECK_WARNING ? "warning" : verb->refused;
}

static const char *verdict_color(enum ug_check_verdict verdict)
{
	return verdict == UG_CHECK_OK ? "green" : verdict == UG_CHECK_WARNING ? "yellow" : "red";
}

/* The exit code of the first refusal; a refusal without a code is still one. */
static int checks_exit(const struct ug_checks *checks)
{
	for (size_t i = 0; i < checks->n; i++) {
		if (checks->v[i].verdict != UG_CHECK_REFUSED)
			continue;
		return checks->v[i].code < 0 ? ug_error_exit(checks->v[i].code) : UG_EXIT_REFUSED;
	}
	return UG_EXIT_OK;
}

static void print_table(const struct cli *cli, const struct check_verb *verb,
			const struct ug_checks *checks)
{
	static const struct table_column columns[] = {
		{ "VERDICT" }, { "WHAT" }, { "FINDING", TABLE_WRAP }, { NULL },
	};
	struct table t;

	table_init(&t, cli, columns);
	for (size_t i = 0; i < checks->n; i++) {
		const struct ug_check *c = &checks->v[i];

		if (cli->verbosity < 0 && c->verdict != UG_CHECK_REFUSED)
			continue;
		table_row(&t);
		table_cell(&t, verdict_name(verb, c->verdict), verdict_color(c->verdict));
		table_cell(&t, c->what, NULL);
		table_cell(&t, c->text, NULL);
	}
	table_print(&t);
}

static void print_checks(const struct cli *cli, const struct check_verb *verb,
			 const struct target *target, const struct ug_checks *checks)
{
	cli_autofree char *who = target_label(cli, target);
	int code = checks_exit(checks);

	if (cli->verbosity >= 0 || code) {
		printf("%s: %s", who, code ? verb->not_well : verb->all_well);
		if (checks->predicted_pause_ns && !code)
			printf(", predicted pause %s", text_ns(checks->predicted_pause_ns));
		putchar('\n');
	}
	print_table(cli, verb, checks);
}

static json_t *checks_json(const struct check_verb *verb, const struct target *target,
			   const struct ug_checks *checks)
{
	json_t *o = json_object();
	json_t *list = json_array();

	for (size_t i = 0; i < checks->n; i++) {
		const struct ug_check *c = &checks->v[i];
		json_t *one = json_object();

		json_object_set_new(one, "verdict", json_string(verdict_name(verb, c->verdict)));
		if (c->code < 0)
			json_object_set_new(one, "code", json_string(ug_error_name(c->code)));
		json_object_set_new(one, "what", json_clean(c->what));
		json_object_set_new(one, "finding", json_clean(c->text));
		json_array_append_new(list, one);
	}
	json_object_set_new(o, "pid", json_integer(target->pid));
	json_object_set_new(o, "comm", json_clean(target->comm));
	json_object_set_new(o, "exit", json_integer(checks_exit(checks)));
	json_object_set_new(o, "predicted_pause_ns",
			    json_integer((json_int_t)checks->predicted_pause_ns));
	json_object_set_new(o, "checks", list);
	return o;
}

static int report_error(const struct cli *cli, const struct target *target,
			const struct ug_error *err, json_t *list)
{
	if (cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "pid", json_integer(target->pid));
		json_object_set_new(o, "exit", json_integer(error_exit(err)));
		json_object_set_new(o, "error", error_json(err));
		json_array_append_new(list, o);
	} else {
		cli_autofree char *text = error_sentence(cli, err);

		message(cli, "%d: %s", target->pid, text);
	}
	return error_exit(err);
}

static int check_one(const struct cli *cli, const struct check_verb *verb,
		     const struct target *target, json_t *list)
{
	struct ug_opts opts = cli_opts(cli);
	struct ug_checks *checks;
	struct ug_error err;
	int rc, code;

	rc = verb->file ? ug_plan(target->pid, verb->file, &opts, &checks, &err) :
			  ug_verify(target->pid, &checks, &err);
	if (rc < 0)
		return report_error(cli, target, &err, list);
	if (cli->json)
		json_array_append_new(list, checks_json(verb, target, checks));
	else
		print_checks(cli, verb, target, checks);
	code = checks_exit(checks);
	ug_checks_free(checks);
	return code;
}

static int check_all(const struct cli *cli, const struct check_verb *verb,
		     const struct targets *targets)
{
	json_t *list = json_array();
	int code = UG_EXIT_OK;

	for (size_t i = 0; i < targets->n; i++) {
		int one = check_one(cli, verb, &targets->v[i], list);

		code = i && one != code ? UG_EXIT_PARTIAL : one;
	}
	if (cli->json) {
		json_t *root = document(cli);

		json_object_set(root, "processes", list);
		json_object_set_new(root, "exit", json_integer(code));
		print_document(cli, root);
	}
	json_decref(list);
	return code;
}

static int run(const struct cli *cli, const struct check_verb *verb, char **args, int nargs)
{
	struct targets targets = { .tree = cli->tree };
	struct ug_error err;
	int code, rc;

	rc = targets_resolve(&targets, args, nargs, verb->filter, verb->file, &err);
	if (rc == 0 && !targets.n && verb->file)
		rc = set_error(&err, -ESRCH,
			       "no process has an object of the builds the patch is for");
	code = rc < 0 ? fail(cli, &err) : check_all(cli, verb, &targets);
	targets_free(&targets);
	return code;
}

int verb_plan(struct cli *cli)
{
	struct check_verb verb = {
		.file = cli->args[0],
		.all_well = "can be loaded",
		.not_well = "cannot be loaded",
		.refused = "refused",
		.filter = target_is_applicable,
	};
	struct ug_error err;
	struct ug_info *info;

	if (ug_info(verb.file, &info, &err) < 0)
		return fail_file(cli, &err, verb.file);
	ug_info_free(info);
	return run(cli, &verb, cli->args + 1, cli->nargs - 1);
}

int verb_verify(struct cli *cli)
{
	struct check_verb verb = {
		.all_well = "as the registry says",
		.not_well = "not as the registry says",
		.refused = "differs",
		.filter = target_is_patched,
	};

	return run(cli, &verb, cli->args, cli->nargs);
}
