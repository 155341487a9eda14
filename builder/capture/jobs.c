// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/capture/capture.h"

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

static bool in_list(const char *s, const char *const *list)
{
	for (; *list; list++) {
		if (!strcmp(s, *list))
			return true;
	}
	return false;
}

static bool is_source(const char *s)
{
	static const char *const ends[] = { ".c", ".cc", ".cpp", ".cxx", ".C", ".i", ".S", ".s" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (s[0] != '-' && ends_with(s, ends[i]))
			return true;
	}
	return false;
}

/* What else a line with -c may not carry over: what it writes beside the object. */
static bool is_dropped(const char *s)
{
	static const char *const words[] = { "-c", "-MD", "-MMD", "-MP", "-MG", "-pipe", "-save-temps",
					     "-v", "-###", "-shared", "-pie", "-static", NULL };

	return in_list(s, words) || !strncmp(s, "-save-temps=", 12) || !strncmp(s, "-Wl,", 4) ||
	       !strncmp(s, "-Wp,-M", 6) || !strncmp(s, "-l", 2) || !strncmp(s, "-L", 2) ||
	       (s[0] != '-' && (ends_with(s, ".o") || ends_with(s, ".a") || ends_with(s, ".lo") ||
				ends_with(s, ".la") || ends_with(s, ".so")));
}

static bool is_dropped_pair(const char *s)
{
	static const char *const words[] = { "-MF", "-MT", "-MQ", "-o", "-Xlinker", "-T", NULL };

	return in_list(s, words);
}

static bool is_pair(const char *s)
{
	static const char *const words[] = {
		"-I", "-D", "-U", "-include", "-imacros", "-isystem", "-iquote", "-idirafter",
		"-iprefix", "-isysroot", "-x", "-u", "-z", "-e", "-A", "--param", "-aux-info",
		"-Xpreprocessor", "-Xassembler", "-Xclang", "-target", "-mllvm", NULL
	};

	return in_list(s, words);
}

/* Only what makes objects: no preprocessing, no queries. */
static bool is_compile(const struct ug_record *r)
{
	static const char *const never[] = { "-E", "-S", "-M", "-MM", "-fsyntax-only", "--version",
					     "-dumpversion", "-dumpmachine", NULL };
	bool source = false;

	for (size_t i = 2; i < r->strings.n; i++) {
		const char *s = r->strings.v[i];

		if (in_list(s, never))
			return false;
		source |= is_source(s);
	}
	return source;
}

static int split_args(const struct ug_record *r, ug_string_vec *args, const char **output, bool *compile_only)
{
	for (size_t i = 2; i < r->strings.n; i++) {
		const char *s = r->strings.v[i], *next = i + 1 < r->strings.n ? r->strings.v[i + 1] : "";

		*compile_only |= !strcmp(s, "-c");
		if (is_dropped_pair(s)) {
			if (!strcmp(s, "-o"))
				*output = next;
			i++;
			continue;
		}
		if (!strncmp(s, "-o", 2) && s[2]) {
			*output = s + 2;
			continue;
		}
		if (is_source(s) || is_dropped(s))
			continue;
		if (!ug_strings_add(args, "%s", s))
			return -ENOMEM;
		if (is_pair(s) && i + 1 < r->strings.n) {
			i++;
			if (!ug_strings_add(args, "%s", next))
				return -ENOMEM;
		}
	}
	return 0;
}

static char *object_name(const char *source, const char *output, bool compile_only)
{
	const char *base = strrchr(source, '/') ? strrchr(source, '/') + 1 : source;
	const char *dot = strrchr(base, '.');
	char *s;

	if (compile_only && output[0])
		return strdup(output);
	return asprintf(&s, "%.*s.o", (int)(dot - base), base) < 0 ? NULL : s;
}

static int add_job(const struct ug_record *r, const char *source, const ug_string_vec *args,
		   const char *output, bool compile_only, ug_job_vec *ret)
{
	struct ug_job *j = ug_vec_add(ret);

	if (!j)
		return -ENOMEM;
	j->cwd = strdup(r->strings.v[0]);
	j->compiler = strdup(r->strings.v[1]);
	j->source = strdup(source);
	j->object = object_name(source, output, compile_only);
	if (!j->cwd || !j->compiler || !j->source || !j->object)
		return -ENOMEM;
	ug_vec_for_each(args, a) {
		if (!ug_strings_add(&j->args, "%s", *a))
			return -ENOMEM;
	}
	return 0;
}

/* Sources that are gone by now were tests of configure. */
static bool still_there(const struct ug_sandbox *s, const struct ug_record *r, const char *source)
{
	ug_autofree char *host = ug_sandbox_host(s, r->strings.v[0], source);

	return host && access(host, R_OK) == 0;
}

static int add_record(const struct ug_record *r, const struct ug_sandbox *s, ug_job_vec *ret)
{
	ug_string_vec args = { 0 };
	const char *output = "";
	bool compile_only = false;
	int rc;

	if (r->strings.n < 3 || !is_compile(r))
		return 0;
	rc = split_args(r, &args, &output, &compile_only);
	for (size_t i = 2; i < r->strings.n && rc == 0; i++) {
		const char *source = r->strings.v[i];

		if (i > 2 && (is_pair(r->strings.v[i - 1]) || is_dropped_pair(r->strings.v[i - 1])))
			continue;
		if (is_source(source) && still_there(s, r, source))
			rc = add_job(r, source, &args, output, compile_only, ret);
	}
	ug_strings_free(&args);
	return rc;
}

static void free_job(struct ug_job *j)
{
	free(j->cwd);
	free(j->compiler);
	free(j->source);
	free(j->object);
	ug_strings_free(&j->args);
	ug_strings_free(&j->reads);
}

/* An object made twice: the last one counts. */
static void drop_older(ug_job_vec *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++) {
		bool again = false;

		for (size_t j = i + 1; j < v->n && !again; j++)
			again = !strcmp(v->v[i].cwd, v->v[j].cwd) &&
				!strcmp(v->v[i].object, v->v[j].object) &&
				!strcmp(v->v[i].source, v->v[j].source);
		if (again)
			free_job(&v->v[i]);
		else
			v->v[n++] = v->v[i];
	}
	v->n = n;
}

int ug_jobs_make(const ug_record_vec *records, const struct ug_sandbox *s, ug_job_vec *ret,
		 struct ug_error *err)
{
	ug_vec_for_each(records, r) {
		if (add_record(r, s, ret) < 0)
			return ug_err(err, -ENOMEM, "out of memory");
	}
	drop_older(ret);
	return 0;
}

void ug_jobs_free(ug_job_vec *v)
{
	ug_vec_for_each(v, j)
		free_job(j);
	ug_vec_free(v);
}

/* ---- running them ---- */

typedef UG_VEC(const char *) argv_vec;

static bool add_word(argv_vec *v, const char *word)
{
	const char **slot = ug_vec_add(v);

	if (slot)
		*slot = word;
	return slot != NULL;
}

static int start_job(const struct ug_sandbox *s, const struct ug_job *job, const char *const *extra,
		     const char *output, const char *stdout_only, pid_t *pid, struct ug_error *err)
{
	static const char *const epoch[] = { "SOURCE_DATE_EPOCH=1", NULL };
	argv_vec argv = { 0 };
	bool ok = add_word(&argv, job->compiler);
	int rc;

	ug_vec_for_each(&job->args, a)
		ok &= add_word(&argv, *a);
	for (; *extra; extra++)
		ok &= add_word(&argv, *extra);
	ok &= add_word(&argv, NULL);
	rc = ok ? ug_sandbox_start(s, &(struct ug_run){ .argv = argv.v, .cwd = job->cwd, .output = output,
				   .stdout_only = stdout_only,
				   .env = getenv("SOURCE_DATE_EPOCH") ? NULL : epoch }, pid, err) :
		  ug_err(err, -ENOMEM, "out of memory");
	ug_vec_free(&argv);
	return rc;
}

/* "x: a.c b.h \" as make reads it; blanks in names are escaped. */
static int parse_reads(const struct ug_sandbox *s, struct ug_job *job, char *text)
{
	char *p = strstr(text, ": ");

	for (p = p ? p + 2 : text + strlen(text); *p;) {
		char name[4096], *host;
		size_t n = 0;

		while (*p == ' ' || *p == '\n' || (*p == '\\' && p[1] == '\n'))
			p++;
		while (*p && *p != ' ' && *p != '\n' && n < sizeof(name) - 1) {
			if (*p == '\\' && (p[1] == ' ' || p[1] == '#'))
				p++;
			name[n++] = *p++;
		}
		name[n] = 0;
		if (!n)
			continue;
		host = ug_sandbox_host(s, job->cwd, name);
		if (!host || !ug_strings_add(&job->reads, "%s", host)) {
			free(host);
			return -ENOMEM;
		}
		free(host);
	}
	return 0;
}

/* One compiler that is asked. */
struct question {
	struct ug_job *job;
	char *out;			/* its answer */
	pid_t pid;			/* 0: not started */
};

static int ask(const struct ug_sandbox *s, struct question *q, size_t n, struct ug_error *err)
{
	const char *extra[] = { "-w", "-M", "-MT", "x", q->job->source, NULL };

	if (asprintf(&q->out, "%s/reads.%zu", s->work, n) < 0) {
		q->out = NULL;
		return ug_err(err, -ENOMEM, "out of memory");
	}
	unlink(q->out);
	ug_strings_free(&q->job->reads);
	return start_job(s, q->job, extra, "/dev/null", q->out, &q->pid, err);
}

/* Waits even when an earlier one has failed: rc, or the error of this one. */
static int answer(const struct ug_sandbox *s, struct question *q, int rc, struct ug_error *err)
{
	ug_autofree char *text = NULL;
	int status, got;
	size_t n;

	got = q->pid > 0 ? ug_sandbox_wait(q->pid, &status, rc < 0 ? NULL : err) : 0;
	if (rc == 0 && got < 0)
		rc = got;
	text = rc == 0 && q->pid > 0 ? ug_load_text(q->out, &n) : NULL;
	if (q->out)
		unlink(q->out);
	free(q->out);
	if (rc < 0)
		return rc;
	if (status || !text)
		return ug_err(err, -UG_E_COMPILE, "the compiler does not say what %s reads (status %d)",
			      q->job->source, status);
	return parse_reads(s, q->job, text) < 0 ? ug_err(err, -ENOMEM, "out of memory") : 0;
}

#define AT_ONCE 8

int ug_jobs_find_reads(const struct ug_sandbox *s, struct ug_job *const *jobs, size_t n,
		       struct ug_error *err)
{
	for (size_t i = 0; i < n; i += AT_ONCE) {
		struct question q[AT_ONCE] = { 0 };
		size_t m = n - i < AT_ONCE ? n - i : AT_ONCE;
		int rc = 0;

		for (size_t j = 0; j < m && rc == 0; j++) {
			q[j].job = jobs[i + j];
			rc = ask(s, &q[j], j, err);
		}
		for (size_t j = 0; j < m; j++)
			rc = answer(s, &q[j], rc, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int compile_failed(const struct ug_job *job, const char *log, int status, struct ug_error *err)
{
	ug_autofree char *text = NULL;
	const char *at;
	size_t n;

	text = ug_load_text(log, &n);
	at = text ? strstr(text, "error:") : NULL;
	while (at && at > text && at[-1] != '\n')
		at--;
	if (!at)
		return ug_err(err, -UG_E_COMPILE, "compiling %s again failed with status %d", job->source,
			      status);
	return ug_err(err, -UG_E_COMPILE, "compiling %s again failed: %.*s", job->source,
		      (int)strcspn(at, "\n"), at);
}

int ug_job_replay(const struct ug_sandbox *s, const struct ug_job *job, const char *object,
		  struct ug_error *err)
{
	const char *extra[] = { "-g", "-gno-split-dwarf", "-ffunction-sections", "-fdata-sections",
				"-Wno-error", "-c", "-o", object, job->source, NULL };
	ug_autofree char *log = NULL;
	int rc, status;
	pid_t pid;

	if (asprintf(&log, "%s/replay.log", s->work) < 0) {
		log = NULL;
		return ug_err(err, -ENOMEM, "out of memory");
	}
	unlink(log);
	rc = start_job(s, job, extra, log, NULL, &pid, err);
	if (rc == 0)
		rc = ug_sandbox_wait(pid, &status, err);
	if (rc < 0)
		return rc;
	return status ? compile_failed(job, log, status, err) : 0;
}
