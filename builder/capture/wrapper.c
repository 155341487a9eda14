// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The wrapper is a program under the name of a compiler, in a directory that stands first in
 * PATH. It notes where it was called and how, and becomes the real one. It changes nothing:
 * argv[0] is the full path of the real compiler, by which gcc finds its parts.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/buf.h"
#include "builder/build.h"
#include "builder/capture/wrapper.h"

/* The next compiler of that name in PATH. */
static bool find_real(const char *name, const char *skip, char *buf, size_t size)
{
	const char *path = getenv("PATH");

	for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
		size_t len = strcspn(p, ":");

		if (len && (len != strlen(skip) || strncmp(p, skip, len))) {
			snprintf(buf, size, "%.*s/%s", (int)len, p, name);
			if (access(buf, X_OK) == 0)
				return true;
		}
		p += len + (p[len] == ':');
	}
	return false;
}

/* One write to a file opened for appending: records of parallel compiles do not mix. */
static void note(const char *log, const char *real, int argc, char **argv)
{
	ug_autoclose int fd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
	char cwd[PATH_MAX];
	struct ug_buf b = { 0 };
	uint32_t head[2] = { (uint32_t)argc + 1, 0 };

	if (fd < 0 || !getcwd(cwd, sizeof(cwd)))
		return;
	ug_buf_add(&b, head, sizeof(head));
	ug_buf_add(&b, cwd, strlen(cwd) + 1);
	ug_buf_add(&b, real, strlen(real) + 1);
	for (int i = 1; i < argc; i++)
		ug_buf_add(&b, argv[i], strlen(argv[i]) + 1);
	if (!b.failed) {
		head[1] = (uint32_t)(b.n - sizeof(head));
		memcpy(b.v, head, sizeof(head));
		ug_ignore(write(fd, b.v, b.n) < 0 ? -1 : 0);
	}
	ug_buf_free(&b);
}

bool ug_build_wrapper(int argc, char **argv, int *ret)
{
	const char *log = getenv(UG_RECORD_LOG), *dir = getenv(UG_RECORD_DIR);
	const char *base = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	char real[PATH_MAX];

	if (!log || !dir || !strcmp(base, "ugraft"))
		return false;
	*ret = 127;
	if (!find_real(base, dir, real, sizeof(real))) {
		fprintf(stderr, "%s: not found in PATH\n", base);
		return true;
	}
	note(log, real, argc, argv);
	argv[0] = real;
	execv(real, argv);
	fprintf(stderr, "%s: %s\n", real, strerror(errno));
	return true;
}
