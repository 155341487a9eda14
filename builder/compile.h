/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running the compiler on the author's file. */
#ifndef UG_BUILDER_COMPILE_H
#define UG_BUILDER_COMPILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "builder/capture/strings.h"

struct ug_compile {
	const char *compiler;		/* NULL: gcc */
	const char *source;
	const char *object;		/* to be made */
	const char *include_dir;	/* where ugraft/patch.h is; NULL: the compiler's path */
	const char *const *cflags;
	size_t ncflags;
};

/* -UG_E_COMPILE; `output` (always terminated) gets what the compiler said. */
int ug_compile_run(const struct ug_compile *job, char *output, size_t size,
		   struct ug_error *err) ug_must_check;

/* Those of its flags that change code (flags.h). False: out of memory. */
bool ug_compile_flags(const struct ug_compile *job, ug_string_vec *ret);

/* Is it clang, by its name? */
bool ug_compile_is_clang(const char *compiler);

/* The text of ugraft/patch.h this builder understands. */
extern const char ug_compile_patch_h[];

#endif
