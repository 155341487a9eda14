/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The libraries a binary is linked with, as far as they are installed here. */
#ifndef UG_BUILDER_NEEDED_H
#define UG_BUILDER_NEEDED_H

#include <stdbool.h>

/* Does one of them export the name? New code may use it then: the process has the library. */
bool ug_needed_exports(const char *binary, const char *name);
/* The same, and is it a variable (STT_OBJECT)? */
bool ug_needed_exports_data(const char *binary, const char *name);

#endif
