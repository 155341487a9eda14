/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "targets.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"
#include "text.h"

#define DELETED " (deleted)"

enum kind { BY_PID, BY_NAME, BY_EXE, BY_FILTER, BY_UNIT, BY_CGROUP };

struct selector {
	enum kind kind;
	const char *arg;
	struct stat st;			/* BY_EXE, when the file exists */
	bool have_st;
	target_filter filter;
	const void *ctx;
};

/* Up to size - 1 bytes of /proc/PID/NAME, terminated; false when it cannot be read. */
static bool read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return false;
	buf[n] = 0;
	return true;
}

static void read_comm(pid_t pid, char *comm, size_t size)
{
	char buf[64] = "";

	read_proc(pid, "comm", buf, sizeof(buf));
	buf[strcspn(buf, "\n")] = 0;
	snprintf(comm, size, "%.*s", (int)size - 1, buf);
}

static bool match_name(const char *glob, pid_t pid)
{
	char buf[4096];
	const char *base;

	read_comm(pid, buf, 16);
	if (fnmatch(glob, buf, 0) == 0)
		return true;
	/* comm is cut to 15 bytes and can be changed; the first argument is what ps shows. */
	if (!read_proc(pid, "cmdline", buf, sizeof(buf)) || !buf[0])
		return false;
	buf[strcspn(buf, " ")] = 0;	/* servers write "nginx: worker process" in one piece */
	base = strrchr(buf, '/');
	return fnmatch(glob, base ? base + 1 : buf, 0) == 0;
}

/* The same file, or the same path: after an upgrade the old file has no name any more. */
static bool match_exe(const struct selector *sel, pid_t pid)
{
	char path[64], exe[PATH_MAX];
	struct stat st;
	ssize_t n;
	size_t cut = strlen(DELETED);

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (sel->have_st && stat(path, &st) == 0 && st.st_dev == sel->st.st_dev &&
	    st.st_ino == sel->st.st_ino)
		return true;
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n < 0)
		return false;
	exe[n] = 0;
	if ((size_t)n > cut && strcmp(exe + n - cut, DELETED) == 0)
		exe[(size_t)n - cut] = 0;
	return strcmp(exe, sel->arg) == 0;
}

static int matches(const struct selector *sel, pid_t pid)
{
	switch (sel->kind) {
	case BY_NAME:
		return match_name(sel->arg, pid);
	case BY_EXE:
		return match_exe(sel, pid);
	case BY_FILTER:
		return sel->filter(pid, sel->ctx);
	case BY_PID:
	case BY_UNIT:
	case BY_CGROUP:
		break;
	}
	return 0;
}

static void add_scope(struct targets *t, enum ug_scope_kind kind, pid_t pid, const char *name)
{
	t->scopes = xrealloc(t->scopes, t->nscopes + 1, sizeof(*t->scopes));
	t->scopes[t->nscopes++] = (struct ug_scope){ .kind = kind, .pid = pid, .name = name };
}

static void add(struct targets *t, pid_t pid, bool named)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].pid == pid) {
			t->v[i].named |= named;
			return;
		}
	}
	t->v = xrealloc(t->v, t->n + 1, sizeof(*t->v));
	t->v[t->n].pid = pid;
	t->v[t->n].named = named;
	read_comm(pid, t->v[t->n].comm, sizeof(t->v[t->n].comm));
	t->n++;
}

static void add_root(struct targets *t, pid_t pid, bool named)
{
	add(t, pid, named);
	add_scope(t, t->tree ? UG_SCOPE_TREE : UG_SCOPE_PROCESS, pid, NULL);
}

/* The processes of the scopes from `first` on, as they are now. */
static int add_found(struct targets *t, size_t first, struct ug_error *err)
{
	struct ug_found *found;
	size_t n;
	int rc = ug_scope_find(t->scopes + first, t->nscopes - first, &found, &n, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (!found[i].ended)
			add(t, found[i].pid, false);
	free(found);
	return (int)n;
}

static bool parse_pid(const char *s, pid_t *ret)
{
	unsigned long v;
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	v = strtoul(s, &end, 10);
	if (*end || errno || v == 0 || v > INT_MAX)
		return false;
	*ret = (pid_t)v;
	return true;
}

/* Kernel threads have no program; nobody means them, and `name:*` should not either. */
static bool has_program(pid_t pid)
{
	char path[64], exe[8];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return readlink(path, exe, sizeof(exe)) > 0 || errno != ENOENT;
}

/* Add all processes that match. Returns how many did (also when already listed). */
static size_t scan(struct targets *t, const struct selector *sel)
{
	DIR *dir = opendir("/proc");
	struct dirent *de;
	size_t found = 0;
	pid_t pid;

	if (!dir)
		return 0;
	while ((de = readdir(dir))) {
		int rc;

		if (!parse_pid(de->d_name, &pid) || pid == getpid() || !has_program(pid))
			continue;
		rc = matches(sel, pid);
		if (rc == -EPERM || rc == -EACCES)
			t->unreadable++;
		if (rc <= 0)
			continue;
		add_root(t, pid, false);
		found++;
	}
	closedir(dir);
	return found;
}

static int make_selector(struct selector *sel, const char *arg, target_filter filter,
			 const void *ctx, struct ug_error *err)
{
	pid_t pid;

	memset(sel, 0, sizeof(*sel));
	if (strcmp(arg, "all") == 0) {
		sel->kind = BY_FILTER;
		sel->filter = filter;
		sel->ctx = ctx;
	} else if (strncmp(arg, "name:", 5) == 0 && arg[5]) {
		sel->kind = BY_NAME;
		sel->arg = arg + 5;
	} else if (strncmp(arg, "exe:", 4) == 0 && arg[4] == '/') {
		sel->kind = BY_EXE;
		sel->arg = arg + 4;
		sel->have_st = stat(sel->arg, &sel->st) == 0;
	} else if (strncmp(arg, "unit:", 5) == 0 && arg[5] && !strchr(arg, '/')) {
		sel->kind = BY_UNIT;
		sel->arg = arg + 5;
	} else if (strncmp(arg, "cgroup:/", 8) == 0) {
		sel->kind = BY_CGROUP;
		sel->arg = arg + 7;
	} else if (parse_pid(arg, &pid)) {
		sel->kind = BY_PID;
		sel->arg = arg;
	} else {
		return usage_error(err, "'%s' is not a process: give a PID, name:GLOB, exe:/PATH, "
				   "unit:NAME, cgroup:/PATH or all", arg);
	}
	return 0;
}

static int resolve_group(struct targets *t, const struct selector *sel, struct ug_error *err)
{
	bool unit = sel->kind == BY_UNIT;
	int rc;

	t->as_job = true;
	add_scope(t, unit ? UG_SCOPE_UNIT : UG_SCOPE_CGROUP, 0, sel->arg);
	rc = add_found(t, t->nscopes - 1, err);
	if (rc == 0)
		return set_error(err, -ESRCH, "no process is in %s '%s'", unit ? "unit" : "control group",
				 sel->arg);
	return rc < 0 ? rc : 0;
}

static int resolve_one(struct targets *t, char *arg, target_filter filter, const void *ctx,
		       struct ug_error *err)
{
	struct selector sel;
	pid_t pid;

	if (make_selector(&sel, arg, filter, ctx, err))
		return err->code;
	if (sel.kind == BY_UNIT || sel.kind == BY_CGROUP)
		return resolve_group(t, &sel, err);
	if (sel.kind == BY_PID && parse_pid(arg, &pid))
		add_root(t, pid, true);
	else if (scan(t, &sel) == 0 && sel.kind != BY_FILTER)
		return set_error(err, -ESRCH, "no process matches '%s'", arg);
	return 0;
}

int targets_resolve(struct targets *ret, char **args, int nargs, target_filter filter,
		    const void *ctx, struct ug_error *err)
{
	ret->as_job |= ret->tree;
	for (int i = 0; i < nargs; i++) {
		int rc = resolve_one(ret, args[i], filter, ctx, err);

		if (rc < 0)
			return rc;
	}
	if (ret->tree && ret->nscopes) {
		int rc = add_found(ret, 0, err);

		return rc < 0 ? rc : 0;
	}
	return 0;
}

char *target_label(const struct cli *cli, const struct target *target)
{
	cli_autofree char *comm = text_clean(cli, target->comm);

	return xasprintf("%d%s%s", target->pid, *comm ? " " : "", comm);
}

void targets_free(struct targets *t)
{
	free(t->v);
	free(t->scopes);
	memset(t, 0, sizeof(*t));
}

int target_is_patched(pid_t pid, const void *ctx)
{
	struct ug_status *st;
	struct ug_error err;
	int rc = ug_status(pid, &st, &err);

	if (rc < 0)
		return rc;
	rc = st->patched;
	ug_status_free(st);
	return rc;
}

int target_in_transition(pid_t pid, const void *ctx)
{
	struct ug_status *st;
	struct ug_error err;
	int rc = ug_status(pid, &st, &err);

	if (rc < 0)
		return rc;
	rc = st->in_transition;
	ug_status_free(st);
	return rc;
}

int target_has_patch(pid_t pid, const void *ctx)
{
	struct ug_status *st;
	struct ug_error err;
	int rc = ug_status(pid, &st, &err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < st->npatches; i++)
		rc |= strcmp(st->patches[i].name, ctx) == 0;
	ug_status_free(st);
	return rc;
}

int target_is_applicable(pid_t pid, const void *ctx)
{
	struct ug_error err;

	return ug_applicable(pid, ctx, &err);
}
