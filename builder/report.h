/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Comparisons as plain data of build.h. -ENOMEM is the only failure. */
#ifndef UG_BUILDER_REPORT_H
#define UG_BUILDER_REPORT_H

#include "builder/build.h"
#include "builder/diff/diff.h"

int ug_report_changes(const struct ug_diff *d, ug_change_vec *to) ug_must_check;
int ug_report_findings(const struct ug_diff *d, ug_finding_vec *to) ug_must_check;

#endif
