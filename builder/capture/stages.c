// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How far a working directory is: a number in a file of its own. It is taken back before a stage
 * begins to change what an earlier one has left, and written when that is as it was again.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "builder/capture/capture.h"

static const char *const names[] = { "nothing", "the copy", "the build", "the patch" };

int ug_stage_set(const struct ug_sandbox *s, enum ug_build_stage stage, struct ug_error *err)
{
	ug_autofclose FILE *f = NULL;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/stage", s->work);
	f = fopen(path, "we");
	if (!f || fprintf(f, "%d\n", (int)stage) < 0 || fflush(f) != 0)
		return ug_err_errno(err, "cannot write %s", path);
	return 0;
}

int ug_stage_check(const struct ug_sandbox *s, enum ug_build_stage from, struct ug_error *err)
{
	ug_autofclose FILE *f = NULL;
	char path[PATH_MAX];
	int done = 0;

	snprintf(path, sizeof(path), "%s/stage", s->work);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%d", &done) != 1 || done < 0 || done > UG_STAGE_PATCH)
		done = 0;
	if (done + 1 >= (int)from)
		return 0;
	return ug_err(err, -EINVAL, "%s cannot go on from stage %d: what is complete in it is %s (stage "
		      "%d)", s->work, (int)from, names[done], done);
}

int ug_stage_forget(const struct ug_sandbox *s, struct ug_error *err)
{
	const char *argv[] = { "sh", "-c", "rm -rf new ./*.before.o ./*.after.o", NULL };
	struct ug_sandbox bare = { .path = s->work };
	int rc, status;

	rc = ug_sandbox_run(&bare, &(struct ug_run){ .argv = argv }, &status, err);
	if (rc < 0)
		return rc;
	return status ? ug_err(err, -EIO, "cannot clear %s", s->work) : 0;
}
