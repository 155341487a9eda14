/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "progress.h"
#include "text.h"

/* Usage errors are ours alone: a code far from errno and from the library's. */
#define USAGE_CODE (-9999)

__attribute__((format(printf, 3, 0)))
static void vset(struct ug_error *err, int code, const char *fmt, va_list ap)
{
	memset(err, 0, sizeof(*err));
	err->code = code;
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
}

int usage_error(struct ug_error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vset(err, USAGE_CODE, fmt, ap);
	va_end(ap);
	return UG_EXIT_USAGE;
}

int set_error(struct ug_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vset(err, code, fmt, ap);
	va_end(ap);
	return code;
}

static bool is_usage(const struct ug_error *err)
{
	return err->code == USAGE_CODE;
}

int error_exit(const struct ug_error *err)
{
	return is_usage(err) ? UG_EXIT_USAGE : ug_error_exit(err->code);
}

/* What would help, unless the message says so itself (then it contains the keyword). */
static const struct {
	int code;
	const char *keyword;
	const char *text;
} hints[] = {
	{ EPERM, "root", "run ugraft as root, or as the owner where ptrace is allowed" },
	{ EACCES, "root", "run ugraft as root, or as the owner where ptrace is allowed" },
	{ UG_E_NO_PATCH, "list", "'ugraft list' shows what is loaded" },
	{ UG_E_TRANSITION, "wait", "'ugraft wait' drives it on" },
	{ UG_E_NO_TRANSITION, "status", "'ugraft status' shows how the process is" },
	{ UG_E_REGISTRY, "verify", "'ugraft verify' tells more" },
	{ UG_E_LOCKED, "again", "try again when that one is done" },
	{ UG_E_UNSTOPPABLE, "max-pause", "try again, or allow more with --max-pause" },
	{ UG_E_REVERSED, "timeout", "give it more time with --timeout" },
	{ UG_E_TRACED, "debugger", "end the debugger first" },
	{ UG_E_CLOBBER, "assume-abi", "see --assume-abi in ugraft(1)" },
};

static const char *hint_for(const struct ug_error *err)
{
	if (is_usage(err))
		return NULL;
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (hints[i].code == -err->code)
			return strstr(err->message, hints[i].keyword) ? NULL : hints[i].text;
	return NULL;
}

char *error_sentence(const struct cli *cli, const struct ug_error *err)
{
	const char *what = err->message[0] ? err->message : ug_strerror(err->code);
	cli_autofree char *text = text_clean(cli, what);
	const char *hint = hint_for(err);

	return hint ? xasprintf("%s (%s)", text, hint) : xstrdup(text);
}

json_t *json_clean(const char *s)
{
	cli_autofree char *text = text_utf8(s);

	return json_string(text);
}

json_t *json_lines(const char *s)
{
	cli_autofree char *text = xstrdup(s);
	json_t *list = json_array();
	char *save = NULL;

	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		json_array_append_new(list, json_clean(l));
	return list;
}

json_t *json_hex(uint64_t value)
{
	cli_autofree char *text = xasprintf("0x%llx", (unsigned long long)value);

	return json_string(text);
}

json_t *error_json(const struct ug_error *err)
{
	const char *what = err->message[0] ? err->message : ug_strerror(err->code);
	const char *hint = hint_for(err);
	json_t *o = json_object();

	json_object_set_new(o, "code", json_string(is_usage(err) ? "USAGE" :
						   ug_error_name(err->code)));
	json_object_set_new(o, "exit", json_integer(error_exit(err)));
	json_object_set_new(o, "message", json_clean(what));
	if (hint)
		json_object_set_new(o, "hint", json_string(hint));
	if (err->pid)
		json_object_set_new(o, "pid", json_integer(err->pid));
	if (err->tid)
		json_object_set_new(o, "tid", json_integer(err->tid));
	if (err->object[0])
		json_object_set_new(o, "object", json_clean(err->object));
	if (err->function[0])
		json_object_set_new(o, "function", json_clean(err->function));
	if (err->address)
		json_object_set_new(o, "address", json_hex(err->address));
	return o;
}

json_t *document(const struct cli *cli)
{
	json_t *root = json_object();

	json_object_set_new(root, "schema", json_integer(1));
	if (cli->verb)
		json_object_set_new(root, "verb", json_string(cli->verb->name));
	return root;
}

void print_document(const struct cli *cli, json_t *root)
{
	size_t flags = cli->json == JSON_SHORT ? JSON_COMPACT : JSON_INDENT(2);

	json_dumpf(root, stdout, flags | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(root);
}

void message(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	progress_wipe();
	fputs("ugraft: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int fail(const struct cli *cli, const struct ug_error *err)
{
	int code = error_exit(err);

	if (cli->json) {
		json_t *root = document(cli);

		json_object_set_new(root, "error", error_json(err));
		json_object_set_new(root, "exit", json_integer(code));
		print_document(cli, root);
	} else {
		cli_autofree char *text = error_sentence(cli, err);

		message(cli, "%s", text);
	}
	return code;
}

int fail_file(const struct cli *cli, struct ug_error *err, const char *file)
{
	cli_autofree char *text = xasprintf("%s: %s", file, err->message);

	if (!strstr(err->message, file))
		snprintf(err->message, sizeof(err->message), "%s", text);
	return fail(cli, err);
}

void log_line(const struct cli *cli, int level, const char *line)
{
	static const int shown[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	int v = cli->verbosity > 2 ? 2 : cli->verbosity;
	cli_autofree char *text = NULL;

	if (level > shown[v + 1])
		return;
	text = text_clean(cli, line);
	message(cli, "%s", text);
}
