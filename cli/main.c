/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "builder/build.h"
#include "help.h"
#include "message.h"
#include "options.h"
#include "text.h"

static int check_operands(const struct cli *cli, struct ug_error *err)
{
	const struct verb *v = cli->verb;

	if (cli->nargs >= v->min_args && (v->max_args < 0 || cli->nargs <= v->max_args))
		return 0;
	return usage_error(err, "usage: ugraft %s [OPTION...] %s", v->name, v->args);
}

/* stdout may be a full disk or a closed pipe: a result nobody got is not a success. */
static int flushed(const struct cli *cli, int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (errno != EPIPE)
		message(cli, "cannot write the output: %s", strerror(errno));
	return code ? code : UG_EXIT_FAILED;
}

static int print_version(void)
{
	puts("ugraft " UG_VERSION);
	return UG_EXIT_OK;
}

static int run_verb(struct cli *cli, int argc, char **argv)
{
	struct ug_error err;

	if (options_parse(cli, cli->verb, argc, argv, &err))
		return fail(cli, &err);
	if (cli->help) {
		help_verb(cli->verb);
		return UG_EXIT_OK;
	}
	if (cli->version)
		return print_version();
	if (check_operands(cli, &err))
		return fail(cli, &err);
	return cli->verb->fn(cli);
}

/* No verb: only --help, --version, or a mistake. */
static int run_bare(struct cli *cli, int argc, char **argv)
{
	struct ug_error err;

	if (options_parse(cli, NULL, argc, argv, &err))
		return fail(cli, &err);
	if (cli->version)
		return print_version();
	if (!cli->help) {
		usage_error(&err, "no verb given; try 'ugraft --help'");
		return fail(cli, &err);
	}
	help_program();
	return UG_EXIT_OK;
}

/*
 * The verb is the first word that is no option; options before it (none of the common ones
 * has a separate argument) are moved behind it, so that `ugraft --json list` works.
 */
static int find_verb(int argc, char **argv)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0)
		i++;
	return i < argc ? i : 0;
}

/* Hidden verbs, for the build: what is made from the tables. */
static bool generated(const char *what, const char *name)
{
	const struct verb *verb = verb_find(name);

	if (strcmp(what, "completion") == 0)
		help_completion();
	else if (strcmp(what, "manual") == 0 && verb)
		manual_verb(verb);
	else
		return false;
	return true;
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
	int at = find_verb(argc, argv);
	struct ug_error err;
	char *word;

	if (!at)
		return run_bare(cli, argc, argv);
	word = argv[at];
	if (generated(word, at + 1 < argc ? argv[at + 1] : ""))
		return UG_EXIT_OK;
	if (strcmp(word, "help") == 0) {
		word = at + 1 < argc ? argv[at + 1] : NULL;
		if (!word) {
			help_program();
			return UG_EXIT_OK;
		}
		cli->help = true;
	}
	cli->verb = verb_find(word);
	if (!cli->verb) {
		usage_error(&err, "unknown verb '%s'; try 'ugraft --help'", word);
		return fail(cli, &err);
	}
	if (cli->help) {
		help_verb(cli->verb);
		return UG_EXIT_OK;
	}
	memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof(*argv));
	argv[1] = word;
	return run_verb(cli, argc - 1, argv + 1);
}

/* Errors of parsing must be JSON too, when it is asked for anywhere on the line. */
static void look_for_json(struct cli *cli, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "--json=pretty") == 0)
			cli->json = JSON_PRETTY;
		else if (strcmp(argv[i], "--json=short") == 0)
			cli->json = JSON_SHORT;
	}
}

int main(int argc, char **argv)
{
	struct cli cli = { 0 };
	int code;

	if (ug_build_wrapper(argc, argv, &code))
		return code;
	text_init(&cli);
	look_for_json(&cli, argc, argv);
	code = flushed(&cli, dispatch(&cli, argc, argv));
	free(cli.targets);
	free(cli.cflags);
	free(cli.before);
	free(cli.after);
	free(cli.layout_ok);
	free(cli.diffs);
	free(cli.ignore);
	free(cli.deb_env);
	return code;
}
