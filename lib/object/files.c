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
#include "process/task.h"

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

static int open_of_other_threads(struct ug_proc *p, const char *name, int flags)
{
	struct ug_tasks tasks;
	char path[64];
	int fd = -1;

	if (ug_tasks_list(p, &tasks, NULL) < 0)
		return -1;
	for (size_t i = 0; i < tasks.n && fd < 0; i++) {
		if (ug_task_skipped(&tasks.v[i]))
			continue;
		(void)snprintf(path, sizeof(path), "task/%d/%s", tasks.v[i].tid, name);
		fd = openat(p->dirfd, path, flags | O_CLOEXEC);
	}
	ug_tasks_free(&tasks);
	return fd;
}

int ug_open_task_file(struct ug_proc *p, const char *name, int flags)
{
	struct ug_task leader;

	if (ug_task_read(p, p->pid, &leader, NULL) < 0 || ug_task_skipped(&leader))
		return open_of_other_threads(p, name, flags);
	return openat(p->dirfd, name, flags | O_CLOEXEC);
}
