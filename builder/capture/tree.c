// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ugraft build --src, stage by stage: copy, plain build, read the log, find who read what the
 * diff changes, compile that before and after; targets.c does the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "builder/build.h"
#include "builder/capture/capture.h"
#include "builder/output.h"
#include "builder/report.h"

struct tree {
	const struct ug_build_tree_opts *opts;
	struct ug_patch_report *report;
	struct ug_error *err;
	struct ug_sandbox box;
	ug_job_vec jobs;
	ug_source_vec files;
	UG_VEC(struct place) places;	/* where changed text is, in the tree */
	UG_VEC(size_t) affected;	/* jobs */
	UG_VEC(struct ug_object_pair) pairs;
};

struct place {
	char *path;			/* on the host */
	size_t file;
};

static int no_memory(struct tree *t)
{
	return ug_err(t->err, -ENOMEM, "out of memory");
}

/* ---- the plain build ---- */

static int run_build(struct tree *t)
{
	ug_string_vec env = { 0 };
	ug_autofree char *log = NULL;
	uint64_t start = ug_now_ns();
	int rc, status = 0;

	rc = ug_record_prepare(&t->box, t->opts->wrapper, &env, t->err);
	if (rc == 0 && asprintf(&log, "%s/build.log", t->box.work) < 0) {
		log = NULL;
		rc = no_memory(t);
	}
	if (rc == 0)
		rc = ug_sandbox_run(&t->box, &(struct ug_run){
			.argv = t->opts->command, .output = log,
			.env = (const char *const *)env.v }, &status, t->err);
	if (env.n)
		env.n--;		/* the NULL at the end */
	ug_strings_free(&env);
	if (rc < 0)
		return rc;
	if (status) {
		t->box.keep = true;
		return ug_err(t->err, -UG_E_COMPILE, "the build failed with status %d; its output is in "
			      "%s", status, log);
	}
	return ug_note(t, "built in %.1f s", (double)(ug_now_ns() - start) / 1e9);
}

static int read_jobs(struct tree *t)
{
	ug_record_vec records = { 0 };
	int rc = ug_record_read(&t->box, &records, t->err);

	if (rc == 0)
		rc = ug_jobs_make(&records, &t->box, &t->jobs, t->err);
	ug_records_free(&records);
	if (rc < 0)
		return rc;
	if (!t->jobs.n)
		return ug_err(t->err, -UG_E_DIFF, "the build compiled nothing: is it complete, does it "
			      "call a compiler by a path of its own?");
	return ug_note(t, "%zu compiles recorded", t->jobs.n);
}

/* ---- who read what ---- */

/* The file of the diff this is, or is a copy of. */
static size_t file_of(const struct tree *t, const char *path)
{
	size_t n = strlen(t->box.tree), len;
	ug_autofree char *text = NULL;
	struct stat st;

	if (strncmp(path, t->box.tree, n) || stat(path, &st) < 0)
		return SIZE_MAX;
	for (size_t i = 0; i < t->files.n; i++) {
		const struct ug_source_file *f = &t->files.v[i];

		if (!strcmp(path + n + 1, f->name))
			return i;
		if (!f->before || (size_t)st.st_size != f->before_len || !f->before_len)
			continue;
		if (!text)
			text = ug_load_text(path, &len);
		if (text && !memcmp(text, f->before, f->before_len))
			return i;
	}
	return SIZE_MAX;
}

static int add_place(struct tree *t, const char *path, size_t file)
{
	struct place *p;

	ug_vec_for_each(&t->places, known) {
		if (!strcmp(known->path, path))
			return 0;
	}
	p = ug_vec_add(&t->places);
	if (!p)
		return no_memory(t);
	p->file = file;
	p->path = strdup(path);
	return p->path ? 0 : no_memory(t);
}

static int look_at_job(struct tree *t, size_t i)
{
	struct ug_job *job = &t->jobs.v[i];
	bool affected = false;
	int rc;

	ug_vec_for_each(&job->reads, r) {
		size_t f = file_of(t, *r);

		if (f == SIZE_MAX)
			continue;
		affected = true;
		t->files.v[f].is_read = true;
		rc = add_place(t, *r, f);
		if (rc < 0)
			return rc;
	}
	if (affected) {
		size_t *slot = ug_vec_add(&t->affected);

		if (!slot)
			return no_memory(t);
		*slot = i;
	}
	return 0;
}

static bool is_ignored(const struct tree *t, const char *name)
{
	for (size_t i = 0; i < t->opts->nignore; i++) {
		if (!strcmp(t->opts->ignore[i], name))
			return true;
	}
	return false;
}

/* New files can be read only by what is affected, after the change. */
static int check_read(struct tree *t)
{
	ug_vec_for_each(&t->files, f) {
		if (f->is_read || is_ignored(t, f->name))
			continue;
		if (!ug_finding_add(&t->report->findings, UG_REASON_UNREAD, f->name, 0, "%s", f->name))
			return no_memory(t);
		return ug_err(t->err, -UG_E_DIFF, "no compile of the build has read %s; see 'ugraft "
			      "build --explain=UNREAD'", f->name);
	}
	return 0;
}

static int ask_jobs(struct tree *t, const size_t *which, size_t n)
{
	ug_autofree struct ug_job **jobs = calloc(n + 1, sizeof(struct ug_job *));

	if (!jobs)
		return no_memory(t);
	for (size_t i = 0; i < n; i++)
		jobs[i] = &t->jobs.v[which ? which[i] : i];
	return ug_jobs_find_reads(&t->box, jobs, n, t->err);
}

static int find_affected(struct tree *t)
{
	uint64_t start = ug_now_ns();
	int rc = ask_jobs(t, NULL, t->jobs.n);

	for (size_t i = 0; i < t->jobs.n && rc == 0; i++)
		rc = look_at_job(t, i);
	if (rc < 0)
		return rc;
	return ug_note(t, "%zu of them read what the diff changes (found in %.1f s)", t->affected.n,
		       (double)(ug_now_ns() - start) / 1e9);
}

/* ---- before and after ---- */

static int replay(struct tree *t, const char *which)
{
	for (size_t i = 0; i < t->affected.n; i++) {
		ug_autofree char *object = NULL;
		int rc;

		if (asprintf(&object, "%s/%zu.%s.o", t->box.work, i, which) < 0) {
			object = NULL;
			return no_memory(t);
		}
		rc = ug_job_replay(&t->box, &t->jobs.v[t->affected.v[i]], object, t->err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int write_text(struct tree *t, const char *path, const char *text, size_t len)
{
	ug_autofclose FILE *f = NULL;

	unlink(path);			/* it may be a link to another copy */
	f = fopen(path, "we");
	if (!f || fwrite(text, 1, len, f) != len)
		return ug_err_errno(t->err, "cannot write %s", path);
	return 0;
}

static int change_place(struct tree *t, const char *path, const struct ug_source_file *f)
{
	ug_autofree char *text = NULL;
	size_t len;

	if (!f->after)
		return unlink(path) < 0 && errno != ENOENT ?
		       ug_err_errno(t->err, "cannot remove %s", path) : 0;
	text = f->before ? ug_neutral(f->before, f->after, &len) : NULL;
	if (f->before && !text)
		return no_memory(t);
	return write_text(t, path, text ? text : f->after, text ? len : f->after_len);
}

static int restore_place(struct tree *t, const char *path, const struct ug_source_file *f)
{
	if (!f->before)
		return unlink(path) < 0 && errno != ENOENT ?
		       ug_err_errno(t->err, "cannot remove %s", path) : 0;
	return write_text(t, path, f->before, f->before_len);
}

typedef int (*place_fn)(struct tree *t, const char *path, const struct ug_source_file *f);

static int each_place(struct tree *t, place_fn fn)
{
	ug_vec_for_each(&t->places, p) {
		int rc = fn(t, p->path, &t->files.v[p->file]);

		if (rc < 0)
			return rc;
	}
	ug_vec_for_each(&t->files, f) {
		char path[PATH_MAX];
		int rc = 0;

		snprintf(path, sizeof(path), "%s/%s", t->box.tree, f->name);
		if (!f->before)
			rc = fn(t, path, f);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Which new files were read? */
static int look_again(struct tree *t)
{
	bool any = false;
	int rc;

	ug_vec_for_each(&t->files, f)
		any |= !f->before;
	rc = any ? ask_jobs(t, t->affected.v, t->affected.n) : 0;
	if (rc < 0)
		return rc;
	for (size_t i = 0; any && i < t->affected.n; i++) {
		ug_vec_for_each(&t->jobs.v[t->affected.v[i]].reads, r) {
			size_t f = file_of(t, *r);

			if (f != SIZE_MAX)
				t->files.v[f].is_read = true;
		}
	}
	return 0;
}

static int make_pairs(struct tree *t)
{
	for (size_t i = 0; i < t->affected.n; i++) {
		struct ug_object_pair *p = ug_vec_add(&t->pairs);
		char *before, *after;

		if (!p || asprintf(&before, "%s/%zu.before.o", t->box.work, i) < 0)
			return no_memory(t);
		p->before = before;
		if (asprintf(&after, "%s/%zu.after.o", t->box.work, i) < 0)
			return no_memory(t);
		p->after = after;
		p->source = t->jobs.v[t->affected.v[i]].source;
	}
	return 0;
}

static int compare_versions(struct tree *t)
{
	uint64_t start = ug_now_ns();
	int rc, back;

	rc = replay(t, "before");
	if (rc == 0)
		rc = ug_stage_set(&t->box, UG_STAGE_COPY, t->err);
	if (rc == 0)
		rc = each_place(t, change_place);
	if (rc == 0)
		rc = replay(t, "after");
	if (rc == 0)
		rc = look_again(t);
	back = each_place(t, restore_place);
	if (back == 0)
		back = ug_stage_set(&t->box, UG_STAGE_BUILD, t->err);
	if (rc == 0)
		rc = back;
	if (rc == 0)
		rc = check_read(t);
	if (rc == 0)
		rc = ug_note(t, "compiled before and after in %.1f s",
			     (double)(ug_now_ns() - start) / 1e9);
	return rc < 0 ? rc : make_pairs(t);
}

/* Old files of the diff nobody read: known before anything is compiled again. */
static int check_old_read(struct tree *t)
{
	size_t n = t->files.n;
	int rc;

	ug_vec_for_each(&t->files, f)
		f->is_read |= !f->before;
	rc = check_read(t);
	for (size_t i = 0; i < n; i++)
		t->files.v[i].is_read &= t->files.v[i].before != NULL;
	return rc;
}

/* ---- all of it ---- */

static int prepare(struct tree *t)
{
	const struct ug_build_tree_opts *o = t->opts;
	bool reuse = o->from > UG_STAGE_COPY;
	int rc;

	rc = ug_sandbox_open(&t->box, &(struct ug_sandbox_opts){
		.src = o->src, .work = o->work, .root = o->root, .path = o->path, .reuse = reuse },
		t->err);
	t->box.keep |= o->keep;
	if (rc == 0)
		rc = reuse ? ug_stage_check(&t->box, (enum ug_build_stage)o->from, t->err) :
			     ug_stage_set(&t->box, UG_STAGE_COPY, t->err);
	if (rc == 0)
		rc = ug_stage_forget(&t->box, t->err);
	return rc < 0 ? rc : ug_sources_make(&t->box, o->diffs, o->ndiffs, &t->files, t->err);
}

static int build_plain(struct tree *t)
{
	int rc = 0;

	if (t->opts->from > UG_STAGE_BUILD)
		return 0;
	if (t->opts->from == UG_STAGE_BUILD)
		rc = ug_stage_set(&t->box, UG_STAGE_COPY, t->err);
	if (rc == 0)
		rc = run_build(t);
	return rc < 0 ? rc : ug_stage_set(&t->box, UG_STAGE_BUILD, t->err);
}

static int compare_and_make(struct tree *t)
{
	int rc;

	rc = read_jobs(t);
	if (rc == 0)
		rc = find_affected(t);
	if (rc == 0)
		rc = check_old_read(t);
	if (rc == 0)
		rc = compare_versions(t);
	if (rc == 0)
		rc = ug_build_for_targets(&(struct ug_for_targets){
			.opts = t->opts, .tree = t->box.tree, .work = t->box.work,
			.pairs = t->pairs.v, .npairs = t->pairs.n }, t->report, t->err);
	return rc;
}

static int run(struct tree *t)
{
	int to = t->opts->to ? t->opts->to : UG_STAGE_PATCH, rc;

	rc = prepare(t);
	if (rc == 0 && to >= UG_STAGE_BUILD)
		rc = build_plain(t);
	t->report->stopped = to < UG_STAGE_PATCH;
	if (rc == 0 && to >= UG_STAGE_PATCH)
		rc = compare_and_make(t);
	if (t->box.keep && t->box.work)
		ug_ignore(ug_note(t, "kept: %s", t->box.work));
	return rc;
}

int ug_build_tree(const struct ug_build_tree_opts *opts, struct ug_patch_report *report,
		  struct ug_error *err)
{
	struct tree t = { .opts = opts, .report = report, .err = err };
	int rc;

	memset(report, 0, sizeof(*report));
	rc = run(&t);
	ug_vec_for_each(&t.pairs, p) {
		free((char *)(uintptr_t)p->before);
		free((char *)(uintptr_t)p->after);
	}
	ug_vec_for_each(&t.places, p)
		free(p->path);
	ug_vec_free(&t.places);
	ug_vec_free(&t.pairs);
	ug_vec_free(&t.affected);
	ug_jobs_free(&t.jobs);
	ug_sources_free(&t.files);
	ug_sandbox_close(&t.box);
	return rc;
}
