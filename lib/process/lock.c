// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One controller per process: a lock on a file named after the process. It belongs to the open
 * file (F_OFD_SETLK, Linux 3.15), so the helper that we fork has it too, and ends with the last of us.
 * Unlike an flock it can be asked for without being taken.
 *
 * The file is removed by its owner while the lock is held, so a lock gained on a file that is
 * no longer the one in the directory is worthless: look again, and start over. A killed
 * controller leaves the file behind, unlocked; the next one takes it over.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/proc.h"

#define LOCK_TRIES 100

static const struct flock whole_file = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

static void lock_name(const struct ug_proc *p, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%d-%llu.lock", p->pid, (unsigned long long)p->start_time);
}

/* The directory must be one in which nobody else can put or remove files. */
static int open_private_dir(const char *path)
{
	ug_autoclose int fd = -1;
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022))
		return -EPERM;
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return -errno;
	return ug_take_fd(&fd);
}

static int open_dir(char *path, size_t size)
{
	const char *own = getenv("UGRAFT_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
	int fd;

	if (own && *own) {
		(void)snprintf(path, size, "%s", own);
		return open_private_dir(path);
	}
	(void)snprintf(path, size, "/run/ugraft");
	fd = open_private_dir(path);
	if (fd >= 0)
		return fd;
	if (xdg && *xdg) {
		(void)snprintf(path, size, "%s/ugraft", xdg);
		fd = open_private_dir(path);
		if (fd >= 0)
			return fd;
	}
	(void)snprintf(path, size, "/tmp/ugraft-%u", (unsigned int)geteuid());
	return open_private_dir(path);
}

static bool is_current(int dirfd, const char *name, int fd)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && fstatat(dirfd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

static int try_lock(int dirfd, const char *name)
{
	ug_autoclose int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &whole_file) < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	return is_current(dirfd, name, fd) ? ug_take_fd(&fd) : -ESTALE;
}

int ug_proc_lock(struct ug_proc *p, struct ug_error *err)
{
	char dir[PATH_MAX], name[64];
	ug_autoclose int dirfd = -1;
	int fd = 0;

	if (p->lock_fd >= 0)
		return 0;
	dirfd = open_dir(dir, sizeof(dir));
	if (dirfd < 0)
		return ug_err(err, dirfd, "cannot use %s for lock files: %s", dir,
			      strerror(-dirfd));
	lock_name(p, name, sizeof(name));
	for (int i = 0; i < LOCK_TRIES; i++) {
		fd = try_lock(dirfd, name);
		if (fd != -ESTALE)
			break;
	}
	if (fd == -EAGAIN || fd == -ESTALE) {
		(void)ug_err(err, -UG_E_LOCKED, "another controller is at work on process %d",
			     p->pid);
		return -UG_E_LOCKED;
	}
	if (fd < 0)
		return ug_err(err, fd, "cannot lock %s/%s: %s", dir, name, strerror(-fd));
	p->lock_fd = fd;
	p->lock_dirfd = ug_take_fd(&dirfd);
	return 0;
}

bool ug_proc_locked(const struct ug_proc *p)
{
	char dir[PATH_MAX], name[64];
	ug_autoclose int dirfd = open_dir(dir, sizeof(dir));
	ug_autoclose int fd = -1;
	struct flock held = whole_file;

	if (dirfd < 0)
		return false;
	lock_name(p, name, sizeof(name));
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &held) == 0 && held.l_type != F_UNLCK;
}

void ug_proc_unlock(struct ug_proc *p)
{
	char name[64];

	if (p->lock_fd < 0)
		return;
	lock_name(p, name, sizeof(name));
	(void)unlinkat(p->lock_dirfd, name, 0);
	close(p->lock_fd);
	close(p->lock_dirfd);
	p->lock_fd = p->lock_dirfd = -1;
}
