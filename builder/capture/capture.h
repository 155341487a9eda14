/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program's own build, recorded; and single compiles of it done again.
 *
 * Everything happens in a copy of the tree. It is mounted over the path of the original, in a
 * mount namespace that only the build sees: what depends on the path comes out as it would
 * there, and the user's tree is not touched. Where namespaces are not allowed the build runs
 * in the copy's own path. With a root the namespace is also a chroot: the build environment of
 * another system, with the tree at any path.
 *
 *	wrapper.c	the compiler wrapper; recorder.c: as a static program
 *	strings.c	lists of strings; response files
 *	record.c	the directory of wrappers, and the log they write
 *	database.c	a compile_commands.json instead of that log
 *	sandbox.c	the copy, the namespace, running programs in it
 *	jobs.c		the log becomes a list of compiles
 *	replay.c	what they read; compiling again
 *	readers.c	which of them read what the diff changes
 *	source.c	the diff: which files, applied to copies of them
 *	neutral.c	a changed file with the old line numbers
 *	unit.c		what the patch says of a compile
 *	stages.c	how far a working directory is
 *	tree.c		the whole of `ugraft build --src`
 *	targets.c	which file of the build is which target; the patch for them
 */
#ifndef UG_BUILDER_CAPTURE_H
#define UG_BUILDER_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/vec.h"
#include "builder/build.h"
#include "builder/capture/strings.h"

/* ---- sandbox.c ---- */

struct ug_sandbox {
	char *work;			/* private directory, removed at the end */
	char *tree;			/* work/tree: the copy */
	char *path;			/* where the build sees it */
	char *root;			/* the chroot on the host, or NULL; work is there as well */
	bool mounted;			/* path is the original's; else path is tree */
	bool keep;			/* do not remove work */
};

struct ug_sandbox_opts {
	const char *src;		/* the tree to copy */
	const char *work;		/* the private directory to be, kept; NULL: a temporary one */
	const char *root;		/* build in this chroot, and there in path; or NULL, NULL */
	const char *path;
	bool reuse;			/* work has the copy already */
};

int ug_sandbox_open(struct ug_sandbox *s, const struct ug_sandbox_opts *opts,
		    struct ug_error *err) ug_must_check;
void ug_sandbox_close(struct ug_sandbox *s);

/* The PATH programs of the sandbox are searched in. */
const char *ug_sandbox_search(const struct ug_sandbox *s);

struct ug_run {
	const char *const *argv;	/* ends with NULL */
	const char *cwd;		/* as the build sees it; NULL: path */
	const char *output;		/* file for stdout and stderr; NULL: ours */
	const char *stdout_only;	/* another file for stdout, or NULL */
	const char *const *env;		/* "NAME=value" to set, ends with NULL; or NULL */
};

/* *ret_status: of the program. */
int ug_sandbox_run(const struct ug_sandbox *s, const struct ug_run *run, int *ret_status,
		   struct ug_error *err) ug_must_check;

/* The same in two steps. */
int ug_sandbox_start(const struct ug_sandbox *s, const struct ug_run *run, pid_t *ret_pid,
		     struct ug_error *err) ug_must_check;
int ug_sandbox_wait(pid_t pid, int *ret_status, struct ug_error *err) ug_must_check;

/* The host's path of one the build sees; malloc'ed, NULL without memory. */
char *ug_sandbox_host(const struct ug_sandbox *s, const char *cwd, const char *path);

/* ---- record.c ---- */

/*
 * Make the directory of wrappers and put it into env ("PATH=...", ..., NULL). *ret_command: the
 * build command, with compilers that it names by their path replaced by their wrappers; ends with
 * NULL. Both are freed with ug_strings_free(), without the NULL. go_on: the tree is as an earlier
 * build has left it, which may have ended half-way; what it has compiled stays recorded.
 */
int ug_record_prepare(const struct ug_sandbox *s, const char *wrapper, const char *const *command, bool go_on,
		      ug_string_vec *env, ug_string_vec *ret_command, struct ug_error *err) ug_must_check;

struct ug_record {
	ug_string_vec strings;		/* cwd, compiler, its arguments */
	ug_string_vec env;		/* "NAME=value"; "NAME": not set */
	char *deps;			/* host path of the file with what it read; NULL: none */
};
typedef UG_VEC(struct ug_record) ug_record_vec;
int ug_record_read(const struct ug_sandbox *s, ug_record_vec *ret, struct ug_error *err) ug_must_check;
void ug_records_free(ug_record_vec *v);

/* ---- database.c ---- */

/* From a compile_commands.json; src: the directory its paths mean, which is the sandbox's tree. */
int ug_database_read(const struct ug_sandbox *s, const char *path, const char *src, ug_record_vec *ret,
		     struct ug_error *err) ug_must_check;

/* ---- jobs.c ---- */

struct ug_job {				/* one source to one object */
	char *cwd, *compiler, *source, *object;
	char *deps;			/* as in its record */
	ug_string_vec args;		/* without source, output and dependency options */
	ug_string_vec env;
	ug_string_vec reads;		/* all files it read, source first, as the build sees them */
};

typedef UG_VEC(struct ug_job) ug_job_vec;

int ug_jobs_make(const ug_record_vec *records, const struct ug_sandbox *s, ug_job_vec *ret,
		 struct ug_error *err) ug_must_check;
void ug_jobs_free(ug_job_vec *v);

/* ---- replay.c ---- */

/* Fill the reads of all. *ret_asked: of how many the build has not recorded it. */
int ug_jobs_find_reads(const struct ug_sandbox *s, ug_job_vec *jobs, size_t *ret_asked,
		       struct ug_error *err) ug_must_check;
/*
 * Compile them again, with a section for each function and variable, to ug_replay_object(s, i,
 * which). find_reads: fill their reads anew.
 */
int ug_jobs_replay(const struct ug_sandbox *s, struct ug_job *const *jobs, size_t n, const char *which,
		   bool find_reads, struct ug_error *err) ug_must_check;
/* malloc'ed; NULL without memory. */
char *ug_replay_object(const struct ug_sandbox *s, size_t i, const char *which);

/* ---- source.c ---- */

struct ug_source_file {
	char *name;			/* in the tree */
	char *before, *after;		/* content; NULL: no such file */
	size_t before_len, after_len;
	bool is_read;			/* some compile read it, or a copy */
	bool ignored;
};

typedef UG_VEC(struct ug_source_file) ug_source_vec;

/* Apply the diffs to copies of the files they name. -UG_E_DIFF. */
int ug_sources_make(const struct ug_sandbox *s, const char *const *diffs, size_t n,
		    ug_source_vec *ret, struct ug_error *err) ug_must_check;
void ug_sources_free(ug_source_vec *v);

/* ---- readers.c ---- */

struct ug_text_place {			/* where text that changes is, in the built tree */
	char *path;			/* on the host */
	size_t file;			/* of the diff */
};

struct ug_readers {
	UG_VEC(struct ug_text_place) places;
	UG_VEC(size_t) affected;	/* jobs */
	ug_string_vec headers;		/* precompiled ones these could read, on the host */
};

/* Which jobs read what the diff changes, and where; sets is_read. Reads must be known. */
int ug_readers_find(const struct ug_sandbox *s, const ug_job_vec *jobs, ug_source_vec *files,
		    struct ug_readers *ret, struct ug_error *err) ug_must_check;
/* Set is_read of the files these jobs read. */
int ug_readers_mark(const struct ug_sandbox *s, struct ug_job *const *jobs, size_t n,
		    ug_source_vec *files, struct ug_error *err) ug_must_check;
void ug_readers_free(struct ug_readers *r);

/* ---- unit.c ---- */

/* The source in the tree, "src/x.c"; its last part when it is elsewhere. malloc'ed, NULL without memory. */
char *ug_job_source_name(const struct ug_sandbox *s, const struct ug_job *job);
/* Adds those that change code (builder/flags.h). False: out of memory. */
bool ug_job_flags(const struct ug_sandbox *s, const struct ug_job *job, ug_string_vec *ret);

/* ---- stages.c ---- */

/* That stage is complete in the working directory. */
int ug_stage_set(const struct ug_sandbox *s, enum ug_build_stage stage, struct ug_error *err) ug_must_check;
/* Is all before `from` complete? -EINVAL. */
int ug_stage_check(const struct ug_sandbox *s, enum ug_build_stage from, struct ug_error *err) ug_must_check;
/* Remove what the last stage has left by an earlier run. */
int ug_stage_forget(const struct ug_sandbox *s, struct ug_error *err) ug_must_check;

/* ---- targets.c ---- */

struct ug_for_targets {
	const struct ug_build_tree_opts *opts;
	const char *tree, *work;	/* built; for temporary files */
	const struct ug_object_pair *pairs;
	size_t npairs;
};

/* Find the symbols of the targets in the built tree; make the patch. Adds to the report. */
int ug_build_for_targets(const struct ug_for_targets *in, struct ug_patch_report *report,
			 struct ug_error *err) ug_must_check;

/* ---- neutral.c ---- */

/* `after` with line directives that give unchanged lines their old numbers. malloc'ed. */
char *ug_neutral(const char *before, const char *after, size_t *ret_len);

#endif
