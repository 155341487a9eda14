/* SPDX-License-Identifier: GPL-2.0-or-later */
/* blocking: who holds up a transition, where, since when, and what would help. */
#include <stdio.h>
#include <time.h>

#include "message.h"
#include "progress.h"
#include "result.h"
#include "targets.h"
#include "text.h"

static uint64_t age_ns(uint64_t since_ns)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	return now > since_ns ? now - since_ns : 0;
}

static void print_blocking(const struct cli *cli, const struct ug_blocking *b)
{
	cli_autofree char *comm = text_clean(cli, b->comm);
	cli_autofree char *patch = text_clean(cli, b->patch);

	printf("%d %s: '%s' has been being %s for %s, waiting for %zu of %s\n", b->pid, comm, patch,
	       b->patching ? "applied" : "taken back", text_ns(age_ns(b->since_ns)), b->n,
	       text_count(b->threads, "thread"));
	for (size_t i = 0; i < b->n; i++) {
		cli_autofree char *who = progress_blocker(cli, &b->v[i]);
		cli_autofree char *version = text_clean(cli, b->v[i].version);

		printf("  %s\n", who);
		if (!b->v[i].unreliable)
			printf("    executes %s%s\n", *version ? "the version of " : "the original",
			       version);
		printf("    %s\n", b->v[i].advice);
	}
	if (!b->n)
		printf("  every thread has left the functions: 'ugraft wait' completes it\n");
}

static json_t *blocking_json(const struct ug_blocking *b)
{
	json_t *o = json_object();

	json_object_set_new(o, "pid", json_integer(b->pid));
	json_object_set_new(o, "comm", json_clean(b->comm));
	json_object_set_new(o, "patch", json_clean(b->patch));
	json_object_set_new(o, "patching", json_boolean(b->patching));
	json_object_set_new(o, "since_ns", json_integer((json_int_t)b->since_ns));
	json_object_set_new(o, "threads", json_integer(b->threads));
	json_object_set_new(o, "blockers", blockers_json(b->v, b->n));
	return o;
}

struct asking {
	const struct cli *cli;
	json_t *found;
	size_t answers;
	int exit_code;
};

static void failed(struct asking *a, const struct target *target, const struct ug_error *err)
{
	int code = error_exit(err);

	/* Of a tree or a unit most have no transition, and some have gone. */
	if (!target->named && code == UG_EXIT_ABSENT)
		return;
	a->exit_code = a->exit_code && a->exit_code != code ? UG_EXIT_PARTIAL : code;
	if (a->cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "pid", json_integer(target->pid));
		json_object_set_new(o, "error", error_json(err));
		json_array_append_new(a->found, o);
	} else {
		cli_autofree char *text = error_sentence(a->cli, err);

		message(a->cli, "%d: %s", target->pid, text);
	}
}

static void ask_one(struct asking *a, const struct target *target)
{
	struct ug_opts opts = cli_opts(a->cli);
	struct ug_blocking *b;
	struct ug_error err = { 0 };

	if (ug_blocking(target->pid, &opts, &b, &err) < 0) {
		failed(a, target, &err);
		return;
	}
	a->answers++;
	if (a->cli->json)
		json_array_append_new(a->found, blocking_json(b));
	else
		print_blocking(a->cli, b);
	ug_blocking_free(b);
}

int verb_blocking(struct cli *cli)
{
	struct targets targets = { .tree = cli->tree };
	struct asking a = { .cli = cli };
	struct ug_error err;

	if (targets_resolve(&targets, cli->args, cli->nargs, target_in_transition, NULL, &err) < 0) {
		targets_free(&targets);
		return fail(cli, &err);
	}
	a.found = json_array();
	for (size_t i = 0; i < targets.n; i++)
		ask_one(&a, &targets.v[i]);
	if (cli->json) {
		json_t *root = document(cli);

		json_object_set(root, "processes", a.found);
		json_object_set_new(root, "exit", json_integer(a.exit_code));
		print_document(cli, root);
	} else if (!a.answers && !a.exit_code && cli->verbosity >= 0) {
		message(cli, "no transition is running in any process");
	}
	json_decref(a.found);
	targets_free(&targets);
	return a.exit_code;
}
