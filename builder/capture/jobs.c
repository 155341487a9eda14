// SPDX-License-Identifier: GPL-2.0-or-later
/* Recorded command lines become compiles: one source to one object, and what they have in common. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/capture/capture.h"
#include "builder/capture/wrapper.h"

static bool in_list(const char *s, const char *const *list)
{
	for (; *list; list++) {
		if (!strcmp(s, *list))
			return true;
	}
	return false;
}

/* ---- what an argument is ---- */

enum kind {
	KEPT,			/* and what follows a KEPT_PAIR with it */
	KEPT_PAIR,
	DROPPED,
	DROPPED_PAIR,
	OUTPUT,			/* "-o", or "-oFILE" */
	SOURCE,
};

/* What a line with -c may not carry over: what it writes beside the object, what it links. */
static bool is_dropped(const char *s)
{
	static const char *const words[] = { "-c", "-MD", "-MMD", "-MP", "-MG", "-pipe", "-save-temps",
					     "-v", "-###", "-shared", "-pie", "-static", "-rdynamic",
					     "-static-pie", "-static-libgcc", "-static-libstdc++", NULL };
	static const char *const starts[] = { "-save-temps=", "-Wl,", "-Wp,-MD,", "-Wp,-MMD,", "-l", "-L",
					      "-MF", "-MT", "-MQ", NULL };

	for (size_t i = 0; starts[i]; i++) {
		if (!strncmp(s, starts[i], strlen(starts[i])))
			return true;
	}
	return in_list(s, words);
}

static bool is_library_or_object(const char *s)
{
	static const char *const ends[] = { ".o", ".a", ".lo", ".la", ".so", ".obj" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (ug_ends_with(s, ends[i]))
			return true;
	}
	return strstr(s, ".so.") != NULL;
}

/* any: what follows -x is a source under any name */
static enum kind kind_of(const char *s, bool any)
{
	static const char *const dropped[] = { "-MF", "-MT", "-MQ", "-MJ", "-Xlinker", "-T", "-dumpbase",
					       "-dumpdir", "-dumpbase-ext", "-aux-info", "-L", "-l", NULL };
	static const char *const kept[] = {
		"-I", "-D", "-U", "-B", "-include", "-imacros", "-isystem", "-iquote", "-idirafter",
		"-iprefix", "-isysroot", "-iwithprefix", "-iwithprefixbefore", "-include-pch", "-x",
		"-u", "-z", "-e", "-A", "--param", "-Xpreprocessor", "-Xassembler", "-Xclang",
		"-target", "-mllvm", "-arch", NULL
	};

	if (s[0] != '-')
		return ug_is_source_name(s) ? SOURCE : is_library_or_object(s) ? DROPPED : any ? SOURCE : KEPT;
	if (in_list(s, dropped))
		return DROPPED_PAIR;
	if (!strncmp(s, "-o", 2))
		return OUTPUT;
	return in_list(s, kept) ? KEPT_PAIR : is_dropped(s) ? DROPPED : KEPT;
}

/* Only what makes objects: no preprocessing, no queries. */
static bool is_never(const char *s)
{
	static const char *const never[] = { "-E", "-S", "-M", "-MM", "-fsyntax-only", "--version",
					     "-dumpversion", "-dumpmachine", NULL };

	return in_list(s, never);
}

/* ---- a command line ---- */

struct line {
	ug_string_vec args;
	UG_VEC(const char *) sources;
	const char *output;
	bool compile_only, never;
	bool precompiles;		/* a header: no object */
};

static bool take_pair(struct line *l, const char *s, const char *next)
{
	if (!strcmp(s, "-x") && ug_ends_with(next, "-header"))
		l->precompiles = true;
	/* The source comes last when it is compiled again: this would undo the language. */
	if (!strcmp(s, "-x") && !strcmp(next, "none"))
		return true;
	return ug_strings_add(&l->args, "%s", s) && ug_strings_add(&l->args, "%s", next);
}

/* Returns how many arguments it took; 0: out of memory. */
static size_t take_arg(struct line *l, const char *s, const char *next, bool *any)
{
	const char **source;

	l->compile_only |= !strcmp(s, "-c");
	l->never |= is_never(s);
	if (!strncmp(s, "-x", 2))
		*any = strcmp(s[2] ? s + 2 : next, "none") != 0;
	switch (kind_of(s, *any)) {
	case KEPT:
		return ug_strings_add(&l->args, "%s", s);
	case KEPT_PAIR:
		return take_pair(l, s, next) ? 2 : 0;
	case DROPPED_PAIR:
		return 2;
	case OUTPUT:
		l->output = s[2] ? s + 2 : next;
		return s[2] ? 1 : 2;
	case SOURCE:
		source = ug_vec_add(&l->sources);
		if (source)
			*source = s;
		return source != NULL;
	case DROPPED:
		break;
	}
	return 1;
}

static int read_line(const ug_string_vec *strings, size_t first, struct line *l)
{
	bool any = false;

	for (size_t i = first, took; i < strings->n; i += took) {
		took = take_arg(l, strings->v[i], i + 1 < strings->n ? strings->v[i + 1] : "", &any);
		if (!took)
			return -ENOMEM;
	}
	return 0;
}

/* ---- jobs ---- */

static char *object_name(const char *source, const struct line *l)
{
	const char *base = basename(source);
	const char *dot = strrchr(base, '.');
	char *s;

	if (l->compile_only && l->output)
		return strdup(l->output);
	return asprintf(&s, "%.*s.o", dot ? (int)(dot - base) : (int)strlen(base), base) < 0 ? NULL : s;
}

static bool copy_strings(const ug_string_vec *from, ug_string_vec *to)
{
	ug_vec_for_each(from, s) {
		if (!ug_strings_add(to, "%s", *s))
			return false;
	}
	return true;
}

static int add_job(const struct ug_record *r, size_t compiler, const struct line *l, const char *source,
		   ug_job_vec *ret)
{
	struct ug_job *j = ug_vec_add(ret);

	if (!j)
		return -ENOMEM;
	j->cwd = strdup(r->strings.v[0]);
	j->compiler = strdup(r->strings.v[compiler]);
	j->source = strdup(source);
	j->object = object_name(source, l);
	j->deps = r->deps && r->deps[0] ? strdup(r->deps) : NULL;
	if (!j->cwd || !j->compiler || !j->source || !j->object)
		return -ENOMEM;
	return copy_strings(&l->args, &j->args) && copy_strings(&r->env, &j->env) ? 0 : -ENOMEM;
}

/* Sources and directories that are gone by now were tests of configure. */
static bool still_there(const struct ug_sandbox *s, const struct ug_record *r, const char *source)
{
	ug_autofree char *host = ug_sandbox_host(s, r->strings.v[0], source);
	ug_autofree char *dir = ug_sandbox_host(s, "/", r->strings.v[0]);

	return host && dir && access(host, R_OK) == 0 && access(dir, X_OK) == 0;
}

static int add_record(const struct ug_record *r, const struct ug_sandbox *s, ug_job_vec *ret,
		      bool *precompiled)
{
	struct line l = { 0 };
	size_t compiler = 1;
	int rc;

	if (r->strings.n > 2 && ug_is_launcher(r->strings.v[1]))
		compiler = 2;
	if (r->strings.n < compiler + 2)
		return 0;
	rc = read_line(&r->strings, compiler + 1, &l);
	l.precompiles |= l.output && (ug_ends_with(l.output, ".gch") || ug_ends_with(l.output, ".pch"));
	*precompiled |= l.precompiles;
	for (size_t i = 0; i < l.sources.n && !l.never && !l.precompiles && rc == 0; i++) {
		if (still_there(s, r, l.sources.v[i]))
			rc = add_job(r, compiler, &l, l.sources.v[i], ret);
	}
	ug_strings_free(&l.args);
	ug_vec_free(&l.sources);
	return rc;
}

static void free_job(struct ug_job *j)
{
	free(j->cwd);
	free(j->compiler);
	free(j->source);
	free(j->object);
	free(j->deps);
	ug_strings_free(&j->args);
	ug_strings_free(&j->env);
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

/* The log's order is that of a parallel build: another one each time. */
static int compare_jobs(const void *a, const void *b)
{
	const struct ug_job *x = a, *y = b;
	int rc = strcmp(x->cwd, y->cwd);

	if (!rc)
		rc = strcmp(x->source, y->source);
	return rc ? rc : strcmp(x->object, y->object);
}

/* gcc does not say that it has read a precompiled header, nor what is in it: all are asked. */
static void forget_deps(ug_job_vec *v)
{
	ug_vec_for_each(v, j) {
		free(j->deps);
		j->deps = NULL;
	}
}

int ug_jobs_make(const ug_record_vec *records, const struct ug_sandbox *s, ug_job_vec *ret,
		 struct ug_error *err)
{
	bool precompiled = false;

	ug_vec_for_each(records, r) {
		if (add_record(r, s, ret, &precompiled) < 0)
			return ug_err(err, -ENOMEM, "out of memory");
	}
	drop_older(ret);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), compare_jobs);
	if (precompiled)
		forget_deps(ret);
	return 0;
}

void ug_jobs_free(ug_job_vec *v)
{
	ug_vec_for_each(v, j)
		free_job(j);
	ug_vec_free(v);
}
