// SPDX-License-Identifier: LGPL-2.1-or-later
/* Small text files below /proc. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/read.h"
#include "process/internal.h"

ssize_t ug_procfile_read(int dirfd, const char *path, char *buf, size_t size)
{
	ug_autoclose int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	got = ug_read_all(fd, buf, size - 1);
	if (got >= 0)
		buf[got] = '\0';
	return got;
}

const char *ug_procfile_field(const char *text, const char *key)
{
	size_t len = strlen(key);
	const char *line = text;

	while (line && *line) {
		if (!strncmp(line, key, len) && line[len] == ':') {
			line += len + 1;
			return line + strspn(line, " \t");
		}
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return NULL;
}

const char *ug_procfile_stat(const char *text, char *comm, size_t size)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	size_t len;

	if (!open || !close || close < open || close[1] != ' ' || !close[2])
		return NULL;
	len = (size_t)(close - open - 1);
	if (len >= size)
		len = size - 1;
	memcpy(comm, open + 1, len);
	comm[len] = '\0';
	return close + 2;
}

pid_t ug_procfile_tid(const char *name)
{
	unsigned long tid = 0;

	for (const char *c = name; *c; c++) {
		if (!isdigit((unsigned char)*c))
			return 0;
		tid = tid * 10 + (unsigned long)(*c - '0');
		if (tid > INT_MAX)
			return 0;
	}
	return (pid_t)tid;
}

int ug_procfile_error(struct ug_proc *p, ssize_t code, const char *what, struct ug_error *err)
{
	if (code == -ESRCH || code == -ENOENT)
		ug_err(err, -UG_E_GONE, "process %d is gone", p->pid);
	else
		ug_err(err, (int)code, "cannot read /proc/%d/%s: %s", p->pid, what,
		       strerror((int)-code));
	if (err)
		err->pid = p->pid;
	return code == -ESRCH || code == -ENOENT ? -UG_E_GONE : (int)code;
}
