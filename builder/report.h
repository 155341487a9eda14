/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reports as plain data of build.h. -ENOMEM is the only failure. */
#ifndef UG_BUILDER_REPORT_H
#define UG_BUILDER_REPORT_H

#include "builder/build.h"
#include "builder/diff/diff.h"

int ug_report_changes(const struct ug_diff *d, ug_change_vec *to) ug_must_check;
int ug_report_findings(const struct ug_diff *d, ug_finding_vec *to) ug_must_check;

/* A line for people. Also fills err. ug_note(): for whoever has both as members. */
int ug_report_note(struct ug_patch_report *r, struct ug_error *err, const char *fmt,
		   ...) ug_printf(3, 4) ug_must_check;
#define ug_note(of, ...) ug_report_note((of)->report, (of)->err, __VA_ARGS__)

#endif
