/* SPDX-License-Identifier: GPL-2.0-or-later */
/* load, unload, wait, reverse, force, recover for a tree, a unit, a control group. */
#include "change.h"

#include "message.h"
#include "progress.h"
#include "table.h"
#include "text.h"

static void told(const struct ug_member *member, void *ctx)
{
	const struct progress *progress = ctx;
	cli_autofree char *comm = NULL;

	if (progress->cli->verbosity < 1 || progress->cli->json)
		return;
	comm = text_clean(progress->cli, member->comm);
	message(progress->cli, "%d %s: %s", member->pid, comm, ug_result_name(member->result));
}

static const char *result_color(enum ug_result state)
{
	switch (state) {
	case UG_RESULT_APPLIED:
	case UG_RESULT_ALREADY:
		return "green";
	case UG_RESULT_PENDING:
		return "yellow";
	case UG_RESULT_REFUSED:
	case UG_RESULT_FAILED:
		return "red";
	default:
		return NULL;
	}
}

/* What a person wants to know besides: why not, or who is in the way. To be freed. */
static char *detail(const struct cli *cli, const struct result *one)
{
	if (one->err.code < 0 && one->state != UG_RESULT_GONE &&
	    one->state != UG_RESULT_NOT_APPLICABLE)
		return error_sentence(cli, &one->err);
	if (one->blockers.nblockers)
		return progress_blocker(cli, &one->blockers.blockers[0]);
	return xstrdup("");
}

static void print_row(const struct cli *cli, struct table *t, const struct result *one)
{
	cli_autofree char *why = detail(cli, one);
	bool stopped = one->report.stops;

	table_row(t);
	table_cellf(t, "%d", one->target.pid);
	table_cell(t, one->target.comm, NULL);
	table_cell(t, ug_result_name(one->state), result_color(one->state));
	if (one->report.threads)
		table_cellf(t, "%u", one->report.threads);
	else
		table_cell(t, "", NULL);
	table_cell(t, stopped ? text_ns(one->report.max_pause_ns) : "", NULL);
	table_cell(t, why, NULL);
}

static void print_table(const struct cli *cli, const struct results *results)
{
	static const struct table_column columns[] = {
		{ "PID", TABLE_RIGHT }, { "COMM" }, { "RESULT" }, { "THREADS", TABLE_RIGHT },
		{ "PAUSE", TABLE_RIGHT }, { "DETAIL", TABLE_WRAP }, { NULL },
	};
	struct table t;

	table_init(&t, cli, columns);
	for (size_t i = 0; i < results->n; i++)
		print_row(cli, &t, &results->v[i]);
	table_print(&t);
}

int change_job(const struct cli *cli, const struct change *change, const struct targets *targets,
	       struct results *results, bool *ret_settled, struct ug_error *err)
{
	struct ug_opts opts = cli_opts(cli);
	struct progress progress;
	struct ug_job job = {
		.sz = sizeof(job),
		.verb = change->verb,
		.what = change->operand,
		.scopes = targets->scopes,
		.nscopes = targets->nscopes,
		.opts = &opts,
		.atomic = cli->atomic,
		.told = told,
	};
	struct ug_members *members;
	int rc;

	progress_start(&progress, cli, NULL);
	opts.log = change_log;
	opts.progress = progress_update;
	opts.ctx = &progress;
	opts.cancel = &change_cancelled;
	rc = ug_job_run(&job, &members, err);
	progress_wipe();
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < members->n; i++)
		results_add_member(results, &members->v[i]);
	*ret_settled = members->settled;
	ug_members_free(members);
	if (!cli->json && cli->verbosity >= 0)
		print_table(cli, results);
	return 0;
}
