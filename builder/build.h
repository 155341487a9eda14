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

void ug_build_warn(struct ug_build_report *report, const char *fmt, ...) ug_printf(2, 3);

#endif
