/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status, list, log, info: looking, nothing is stopped or changed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "message.h"
#include "table.h"
#include "targets.h"
#include "text.h"

static const char *state_name(enum ug_patch_state state)
{
	switch (state) {
	case UG_PATCH_ENABLED:
		return "enabled";
	case UG_PATCH_PATCHING:
		return "patching";
	case UG_PATCH_UNPATCHING:
		return "unpatching";
	case UG_PATCH_PREPARED:
		return "prepared";
	case UG_PATCH_LEFT:
		return "left";
	case UG_PATCH_PINNED:
		return "pinned";
	}
	return "unknown";
}

static const char *state_color(enum ug_patch_state state)
{
	return state == UG_PATCH_ENABLED ? "green" :
	       state == UG_PATCH_PREPARED ? "red" : "yellow";
}

static void print_functions(const struct cli *cli, const struct ug_patch_status *p)
{
	static const struct table_column columns[] = {
		{ "  FUNCTION" }, { "OBJECT" }, { "ADDRESS" }, { "REPLACEMENT" }, { "ACTIVE" }, { NULL },
	};
	struct table t;

	table_init(&t, cli, columns);
	for (size_t i = 0; i < p->nfuncs; i++) {
		const struct ug_func_status *f = &p->funcs[i];

		table_row(&t);
		table_cellf(&t, "  %s", f->name);
		table_cell(&t, f->object, NULL);
		table_cellf(&t, "0x%llx", (unsigned long long)f->address);
		table_cellf(&t, "0x%llx", (unsigned long long)f->new_address);
		table_cell(&t, f->active ? "yes" : "no", f->active ? "green" : NULL);
	}
	table_print(&t);
}

static void print_patch(const struct cli *cli, const struct ug_patch_status *p)
{
	cli_autofree char *name = text_clean(cli, p->name);
	cli_autofree char *description = text_clean(cli, p->description);
	cli_autofree char *cves = text_clean(cli, p->cves);

	if (p->order)
		printf("  %u. ", p->order);
	else
		printf("  -- ");
	printf("%s: %s%s%s, %s, %s", name, p->replace ? "atomic replace, " : "",
	       state_name(p->state), p->forced ? " by force" : "", text_count(p->nfuncs, "function"),
	       text_bytes(p->bytes));
	if (*description)
		printf("; %s", description);
	if (*cves)
		printf(" (%s)", cves);
	putchar('\n');
	print_functions(cli, p);
}

/* One sentence that says how the process is. */
static const char *condition(const struct ug_status *st)
{
	if (!st->patched)
		return "not patched";
	if (st->busy)
		return "a controller is at work on it";
	if (st->group)
		return "its change together with other processes was cut off: 'ugraft recover' brings all "
		       "to the same end";
	if (st->in_transition)
		return "a transition is not complete, and nobody drives it: 'ugraft wait' does";
	if (st->is_copy)
		return "forked from a patched process";
	return "patched";
}

static void print_log(const struct cli *cli, const struct ug_status *st, const char *prefix)
{
	for (size_t i = 0; i < st->nlog; i++) {
		char when[32] = "?";
		char *text;
		time_t at = (time_t)strtoll(st->log[i], &text, 10);
		struct tm tm;
		cli_autofree char *line = text_clean(cli, text);

		if (localtime_r(&at, &tm))
			strftime(when, sizeof(when), "%F %T", &tm);
		printf("%s%s livepatch:%s\n", prefix, when, line);
	}
}

static void print_status(const struct cli *cli, const struct ug_status *st)
{
	cli_autofree char *comm = text_clean(cli, st->comm);
	cli_autofree char *exe = text_clean(cli, st->exe);

	printf("%d %s (%s): %s", st->pid, comm, exe, condition(st));
	if (st->patched)
		printf(", %s, registry of %s", text_count(st->threads, "thread"),
		       text_bytes(st->registry_bytes));
	if (st->in_transition) {
		cli_autofree char *patch = text_clean(cli, st->transition_patch);

		printf("; '%s' is being %s", patch, st->transition_patching ? "applied" : "taken back");
	}
	if (st->pending_threads)
		printf(", %s not switched yet", text_count(st->pending_threads, "thread"));
	putchar('\n');
	for (size_t i = 0; i < st->npatches; i++)
		print_patch(cli, &st->patches[i]);
	if (cli->verbosity > 0)
		print_log(cli, st, "  log: ");
}

static json_t *func_json(const struct ug_func_status *f)
{
	json_t *o = json_object();

	json_object_set_new(o, "object", json_clean(f->object));
	json_object_set_new(o, "name", json_clean(f->name));
	json_object_set_new(o, "address", json_hex(f->address));
	json_object_set_new(o, "new_address", json_hex(f->new_address));
	json_object_set_new(o, "active", json_boolean(f->active));
	return o;
}

static json_t *patch_json(const struct ug_patch_status *p)
{
	json_t *o = json_object();
	json_t *funcs = json_array();

	for (size_t i = 0; i < p->nfuncs; i++)
		json_array_append_new(funcs, func_json(&p->funcs[i]));
	json_object_set_new(o, "name", json_clean(p->name));
	json_object_set_new(o, "description", json_clean(p->description));
	json_object_set_new(o, "cves", json_clean(p->cves));
	json_object_set_new(o, "state", json_string(state_name(p->state)));
	json_object_set_new(o, "order", json_integer(p->order));
	json_object_set_new(o, "replace", json_boolean(p->replace));
	json_object_set_new(o, "forced", json_boolean(p->forced));
	json_object_set_new(o, "bytes", json_integer((json_int_t)p->bytes));
	json_object_set_new(o, "functions", funcs);
	return o;
}

static json_t *status_json(const struct ug_status *st)
{
	json_t *o = json_object();
	json_t *patches = json_array();
	json_t *log = json_array();

	for (size_t i = 0; i < st->npatches; i++)
		json_array_append_new(patches, patch_json(&st->patches[i]));
	for (size_t i = 0; i < st->nlog; i++)
		json_array_append_new(log, json_clean(st->log[i]));
	json_object_set_new(o, "pid", json_integer(st->pid));
	json_object_set_new(o, "comm", json_clean(st->comm));
	json_object_set_new(o, "exe", json_clean(st->exe));
	json_object_set_new(o, "patched", json_boolean(st->patched));
	json_object_set_new(o, "needs_recovery", json_boolean(st->needs_recovery));
	json_object_set_new(o, "group", json_integer(st->group));
	json_object_set_new(o, "is_copy", json_boolean(st->is_copy));
	json_object_set_new(o, "busy", json_boolean(st->busy));
	json_object_set_new(o, "threads", json_integer(st->threads));
	if (st->in_transition) {
		json_t *trans = json_object();

		json_object_set_new(trans, "patch", json_clean(st->transition_patch));
		json_object_set_new(trans, "patching", json_boolean(st->transition_patching));
		json_object_set_new(trans, "since_ns",
				    json_integer((json_int_t)st->transition_since_ns));
		json_object_set_new(o, "transition", trans);
	}
	json_object_set_new(o, "pending_threads", json_integer(st->pending_threads));
	json_object_set_new(o, "registry_bytes", json_integer((json_int_t)st->registry_bytes));
	json_object_set_new(o, "patches", patches);
	json_object_set_new(o, "log", log);
	return o;
}

static const struct table_column list_columns[] = {
	{ "PID", TABLE_RIGHT }, { "COMM" }, { "PATCH" }, { "STATE" }, { "FUNCS", TABLE_RIGHT },
	{ "SIZE", TABLE_RIGHT }, { "DESCRIPTION", TABLE_WRAP }, { NULL },
};

static void list_rows(struct table *t, const struct ug_status *st)
{
	for (size_t i = 0; i < st->npatches; i++) {
		const struct ug_patch_status *p = &st->patches[i];

		table_row(t);
		table_cellf(t, "%d", st->pid);
		table_cell(t, st->comm, NULL);
		table_cell(t, p->name, NULL);
		table_cell(t, state_name(p->state), state_color(p->state));
		table_cellf(t, "%zu", p->nfuncs);
		table_cell(t, text_bytes(p->bytes), NULL);
		table_cellf(t, "%s%s%s", p->cves, *p->cves ? " " : "", p->description);
	}
}

/* What status, list and log have in common: the processes asked for, one answer each. */
enum show_what { SHOW_STATUS, SHOW_LIST, SHOW_LOG };

struct show {
	const struct cli *cli;
	enum show_what what;
	struct table rows;
	json_t *found;
	size_t n;			/* answers */
	size_t patched;			/* of them */
	bool pending;			/* a transition runs in one of them */
	int exit_code;
};

static void show_error(struct show *show, const struct target *target, const struct ug_error *err)
{
	int code = error_exit(err);

	/* Found by a pattern and gone since, or another user's: not what was asked for. */
	if (!target->named && (code == UG_EXIT_ABSENT || code == UG_EXIT_PERMISSION))
		return;
	show->exit_code = show->exit_code && show->exit_code != code ? UG_EXIT_PARTIAL : code;
	if (show->cli->json) {
		json_t *o = json_object();

		json_object_set_new(o, "pid", json_integer(target->pid));
		json_object_set_new(o, "error", error_json(err));
		json_array_append_new(show->found, o);
	} else {
		cli_autofree char *text = error_sentence(show->cli, err);

		message(show->cli, "%d: %s", target->pid, text);
	}
}

static void show_log(const struct cli *cli, const struct ug_status *st)
{
	cli_autofree char *comm = text_clean(cli, st->comm);
	cli_autofree char *prefix = xasprintf("%d %s: ", st->pid, comm);

	print_log(cli, st, prefix);
}

static void show_one(struct show *show, const struct target *target)
{
	struct ug_status *st;
	struct ug_error err;

	if (ug_status(target->pid, &st, &err) < 0) {
		show_error(show, target, &err);
		return;
	}
	show->n++;
	show->patched += st->npatches > 0;
	show->pending |= st->in_transition;
	if (show->cli->json)
		json_array_append_new(show->found, status_json(st));
	else if (show->what == SHOW_LIST)
		list_rows(&show->rows, st);
	else if (show->what == SHOW_STATUS)
		print_status(show->cli, st);
	else
		show_log(show->cli, st);
	ug_status_free(st);
}

static void show_end(struct show *show, const struct targets *targets)
{
	const struct cli *cli = show->cli;

	if (show->n && show->exit_code)
		show->exit_code = UG_EXIT_PARTIAL;
	if (show->what == SHOW_LIST)
		table_print(&show->rows);
	if (cli->json) {
		json_t *root = document(cli);

		json_object_set(root, "processes", show->found);
		json_object_set_new(root, "unreadable", json_integer((json_int_t)targets->unreadable));
		json_object_set_new(root, "exit", json_integer(show->exit_code));
		print_document(cli, root);
		return;
	}
	if (!targets->n && cli->verbosity >= 0)
		message(cli, "no process is patched");
	if (targets->as_job && show->what == SHOW_STATUS && cli->verbosity >= 0)
		printf("%s: %zu patched, %zu not%s\n", text_count(show->n, "process"), show->patched,
		       show->n - show->patched, show->pending ? ", transitions still run" : "");
	if (targets->unreadable && cli->verbosity > 0)
		message(cli, "%s could not be looked at for lack of permission",
			text_count(targets->unreadable, "process"));
}

static int show(const struct cli *cli, enum show_what what)
{
	static char all[] = "all";
	char *everything[] = { all };
	struct show s = { .cli = cli, .what = what };
	struct targets targets = { .tree = cli->tree };
	struct ug_error err;

	if (targets_resolve(&targets, cli->nargs ? cli->args : everything,
			    cli->nargs ? cli->nargs : 1, target_is_patched, NULL, &err) < 0) {
		targets_free(&targets);
		return fail(cli, &err);
	}
	s.found = json_array();
	if (what == SHOW_LIST)
		table_init(&s.rows, cli, list_columns);
	for (size_t i = 0; i < targets.n; i++)
		show_one(&s, &targets.v[i]);
	show_end(&s, &targets);
	json_decref(s.found);
	targets_free(&targets);
	return s.exit_code;
}

int verb_status(struct cli *cli)
{
	return show(cli, SHOW_STATUS);
}

int verb_list(struct cli *cli)
{
	return show(cli, SHOW_LIST);
}

int verb_log(struct cli *cli)
{
	return show(cli, SHOW_LOG);
}
