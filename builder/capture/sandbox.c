// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/capture/capture.h"

bool ug_strings_add(ug_string_vec *v, const char *fmt, ...)
{
	char **slot = ug_vec_add(v);
	va_list ap;
	int n;

	if (!slot)
		return false;
	va_start(ap, fmt);
	n = vasprintf(slot, fmt, ap);
	va_end(ap);
	if (n >= 0)
		return true;
	v->n--;
	return false;
}

void ug_strings_free(ug_string_vec *v)
{
	ug_vec_for_each(v, s)
		free(*s);
	ug_vec_free(v);
}

/* ---- in the child ---- */

static void write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		ug_ignore(write(fd, text, strlen(text)) < 0 ? -1 : 0);
		close(fd);
	}
}

/* A user namespace of our own where root is not ours: the same ids as outside. */
static bool new_namespace(void)
{
	char map[64];
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (unshare(CLONE_NEWNS) == 0)
		return true;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return false;
	write_proc("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	write_proc("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	write_proc("/proc/self/gid_map", map);
	return true;
}

static bool enter(const struct ug_sandbox *s)
{
	return new_namespace() && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount(s->tree, s->path, NULL, MS_BIND, NULL) == 0;
}

static bool redirect(const char *path, int to, int to2)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	return fd >= 0 && dup2(fd, to) >= 0 && (to2 < 0 || dup2(fd, to2) >= 0);
}

#define CANNOT_ENTER 125

static void child(const struct ug_sandbox *s, const struct ug_run *run)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if ((s->mounted && !enter(s)) || null < 0 || dup2(null, 0) < 0 ||
	    chdir(run->cwd ? run->cwd : s->path) < 0 ||
	    (run->output && !redirect(run->output, 1, 2)) ||
	    (run->stdout_only && !redirect(run->stdout_only, 1, -1)))
		_exit(CANNOT_ENTER);
	for (const char *const *e = run->env; e && *e; e++)
		ug_ignore(putenv(strdup(*e)));
	execvp(run->argv[0], (char *const *)(uintptr_t)run->argv);
	_exit(127);
}

int ug_sandbox_run(const struct ug_sandbox *s, const struct ug_run *run, int *ret_status,
		   struct ug_error *err)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return ug_err_errno(err, "cannot start %s", run->argv[0]);
	if (pid == 0)
		child(s, run);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return ug_err_errno(err, "the exit status of %s is lost", run->argv[0]);
	}
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

/* ---- the copy ---- */

static int copy_tree(struct ug_sandbox *s, const char *src, struct ug_error *err)
{
	ug_autofree char *from = NULL;
	const char *argv[] = { "cp", "-a", "--reflink=auto", NULL, s->tree, NULL };
	struct ug_sandbox bare = { .path = s->work };
	int rc, status;

	if (asprintf(&from, "%s/.", src) < 0) {
		from = NULL;
		return ug_err(err, -ENOMEM, "out of memory");
	}
	argv[3] = from;
	rc = ug_sandbox_run(&bare, &(struct ug_run){ .argv = argv }, &status, err);
	if (rc < 0)
		return rc;
	return status ? ug_err(err, -EIO, "cannot copy %s", src) : 0;
}

/* May we mount? Tried once, with a program that does nothing. */
static bool can_mount(struct ug_sandbox *s)
{
	const char *argv[] = { "true", NULL };
	int status;

	s->mounted = true;
	return ug_sandbox_run(s, &(struct ug_run){ .argv = argv }, &status, NULL) == 0 && status == 0;
}

int ug_sandbox_open(struct ug_sandbox *s, const char *src, struct ug_error *err)
{
	const char *tmp = getenv("TMPDIR");
	int rc;

	s->path = realpath(src, NULL);
	if (!s->path)
		return ug_err_errno(err, "cannot open %s", src);
	if (asprintf(&s->work, "%s/ugraft-build-XXXXXX", tmp && *tmp ? tmp : "/var/tmp") < 0) {
		s->work = NULL;
		return ug_err(err, -ENOMEM, "out of memory");
	}
	if (!mkdtemp(s->work)) {
		rc = ug_err_errno(err, "cannot make a temporary directory");
		free(s->work);
		s->work = NULL;
		return rc;
	}
	if (asprintf(&s->tree, "%s/tree", s->work) < 0 || mkdir(s->tree, 0700) < 0)
		return ug_err_errno(err, "cannot make a temporary directory");
	rc = copy_tree(s, s->path, err);
	if (rc < 0 || can_mount(s))
		return rc;
	s->mounted = false;
	free(s->path);
	s->path = strdup(s->tree);
	return s->path ? 0 : ug_err(err, -ENOMEM, "out of memory");
}

void ug_sandbox_close(struct ug_sandbox *s)
{
	if (s->work && !s->keep) {
		const char *argv[] = { "rm", "-rf", s->work, NULL };
		struct ug_sandbox bare = { .path = (char *)(uintptr_t)"/" };
		int status;

		ug_ignore(ug_sandbox_run(&bare, &(struct ug_run){ .argv = argv }, &status, NULL));
	}
	free(s->work);
	free(s->tree);
	free(s->path);
}

char *ug_sandbox_host(const struct ug_sandbox *s, const char *cwd, const char *path)
{
	ug_autofree char *seen = NULL, *host = NULL;
	char *real;
	size_t n = strlen(s->path);

	if (asprintf(&seen, "%s%s%s", path[0] == '/' ? "" : cwd, path[0] == '/' ? "" : "/", path) < 0) {
		seen = NULL;
		return NULL;
	}
	if (!strncmp(seen, s->path, n) && (seen[n] == '/' || !seen[n])) {
		if (asprintf(&host, "%s%s", s->tree, seen + n) < 0) {
			host = NULL;
			return NULL;
		}
	} else {
		host = ug_take_ptr(seen);
	}
	real = realpath(host, NULL);
	return real ? real : ug_take_ptr(host);
}
