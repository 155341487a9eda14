/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The author's path: from one C file that uses ugraft/patch.h to a patch file.
 *
 *	compile.c	run the compiler
 *	author.c	read the author's records from its object
 *	target.c	the binaries the patch is for; where names are in them
 *	resolve.c	functions and references become pins
 *	abi.c		may the replacement's registers differ? (docs: ugraft-build)
 *	pack.c		object and model become a .ugp
 *
 * Nothing in the result depends on paths, times or the order of a directory: the same source,
 * compiler and targets give the same bytes.
 */
#ifndef UG_BUILDER_BUILD_H
#define UG_BUILDER_BUILD_H

#include "base/error.h"
#include "builder/reason.h"
#include "patchfile/patch.h"

struct ug_build_source_opts {
	const char *source;		/* the C file */
	const char *const *targets;	/* executables and libraries; several builds of one are
					 * told apart by their build-ids */
	size_t ntargets;
	const char *output;
	const char *compiler;		/* NULL: gcc; searched in PATH */
	const char *const *cflags;	/* after ours, so that they win; each is split at blanks */
	size_t ncflags;
	bool assume_abi;		/* skip the register check, the author knows */
};

#define UG_BUILD_WARNINGS_MAX 16

struct ug_build_report {		/* plain data, nothing to free */
	char name[UG_PATCH_NAME_MAX + 1];
	size_t functions;
	size_t references;
	bool pins_memory;		/* stays mapped after unload: an address escapes */
	size_t nwarnings;		/* found; the first UG_BUILD_WARNINGS_MAX are kept */
	char warnings[UG_BUILD_WARNINGS_MAX][256];
	char compiler_output[4096];	/* what the compiler said, also when it failed */
};

/*
 * Build opts->output. -UG_E_COMPILE (message: the first error; report->compiler_output: all),
 * -UG_E_NO_SYMBOL, -UG_E_AMBIGUOUS, -UG_E_CLONE, -UG_E_CLOBBER, -UG_E_ALIASED, -UG_E_NO_OBJECT,
 * -UG_E_NO_BUILD_ID, -UG_E_BAD_PATCH, -UG_E_BAD_RELOC, or a system error. On failure there is
 * no output file, or the one that was there before.
 */
int ug_build_source(const struct ug_build_source_opts *opts, struct ug_build_report *report,
		    struct ug_error *err) ug_must_check;

/* ---- comparing two objects ---- */

struct ug_build_change {
	const char *verdict;		/* "changed", "new", "gone" */
	const char *kind;		/* "function", "variable", "thread-local variable" */
	char name[128];
	char reason[96];		/* why: "changed", "new", "inlines f" */
	char detail[200];
	char file[128];			/* "" and 0: not known */
	unsigned int line;
	bool kept;			/* would be in a patch */
};

typedef UG_VEC(struct ug_build_change) ug_change_vec;

struct ug_diff_report {
	size_t functions;		/* compared */
	ug_change_vec changes;
	ug_finding_vec findings;
};

/*
 * What differs between two versions of a relocatable object, compiled with
 * -ffunction-sections -fdata-sections. -UG_E_LTO, -UG_E_BAD_ELF, -UG_E_BAD_ARCH or a system error.
 */
int ug_build_diff(const char *before, const char *after, struct ug_diff_report *ret,
		  struct ug_error *err) ug_must_check;
void ug_diff_report_free(struct ug_diff_report *r);

/* ---- patches from two versions of objects ---- */

struct ug_object_pair {
	const char *before, *after;	/* relocatable objects */
	const char *source;		/* what they were compiled from: a label */
	const char *name;		/* of the source in its tree, for the patch; NULL: as the object says */
	const char *const *flags;	/* of its compile (flags.h); NULL: those the object has noted */
	size_t nflags;
};

struct ug_build_objects_opts {
	const struct ug_object_pair *pairs;
	size_t npairs;
	const char *const *targets;
	size_t ntargets;
	const char *const *symbols;	/* for each target the file with its .symtab, or NULL: the
					 * target itself, else /usr/lib/debug by build-id */
	const bool *proven;		/* for each, or NULL: symbols[i] has another build-id, but
					 * ug_identity_prove() says they are the target's */
	const bool *own_makers;		/* for each, or NULL: it is known to be made as the pairs are */
	bool compiler_ok;		/* another compiler or other flags are accepted */
	const char *output;
	const char *name;		/* of the patch */
	const char *description, *cves;	/* "" : none */
	const char *const *layout_ok;	/* structures whose change is accepted */
	size_t nlayout_ok;
};

struct ug_note {
	char text[256];
};

struct ug_build_times {			/* seconds; the build itself, and what we add to it */
	double build, copy, readers, compile, link;
};

struct ug_patch_report {
	bool stopped;			/* after the stage that was asked for: no patch was written */
	bool no_change;			/* for these targets: no patch was written */
	char name[UG_PATCH_NAME_MAX + 1];
	size_t functions, references;
	bool pins_memory;
	ug_change_vec changes;	/* of all objects */
	ug_finding_vec findings;
	UG_VEC(struct ug_note) notes;	/* "lua.o: not in the target" */
	struct ug_build_times times;	/* of ug_build_tree */
};

/*
 * Compare, take over, resolve, write. -UG_E_CHANGE: report->findings say why. -UG_E_IDENTITY:
 * the binary runs other code than `before`. -UG_E_NO_DEBUG: no symbols. With report->no_change
 * it succeeds without a file.
 */
int ug_build_objects(const struct ug_build_objects_opts *opts, struct ug_patch_report *report,
		     struct ug_error *err) ug_must_check;
/* The same, adding to a report that is already in use. */
int ug_build_objects_into(const struct ug_build_objects_opts *opts, struct ug_patch_report *report,
			  struct ug_error *err) ug_must_check;
void ug_patch_report_free(struct ug_patch_report *r);

/* ---- patches from a source tree and a diff ---- */

enum ug_build_stage {			/* of a working directory that is kept */
	UG_STAGE_COPY = 1,		/* of the tree; and the chroot, where there is one */
	UG_STAGE_BUILD,			/* the plain build, recorded */
	UG_STAGE_PATCH,			/* the rest: seconds */
};

struct ug_build_tree_opts {
	const char *src;		/* the program's source tree: copied, never changed */
	const char *root, *path;	/* build in this chroot, and in it the tree is at path; or NULL */
	const char *const *diffs;	/* unified diffs */
	size_t ndiffs;
	const char *const *ignore;	/* files of the diff that no compile reads, by their name */
	size_t nignore;
	const char *const *command;	/* the build, run in the copy; ends with NULL */
	const char *database;		/* instead: how it was compiled, a compile_commands.json */
	const char *wrapper;		/* a program that calls ug_build_wrapper() first of all; each
					 * compile of the build starts it */
	const char *const *targets;
	size_t ntargets;
	const char *debug;		/* symbols of the first target, or NULL */
	const char *output;
	const char *name, *description, *cves;
	const char *const *layout_ok;
	size_t nlayout_ok;
	bool compiler_ok;		/* as in ug_build_objects_opts */
	bool keep;			/* leave the copy and the objects; a note says where */
	const char *work;		/* where they are, always kept; NULL: a temporary directory */
	int from, to;			/* enum ug_build_stage; 0: all. from > 1 needs a `work` in which
					 * the earlier ones are complete; from 2 goes on with a build */
	bool pick_target;		/* the targets are what is installed: the patch is for the one
					 * that has the changed code */
};

/*
 * As ug_build_objects, and: -UG_E_COMPILE when the build or a compile fails, -UG_E_DIFF when the
 * diff does not apply or no compile reads a file of it.
 */
int ug_build_tree(const struct ug_build_tree_opts *opts, struct ug_patch_report *report,
		  struct ug_error *err) ug_must_check;

/* ---- a look at a diff before anything is built ---- */

struct ug_build_lint_opts {
	const char *src;		/* the tree; only read */
	const char *const *diffs;
	size_t ndiffs;
	const char *const *ignore;	/* files of the diff */
	size_t nignore;
};

struct ug_lint_report {
	size_t files;			/* of the diff */
	size_t functions;		/* that seem to have come, gone or changed */
	ug_finding_vec findings;	/* what *may* be so: nothing is compiled */
};

/* -UG_E_DIFF when the diff does not apply, or a system error. Findings are no error. */
int ug_build_lint(const struct ug_build_lint_opts *opts, struct ug_lint_report *report,
		  struct ug_error *err) ug_must_check;
void ug_lint_report_free(struct ug_lint_report *r);

/* ---- patches for what Debian packages have installed ---- */

struct ug_build_deb_opts {
	const char *package;		/* a package, a source package, or an installed file; with
					 * "=VERSION" one that need not be installed */
	const char *cache;		/* for chroots; NULL: a directory of the system, or of the user */
	const char *const *env;		/* NAME=VALUE of the build, before what is said there otherwise */
	size_t nenv;
	struct ug_build_tree_opts tree;	/* src NULL: the source is fetched; no targets: those of the
					 * package; no command: dpkg-buildpackage -B; root, path: not
					 * used; wrapper: a static program, run in the chroot */
};

/*
 * As ug_build_tree, with the source package, in a chroot with its build dependencies, by
 * dpkg-buildpackage or the command. -UG_E_NO_OBJECT: no such package. -UG_E_SOURCE_GONE: the archive has not
 * the source of that version. -UG_E_CHROOT: no environment to build in. -UG_E_AMBIGUOUS: several
 * programs of the package have the changed code.
 */
int ug_build_deb(const struct ug_build_deb_opts *opts, struct ug_patch_report *report,
		 struct ug_error *err) ug_must_check;

/*
 * To be called first in main(): when this process is a compiler call of a recorded build, it
 * becomes the real compiler. False: go on. True: that failed, exit with *ret.
 */
bool ug_build_wrapper(int argc, char **argv, int *ret);

void ug_build_warn(struct ug_build_report *report, const char *fmt, ...) ug_printf(2, 3);

#endif
