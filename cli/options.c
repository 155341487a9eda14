/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "options.h"

#include <getopt.h>
#include <string.h>

#include "message.h"
#include "text.h"

#define MAX_OPTIONS 64
#define LONG_BASE 256	/* above every letter */

static bool set_timeout(struct cli *cli, const char *arg)
{
	return text_parse_seconds(arg, &cli->timeout_ms);
}

static bool set_max_pause(struct cli *cli, const char *arg)
{
	return text_parse_pause(arg, &cli->max_pause_us);
}

static bool set_on_timeout(struct cli *cli, const char *arg)
{
	cli->flags &= ~UG_OPT_KEEP_ON_TIMEOUT;
	if (strcmp(arg, "keep") == 0)
		cli->flags |= UG_OPT_KEEP_ON_TIMEOUT;
	else if (strcmp(arg, "reverse") != 0)
		return false;
	return true;
}

static bool set_no_wait(struct cli *cli, const char *arg)
{
	cli->flags |= UG_OPT_NO_WAIT;
	return true;
}

static bool set_tree(struct cli *cli, const char *arg)
{
	cli->tree = true;
	return true;
}

static bool set_atomic(struct cli *cli, const char *arg)
{
	cli->atomic = true;
	return true;
}

static bool set_suspend_seccomp(struct cli *cli, const char *arg)
{
	cli->flags |= UG_OPT_SUSPEND_SECCOMP;
	return true;
}

static bool set_no_short_transfers(struct cli *cli, const char *arg)
{
	cli->flags |= UG_OPT_NO_SHORT_TRANSFERS;
	return true;
}

static bool set_contexts(struct cli *cli, const char *arg)
{
	cli->flags |= UG_OPT_CONTEXTS_NONE;
	return strcmp(arg, "none") == 0;
}

static bool set_json(struct cli *cli, const char *arg)
{
	static const struct { const char *name; enum json_mode mode; } modes[] = {
		{ "pretty", JSON_PRETTY }, { "short", JSON_SHORT }, { "off", JSON_OFF },
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(arg ? arg : "pretty", modes[i].name) == 0) {
			cli->json = modes[i].mode;
			return true;
		}
	}
	return false;
}

static bool set_quiet(struct cli *cli, const char *arg)
{
	cli->verbosity = -1;
	return true;
}

static bool set_verbose(struct cli *cli, const char *arg)
{
	cli->verbosity = cli->verbosity < 0 ? 1 : cli->verbosity + 1;
	return true;
}

static bool set_help(struct cli *cli, const char *arg)
{
	cli->help = true;
	return true;
}

static bool set_version(struct cli *cli, const char *arg)
{
	cli->version = true;
	return true;
}

static bool set_patch(struct cli *cli, const char *arg)
{
	cli->patch = arg;
	return *arg;
}

static bool set_accept(struct cli *cli, const char *arg)
{
	cli->accept_inconsistency = true;
	return true;
}

static bool set_source(struct cli *cli, const char *arg)
{
	cli->source = arg;
	return *arg;
}

static bool set_output(struct cli *cli, const char *arg)
{
	cli->output = arg;
	return *arg;
}

static bool set_compiler(struct cli *cli, const char *arg)
{
	cli->compiler = arg;
	return *arg;
}

static void append(const char ***list, size_t *n, const char *s)
{
	*list = xrealloc(*list, *n + 1, sizeof(**list));
	(*list)[(*n)++] = s;
}

static bool set_target(struct cli *cli, const char *arg)
{
	append(&cli->targets, &cli->ntargets, arg);
	return *arg;
}

static bool set_cflag(struct cli *cli, const char *arg)
{
	append(&cli->cflags, &cli->ncflags, arg);
	return *arg;
}

static bool set_src(struct cli *cli, const char *arg)
{
	cli->src = arg;
	return *arg;
}

static bool set_database(struct cli *cli, const char *arg)
{
	cli->database = arg;
	return *arg;
}

static bool set_lint(struct cli *cli, const char *arg)
{
	cli->lint = true;
	return true;
}

static bool set_diff(struct cli *cli, const char *arg)
{
	append(&cli->diffs, &cli->ndiffs, arg);
	return *arg;
}

static bool set_ignore(struct cli *cli, const char *arg)
{
	append(&cli->ignore, &cli->nignore, arg);
	return *arg;
}

static bool set_keep(struct cli *cli, const char *arg)
{
	cli->keep = true;
	return true;
}

static bool set_deb(struct cli *cli, const char *arg)
{
	cli->deb = arg;
	return *arg;
}

static bool set_deb_env(struct cli *cli, const char *arg)
{
	append(&cli->deb_env, &cli->ndeb_env, arg);
	return strchr(arg, '=') > arg;
}

static bool set_cache(struct cli *cli, const char *arg)
{
	cli->cache = arg;
	return *arg;
}

static bool set_work(struct cli *cli, const char *arg)
{
	cli->work = arg;
	return *arg;
}

static bool set_stage(int *stage, const char *arg)
{
	*stage = arg[0] - '0';
	return *stage >= 1 && *stage <= 3 && !arg[1];
}

static bool set_from(struct cli *cli, const char *arg)
{
	return set_stage(&cli->from, arg);
}

static bool set_to(struct cli *cli, const char *arg)
{
	return set_stage(&cli->to, arg);
}

static bool set_before(struct cli *cli, const char *arg)
{
	append(&cli->before, &cli->nbefore, arg);
	return *arg;
}

static bool set_after(struct cli *cli, const char *arg)
{
	append(&cli->after, &cli->nafter, arg);
	return *arg;
}

static bool set_layout_ok(struct cli *cli, const char *arg)
{
	append(&cli->layout_ok, &cli->nlayout_ok, arg);
	return *arg;
}

static bool set_compiler_ok(struct cli *cli, const char *arg)
{
	cli->compiler_ok = true;
	return true;
}

static bool set_debug(struct cli *cli, const char *arg)
{
	cli->debug = arg;
	return *arg;
}

static bool set_name(struct cli *cli, const char *arg)
{
	cli->name = arg;
	return *arg;
}

static bool set_description(struct cli *cli, const char *arg)
{
	cli->description = arg;
	return *arg;
}

static bool set_cves(struct cli *cli, const char *arg)
{
	cli->cves = arg;
	return *arg;
}

static bool set_explain(struct cli *cli, const char *arg)
{
	cli->explain = arg;
	return *arg;
}

static bool set_assume_abi(struct cli *cli, const char *arg)
{
	cli->assume_abi = true;
	return true;
}

const struct option_def option_defs[] = {
	{ "timeout", 't', "SECONDS", false, TAKES_TIME,
	  "give the threads this long to leave the old code (15)", NULL, set_timeout },
	{ "on-timeout", 0, "reverse|keep", false, TAKES_ON_TIMEOUT,
	  "what then: go back (the default), or leave it running", "reverse keep",
	  set_on_timeout },
	{ "no-wait", 0, NULL, false, TAKES_NO_WAIT,
	  "return as soon as the transition runs; 'ugraft wait' completes it", NULL, set_no_wait },
	{ "max-pause", 0, "TIME", false, TAKES_PAUSE,
	  "the longest stop of the whole process, as 10ms or 500us", NULL, set_max_pause },
	{ "tree", 0, NULL, false, TAKES_TREE,
	  "each PROC with all its descendants, also those born meanwhile", NULL, set_tree },
	{ "atomic", 0, NULL, false, TAKES_ATOMIC,
	  "the processes must agree: change all of them in one moment, or none", NULL, set_atomic },
	{ "suspend-seccomp", 0, NULL, false, TAKES_CHANGE,
	  "lift seccomp while working; if ugraft is killed then, the target may be too", NULL,
	  set_suspend_seccomp },
	{ "no-short-transfers", 0, NULL, false, TAKES_CHANGE,
	  "wait while a read or write could be cut short; refuse if it does not end", NULL,
	  set_no_short_transfers },
	{ "contexts", 0, "none", false, TAKES_CHANGE,
	  "assert that the process has no suspended coroutines", "none", set_contexts },
	{ "patch", 0, "NAME", false, TAKES_PATCH,
	  "only if the transition is this patch's", NULL, set_patch },
	{ "i-accept-inconsistency", 0, NULL, false, TAKES_FORCE,
	  "say that you know what this gives up", NULL, set_accept },
	{ "source", 0, "FILE", false, TAKES_BUILD,
	  "the C file with the replacement functions", NULL, set_source },
	{ "target", 0, "FILE", false, TAKES_BUILD,
	  "the executable or library to patch; may be repeated", NULL, set_target },
	{ "output", 'o', "FILE", false, TAKES_BUILD,
	  "the patch file to write (the source's name with .ugp)", NULL, set_output },
	{ "compiler", 0, "PROGRAM", false, TAKES_BUILD,
	  "the C compiler to use (gcc)", NULL, set_compiler },
	{ "cflag", 0, "FLAG", false, TAKES_BUILD,
	  "flags for the compiler, as --cflag=-I/usr/include/x; may be repeated", NULL,
	  set_cflag },
	{ "assume-abi", 0, NULL, false, TAKES_BUILD,
	  "trust that direct callers expect nothing beyond the ABI", NULL, set_assume_abi },
	{ "src", 0, "DIR", false, TAKES_BUILD,
	  "the source tree of the program; its build command follows '--'", NULL, set_src },
	{ "compile-commands", 0, "FILE", false, TAKES_BUILD,
	  "instead of a build command: a compile_commands.json that says how it was compiled", NULL,
	  set_database },
	{ "diff", 0, "FILE", false, TAKES_BUILD,
	  "the change, as a unified diff of the tree; may be repeated", NULL, set_diff },
	{ "lint", 0, NULL, false, TAKES_BUILD,
	  "only look at the diff: what may be refused or dangerous; needs --src and --diff", NULL,
	  set_lint },
	{ "ignore", 0, "FILE", false, TAKES_BUILD,
	  "a file of the diff that is not part of the program; may be repeated", NULL,
	  set_ignore },
	{ "keep", 0, NULL, false, TAKES_BUILD, "keep the copy of the tree and the objects", NULL,
	  set_keep },
	{ "deb", 0, "PACKAGE", false, TAKES_BUILD,
	  "build the Debian package's source in a chroot; PACKAGE[=VERSION], or an installed file",
	  NULL, set_deb },
	{ "deb-env", 0, "NAME=VALUE", false, TAKES_BUILD,
	  "a variable of that build, as DEB_CFLAGS_APPEND=-fno-lto; may be repeated", NULL,
	  set_deb_env },
	{ "cache", 0, "DIR", false, TAKES_BUILD,
	  "where chroots are kept (/var/cache/ugraft)", NULL, set_cache },
	{ "work", 0, "DIR", false, TAKES_BUILD,
	  "the directory to work in, kept; 'ugraft build --from' can go on there", NULL, set_work },
	{ "from", 0, "1|2|3", false, TAKES_BUILD,
	  "begin with this stage: 1 copy, 2 build, 3 make the patch", "1 2 3", set_from },
	{ "to", 0, "1|2|3", false, TAKES_BUILD,
	  "end after this stage", "1 2 3", set_to },
	{ "before", 0, "FILE", false, TAKES_BUILD,
	  "instead of a tree: an object as it was; goes with --after, may be repeated", NULL,
	  set_before },
	{ "after", 0, "FILE", false, TAKES_BUILD,
	  "the same object with the fix", NULL, set_after },
	{ "debug", 0, "FILE", false, TAKES_BUILD,
	  "the file with the symbols of the first target, when that is stripped", NULL, set_debug },
	{ "name", 0, "NAME", false, TAKES_BUILD,
	  "of the patch (that of the output file)", NULL, set_name },
	{ "description", 0, "TEXT", false, TAKES_BUILD, "what the patch is for", NULL,
	  set_description },
	{ "cves", 0, "LIST", false, TAKES_BUILD, "what it fixes, as 'CVE-2026-1 CVE-2026-2'", NULL,
	  set_cves },
	{ "layout-ok", 0, "STRUCT", false, TAKES_BUILD,
	  "accept that its layout changes: no object of it outlives a call", NULL, set_layout_ok },
	{ "compiler-ok", 0, NULL, false, TAKES_BUILD,
	  "accept another compiler or other flags than those of the running program", NULL,
	  set_compiler_ok },
	{ "explain", 0, "CODE", false, TAKES_BUILD,
	  "say more about a reason for a refusal ('list': all of them), and do nothing else", NULL,
	  set_explain },
	{ "json", 0, "pretty|short", true, TAKES_COMMON,
	  "print a JSON document", "pretty short off", set_json },
	{ "quiet", 'q', NULL, false, TAKES_COMMON, "print errors only", NULL, set_quiet },
	{ "verbose", 'v', NULL, false, TAKES_COMMON, "print more; twice: debugging", NULL,
	  set_verbose },
	{ "help", 'h', NULL, false, TAKES_COMMON, "explain", NULL, set_help },
	{ "version", 'V', NULL, false, TAKES_COMMON, "print the version", NULL, set_version },
	{ NULL },
};

/* getopt's two tables for the options this verb knows. val is LONG_BASE + index throughout. */
static void make_tables(const struct verb *verb, struct option *longs, char *shorts)
{
	*shorts++ = ':';	/* report a missing argument as ':' */
	for (size_t i = 0; option_defs[i].name; i++) {
		const struct option_def *def = &option_defs[i];

		if (!option_known(def, verb))
			continue;
		longs->name = def->name;
		longs->has_arg = !def->arg ? no_argument :
				 def->arg_optional ? optional_argument : required_argument;
		longs->flag = NULL;
		longs->val = LONG_BASE + (int)i;
		longs++;
		if (!def->letter)
			continue;
		*shorts++ = def->letter;
		if (def->arg)
			*shorts++ = ':';
	}
	memset(longs, 0, sizeof(*longs));
	*shorts = 0;
}

static const struct option_def *find_def(int c)
{
	if (c >= LONG_BASE)
		return &option_defs[c - LONG_BASE];
	for (const struct option_def *def = option_defs; def->name; def++)
		if (def->letter == c)
			return def;
	return NULL;
}

static int bad_option(const struct verb *verb, int c, char **argv, struct ug_error *err)
{
	const struct option_def *def = optopt ? find_def(optopt) : NULL;

	if (c == ':' && def)
		return usage_error(err, "option --%s needs an argument: %s", def->name, def->arg);
	if (def && option_known(def, verb))
		return usage_error(err, "option --%s takes no argument", def->name);
	if (optopt && optopt < LONG_BASE)
		return usage_error(err, "unknown option -%c; try 'ugraft%s%s --help'", optopt,
				   verb ? " " : "", verb ? verb->name : "");
	return usage_error(err, "unknown option %s; try 'ugraft%s%s --help'", argv[optind - 1],
			   verb ? " " : "", verb ? verb->name : "");
}

int options_parse(struct cli *cli, const struct verb *verb, int argc, char **argv,
		  struct ug_error *err)
{
	struct option longs[MAX_OPTIONS];
	char shorts[2 * MAX_OPTIONS + 2];
	int c;

	_Static_assert(sizeof(option_defs) / sizeof(option_defs[0]) <= MAX_OPTIONS, "tables");
	make_tables(verb, longs, shorts);
	opterr = 0;
	optind = 0;	/* glibc: start anew */
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_def *def = find_def(c);

		if (c == '?' || c == ':' || !def)
			return bad_option(verb, c, argv, err);
		if (!def->set(cli, optarg))
			return usage_error(err, "'%s' is no good for --%s=%s: %s",
					   optarg ? optarg : "", def->name, def->arg, def->help);
	}
	cli->args = argv + optind;
	cli->nargs = argc - optind;
	return 0;
}
