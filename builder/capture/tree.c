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
	struct ug_readers readers;
	struct ug_job **affected;	/* those of readers */
	UG_VEC(struct ug_object_pair) pairs;
	ug_string_vec *flags;		/* of each of them */
};

static int no_memory(struct tree *t)
{
	return ug_err(t->err, -ENOMEM, "out of memory");
}

/* Seconds since *start; that becomes now. */
static double lap(uint64_t *start)
{
	uint64_t now = ug_now_ns();
	double seconds = (double)(now - *start) / 1e9;

	*start = now;
	return seconds;
}

/* ---- the plain build ---- */

/* Without the NULL at its end. */
static void free_list(ug_string_vec *v)
{
	if (v->n && !v->v[v->n - 1])
		v->n--;
	ug_strings_free(v);
}

static int build_failed(struct tree *t, int status, const char *log)
{
	t->box.keep = true;
	return ug_err(t->err, -UG_E_COMPILE, "the build failed with status %d; its output is in %s",
		      status, log);
}

static int run_build(struct tree *t)
{
	ug_string_vec env = { 0 }, command = { 0 };
	ug_autofree char *log = NULL;
	uint64_t start = ug_now_ns();
	int rc, status = 0;

	rc = ug_record_prepare(&t->box, t->opts->wrapper, t->opts->command, t->opts->from == UG_STAGE_BUILD,
			       &env, &command, t->err);
	if (rc == 0 && asprintf(&log, "%s/build.log", t->box.work) < 0) {
		log = NULL;
		rc = no_memory(t);
	}
	if (rc == 0)
		rc = ug_sandbox_run(&t->box, &(struct ug_run){
			.argv = (const char *const *)command.v, .output = log,
			.env = (const char *const *)env.v }, &status, t->err);
	free_list(&env);
	free_list(&command);
	t->report->times.build = lap(&start);
	if (rc < 0)
		return rc;
	return status ? build_failed(t, status, log) :
	       ug_note(t, "built in %.1f s", t->report->times.build);
}

static int read_records(struct tree *t, ug_record_vec *records)
{
	return t->opts->database ? ug_database_read(&t->box, t->opts->database, t->opts->src, records, t->err) :
	       ug_record_read(&t->box, records, t->err);
}

static int read_jobs(struct tree *t)
{
	ug_record_vec records = { 0 };
	int rc = read_records(t, &records);

	if (rc == 0)
		rc = ug_jobs_make(&records, &t->box, &t->jobs, t->err);
	ug_records_free(&records);
	if (rc < 0)
		return rc;
	if (!t->jobs.n)
		return ug_err(t->err, -UG_E_DIFF, "the build compiled nothing: was the tree built before "
			      "(put 'make clean' first), does it call a compiler by a path of its own?");
	return ug_note(t, "%zu compiles recorded", t->jobs.n);
}

/* ---- who read what ---- */

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

static int find_affected(struct tree *t)
{
	uint64_t start = ug_now_ns();
	size_t asked, n;
	int rc = ug_jobs_find_reads(&t->box, &t->jobs, &asked, t->err);

	if (rc == 0)
		rc = ug_readers_find(&t->box, &t->jobs, &t->files, &t->readers, t->err);
	if (rc < 0)
		return rc;
	n = t->readers.affected.n;
	t->affected = calloc(n + 1, sizeof(struct ug_job *));
	if (!t->affected)
		return no_memory(t);
	for (size_t i = 0; i < n; i++)
		t->affected[i] = &t->jobs.v[t->readers.affected.v[i]];
	t->report->times.readers = lap(&start);
	return ug_note(t, "%zu of them read what the diff changes (found in %.1f s; %zu compilers were asked)",
		    n, t->report->times.readers, asked);
}

/* ---- before and after ---- */

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
	ug_vec_for_each(&t->readers.places, p) {
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

/*
 * A precompiled header keeps what its headers were. gcc does not look whether they have changed:
 * it must not find it.
 */
static int move_headers(struct tree *t, bool away)
{
	ug_vec_for_each(&t->readers.headers, h) {
		ug_autofree char *other = NULL;

		if (asprintf(&other, "%s.ugraft", *h) < 0) {
			other = NULL;
			return no_memory(t);
		}
		if (rename(away ? *h : other, away ? other : *h) < 0 && errno != ENOENT)
			return ug_err_errno(t->err, "cannot rename %s", *h);
	}
	return 0;
}

static int make_pairs(struct tree *t)
{
	size_t n = t->readers.affected.n;

	t->flags = calloc(n + 1, sizeof(*t->flags));
	if (!t->flags)
		return no_memory(t);
	for (size_t i = 0; i < n; i++) {
		struct ug_object_pair *p = ug_vec_add(&t->pairs);

		if (!p || !ug_job_flags(&t->box, t->affected[i], &t->flags[i]) || !ug_vec_add(&t->flags[i]))
			return no_memory(t);
		p->flags = (const char *const *)t->flags[i].v;
		p->nflags = t->flags[i].n - 1;
		p->name = ug_job_source_name(&t->box, t->affected[i]);
		p->before = ug_replay_object(&t->box, i, "before");
		p->after = ug_replay_object(&t->box, i, "after");
		p->source = t->affected[i]->source;
		if (!p->before || !p->after || !p->name)
			return no_memory(t);
	}
	return 0;
}

/* Are there files that only the changed program can read? */
static bool has_new_files(const struct tree *t)
{
	ug_vec_for_each(&t->files, f) {
		if (!f->before)
			return true;
	}
	return false;
}

static int compile_changed(struct tree *t)
{
	bool ask = has_new_files(t);
	size_t n = t->readers.affected.n;
	int rc = each_place(t, change_place);

	if (rc == 0)
		rc = ug_jobs_replay(&t->box, t->affected, n, "after", ask, t->err);
	return rc == 0 && ask ? ug_readers_mark(&t->box, t->affected, n, &t->files, t->err) : rc;
}

static int compile_both(struct tree *t)
{
	int rc, back;

	rc = ug_stage_set(&t->box, UG_STAGE_COPY, t->err);
	if (rc == 0)
		rc = move_headers(t, true);
	if (rc == 0)
		rc = ug_jobs_replay(&t->box, t->affected, t->readers.affected.n, "before", false, t->err);
	if (rc == 0)
		rc = compile_changed(t);
	back = each_place(t, restore_place);
	if (back == 0)
		back = move_headers(t, false);
	if (back == 0)
		back = ug_stage_set(&t->box, UG_STAGE_BUILD, t->err);
	return rc < 0 ? rc : back;
}

static int compare_versions(struct tree *t)
{
	uint64_t start = ug_now_ns();
	int rc = compile_both(t);

	t->report->times.compile = lap(&start);
	if (rc == 0)
		rc = check_read(t);
	if (rc == 0)
		rc = ug_note(t, "compiled before and after in %.1f s", t->report->times.compile);
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
	uint64_t start = ug_now_ns();
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
	if (rc == 0)
		rc = ug_sources_make(&t->box, o->diffs, o->ndiffs, &t->files, t->err);
	t->report->times.copy = lap(&start);
	return rc;
}

static int build_plain(struct tree *t)
{
	int rc = 0;

	if (t->opts->from > UG_STAGE_BUILD)
		return 0;
	if (t->opts->from == UG_STAGE_BUILD)
		rc = ug_stage_set(&t->box, UG_STAGE_COPY, t->err);
	if (rc == 0 && !t->opts->database)
		rc = run_build(t);
	return rc < 0 ? rc : ug_stage_set(&t->box, UG_STAGE_BUILD, t->err);
}

static int compare_and_make(struct tree *t)
{
	uint64_t start;
	int rc;

	rc = read_jobs(t);
	if (rc == 0)
		rc = find_affected(t);
	if (rc == 0)
		rc = check_old_read(t);
	if (rc == 0)
		rc = compare_versions(t);
	start = ug_now_ns();
	if (rc == 0)
		rc = ug_build_for_targets(&(struct ug_for_targets){
			.opts = t->opts, .tree = t->box.tree, .work = t->box.work,
			.pairs = t->pairs.v, .npairs = t->pairs.n }, t->report, t->err);
	t->report->times.link = lap(&start);
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

static void free_pairs(struct tree *t)
{
	ug_vec_for_each(&t->pairs, p) {
		free((char *)(uintptr_t)p->before);
		free((char *)(uintptr_t)p->after);
		free((char *)(uintptr_t)p->name);
	}
	for (size_t i = 0; t->flags && i < t->readers.affected.n; i++)
		free_list(&t->flags[i]);
	ug_vec_free(&t->pairs);
	free(t->flags);
}

int ug_build_tree(const struct ug_build_tree_opts *opts, struct ug_patch_report *report,
		  struct ug_error *err)
{
	struct tree t = { .opts = opts, .report = report, .err = err };
	int rc;

	memset(report, 0, sizeof(*report));
	rc = run(&t);
	free_pairs(&t);
	ug_readers_free(&t.readers);
	free(t.affected);
	ug_jobs_free(&t.jobs);
	ug_sources_free(&t.files);
	ug_sandbox_close(&t.box);
	return rc;
}
