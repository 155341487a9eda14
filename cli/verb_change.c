/* SPDX-License-Identifier: GPL-2.0-or-later */
/* load, unload, wait, reverse, force, recover: the verbs that change processes. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "change.h"
#include "message.h"
#include "result.h"
#include "targets.h"
#include "text.h"

volatile int change_cancelled;

static void on_signal(int signo)
{
	change_cancelled = 1;
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_RESETHAND };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	/* A reader of our output that goes away must not end us in the middle of a change. */
	signal(SIGPIPE, SIG_IGN);
}

static void print_blockers(const struct cli *cli, const struct ug_progress *g)
{
	for (unsigned int i = 0; i < g->nblockers && i < UG_BLOCKERS_MAX; i++) {
		cli_autofree char *s = progress_blocker(cli, &g->blockers[i]);

		message(cli, "  waited for %s", s);
	}
}

static void print_report(const struct change *change, const struct result *one,
			 const char *who)
{
	const struct ug_report *rep = &one->report;

	if (one->state == UG_RESULT_ALREADY) {
		printf("%s: %s\n", who, change->already);
		return;
	}
	printf("%s: %s", who, one->state == UG_RESULT_PENDING ? "pending" : change->done);
	if (change->things)
		printf(", %s finished or rolled back", text_count(rep->recovered, "thing"));
	else
		printf(", %s", text_count(rep->functions, "function"));
	if (rep->threads)
		printf(", %s (%u at once)", text_count(rep->threads, "thread"),
		       rep->switched_at_once);
	if (rep->stops)
		printf(", longest stop %s of %s", text_ns(rep->max_pause_ns),
		       text_count(rep->stops, "stop"));
	printf(", %s in all\n", text_ns(rep->wall_ns));
	if (rep->forced)
		printf("  %s may mix old and new code until they have left the functions\n",
		       text_count(rep->forced, "thread"));
	if (rep->pinned_bytes)
		printf("  %s stay mapped: addresses of the patch may have escaped\n",
		       text_bytes(rep->pinned_bytes));
}

static void print_warnings(const struct cli *cli, const struct result *one, const char *who)
{
	if (one->report.short_transfers)
		message(cli, "%s: %s stopped in a transfer, which may return short", who,
			text_count(one->report.short_transfers, "thread"));
	if (cli->max_pause_us && one->report.max_pause_ns > cli->max_pause_us * UINT64_C(1000))
		message(cli, "%s: a stop has lasted %s, longer than --max-pause allows", who,
			text_ns(one->report.max_pause_ns));
	print_blockers(cli, &one->blockers);
}

static void print_result(const struct cli *cli, const struct change *change,
			 const struct result *one, bool alone)
{
	cli_autofree char *who = target_label(cli, &one->target);
	cli_autofree char *why = NULL;

	progress_wipe();
	if (one->err.code >= 0) {
		if (cli->verbosity >= 0)
			print_report(change, one, who);
		print_warnings(cli, one, who);
		fflush(stdout);
		return;
	}
	why = error_sentence(cli, &one->err);
	if (alone)	/* the sentence names the process itself */
		message(cli, "%s", why);
	else
		message(cli, "%s: %s: %s", who, ug_result_name(one->state), why);
	print_blockers(cli, &one->blockers);
}

void change_log(int level, const char *line, void *ctx)
{
	const struct progress *progress = ctx;

	log_line(progress->cli, level, line);
}

static void change_one(const struct cli *cli, const struct change *change,
		       const struct target *target, bool alone, struct results *results)
{
	cli_autofree char *label = target_label(cli, target);
	struct ug_opts opts = cli_opts(cli);
	struct ug_report report = { 0 };
	struct ug_error err = { 0 };
	struct progress progress;
	struct result *one;
	int rc;

	progress_start(&progress, cli, alone ? NULL : label);
	opts.log = change_log;
	opts.progress = progress_update;
	opts.ctx = &progress;
	opts.cancel = &change_cancelled;
	if (change_cancelled)
		rc = set_error(&err, -UG_E_INTERRUPTED, "interrupted before it was tried");
	else
		rc = change->call(target->pid, change->operand, &opts, &report, &err);
	progress_wipe();
	one = results_add(results, target, rc, &report, &err, &progress);
	if (!cli->json)
		print_result(cli, change, one, alone);
}

static int exit_code(const struct results *results, bool settled)
{
	int code = results_exit(results);

	/* Whoever is known is as wanted; others came and came. */
	return code == UG_EXIT_OK && !settled ? UG_EXIT_PENDING : code;
}

static int finish(const struct cli *cli, const struct targets *targets,
		  const struct results *results, bool settled)
{
	int code = exit_code(results, settled);
	cli_autofree char *summary = results_summary(results);

	if (cli->json) {
		json_t *root = document(cli);

		json_object_set_new(root, "results", results_json(results));
		json_object_set_new(root, "summary", results_summary_json(results));
		if (targets->as_job)
			json_object_set_new(root, "settled", json_boolean(settled));
		json_object_set_new(root, "unreadable", json_integer((json_int_t)targets->unreadable));
		json_object_set_new(root, "exit", json_integer(code));
		print_document(cli, root);
		return code;
	}
	if ((results->n > 1 || targets->as_job) && cli->verbosity >= 0)
		printf("%s\n", summary);
	if (!settled)
		message(cli, "processes were still coming that had to be changed: do it again");
	if (targets->unreadable)
		message(cli, "%s could not be looked at for lack of permission",
			text_count(targets->unreadable, "process"));
	return code;
}

/* `all`, and there is none. */
static int nothing_found(const struct cli *cli, const struct change *change,
			 const struct targets *targets)
{
	struct results none = { 0 };
	struct ug_error err;

	if (!change->none && !targets->unreadable)
		return finish(cli, targets, &none, true);
	if (targets->unreadable)
		set_error(&err, -ESRCH, "%s (%s could not be looked at)",
			  change->none ? change->none : "no process is patched",
			  text_count(targets->unreadable, "process"));
	else
		set_error(&err, -ESRCH, "%s", change->none);
	return fail(cli, &err);
}

static int change_all(const struct cli *cli, const struct change *change,
		      const struct targets *targets)
{
	struct results results = { 0 };
	bool settled = true;
	struct ug_error err;
	int code;

	catch_signals();
	if (targets->as_job && change_job(cli, change, targets, &results, &settled, &err) < 0) {
		code = fail(cli, &err);
	} else {
		for (size_t i = 0; !targets->as_job && i < targets->n; i++)
			change_one(cli, change, &targets->v[i], targets->n == 1, &results);
		code = finish(cli, targets, &results, settled);
	}
	results_free(&results);
	return code;
}

static int run(const struct cli *cli, const struct change *change, char **args, int nargs,
	       const void *filter_ctx)
{
	struct targets targets = { .tree = cli->tree, .as_job = cli->atomic };
	struct ug_error err;
	int code;

	if (targets_resolve(&targets, args, nargs, change->filter, filter_ctx, &err) < 0)
		code = fail(cli, &err);
	else if (!targets.n)
		code = nothing_found(cli, change, &targets);
	else
		code = change_all(cli, change, &targets);
	targets_free(&targets);
	return code;
}

static int call_recover(pid_t pid, const char *operand, const struct ug_opts *opts,
			struct ug_report *report, struct ug_error *err)
{
	return ug_recover(pid, opts, report, err);
}

int verb_load(struct cli *cli)
{
	struct change change = {
		.operand = cli->args[0],
		.done = "loaded",
		.already = "already loaded",
		.filter = target_is_applicable,
		.none = "no process has an object of the builds the patch is for",
		.verb = UG_JOB_LOAD,
		.call = ug_load,
	};
	struct ug_error err;
	struct ug_info *info;

	/* Once, before any process is looked at: a bad file is one error, not one a target. */
	if (ug_info(cli->args[0], &info, &err) < 0)
		return fail_file(cli, &err, cli->args[0]);
	ug_info_free(info);
	return run(cli, &change, cli->args + 1, cli->nargs - 1, cli->args[0]);
}

int verb_unload(struct cli *cli)
{
	struct change change = {
		.operand = cli->args[0],
		.done = "unloaded",
		.already = "not loaded",
		.filter = target_has_patch,
		.none = "no process has a patch of that name",
		.verb = UG_JOB_UNLOAD,
		.call = ug_unload,
	};

	return run(cli, &change, cli->args + 1, cli->nargs - 1, cli->args[0]);
}

/* wait, reverse, force: about a transition that is there already. */
static int control(struct cli *cli, const char *done, enum ug_job_verb verb,
		   int (*call)(pid_t pid, const char *operand, const struct ug_opts *opts,
			       struct ug_report *report, struct ug_error *err))
{
	struct change change = {
		.operand = cli->patch,
		.done = done,
		.already = "no transition is running",
		.filter = target_in_transition,
		.none = "no transition is running in any process",
		.verb = verb,
		.call = call,
	};

	return run(cli, &change, cli->args, cli->nargs, NULL);
}

int verb_wait(struct cli *cli)
{
	return control(cli, "complete", UG_JOB_WAIT, ug_wait);
}

int verb_reverse(struct cli *cli)
{
	return control(cli, "reversed", UG_JOB_REVERSE, ug_reverse);
}

int verb_force(struct cli *cli)
{
	struct ug_error err;

	if (!cli->accept_inconsistency) {
		usage_error(&err, "force gives up consistency for threads that are inside the old "
			    "functions; say --i-accept-inconsistency, or try 'ugraft reverse'");
		return fail(cli, &err);
	}
	return control(cli, "forced", UG_JOB_FORCE, ug_force);
}

int verb_recover(struct cli *cli)
{
	struct change change = {
		.done = "recovered",
		.things = true,
		.already = "nothing to recover",
		.filter = target_is_patched,
		.verb = UG_JOB_RECOVER,
		.call = call_recover,
	};

	return run(cli, &change, cli->args, cli->nargs, NULL);
}
