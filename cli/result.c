/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "result.h"

#include <errno.h>
#include <string.h>

#include "message.h"
#include "text.h"

static struct result *append(struct results *r, enum ug_result state)
{
	struct result *one;

	r->v = xrealloc(r->v, r->n + 1, sizeof(*r->v));
	one = &r->v[r->n++];
	memset(one, 0, sizeof(*one));
	one->state = state;
	r->count[state]++;
	return one;
}

struct result *results_add(struct results *r, const struct target *target, int rc,
			   const struct ug_report *report, const struct ug_error *err,
			   const struct progress *progress)
{
	struct result *one = append(r, ug_result_of(rc, report));

	one->target = *target;
	if (rc < 0)
		one->err = *err;
	else
		one->report = *report;
	one->exit_code = one->state == UG_RESULT_PENDING ? UG_EXIT_PENDING : ug_error_exit(rc);
	if (one->exit_code == UG_EXIT_PENDING && progress && progress->any)
		one->blockers = progress->last;
	return one;
}

void results_add_member(struct results *r, const struct ug_member *member)
{
	struct result *one = append(r, member->result);

	one->target.pid = member->pid;
	memcpy(one->target.comm, member->comm, sizeof(one->target.comm));
	one->round = member->round;
	one->report = member->report;
	one->err = member->err;
	one->exit_code = member->result == UG_RESULT_PENDING ? UG_EXIT_PENDING :
							       ug_error_exit(member->err.code);
	if (one->exit_code == UG_EXIT_PENDING)
		one->blockers = member->blockers;
}

void results_free(struct results *r)
{
	free(r->v);
	memset(r, 0, sizeof(*r));
}

static bool counts(const struct result *one)
{
	/* Others of its group have the reason. */
	if (one->err.code == -UG_E_GROUP)
		return false;
	return one->target.named ||
	       (one->state != UG_RESULT_GONE && one->state != UG_RESULT_NOT_APPLICABLE);
}

int results_exit(const struct results *r)
{
	int code = -1;

	if (!r->n)
		return UG_EXIT_OK;
	for (size_t i = 0; i < r->n; i++) {
		if (!counts(&r->v[i]))
			continue;
		if (code >= 0 && code != r->v[i].exit_code)
			return UG_EXIT_PARTIAL;
		code = r->v[i].exit_code;
	}
	return code >= 0 ? code : UG_EXIT_ABSENT;
}

static json_t *report_json(const struct ug_report *rep)
{
	json_t *o = json_object();

	json_object_set_new(o, "patch", json_clean(rep->patch));
	json_object_set_new(o, "functions", json_integer(rep->functions));
	json_object_set_new(o, "threads", json_integer(rep->threads));
	json_object_set_new(o, "switched_at_once", json_integer(rep->switched_at_once));
	json_object_set_new(o, "stops", json_integer(rep->stops));
	json_object_set_new(o, "attempts", json_integer(rep->attempts));
	json_object_set_new(o, "cured", json_integer(rep->cured));
	json_object_set_new(o, "short_transfers", json_integer(rep->short_transfers));
	json_object_set_new(o, "max_pause_ns", json_integer((json_int_t)rep->max_pause_ns));
	json_object_set_new(o, "total_pause_ns", json_integer((json_int_t)rep->total_pause_ns));
	json_object_set_new(o, "wall_ns", json_integer((json_int_t)rep->wall_ns));
	json_object_set_new(o, "pinned_bytes", json_integer((json_int_t)rep->pinned_bytes));
	json_object_set_new(o, "recovered", json_integer(rep->recovered));
	json_object_set_new(o, "forced", json_integer(rep->forced));
	return o;
}

json_t *blockers_json(const struct ug_blocker *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct ug_blocker *b = &v[i];
		json_t *o = json_object();

		json_object_set_new(o, "tid", json_integer(b->tid));
		json_object_set_new(o, "comm", json_clean(b->comm));
		json_object_set_new(o, "unreliable", json_boolean(b->unreliable));
		json_object_set_new(o, "function", json_clean(b->function));
		json_object_set_new(o, "reason", json_clean(b->reason));
		json_object_set_new(o, "version", json_clean(b->version));
		json_object_set_new(o, "chain", json_clean(b->chain));
		json_object_set_new(o, "advice", json_clean(b->advice));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *progress_json(const struct ug_progress *g)
{
	return blockers_json(g->blockers, g->nblockers < UG_BLOCKERS_MAX ? g->nblockers :
									   UG_BLOCKERS_MAX);
}

static json_t *result_json(const struct result *one)
{
	json_t *o = json_object();

	json_object_set_new(o, "pid", json_integer(one->target.pid));
	json_object_set_new(o, "comm", json_clean(one->target.comm));
	json_object_set_new(o, "result", json_string(ug_result_name(one->state)));
	json_object_set_new(o, "exit", json_integer(one->exit_code));
	if (one->round)
		json_object_set_new(o, "round", json_integer(one->round));
	if (one->err.code < 0)
		json_object_set_new(o, "error", error_json(&one->err));
	else
		json_object_set_new(o, "report", report_json(&one->report));
	if (one->blockers.nblockers)
		json_object_set_new(o, "blockers", progress_json(&one->blockers));
	return o;
}

json_t *results_json(const struct results *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n; i++)
		json_array_append_new(list, result_json(&r->v[i]));
	return list;
}

json_t *results_summary_json(const struct results *r)
{
	json_t *o = json_object();

	json_object_set_new(o, "targets", json_integer((json_int_t)r->n));
	for (int i = 0; i < UG_RESULTS; i++)
		json_object_set_new(o, ug_result_name((enum ug_result)i), json_integer(r->count[i]));
	return o;
}

char *results_summary(const struct results *r)
{
	char *s = xstrdup(text_count(r->n, "target"));
	const char *sep = ": ";

	for (int i = 0; i < UG_RESULTS; i++) {
		cli_autofree char *before = s;

		s = r->count[i] ? xasprintf("%s%s%u %s", before, sep, r->count[i], ug_result_name((enum ug_result)i)) :
				  xstrdup(before);
		if (r->count[i])
			sep = ", ";
	}
	return s;
}
