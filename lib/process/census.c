// SPDX-License-Identifier: LGPL-2.1-or-later
#include "process/census.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "process/internal.h"

/* ---- one process ---- */

/* Fields of proc_pid_stat(5). */
#define STAT_FIRST 3
#define STAT_LAST 28

static bool parse_numbers(const char *s, unsigned long long v[STAT_LAST + 1])
{
	for (int i = STAT_FIRST; i <= STAT_LAST; i++) {
		char *end;

		s += strspn(s, " ");
		if (i == STAT_FIRST) {
			v[i] = (unsigned char)*s++;
			continue;
		}
		v[i] = strtoull(s, &end, 10);
		if (end == s)
			return false;
		s = end;
	}
	return true;
}

static uint64_t mix(uint64_t h, uint64_t x)
{
	return (h ^ x) * UINT64_C(0x9e3779b97f4a7c15) + (h >> 29);
}

/* Code and stack are placed anew by each execve; without randomisation the file still tells. */
static uint64_t image_of(int dirfd, pid_t pid, uint64_t code, uint64_t stack)
{
	char path[32];
	struct stat st;
	uint64_t h;

	(void)snprintf(path, sizeof(path), "%d/exe", pid);
	if (!stack || fstatat(dirfd, path, &st, 0) < 0)
		return 0;
	h = mix(mix(mix(mix(1, code), stack), st.st_dev), st.st_ino);
	return h ? h : 1;
}

static bool parse_stat(int dirfd, const char *buf, struct ug_census_entry *e)
{
	const char *fields = ug_procfile_stat(buf, e->comm, sizeof(e->comm));
	unsigned long long v[STAT_LAST + 1];

	if (!fields || !parse_numbers(fields, v))
		return false;
	e->parent = (pid_t)v[4];
	e->kernel = v[9] & UG_PF_KTHREAD;
	/* The first thread may have ended while others run: field 20 counts them. */
	e->zombie = (v[3] == 'Z' || v[3] == 'X') && v[20] <= 1;
	e->start_time = v[22];
	if (!e->zombie && !e->kernel)
		e->image = image_of(dirfd, e->pid, v[26], v[28]);
	return true;
}

static int add(struct ug_census *census, int dirfd, pid_t pid, struct ug_error *err)
{
	struct ug_census_entry e = { .pid = pid }, *slot;
	char path[32], buf[1024];

	(void)snprintf(path, sizeof(path), "%d/stat", pid);
	if (ug_procfile_read(dirfd, path, buf, sizeof(buf)) < 0 || !parse_stat(dirfd, buf, &e))
		return 0;	/* it has gone */
	slot = ug_vec_add(census);
	if (!slot)
		return ug_err(err, -ENOMEM, "out of memory");
	*slot = e;
	return 0;
}

/* ---- all ---- */

static int by_pid(const void *a, const void *b)
{
	const struct ug_census_entry *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int ug_census_take(struct ug_census *ret, struct ug_error *err)
{
	ug_autoclosedir DIR *dir = opendir("/proc");
	struct ug_census census = { 0 };
	struct dirent *de;
	int r = 0;

	if (!dir)
		return ug_err_errno(err, "cannot list /proc");
	while (r == 0 && (de = readdir(dir))) {
		pid_t pid = ug_procfile_tid(de->d_name);

		if (pid)
			r = add(&census, dirfd(dir), pid, err);
	}
	if (r < 0) {
		ug_census_free(&census);
		return r;
	}
	if (census.n)
		qsort(census.v, census.n, sizeof(*census.v), by_pid);
	*ret = census;
	return 0;
}

void ug_census_free(struct ug_census *census)
{
	ug_vec_free(census);
}

size_t ug_census_find(const struct ug_census *census, pid_t pid)
{
	const struct ug_census_entry key = { .pid = pid };
	const struct ug_census_entry *e = census->n ? bsearch(&key, census->v, census->n,
							      sizeof(key), by_pid) : NULL;

	return e ? (size_t)(e - census->v) : census->n;
}

/* ---- control groups ---- */

static bool below(const char *path, const char *group)
{
	size_t len = strlen(group);

	while (len > 1 && group[len - 1] == '/')
		len--;
	return strncmp(path, group, len) == 0 && (path[len] == 0 || path[len] == '/');
}

static bool has_component(const char *path, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = path; (at = strchr(at, '/')); ) {
		at++;
		if (strncmp(at, name, len) == 0 && (at[len] == 0 || at[len] == '/'))
			return true;
	}
	return false;
}

/* A line is "HIERARCHY:CONTROLLERS:PATH"; the unified hierarchy is "0::PATH". */
static bool line_holds(char *line, const char *group, bool unit)
{
	char *controllers = strchr(line, ':');
	char *path = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!path)
		return false;
	*path++ = 0;
	if (!unit)
		return below(path, group);
	return (strcmp(line, "0:") == 0 || strcmp(controllers + 1, "name=systemd") == 0) &&
	       has_component(path, group);
}

bool ug_cgroup_holds(pid_t pid, const char *group, bool unit)
{
	char file[32], buf[8192], name[NAME_MAX + 16];
	char *save = NULL;

	(void)snprintf(name, sizeof(name), "%.*s%s", NAME_MAX, group,
		       unit && !strchr(group, '.') ? ".service" : "");
	(void)snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	if (ug_procfile_read(AT_FDCWD, file, buf, sizeof(buf)) < 0)
		return false;
	for (char *l = strtok_r(buf, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (line_holds(l, unit ? name : group, unit))
			return true;
	return false;
}
