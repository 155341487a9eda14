// SPDX-License-Identifier: GPL-2.0-or-later
/* What a patch says of a compile: its source, named from the tree, and the flags that count. */
#include <stdio.h>

#include "builder/capture/capture.h"
#include "builder/flags.h"

/* "./" and what stands before ".." undone, in place. Links are not followed: it is a name. */
static void simplify(char *path)
{
	char *to = path, *from = path;

	while (*from) {
		size_t n = strcspn(from, "/");
		bool up = n == 2 && !strncmp(from, "..", 2);

		if (up && to > path) {
			for (to--; to > path && to[-1] != '/'; to--)
				;
		} else if (n && !up && !(n == 1 && *from == '.')) {
			memmove(to, from, n);
			to += n;
			*to++ = '/';
		}
		from += n + (from[n] == '/');
	}
	if (to > path)
		to--;
	*to = 0;
}

char *ug_job_source_name(const struct ug_sandbox *s, const struct ug_job *job)
{
	size_t n = strlen(s->path) - (s->path[0] == '/');
	char *path;

	if (asprintf(&path, "%s/%s/", job->source[0] == '/' ? "" : job->cwd, job->source) < 0)
		return NULL;
	simplify(path);
	if (!strncmp(path, s->path + (s->path[0] == '/'), n) && path[n] == '/')
		memmove(path, path + n + 1, strlen(path + n + 1) + 1);
	else
		memmove(path, basename(path), strlen(basename(path)) + 1);
	return path;
}

bool ug_job_flags(const struct ug_sandbox *s, const struct ug_job *job, ug_string_vec *ret)
{
	return ug_flags_normal((const char *const *)job->args.v, job->args.n, s->path, ret);
}
