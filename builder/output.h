/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that appear at once and whole. */
#ifndef UG_BUILDER_OUTPUT_H
#define UG_BUILDER_OUTPUT_H

#include <stddef.h>

#include "base/error.h"

/* A new file; it must not exist. */
int ug_output_create(const char *path, const void *data, size_t size, struct ug_error *err) ug_must_check;
/* By rename: on failure what was there before is still there. */
int ug_output_publish(const char *path, const void *data, size_t size, struct ug_error *err) ug_must_check;

#endif
