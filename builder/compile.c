// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The compiler is run directly, without a shell. Our flags come first, so that the author's
 * can change them; what the patch format depends on comes last.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "builder/capture/capture.h"
#include "builder/compile.h"
#include "builder/flags.h"

extern char **environ;

struct args {
	UG_VEC(char *) list;		/* owned, no NULL at the end until finished */
	bool failed;
};

static void add(struct args *a, const char *fmt, ...) ug_printf(2, 3);

static void add(struct args *a, const char *fmt, ...)
{
	char **slot = ug_vec_add(&a->list);
	va_list ap;

	va_start(ap, fmt);
	if (!slot || vasprintf(slot, fmt, ap) < 0) {
		a->failed = true;
		if (slot)
			*slot = NULL;
	}
	va_end(ap);
}

/* "-O1 -DX" is two arguments. */
static void add_split(struct args *a, const char *s)
{
	for (;;) {
		size_t len;

		s += strspn(s, " \t\n");
		len = strcspn(s, " \t\n");
		if (!len)
			return;
		add(a, "%.*s", (int)len, s);
		s += len;
	}
}

static void free_args(struct args *a)
{
	ug_vec_for_each(&a->list, s)
		free(*s);
	ug_vec_free(&a->list);
}

bool ug_compile_is_clang(const char *compiler)
{
	return compiler && strstr(basename(compiler), "clang") != NULL;
}

static void add_defaults(struct args *a, const struct ug_compile *job)
{
	/*
	 * -fsemantic-interposition keeps calls of new functions by their names calls: they go
	 * through the entry in the target. gcc has it by default, clang needs to be told.
	 * -fcf-protection=none: the entries the patch calls have their endbr64 or do not.
	 */
	static const char *const flags[] = {
		"-O2", "-fPIC", "-fsemantic-interposition", "-fno-common",
		"-fasynchronous-unwind-tables", "-fcf-protection=none", "-fvisibility=default",
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		add(a, "%s", flags[i]);
	if (job->include_dir)
		add(a, "-I%s", job->include_dir);
}

/* Same bytes from any directory: no path reaches the object. */
static void add_prefix_maps(struct args *a, const struct ug_compile *job)
{
	const char *slash = strrchr(job->source, '/');

	if (slash)
		add(a, "-ffile-prefix-map=%.*s=", (int)(slash + 1 - job->source), job->source);
	if (job->include_dir)
		add(a, "-ffile-prefix-map=%s/=", job->include_dir);
	if (!ug_compile_is_clang(job->compiler))
		add(a, "-frandom-seed=%s", slash ? slash + 1 : job->source);
}

static int make_args(struct args *a, const struct ug_compile *job, struct ug_error *err)
{
	add(a, "%s", job->compiler ? job->compiler : "gcc");
	add_defaults(a, job);
	for (size_t i = 0; i < job->ncflags; i++)
		add_split(a, job->cflags[i]);
	add_prefix_maps(a, job);
	/* One function a section, so that the assembler resolves no call by itself. */
	add(a, "-ffunction-sections");
	add(a, "-fdata-sections");
	add(a, "-fno-lto");
	add(a, "-c");
	add(a, "-o");
	add(a, "%s", job->object);
	/* gcc knows no "--" */
	add(a, "%s%s", job->source[0] == '-' ? "./" : "", job->source);
	if (a->failed || !ug_vec_add(&a->list))
		return ug_err(err, -ENOMEM, "out of memory");
	return 0;
}

/* Everything until the end of file; what does not fit is read and dropped. */
static void drain(int fd, char *output, size_t size)
{
	size_t n = 0;

	for (;;) {
		char buf[4096];
		ssize_t got = read(fd, buf, sizeof(buf));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		if ((size_t)got > size - 1 - n)
			got = (ssize_t)(size - 1 - n);
		memcpy(output + n, buf, (size_t)got);
		n += (size_t)got;
	}
	output[n] = 0;
}

static int spawn(char **argv, int out, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	int rc;

	rc = posix_spawn_file_actions_init(&actions);
	if (rc)
		return rc;
	rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&actions, out, 2);
	if (!rc)
		rc = posix_spawnp(ret, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* The first line that speaks of an error, else the first line. */
static int compile_failed(const char *output, int status, struct ug_error *err)
{
	const char *at = strstr(output, "error:");
	size_t len;

	while (at && at > output && at[-1] != '\n')
		at--;
	if (!at)
		at = output;
	len = strcspn(at, "\n");
	if (!len)
		return ug_err(err, -UG_E_COMPILE, "the compiler failed with status %d", status);
	return ug_err(err, -UG_E_COMPILE, "the compiler failed: %.*s", len > 400 ? 400 : (int)len, at);
}

static int run(char **argv, char *output, size_t size, struct ug_error *err)
{
	int fds[2], rc, status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return ug_err_errno(err, "cannot make a pipe");
	rc = spawn(argv, fds[1], &pid);
	close(fds[1]);
	if (rc) {
		close(fds[0]);
		errno = rc;
		ug_err_errno(err, "cannot run the compiler %s", argv[0]);
		return err ? err->code = -UG_E_COMPILE : -UG_E_COMPILE;
	}
	drain(fds[0], output, size);
	close(fds[0]);
	rc = ug_sandbox_wait(pid, &status, err);
	if (rc < 0)
		return rc;
	return status ? compile_failed(output, status, err) : 0;
}

bool ug_compile_flags(const struct ug_compile *job, ug_string_vec *ret)
{
	struct args a = { 0 };
	bool ok = make_args(&a, job, NULL) == 0 &&
		  ug_flags_normal((const char *const *)a.list.v + 1, a.list.n - 2, NULL, ret);

	free_args(&a);
	return ok;
}

int ug_compile_run(const struct ug_compile *job, char *output, size_t size, struct ug_error *err)
{
	struct args a = { 0 };
	int rc;

	output[0] = 0;
	rc = make_args(&a, job, err);
	if (rc == 0)
		rc = run(a.list.v, output, size, err);
	free_args(&a);
	return rc;
}
