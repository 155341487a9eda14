// SPDX-License-Identifier: GPL-2.0-or-later
/* The diff is applied by patch(1), to copies of the files it names, in a directory of their own. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/capture/capture.h"

/* ---- names in the diff ---- */

struct named {				/* one file of the diff, as it is written there */
	char *old, *new;		/* "a/src/x.c", "/dev/null" */
	bool added;			/* diff -N gives it an old name, too */
};

typedef UG_VEC(struct named) named_vec;

static char *name_of(const char *line)
{
	size_t n = strcspn(line, "\t\r\n");

	while (n && line[n - 1] == ' ')
		n--;
	return strndup(line, n);
}

static int read_names(const char *text, named_vec *ret)
{
	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		const char *next = strchr(p, '\n');
		struct named *n;

		if (strncmp(p, "--- ", 4) || !next || strncmp(next + 1, "+++ ", 4))
			continue;
		n = ug_vec_add(ret);
		if (!n)
			return -ENOMEM;
		n->old = name_of(p + 4);
		n->new = name_of(next + 5);
		if (!n->old || !n->new)
			return -ENOMEM;
		next = strchr(next + 1, '\n');
		n->added = !strcmp(n->old, "/dev/null") || (next && !strncmp(next + 1, "@@ -0,0 ", 8));
	}
	return 0;
}

static void free_names(named_vec *v)
{
	ug_vec_for_each(v, n) {
		free(n->old);
		free(n->new);
	}
	ug_vec_free(v);
}

/* Without its first n directories; NULL when there are not so many, or it leads outside. */
static const char *stripped(const char *name, unsigned int n)
{
	while (n--) {
		name = strchr(name, '/');
		if (!name)
			return NULL;
		name += strspn(name, "/");
	}
	return name[0] == '/' || !name[0] || strstr(name, "..") ? NULL : name;
}

static bool exists(const struct ug_sandbox *s, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", s->tree, name);
	return access(path, R_OK) == 0;
}

/* The strip level at which all old files are there. */
static int find_level(const struct ug_sandbox *s, const named_vec *names)
{
	static const int order[] = { 1, 0, 2, 3 };

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		bool good = names->n > 0;

		ug_vec_for_each(names, n) {
			const char *name = stripped(n->added ? n->new : n->old, (unsigned int)order[i]);

			good &= name && (n->added || exists(s, name));
		}
		if (good)
			return order[i];
	}
	return -1;
}

/* ---- copies ---- */

static int copy_file(const char *from, const char *to, struct ug_error *err)
{
	ug_autofree char *data = NULL, *dir = strdup(to);
	ug_autofclose FILE *f = NULL;
	size_t n;

	for (char *p = dir; dir && (p = strchr(p + 1, '/'));) {
		*p = 0;
		if (mkdir(dir, 0700) < 0 && errno != EEXIST)
			return ug_err_errno(err, "cannot create %s", dir);
		*p = '/';
	}
	data = ug_load_text(from, &n);
	f = fopen(to, "we");
	if (!data || !f || fwrite(data, 1, n, f) != n)
		return ug_err_errno(err, "cannot copy %s", from);
	return 0;
}

static struct ug_source_file *add_file(ug_source_vec *v, const char *name)
{
	struct ug_source_file *f;

	ug_vec_for_each(v, known) {
		if (!strcmp(known->name, name))
			return known;
	}
	f = ug_vec_add(v);
	if (f)
		f->name = strdup(name);
	return f && f->name ? f : NULL;
}

static int take_file(const struct ug_sandbox *s, const char *name, ug_source_vec *ret,
		     struct ug_error *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct ug_source_file *f = add_file(ret, name);

	if (!f)
		return ug_err(err, -ENOMEM, "out of memory");
	snprintf(from, sizeof(from), "%s/%s", s->tree, name);
	snprintf(to, sizeof(to), "%s/new/%s", s->work, name);
	if (f->before || access(from, F_OK) < 0)
		return 0;
	f->before = ug_load_text(from, &f->before_len);
	if (!f->before)
		return ug_err_errno(err, "cannot read %s", from);
	return access(to, F_OK) == 0 ? 0 : copy_file(from, to, err);
}

static int apply(const struct ug_sandbox *s, const char *diff, int level, struct ug_error *err)
{
	char strip[16], dir[PATH_MAX], log[PATH_MAX];
	const char *argv[] = { "patch", "-s", "-f", "-N", "--no-backup-if-mismatch", strip, "-d", dir,
			       "-i", diff, NULL };
	struct ug_sandbox bare = { .path = s->work };
	ug_autofree char *text = NULL;
	int rc, status;
	size_t n;

	snprintf(strip, sizeof(strip), "-p%d", level);
	snprintf(dir, sizeof(dir), "%s/new", s->work);
	snprintf(log, sizeof(log), "%s/patch.log", s->work);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return ug_err_errno(err, "cannot create %s", dir);
	rc = ug_sandbox_run(&bare, &(struct ug_run){ .argv = argv, .output = log }, &status, err);
	if (rc < 0 || status == 0)
		return rc;
	text = ug_load_text(log, &n);
	return ug_err(err, -UG_E_DIFF, "%s does not apply (is patch(1) installed?): %.*s", diff,
		      text ? (int)strcspn(text, "\n") : 0, text ? text : "");
}

static int take_diff(const struct ug_sandbox *s, const char *diff, ug_source_vec *ret,
		     struct ug_error *err)
{
	ug_autofree char *text = NULL, *path = realpath(diff, NULL);
	named_vec names = { 0 };
	int level, rc = 0;
	size_t n;

	text = path ? ug_load_text(path, &n) : NULL;
	if (!text)
		return ug_err_errno(err, "cannot read %s", diff);
	if (read_names(text, &names) < 0)
		return ug_err(err, -ENOMEM, "out of memory");
	level = find_level(s, &names);
	if (level < 0)
		rc = ug_err(err, -UG_E_DIFF, names.n ? "%s: the files it names are not in the tree" :
			    "%s is no unified diff", diff);
	for (size_t i = 0; i < names.n && rc == 0; i++) {
		const char *name = names.v[i].added ? names.v[i].new : names.v[i].old;

		rc = take_file(s, stripped(name, (unsigned int)level), ret, err);
	}
	free_names(&names);
	return rc < 0 ? rc : apply(s, path, level, err);
}

int ug_sources_make(const struct ug_sandbox *s, const char *const *diffs, size_t n,
		    ug_source_vec *ret, struct ug_error *err)
{
	for (size_t i = 0; i < n; i++) {
		int rc = take_diff(s, diffs[i], ret, err);

		if (rc < 0)
			return rc;
	}
	ug_vec_for_each(ret, f) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/new/%s", s->work, f->name);
		f->after = ug_load_text(path, &f->after_len);
	}
	return 0;
}

void ug_sources_free(ug_source_vec *v)
{
	ug_vec_for_each(v, f) {
		free(f->name);
		free(f->before);
		free(f->after);
	}
	ug_vec_free(v);
}
