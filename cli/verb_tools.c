/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gdb and perf-map: other tools are told of the code of patches. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"
#include "targets.h"
#include "text.h"

/* ---- gdb ---- */

struct session {
	pid_t pid;
	char dir[64];
	char script[96];
	struct ug_patch_codes *codes;
};

static int write_file(const char *path, const void *data, size_t size, struct ug_error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool ok = f && fwrite(data, 1, size, f) == size;

	if (f)
		ok = fclose(f) == 0 && ok;
	return ok ? 0 : set_error(err, -errno, "cannot write %s: %s", path, strerror(errno));
}

/* A patch's name is what the process says it is: it does not become part of a path. */
static char *symbol_file(const struct session *s, size_t i)
{
	return xasprintf("%s/patch%zu.elf", s->dir, i + 1);
}

/* The addresses are in the files: they are no relocatable ones. */
static char *gdb_script(const struct session *s)
{
	char *script = xstrdup("set confirm off\n");

	for (size_t i = 0; i < s->codes->n; i++) {
		cli_autofree char *file = symbol_file(s, i), *before = script;

		script = xasprintf("%sadd-symbol-file %s\n", before, file);
	}
	return script;
}

static int write_session(struct session *s, struct ug_error *err)
{
	cli_autofree char *script = gdb_script(s);
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->codes->n; i++) {
		cli_autofree char *file = symbol_file(s, i);

		r = write_file(file, s->codes->v[i].image, s->codes->v[i].image_size, err);
	}
	return r < 0 ? r : write_file(s->script, script, strlen(script), err);
}

static void remove_session(const struct session *s)
{
	for (size_t i = 0; i < s->codes->n; i++) {
		cli_autofree char *file = symbol_file(s, i);

		unlink(file);
	}
	unlink(s->script);
	rmdir(s->dir);
}

static char **gdb_command(const struct session *s, char **args, int nargs)
{
	static char gdb[] = "gdb", pid_option[] = "-p", script_option[] = "-x";
	char **argv = xcalloc((size_t)nargs + 6, sizeof(*argv));
	int n = 0;

	argv[n++] = gdb;
	argv[n++] = pid_option;
	argv[n++] = xasprintf("%d", s->pid);
	argv[n++] = script_option;
	argv[n++] = xstrdup(s->script);
	for (int i = 0; i < nargs; i++)
		argv[n++] = args[i];
	return argv;
}

/* Ctrl-C is for the debugger. */
static int run_gdb(const struct session *s, char **args, int nargs, struct ug_error *err)
{
	char **argv = gdb_command(s, args, nargs);
	void (*intr)(int) = signal(SIGINT, SIG_IGN);
	void (*quit)(int) = signal(SIGQUIT, SIG_IGN);
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		signal(SIGINT, intr);
		signal(SIGQUIT, quit);
		execvp(argv[0], argv);
		fprintf(stderr, "ugraft: cannot run gdb: %s\n", strerror(errno));
		_exit(127);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	signal(SIGINT, intr);
	signal(SIGQUIT, quit);
	free(argv[2]);
	free(argv[4]);
	free(argv);
	if (child < 0)
		return set_error(err, -errno, "cannot start gdb: %s", strerror(errno));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 :
	       set_error(err, -EIO, "gdb ended with an error");
}

static int debug(struct session *s, char **args, int nargs, struct ug_error *err)
{
	int r = ug_patch_code(s->pid, &s->codes, err);

	if (r < 0)
		return r;
	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/ugraft-gdb.XXXXXX");
	if (mkdtemp(s->dir)) {
		(void)snprintf(s->script, sizeof(s->script), "%s/script", s->dir);
		r = write_session(s, err);
		if (r == 0)
			r = run_gdb(s, args, nargs, err);
		remove_session(s);
	} else {
		r = set_error(err, -errno, "cannot make a directory in /tmp: %s", strerror(errno));
	}
	ug_patch_code_free(s->codes);
	return r;
}

int verb_gdb(struct cli *cli)
{
	struct targets targets = { 0 };
	struct session s = { 0 };
	struct ug_error err = { 0 };
	int r = targets_resolve(&targets, cli->args, 1, target_is_patched, NULL, &err);

	if (r == 0 && targets.n != 1)
		r = usage_error(&err, "gdb works on one process, '%s' are %zu", cli->args[0], targets.n);
	if (r == 0) {
		s.pid = targets.v[0].pid;
		r = debug(&s, cli->args + 1, cli->nargs - 1, &err);
	}
	targets_free(&targets);
	return r < 0 ? fail(cli, &err) : UG_EXIT_OK;
}

/* ---- perf-map ---- */

static json_t *map_json(const struct target *target, const char *path, size_t n)
{
	json_t *o = json_object();

	json_object_set_new(o, "pid", json_integer(target->pid));
	json_object_set_new(o, "file", json_clean(path));
	json_object_set_new(o, "lines", json_integer((json_int_t)n));
	return o;
}

static int map_one(const struct cli *cli, const struct target *target, json_t *found)
{
	struct ug_error err = { 0 };
	char path[128];
	size_t n;

	if (ug_perf_map(target->pid, path, sizeof(path), &n, &err) < 0) {
		cli_autofree char *text = error_sentence(cli, &err);
		json_t *o = json_object();

		json_object_set_new(o, "pid", json_integer(target->pid));
		json_object_set_new(o, "error", error_json(&err));
		json_array_append_new(found, o);
		if (!cli->json)
			message(cli, "%d: %s", target->pid, text);
		return error_exit(&err);
	}
	json_array_append_new(found, map_json(target, path, n));
	if (!cli->json && cli->verbosity >= 0)
		printf("%s: %s added\n", path, text_count(n, "line"));
	return UG_EXIT_OK;
}

int verb_perf_map(struct cli *cli)
{
	struct targets targets = { 0 };
	struct ug_error err = { 0 };
	int code = UG_EXIT_OK;
	json_t *found;

	if (targets_resolve(&targets, cli->args, cli->nargs, target_is_patched, NULL, &err) < 0) {
		targets_free(&targets);
		return fail(cli, &err);
	}
	found = json_array();
	for (size_t i = 0; i < targets.n; i++) {
		int one = map_one(cli, &targets.v[i], found);

		code = i && code != one ? UG_EXIT_PARTIAL : one;
	}
	if (cli->json) {
		json_t *root = document(cli);

		json_object_set(root, "processes", found);
		json_object_set_new(root, "exit", json_integer(code));
		print_document(cli, root);
	}
	json_decref(found);
	targets_free(&targets);
	return code;
}
