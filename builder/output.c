// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/output.h"

int ug_output_create(const char *path, const void *data, size_t size, struct ug_error *err)
{
	ug_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	const uint8_t *p = data;

	if (fd < 0)
		return ug_err_errno(err, "cannot create %s", path);
	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ug_err_errno(err, "cannot write %s", path);
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int ug_output_publish(const char *path, const void *data, size_t size, struct ug_error *err)
{
	ug_autofree char *temp = NULL;
	int rc;

	if (asprintf(&temp, "%s.%d.tmp", path, (int)getpid()) < 0) {
		temp = NULL;
		return ug_err(err, -ENOMEM, "out of memory");
	}
	rc = ug_output_create(temp, data, size, err);
	if (rc == 0 && rename(temp, path) < 0)
		rc = ug_err_errno(err, "cannot create %s", path);
	if (rc < 0)
		unlink(temp);
	return rc;
}
