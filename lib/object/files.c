// SPDX-License-Identifier: LGPL-2.1-or-later
/* Opening files whose names come from the target. */
#include "object/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

struct ug_root *ug_root_create(int fd)
{
	struct ug_root *root = calloc(1, sizeof(*root));

	if (root) {
		root->fd = fd;
		root->refs = 1;
	}
	return root;
}

struct ug_root *ug_root_ref(struct ug_root *root)
{
	if (root)
		root->refs++;
	return root;
}

void ug_root_unref(struct ug_root *root)
{
	if (!root || --root->refs)
		return;
	close(root->fd);
	free(root);
}

/* An O_PATH descriptor has not opened anything yet: look first, then open the same inode. */
static int reopen_regular(int path_fd)
{
	struct stat st;
	char name[40];

	if (path_fd < 0 || fstat(path_fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd);
	return open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

int ug_open_regular(int dirfd, const char *path)
{
	ug_autoclose int fd = openat(dirfd, path, O_PATH | O_CLOEXEC);

	return reopen_regular(fd);
}

/*
 * An absolute symbolic link below the target's root means the target's root, which only
 * openat2 (5.6) can be told. Older kernels: no debug file from other roots.
 */
int ug_open_in_root(int root, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT,
	};
	ug_autoclose int fd = -1;

	if (root < 0)
		return ug_open_regular(AT_FDCWD, path);
	fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	return reopen_regular(fd);
}
