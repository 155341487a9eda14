/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build --source: from a C file of replacement functions to a patch file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/build.h"
#include "message.h"
#include "text.h"

/* fix.c -> fix.ugp, in the current directory. */
static char *default_output(const char *source)
{
	const char *base = strrchr(source, '/');
	const char *dot;

	base = base ? base + 1 : source;
	dot = strrchr(base, '.');
	return xasprintf("%.*s.ugp", dot ? (int)(dot - base) : (int)strlen(base), base);
}

static int check_options(const struct cli *cli, struct ug_error *err)
{
	if (!cli->source)
		return usage_error(err, "--source FILE is missing: the C file with the replacement "
				   "functions");
	/* One sentence of ours instead of the compiler's two. */
	if (access(cli->source, R_OK) < 0)
		return set_error(err, -errno, "cannot read %s: %s", cli->source, strerror(errno));
	if (!cli->ntargets)
		return usage_error(err, "--target FILE is missing: the executable or library the "
				   "functions are of");
	return 0;
}

static json_t *report_json(const char *output, const struct ug_build_report *report)
{
	json_t *o = json_object();

	json_object_set_new(o, "file", json_clean(output));
	json_object_set_new(o, "name", json_clean(report->name));
	json_object_set_new(o, "functions", json_integer((json_int_t)report->functions));
	json_object_set_new(o, "references", json_integer((json_int_t)report->references));
	json_object_set_new(o, "pins_memory", json_boolean(report->pins_memory));
	return o;
}

static json_t *warnings_json(const struct ug_build_report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->nwarnings && i < UG_BUILD_WARNINGS_MAX; i++)
		json_array_append_new(list, json_clean(report->warnings[i]));
	return list;
}

/* The compiler's own words, line by line: they are about the user's source. */
static void print_compiler(const struct cli *cli, const struct ug_build_report *report)
{
	cli_autofree char *text = xstrdup(report->compiler_output);
	char *save = NULL;

	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		cli_autofree char *line = text_clean(cli, l);

		fprintf(stderr, "%s\n", line);
	}
}

static void print_warnings(const struct cli *cli, const struct ug_build_report *report)
{
	for (size_t i = 0; i < report->nwarnings && i < UG_BUILD_WARNINGS_MAX; i++) {
		cli_autofree char *text = text_clean(cli, report->warnings[i]);

		message(cli, "warning: %s", text);
	}
	if (report->nwarnings > UG_BUILD_WARNINGS_MAX)
		message(cli, "and %s more", text_count(report->nwarnings - UG_BUILD_WARNINGS_MAX,
						       "warning"));
}

static void print_success(const struct cli *cli, const char *output,
			  const struct ug_build_report *report)
{
	cli_autofree char *name = text_clean(cli, report->name);
	cli_autofree char *file = text_clean(cli, output);

	printf("%s: patch '%s', %s%s\n", file, name, text_count(report->functions, "function"),
	       report->pins_memory ? "; stays mapped after unload, an address escapes" : "");
}

static void print_json(const struct cli *cli, const char *output,
		       const struct ug_build_report *report, const struct ug_error *err)
{
	json_t *root = document(cli);

	if (err)
		json_object_set_new(root, "error", error_json(err));
	else
		json_object_set_new(root, "patch", report_json(output, report));
	json_object_set_new(root, "warnings", warnings_json(report));
	json_object_set_new(root, "compiler_output", json_lines(report->compiler_output));
	json_object_set_new(root, "exit", json_integer(err ? error_exit(err) : UG_EXIT_OK));
	print_document(cli, root);
}

int verb_build(struct cli *cli)
{
	struct ug_build_report report = { 0 };
	struct ug_build_source_opts opts;
	cli_autofree char *output = NULL;
	struct ug_error err;
	int rc;

	if (check_options(cli, &err))
		return fail(cli, &err);
	output = cli->output ? xstrdup(cli->output) : default_output(cli->source);
	opts = (struct ug_build_source_opts){
		.source = cli->source,
		.targets = cli->targets,
		.ntargets = cli->ntargets,
		.output = output,
		.compiler = cli->compiler,
		.cflags = cli->cflags,
		.ncflags = cli->ncflags,
		.assume_abi = cli->assume_abi,
	};
	rc = ug_build_source(&opts, &report, &err);
	if (cli->json) {
		print_json(cli, output, &report, rc < 0 ? &err : NULL);
		return rc < 0 ? error_exit(&err) : UG_EXIT_OK;
	}
	print_compiler(cli, &report);
	if (rc < 0)
		return fail(cli, &err);
	if (cli->verbosity >= 0) {
		print_warnings(cli, &report);
		print_success(cli, output, &report);
	}
	return UG_EXIT_OK;
}
