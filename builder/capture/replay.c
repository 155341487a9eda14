// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Single compiles done again, several at a time, and what a compile reads: from the file the
 * wrapper has recorded, or by asking the compiler.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/capture/capture.h"
#include "builder/capture/wrapper.h"

typedef UG_VEC(const char *) argv_vec;

static bool add_word(argv_vec *v, const char *word)
{
	const char **slot = ug_vec_add(v);

	if (slot)
		*slot = word;
	return slot != NULL;
}

/* The variables it was compiled with; without one for the time, one that stands still. */
static bool make_env(const struct ug_job *job, argv_vec *env)
{
	bool ok = true, epoch = getenv("SOURCE_DATE_EPOCH") != NULL;

	ug_vec_for_each(&job->env, e) {
		epoch |= !strncmp(*e, "SOURCE_DATE_EPOCH=", 18);
		if (strcmp(*e, "SOURCE_DATE_EPOCH"))
			ok &= add_word(env, *e);
	}
	if (!epoch)
		ok &= add_word(env, "SOURCE_DATE_EPOCH=1");
	return ok && add_word(env, NULL);
}

static int start_job(const struct ug_sandbox *s, const struct ug_job *job, const char *const *extra,
		     const char *output, const char *stdout_only, pid_t *pid, struct ug_error *err)
{
	argv_vec argv = { 0 }, env = { 0 };
	bool ok = add_word(&argv, job->compiler) && make_env(job, &env);
	int rc;

	ug_vec_for_each(&job->args, a)
		ok &= add_word(&argv, *a);
	for (; *extra; extra++)
		ok &= add_word(&argv, *extra);
	ok &= add_word(&argv, NULL);
	rc = ok ? ug_sandbox_start(s, &(struct ug_run){ .argv = argv.v, .cwd = job->cwd, .output = output,
				   .stdout_only = stdout_only, .env = env.v }, pid, err) :
		  ug_err(err, -ENOMEM, "out of memory");
	ug_vec_free(&argv);
	ug_vec_free(&env);
	return rc;
}

/* ---- several at a time ---- */

struct task {
	struct ug_job *job;
	char *out;			/* what it writes; owned */
	pid_t pid;			/* 0: not running */
	size_t number;
};

struct work {
	const struct ug_sandbox *s;
	int (*start)(const struct work *w, struct task *t, struct ug_error *err);
	int (*finish)(const struct work *w, struct task *t, int status, struct ug_error *err);
	const char *which;		/* replay: "before" or "after" */
	bool deps;			/* replay: what they read, too */
};

/* Waits even when an earlier one has failed: rc, or the error of this one. */
static int end_task(const struct work *w, struct task *t, int rc, struct ug_error *err)
{
	int status = 0, got;

	if (t->pid > 0) {
		got = ug_sandbox_wait(t->pid, &status, rc < 0 ? NULL : err);
		rc = rc < 0 ? rc : got;
		if (rc == 0)
			rc = w->finish(w, t, status, err);
	}
	free(t->out);
	*t = (struct task){ 0 };
	return rc;
}

#define AT_ONCE 16

static int do_all(const struct work *w, struct ug_job *const *jobs, size_t n, struct ug_error *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t width = cpus < 1 ? 2 : cpus >= AT_ONCE ? AT_ONCE : (size_t)cpus + 1;
	struct task tasks[AT_ONCE] = { 0 };
	int rc = 0;

	for (size_t i = 0; i < n + width; i++) {
		struct task *t = &tasks[i % width];

		rc = end_task(w, t, rc, err);
		if (i >= n || rc < 0)
			continue;
		*t = (struct task){ .job = jobs[i], .number = i };
		rc = w->start(w, t, err);
	}
	return rc;
}

/* ---- what a compile reads ---- */

static int add_read(struct ug_job *job, const char *name)
{
	const char *slash = name[0] == '/' ? "" : "/";

	return ug_strings_add(&job->reads, "%s%s%s", slash[0] ? job->cwd : "", slash, name) ? 0 : -ENOMEM;
}

/* "x: a.c b.h \" as make reads it; blanks in names are escaped. Targets are left out. */
static int parse_reads(struct ug_job *job, const char *p)
{
	while (*p) {
		char name[4096];
		size_t n = 0;

		while (*p == ' ' || *p == '\n' || (*p == '\\' && p[1] == '\n'))
			p++;
		while (*p && *p != ' ' && *p != '\n' && n < sizeof(name) - 1) {
			if ((*p == '\\' && (p[1] == ' ' || p[1] == '#')) || (*p == '$' && p[1] == '$'))
				p++;
			name[n++] = *p++;
		}
		name[n] = 0;
		if (!n || name[n - 1] == ':')
			continue;
		if (add_read(job, name) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int take_reads(struct ug_job *job, const char *text, struct ug_error *err)
{
	ug_strings_free(&job->reads);
	return add_read(job, job->source) < 0 || parse_reads(job, text) < 0 ?
	       ug_err(err, -ENOMEM, "out of memory") : 0;
}

static int start_question(const struct work *w, struct task *t, struct ug_error *err)
{
	const char *extra[] = { "-w", "-M", "-MT", "x", t->job->source, NULL };

	if (asprintf(&t->out, "%s/reads.%zu", w->s->work, t->number) < 0) {
		t->out = NULL;
		return ug_err(err, -ENOMEM, "out of memory");
	}
	unlink(t->out);
	return start_job(w->s, t->job, extra, "/dev/null", t->out, &t->pid, err);
}

static int finish_question(const struct work *w, struct task *t, int status, struct ug_error *err)
{
	ug_autofree char *text = NULL;
	size_t n;

	text = ug_load_text(t->out, &n);
	unlink(t->out);
	if (status || !text)
		return ug_err(err, -UG_E_COMPILE, "the compiler does not say what %s reads (status %d)",
			      t->job->source, status);
	return take_reads(t->job, text, err);
}

/* clang's list has no source, and nothing is escaped. */
static int take_lines(struct ug_job *job, char *text, struct ug_error *err)
{
	char *save = NULL;
	int rc = add_read(job, job->source);

	for (char *l = strtok_r(text, "\n", &save); l && rc == 0; l = strtok_r(NULL, "\n", &save))
		rc = add_read(job, l);
	return rc < 0 ? ug_err(err, rc, "out of memory") : 0;
}

/* What the wrapper has recorded; false: nothing. */
static bool recorded(struct ug_job *job, int *rc, struct ug_error *err)
{
	ug_autofree char *text = NULL, *lines = NULL, *path = NULL;
	size_t n = 0, nlines = 0;

	text = job->deps ? ug_load_text(job->deps, &n) : NULL;
	if (text && n) {
		*rc = take_reads(job, text, err);
		return true;
	}
	if (!text || asprintf(&path, "%s" UG_RECORD_LINES, job->deps) < 0) {
		path = NULL;
		return false;
	}
	lines = ug_load_text(path, &nlines);
	if (lines && nlines)
		*rc = take_lines(job, lines, err);
	return lines && nlines;
}

int ug_jobs_find_reads(const struct ug_sandbox *s, ug_job_vec *jobs, size_t *ret_asked,
		       struct ug_error *err)
{
	const struct work w = { .s = s, .start = start_question, .finish = finish_question };
	ug_autofree struct ug_job **ask = calloc(jobs->n + 1, sizeof(*ask));
	int rc = ask ? 0 : ug_err(err, -ENOMEM, "out of memory");

	*ret_asked = 0;
	for (size_t i = 0; i < jobs->n && rc == 0; i++) {
		if (!recorded(&jobs->v[i], &rc, err))
			ask[(*ret_asked)++] = &jobs->v[i];
	}
	return rc < 0 ? rc : do_all(&w, ask, *ret_asked, err);
}

/* ---- compiling again ---- */

static int start_replay(const struct work *w, struct task *t, struct ug_error *err)
{
	ug_autofree char *object = NULL, *deps = NULL;
	const char *extra[] = { "-g", "-gno-split-dwarf", "-ffunction-sections", "-fdata-sections",
				"-Wno-error", "-c", "-o", NULL, t->job->source, NULL, "-MF", NULL,
				"-MT", "x", NULL };

	object = ug_replay_object(w->s, t->number, w->which);
	if (!object || asprintf(&deps, "%s/%zu.deps", w->s->work, t->number) < 0 ||
	    asprintf(&t->out, "%s/%zu.log", w->s->work, t->number) < 0) {
		t->out = NULL;
		return ug_err(err, -ENOMEM, "out of memory");
	}
	unlink(t->out);
	extra[7] = object;
	extra[9] = w->deps ? "-MD" : NULL;
	extra[11] = deps;
	return start_job(w->s, t->job, extra, t->out, NULL, &t->pid, err);
}

static int replay_failed(const struct task *t, int status, struct ug_error *err)
{
	ug_autofree char *text = NULL;
	const char *at;
	size_t n;

	text = ug_load_text(t->out, &n);
	at = text ? strstr(text, "error:") : NULL;
	while (at && at > text && at[-1] != '\n')
		at--;
	if (!at)
		return ug_err(err, -UG_E_COMPILE, "compiling %s again failed with status %d",
			      t->job->source, status);
	return ug_err(err, -UG_E_COMPILE, "compiling %s again failed: %.*s", t->job->source,
		      (int)strcspn(at, "\n"), at);
}

static int finish_replay(const struct work *w, struct task *t, int status, struct ug_error *err)
{
	ug_autofree char *text = NULL, *deps = NULL;
	size_t n;

	if (status)
		return replay_failed(t, status, err);
	unlink(t->out);
	if (!w->deps)
		return 0;
	if (asprintf(&deps, "%s/%zu.deps", w->s->work, t->number) < 0) {
		deps = NULL;
		return ug_err(err, -ENOMEM, "out of memory");
	}
	text = ug_load_text(deps, &n);
	unlink(deps);
	return text ? take_reads(t->job, text, err) : 0;
}

char *ug_replay_object(const struct ug_sandbox *s, size_t i, const char *which)
{
	char *path;

	return asprintf(&path, "%s/%zu.%s.o", s->work, i, which) < 0 ? NULL : path;
}

int ug_jobs_replay(const struct ug_sandbox *s, struct ug_job *const *jobs, size_t n, const char *which,
		   bool find_reads, struct ug_error *err)
{
	const struct work w = { .s = s, .start = start_replay, .finish = finish_replay, .which = which,
				.deps = find_reads };

	return do_all(&w, jobs, n, err);
}
