// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/capture/capture.h"

#define UG_CHROOT_SEARCH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

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

/* Make `path` in the chroot the directory `from` of the host. */
static bool bind_into(const struct ug_sandbox *s, const char *from, const char *path)
{
	char to[PATH_MAX];

	if (snprintf(to, sizeof(to), "%s%s", s->root, path) >= (int)sizeof(to))
		return false;
	for (char *p = to + strlen(s->root); (p = strchr(p + 1, '/'));) {
		*p = 0;
		if (mkdir(to, 0755) < 0 && errno != EEXIST)
			return false;
		*p = '/';
	}
	return (mkdir(to, 0755) == 0 || errno == EEXIST) && mount(from, to, NULL, MS_BIND, NULL) == 0;
}

/* A container may forbid a new procfs, not another view of the one that is there. */
static bool mount_proc(const struct ug_sandbox *s)
{
	char to[PATH_MAX];

	snprintf(to, sizeof(to), "%s/proc", s->root);
	return mount("proc", to, "proc", 0, NULL) == 0 || mount("/proc", to, NULL, MS_BIND | MS_REC, NULL) == 0;
}

static bool enter(const struct ug_sandbox *s)
{
	if (!new_namespace() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	if (!s->root)
		return mount(s->tree, s->path, NULL, MS_BIND, NULL) == 0;
	return bind_into(s, s->tree, s->path) && (!s->work || bind_into(s, s->work, s->work)) && mount_proc(s) &&
	       chroot(s->root) == 0 && chdir("/") == 0;
}

static bool redirect(const char *path, int to, int to2)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	return fd >= 0 && dup2(fd, to) >= 0 && (to2 < 0 || dup2(fd, to2) >= 0);
}

/* What the host's user has set is of no concern there, but for the way to the network. */
static void clean_environment(void)
{
	static const char *const kept[] = { "http_proxy", "https_proxy", "no_proxy" };
	char *value[3];

	for (size_t i = 0; i < 3; i++) {
		const char *v = getenv(kept[i]);

		value[i] = v ? strdup(v) : NULL;
	}
	clearenv();
	setenv("PATH", UG_CHROOT_SEARCH, 1);
	setenv("HOME", "/nonexistent", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	for (size_t i = 0; i < 3; i++) {
		if (value[i])
			setenv(kept[i], value[i], 1);
	}
}

#define CANNOT_ENTER 125

static void child(const struct ug_sandbox *s, const struct ug_run *run)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	/* Files for the output are the host's: opened before its paths are out of reach. */
	if (null < 0 || dup2(null, 0) < 0 || (run->output && !redirect(run->output, 1, 2)) ||
	    (run->stdout_only && !redirect(run->stdout_only, 1, -1)) ||
	    (s->mounted && !enter(s)) || chdir(run->cwd ? run->cwd : s->path) < 0)
		_exit(CANNOT_ENTER);
	if (s->root)
		clean_environment();
	for (const char *const *e = run->env; e && *e; e++)
		ug_ignore(putenv(strdup(*e)));
	execvp(run->argv[0], (char *const *)(uintptr_t)run->argv);
	_exit(127);
}

int ug_sandbox_start(const struct ug_sandbox *s, const struct ug_run *run, pid_t *ret_pid,
		     struct ug_error *err)
{
	fflush(NULL);
	*ret_pid = fork();
	if (*ret_pid < 0)
		return ug_err_errno(err, "cannot start %s", run->argv[0]);
	if (*ret_pid == 0)
		child(s, run);
	return 0;
}

int ug_sandbox_wait(pid_t pid, int *ret_status, struct ug_error *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return ug_err_errno(err, "the exit status of a program is lost");
	}
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

int ug_sandbox_run(const struct ug_sandbox *s, const struct ug_run *run, int *ret_status,
		   struct ug_error *err)
{
	pid_t pid;
	int rc = ug_sandbox_start(s, run, &pid, err);

	return rc < 0 ? rc : ug_sandbox_wait(pid, ret_status, err);
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

static int make_work(struct ug_sandbox *s, const struct ug_sandbox_opts *opts, struct ug_error *err)
{
	const char *tmp = getenv("TMPDIR");
	int rc;

	if (opts->work) {
		if (mkdir(opts->work, 0700) < 0 && errno != EEXIST)
			return ug_err_errno(err, "cannot create %s", opts->work);
		s->work = realpath(opts->work, NULL);
		s->keep = true;
		return s->work ? 0 : ug_err_errno(err, "cannot open %s", opts->work);
	}
	if (asprintf(&s->work, "%s/ugraft-build-XXXXXX", tmp && *tmp ? tmp : "/var/tmp") < 0) {
		s->work = NULL;
		return ug_err(err, -ENOMEM, "out of memory");
	}
	if (mkdtemp(s->work))
		return 0;
	rc = ug_err_errno(err, "cannot make a temporary directory");
	free(s->work);
	s->work = NULL;
	return rc;
}

static int make_copy(struct ug_sandbox *s, const struct ug_sandbox_opts *opts, struct ug_error *err)
{
	ug_autofree char *src = NULL;

	if (asprintf(&s->tree, "%s/tree", s->work) < 0) {
		s->tree = NULL;
		return ug_err(err, -ENOMEM, "out of memory");
	}
	if (opts->reuse)
		return access(s->tree, R_OK) == 0 ? 0 : ug_err_errno(err, "cannot go on in %s", s->work);
	if (mkdir(s->tree, 0755) < 0)
		return ug_err_errno(err, "cannot create %s", s->tree);
	src = realpath(opts->src, NULL);
	return src ? copy_tree(s, src, err) : ug_err_errno(err, "cannot open %s", opts->src);
}

/* Without the right to mount the tree is built where the copy is; a chroot needs that right. */
static int find_place(struct ug_sandbox *s, const struct ug_sandbox_opts *opts, struct ug_error *err)
{
	s->root = opts->root ? strdup(opts->root) : NULL;
	s->path = opts->root ? strdup(opts->path) : realpath(opts->src, NULL);
	if (!s->path || (opts->root && !s->root))
		return ug_err_errno(err, "cannot open %s", opts->src);
	if (can_mount(s))
		return 0;
	if (s->root)
		return ug_err(err, -UG_E_CHROOT, "%s cannot be entered: mounting and chroot need root's "
			      "rights", s->root);
	s->mounted = false;
	free(s->path);
	s->path = strdup(s->tree);
	return s->path ? 0 : ug_err(err, -ENOMEM, "out of memory");
}

int ug_sandbox_open(struct ug_sandbox *s, const struct ug_sandbox_opts *opts, struct ug_error *err)
{
	int rc = make_work(s, opts, err);

	if (rc == 0)
		rc = make_copy(s, opts, err);
	return rc < 0 ? rc : find_place(s, opts, err);
}

const char *ug_sandbox_search(const struct ug_sandbox *s)
{
	const char *path = s->root ? NULL : getenv("PATH");

	return path ? path : UG_CHROOT_SEARCH;
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
	free(s->root);
}

/* Without "." and "..", by their text alone. */
static char *normal(const char *path)
{
	char *out = malloc(strlen(path) + 2), *end = out;

	for (const char *p = path; out && *p;) {
		size_t n;

		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n == 2 && !strncmp(p, "..", 2)) {
			while (end > out && *--end != '/')
				;
		} else if (n && !(n == 1 && *p == '.')) {
			*end++ = '/';
			memcpy(end, p, n);
			end += n;
		}
		p += n;
	}
	if (out)
		*end = 0;
	return out;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

/* The host's path of an absolute one; malloc'ed. */
static char *map_path(const struct ug_sandbox *s, const char *seen)
{
	ug_autofree char *plain = NULL;
	size_t n = strlen(s->path);
	char *host;
	int rc;

	/* "/builds/x/../../src/a.c": it is in the tree although it does not begin so. */
	if (!is_below(seen, s->path) && strstr(seen, "..")) {
		plain = normal(seen);
		if (plain && is_below(plain, s->path))
			seen = plain;
	}
	if (is_below(seen, s->path))
		rc = asprintf(&host, "%s%s", s->tree, seen + n);
	else if (s->root && strncmp(seen, s->work, strlen(s->work)))
		rc = asprintf(&host, "%s%s", s->root, seen);
	else
		rc = asprintf(&host, "%s", seen);
	return rc < 0 ? NULL : host;
}

/* Where the link at `seen` leads to, as the build sees it; NULL: it is none. */
static char *follow(const char *seen, const char *host)
{
	const char *slash = strrchr(seen, '/');
	char to[PATH_MAX], *next;
	ssize_t n = readlink(host, to, sizeof(to) - 1);

	if (n <= 0)
		return NULL;
	to[n] = 0;
	return asprintf(&next, "%.*s%s", to[0] == '/' || !slash ? 0 : (int)(slash + 1 - seen), seen, to) < 0 ?
	       NULL : next;
}

/* Absolute links mean places the build sees: the host's realpath() would follow them elsewhere. */
char *ug_sandbox_host(const struct ug_sandbox *s, const char *cwd, const char *path)
{
	ug_autofree char *seen = NULL, *host = NULL;
	char *next, *real;

	if (asprintf(&seen, "%s%s%s", path[0] == '/' ? "" : cwd, path[0] == '/' ? "" : "/", path) < 0) {
		seen = NULL;
		return NULL;
	}
	host = map_path(s, seen);
	for (int i = 0; host && i < 16 && (next = follow(seen, host)); i++) {
		free(seen);
		seen = next;
		free(host);
		host = map_path(s, seen);
	}
	real = host ? realpath(host, NULL) : NULL;
	return real ? real : ug_take_ptr(host);
}
