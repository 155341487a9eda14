// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/buf.h"
#include "builder/capture/capture.h"
#include "builder/deb/deb.h"

extern char **environ;

/* Messages are read, so they must be the untranslated ones. */
static char **c_locale(void)
{
	size_t n = 0, kept = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	for (size_t i = 0; env && i < n; i++) {
		if (strncmp(environ[i], "LC_ALL=", 7) && strncmp(environ[i], "LANGUAGE=", 9))
			env[kept++] = environ[i];
	}
	if (env)
		env[kept] = (char *)(uintptr_t)"LC_ALL=C.UTF-8";
	return env;
}

static int start(const struct ug_tool *tool, int out, pid_t *ret)
{
	ug_autofree char **env = c_locale();
	posix_spawn_file_actions_t a;
	int rc;

	if (!env)
		return ENOMEM;
	rc = posix_spawn_file_actions_init(&a);
	if (rc)
		return rc;
	rc = posix_spawn_file_actions_addopen(&a, 0, "/dev/null", O_RDONLY, 0);
	if (rc == 0 && tool->log)
		rc = posix_spawn_file_actions_addopen(&a, 1, tool->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	else if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&a, out, 1);
	if (rc == 0 && tool->log)
		rc = posix_spawn_file_actions_adddup2(&a, 1, 2);
	else if (rc == 0)
		rc = posix_spawn_file_actions_addopen(&a, 2, "/dev/null", O_WRONLY, 0);
	if (rc == 0 && tool->cwd)
		rc = posix_spawn_file_actions_addchdir_np(&a, tool->cwd);
	if (rc == 0)
		rc = posix_spawnp(ret, tool->argv[0], &a, NULL, (char *const *)(uintptr_t)tool->argv, env);
	posix_spawn_file_actions_destroy(&a);
	return rc;
}

static void read_all(int fd, struct ug_buf *b)
{
	for (;;) {
		char buf[8192];
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		ug_buf_add(b, buf, (size_t)n);
	}
	ug_buf_add(b, "", 1);
}

int ug_tool_run(const struct ug_tool *tool, char **ret, int *status, struct ug_error *err)
{
	ug_autoclose int in = -1, out = -1;
	struct ug_buf b = { 0 };
	int fds[2], rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return ug_err_errno(err, "cannot make a pipe");
	in = fds[0];
	out = fds[1];
	rc = start(tool, out, &pid);
	if (rc == ENOENT) {
		*status = 127;
		if (ret)
			*ret = strdup("");
		return 0;
	}
	if (rc)
		return ug_err(err, -rc, "cannot run %s: %s", tool->argv[0], strerror(rc));
	close(ug_take_fd(&out));
	read_all(in, &b);
	rc = ug_sandbox_wait(pid, status, err);
	if (rc == 0 && b.failed)
		rc = ug_err(err, -ENOMEM, "out of memory");
	if (rc < 0 || !ret)
		ug_buf_free(&b);
	else
		*ret = (char *)b.v;
	return rc;
}

void ug_tool_last_line(const char *log, const char *prefix, char *buf, size_t size)
{
	ug_autofree char *text = NULL;
	char *save = NULL;
	size_t n;

	buf[0] = 0;
	text = ug_load_text(log, &n);
	for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save)) {
		if (!prefix || !strncmp(l, prefix, strlen(prefix)))
			snprintf(buf, size, "%s", l);
	}
}
