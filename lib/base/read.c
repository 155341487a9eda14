/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/read.h"

#include <errno.h>
#include <unistd.h>

ssize_t ug_read_all(int fd, void *buf, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = read(fd, (char *)buf + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}
