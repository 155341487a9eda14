/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build --source: from a C file of replacement functions to a patch file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/build.h"
#include "findings.h"
#include "message.h"
#include "text.h"

/* fix.c, fix.diff, fix.o -> fix.ugp, in the current directory. */
static char *default_output(const char *source)
{
	const char *base = basename(source), *dot = strrchr(base, '.');

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

static int build_source(struct cli *cli)
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

/* ---- from a change of the program's own source ---- */

/* "LAYOUT          refused   the layout of a structure has changed" */
static int explain_all(void)
{
	for (int i = 0; i < UG_REASONS_END; i++) {
		enum ug_reason r = (enum ug_reason)i;

		printf("%-15s %-9s %s\n", ug_reason_name(r), ug_reason_refuses(r) ? "refused" : "note",
		       ug_reason_text(r));
	}
	return UG_EXIT_OK;
}

static int explain(struct cli *cli)
{
	enum ug_reason reason;
	struct ug_error err;

	if (!strcmp(cli->explain, "list"))
		return explain_all();
	if (!ug_reason_find(cli->explain, &reason)) {
		usage_error(&err, "there is no reason '%s'; --explain=list names them", cli->explain);
		return fail(cli, &err);
	}
	printf("%s: %s.\n\n%s\n", ug_reason_name(reason), ug_reason_text(reason), ug_reason_advice(reason));
	return UG_EXIT_OK;
}

/* What may be in the name of a patch stays, the rest becomes '-'. */
static char *patch_name(const struct cli *cli, const char *output)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-";
	const char *base = basename(output);
	const char *dot = strrchr(base, '.');
	char *name;

	if (cli->name)
		return xstrdup(cli->name);
	name = xasprintf("%.*s", dot ? (int)(dot - base) : 63, base);
	for (char *p = name; *p; p++) {
		if (!strchr(good, *p))
			*p = '-';
	}
	return name;
}

static double seconds_added(const struct ug_build_times *t)
{
	return t->copy + t->readers + t->compile + t->link;
}

/* "built in 61.0 s; ugraft added 2.1 s (3 %): ..." */
static void print_times(const struct ug_build_times *t)
{
	double added = seconds_added(t);

	if (added <= 0)
		return;
	if (t->build > 0)
		printf("built in %.1f s; ugraft added %.1f s (%.0f %%)", t->build, added,
		       100 * added / t->build);
	else
		printf("ugraft took %.1f s", added);
	printf(": copy %.1f, who reads what %.1f, compile before and after %.1f, compare and link %.1f\n",
	       t->copy, t->readers, t->compile, t->link);
}

static void print_patch(const struct cli *cli, const char *output, const struct ug_patch_report *r,
			bool failed)
{
	cli_autofree char *file = text_clean(cli, output);

	if (cli->verbosity < 0 && !failed)
		return;
	for (size_t i = 0; cli->verbosity > 0 && i < r->notes.n; i++) {
		cli_autofree char *text = text_clean(cli, r->notes.v[i].text);

		message(cli, "%s", text);
	}
	print_changes(cli, r->changes.v, r->changes.n);
	if (!failed && r->stopped)
		printf("stopped after the stage that was asked for\n");
	else if (!failed && r->no_change)
		printf("no change for this binary\n");
	else if (!failed)
		printf("%s: patch '%s', %s%s\n", file, r->name, text_count(r->functions, "function"),
		       r->pins_memory ? "; stays mapped after unload, an address escapes" : "");
	if (!failed && !r->stopped)
		print_times(&r->times);
	fflush(stdout);
	print_findings(cli, r->findings.v, r->findings.n);
}

static json_t *times_json(const struct ug_build_times *t)
{
	json_t *o = json_object();

	json_object_set_new(o, "build", json_real(t->build));
	json_object_set_new(o, "copy", json_real(t->copy));
	json_object_set_new(o, "readers", json_real(t->readers));
	json_object_set_new(o, "compile", json_real(t->compile));
	json_object_set_new(o, "link", json_real(t->link));
	json_object_set_new(o, "added", json_real(seconds_added(t)));
	return o;
}

static void print_patch_json(const struct cli *cli, const char *output, const struct ug_patch_report *r,
			     const struct ug_error *err)
{
	json_t *root = document(cli), *patch = json_object(), *notes = json_array();

	json_object_set_new(patch, "file", r->no_change || r->stopped ? json_null() : json_clean(output));
	json_object_set_new(patch, "name", json_clean(r->name));
	json_object_set_new(patch, "functions", json_integer((json_int_t)r->functions));
	json_object_set_new(patch, "references", json_integer((json_int_t)r->references));
	json_object_set_new(patch, "pins_memory", json_boolean(r->pins_memory));
	for (size_t i = 0; i < r->notes.n; i++)
		json_array_append_new(notes, json_clean(r->notes.v[i].text));
	if (err)
		json_object_set_new(root, "error", error_json(err));
	else
		json_object_set_new(root, "patch", patch);
	if (err)
		json_decref(patch);
	json_object_set_new(root, "no_change", json_boolean(!err && r->no_change));
	json_object_set_new(root, "changes", changes_json(r->changes.v, r->changes.n));
	json_object_set_new(root, "findings", findings_json(r->findings.v, r->findings.n));
	json_object_set_new(root, "notes", notes);
	json_object_set_new(root, "seconds", times_json(&r->times));
	json_object_set_new(root, "exit", json_integer(err ? error_exit(err) : UG_EXIT_OK));
	print_document(cli, root);
}

static int show_patch(const struct cli *cli, const char *output, struct ug_patch_report *r, int rc,
		      const struct ug_error *err)
{
	if (cli->json)
		print_patch_json(cli, output, r, rc < 0 ? err : NULL);
	else
		print_patch(cli, output, r, rc < 0);
	ug_patch_report_free(r);
	if (rc >= 0)
		return UG_EXIT_OK;
	return cli->json ? error_exit(err) : fail(cli, err);
}

static int build_objects(struct cli *cli)
{
	cli_autofree struct ug_object_pair *pairs = xcalloc(cli->nbefore + 1, sizeof(*pairs));
	cli_autofree const char **symbols = xcalloc(cli->ntargets + 1, sizeof(*symbols));
	cli_autofree char *output = NULL, *name = NULL;
	struct ug_patch_report report;
	struct ug_error err;
	int rc;

	if (cli->nbefore != cli->nafter) {
		usage_error(&err, "each --before needs its --after");
		return fail(cli, &err);
	}
	for (size_t i = 0; i < cli->nbefore; i++)
		pairs[i] = (struct ug_object_pair){ cli->before[i], cli->after[i], NULL };
	symbols[0] = cli->debug;
	output = cli->output ? xstrdup(cli->output) : default_output(cli->after[0]);
	name = patch_name(cli, output);
	rc = ug_build_objects(&(struct ug_build_objects_opts){
		.pairs = pairs, .npairs = cli->nbefore, .targets = cli->targets,
		.ntargets = cli->ntargets, .symbols = symbols, .output = output, .name = name,
		.description = cli->description, .cves = cli->cves, .layout_ok = cli->layout_ok,
		.nlayout_ok = cli->nlayout_ok, .compiler_ok = cli->compiler_ok }, &report, &err);
	return show_patch(cli, output, &report, rc, &err);
}

static int check_tree(const struct cli *cli, struct ug_error *err)
{
	bool patch = !cli->to || cli->to == UG_STAGE_PATCH;

	if (!cli->ndiffs && patch)
		return usage_error(err, "--diff FILE is missing: the change");
	if (!cli->ntargets && !cli->deb && patch)
		return usage_error(err, "--target FILE is missing: the executable or library that runs");
	if (!cli->nargs && !cli->deb && !cli->database && cli->from < UG_STAGE_PATCH)
		return usage_error(err, "the build command is missing, as in: -- make -j2");
	if (cli->database && (cli->nargs || cli->deb))
		return usage_error(err, "--compile-commands builds nothing: it goes without a build command");
	if (cli->ndeb_env && !cli->deb)
		return usage_error(err, "--deb-env is for the build of --deb");
	if (cli->from > UG_STAGE_COPY && !cli->work)
		return usage_error(err, "--from goes on in the directory named with --work");
	return 0;
}

/*
 * The wrapper as a static program: beside us in the build tree, or installed. It starts in a third of
 * the time we need, which counts with thousands of short compiles, and needs no library in a chroot.
 * Outside of one we do as well, when it is not there. Never NULL.
 */
static char *find_recorder(const char *self, bool in_chroot)
{
	const char *slash = self ? strrchr(self, '/') : NULL;
	char *path = xasprintf("%.*s/builder/ugraft-record", slash ? (int)(slash - self) : 0,
			       self ? self : "");

	if (access(path, X_OK) == 0)
		return path;
	free(path);
	if (in_chroot || access(UG_LIBEXECDIR "/ugraft-record", X_OK) == 0)
		return xstrdup(UG_LIBEXECDIR "/ugraft-record");
	return xstrdup(self ? self : "/proc/self/exe");
}

static int build_with(struct cli *cli, const struct ug_build_tree_opts *opts)
{
	struct ug_patch_report report;
	struct ug_error err;
	int rc;

	if (cli->deb)
		rc = ug_build_deb(&(struct ug_build_deb_opts){ .package = cli->deb, .cache = cli->cache,
				  .env = cli->deb_env, .nenv = cli->ndeb_env, .tree = *opts }, &report, &err);
	else
		rc = ug_build_tree(opts, &report, &err);
	return show_patch(cli, opts->output, &report, rc, &err);
}

static int build_tree(struct cli *cli)
{
	cli_autofree char *output = NULL, *name = NULL, *self = NULL, *recorder = NULL;
	struct ug_error err;

	if (check_tree(cli, &err))
		return fail(cli, &err);
	self = realpath("/proc/self/exe", NULL);
	recorder = find_recorder(self, cli->deb);
	output = cli->output ? xstrdup(cli->output) :
		 default_output(cli->ndiffs ? cli->diffs[0] : "fix");
	name = patch_name(cli, output);
	return build_with(cli, &(struct ug_build_tree_opts){
		.src = cli->src, .diffs = cli->diffs, .ndiffs = cli->ndiffs, .ignore = cli->ignore,
		.nignore = cli->nignore, .command = (const char *const *)cli->args, .database = cli->database,
		.wrapper = recorder,
		.targets = cli->targets, .ntargets = cli->ntargets, .debug = cli->debug,
		.output = output, .name = name, .description = cli->description, .cves = cli->cves,
		.layout_ok = cli->layout_ok, .nlayout_ok = cli->nlayout_ok,
		.compiler_ok = cli->compiler_ok, .keep = cli->keep,
		.work = cli->work, .from = cli->from, .to = cli->to });
}

static int stray_operands(const struct cli *cli)
{
	struct ug_error err;

	usage_error(&err, "'%s' is not expected here", cli->args[0]);
	return fail(cli, &err);
}

int verb_build(struct cli *cli)
{
	if (cli->lint)
		return build_lint(cli);
	if (cli->src || cli->deb || cli->work)
		return build_tree(cli);
	if (cli->nargs)
		return stray_operands(cli);
	if (cli->explain)
		return explain(cli);
	if (cli->nbefore || cli->nafter)
		return build_objects(cli);
	return build_source(cli);
}
