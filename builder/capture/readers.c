// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who read what the diff changes. A file counts when it is one of the diff or has the content of
 * one: builds copy sources. Each path is looked at once, whoever read it.
 */
#include <errno.h>
#include <search.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/capture/capture.h"

struct known {				/* a path the build has seen */
	const char *seen;		/* of a job */
	char *host;
	size_t file;			/* of the diff, or NOT_OURS */
	bool shadowed;			/* a new file of the diff has its name */
};

#define NOT_OURS SIZE_MAX

struct readers {
	const struct ug_sandbox *s;
	ug_source_vec *files;
	void *tree;			/* of struct known, by `seen` */
};

static int compare_seen(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return strcmp(x->seen, y->seen);
}

static void free_known(void *p)
{
	struct known *k = p;

	free(k->host);
	free(k);
}

/* The file of the diff this is, or is a copy of. */
static size_t file_of(const struct readers *r, const char *path)
{
	size_t n = strlen(r->s->tree), len;
	ug_autofree char *text = NULL;
	struct stat st;

	if (strncmp(path, r->s->tree, n) || stat(path, &st) < 0)
		return NOT_OURS;
	for (size_t i = 0; i < r->files->n; i++) {
		const struct ug_source_file *f = &r->files->v[i];

		if (!strcmp(path + n + 1, f->name))
			return i;
		if (!f->before || (size_t)st.st_size != f->before_len || !f->before_len)
			continue;
		if (!text)
			text = ug_load_text(path, &len);
		if (text && len == f->before_len && !memcmp(text, f->before, len))
			return i;
	}
	return NOT_OURS;
}

static bool is_shadowed(const struct readers *r, const char *path)
{
	ug_vec_for_each(r->files, f) {
		if (!f->before && !strcmp(basename(f->name), basename(path)))
			return true;
	}
	return false;
}

/* NULL: out of memory. */
static const struct known *look(struct readers *r, const char *seen)
{
	struct known key = { .seen = seen }, *k;
	struct known **slot = tfind(&key, &r->tree, compare_seen);

	if (slot)
		return *slot;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->seen = seen;
	k->host = ug_sandbox_host(r->s, "/", seen);
	if (!k->host || !tsearch(k, &r->tree, compare_seen)) {
		free_known(k);
		return NULL;
	}
	k->file = file_of(r, k->host);
	k->shadowed = is_shadowed(r, seen);
	return k;
}

/* ---- the jobs ---- */

static int add_place(struct ug_readers *ret, const struct known *k)
{
	struct ug_text_place *p;

	ug_vec_for_each(&ret->places, known) {
		if (!strcmp(known->path, k->host))
			return 0;
	}
	p = ug_vec_add(&ret->places);
	if (!p)
		return -ENOMEM;
	p->file = k->file;
	p->path = strdup(k->host);
	return p->path ? 0 : -ENOMEM;
}

/* The precompiled one beside a header that was read: gcc would take it. */
static int add_header(const struct known *k, struct ug_readers *ret)
{
	ug_autofree char *path = NULL;

	if (asprintf(&path, "%s.gch", k->host) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (access(path, F_OK) < 0)
		return 0;
	ug_vec_for_each(&ret->headers, h) {
		if (!strcmp(*h, path))
			return 0;
	}
	return ug_strings_add(&ret->headers, "%s", path) ? 0 : -ENOMEM;
}

static int add_headers(struct readers *r, const struct ug_job *job, struct ug_readers *ret)
{
	ug_vec_for_each(&job->reads, seen) {
		const struct known *k = look(r, *seen);

		if (!k || add_header(k, ret) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int look_at_job(struct readers *r, const ug_job_vec *jobs, size_t i, struct ug_readers *ret)
{
	bool affected = false;
	size_t *slot;

	ug_vec_for_each(&jobs->v[i].reads, seen) {
		const struct known *k = look(r, *seen);

		if (!k)
			return -ENOMEM;
		affected |= k->file != NOT_OURS || k->shadowed;
		if (k->file == NOT_OURS)
			continue;
		r->files->v[k->file].is_read = true;
		if (add_place(ret, k) < 0)
			return -ENOMEM;
	}
	if (!affected)
		return 0;
	slot = ug_vec_add(&ret->affected);
	if (!slot)
		return -ENOMEM;
	*slot = i;
	return add_headers(r, &jobs->v[i], ret);
}

int ug_readers_find(const struct ug_sandbox *s, const ug_job_vec *jobs, ug_source_vec *files,
		    struct ug_readers *ret, struct ug_error *err)
{
	struct readers r = { .s = s, .files = files };
	int rc = 0;

	for (size_t i = 0; i < jobs->n && rc == 0; i++)
		rc = look_at_job(&r, jobs, i, ret);
	tdestroy(r.tree, free_known);
	return rc < 0 ? ug_err(err, rc, "out of memory") : 0;
}

int ug_readers_mark(const struct ug_sandbox *s, struct ug_job *const *jobs, size_t n,
		    ug_source_vec *files, struct ug_error *err)
{
	struct readers r = { .s = s, .files = files };
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		ug_vec_for_each(&jobs[i]->reads, seen) {
			const struct known *k = ok ? look(&r, *seen) : NULL;

			ok = k != NULL;
			if (ok && k->file != NOT_OURS)
				files->v[k->file].is_read = true;
		}
	}
	tdestroy(r.tree, free_known);
	return ok ? 0 : ug_err(err, -ENOMEM, "out of memory");
}

void ug_readers_free(struct ug_readers *r)
{
	ug_vec_for_each(&r->places, p)
		free(p->path);
	ug_vec_free(&r->places);
	ug_vec_free(&r->affected);
	ug_strings_free(&r->headers);
}
