/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build --source: from a C file of replacement functions to a patch file. */
#include <stdio.h>
#include <string.h>

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
	return o;
}

static void print_build(const struct cli *cli, const char *output,
			const struct ug_build_report *report)
{
	cli_autofree char *name = text_clean(cli, report->name);
	cli_autofree char *file = text_clean(cli, output);

	if (cli->json) {
		json_t *root = document(cli);

		json_object_set_new(root, "patch", report_json(output, report));
		json_object_set_new(root, "exit", json_integer(UG_EXIT_OK));
		print_document(cli, root);
	} else if (cli->verbosity >= 0) {
		printf("%s: patch '%s', %s\n", file, name, text_count(report->functions, "function"));
	}
}

int verb_build(struct cli *cli)
{
	struct ug_build_report report = { 0 };
	struct ug_build_source_opts opts;
	cli_autofree char *output = NULL;
	struct ug_error err;

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
	if (ug_build_source(&opts, &report, &err) < 0)
		return fail(cli, &err);
	print_build(cli, output, &report);
	return UG_EXIT_OK;
}
