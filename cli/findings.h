/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a comparison found, for people and as JSON: shared by diff and build. */
#ifndef UG_CLI_FINDINGS_H
#define UG_CLI_FINDINGS_H

#include <jansson.h>

#include "builder/build.h"
#include "cli.h"

/* A table; '*' marks what is in the patch. */
void print_changes(const struct cli *cli, const struct ug_build_change *v, size_t n);
/* One line each on stderr. */
void print_findings(const struct cli *cli, const struct ug_finding *v, size_t n);

/* build --lint; an exit code. */
int build_lint(struct cli *cli);

json_t *changes_json(const struct ug_build_change *v, size_t n);
json_t *findings_json(const struct ug_finding *v, size_t n);

#endif
