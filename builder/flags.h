/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Of a compiler's command line what changes the code it makes: optimisation, -f, -m, the
 * language, macros. What only says where things are (-I, -o, prefix maps), what is printed (-W) or
 * debugged (-g) is left out, and paths with it. Of flags that undo each other the last one counts.
 */
#ifndef UG_BUILDER_FLAGS_H
#define UG_BUILDER_FLAGS_H

#include "builder/capture/strings.h"

/*
 * Adds the flags to *ret, in the order of the line. tree: a path that is written "." in the
 * values of macros; or NULL. False: out of memory.
 */
bool ug_flags_normal(const char *const *args, size_t n, const char *tree, ug_string_vec *ret);

/* Sorted, so that lines that differ in their order only are the same. */
void ug_flags_sort(ug_string_vec *flags);

#endif
