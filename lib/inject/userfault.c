// SPDX-License-Identifier: LGPL-2.1-or-later
/* A userfaultfd of the target: only the process itself can create one (userfaultfd(2)). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "inject/inject.h"

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
/* Without it, and without privilege in the target, vm.unprivileged_userfaultfd forbids it. The
 * faults of an asynchronous protection are handled by the kernel itself, whatever their mode. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define FLAGS (O_CLOEXEC | UFFD_USER_MODE_ONLY)

static int take_over(struct ug_proc *p, int64_t fd, int *ret, struct ug_error *err)
{
	ug_autoclose int pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);

	if (pidfd < 0)
		return ug_err_errno(err, "cannot open process %d", p->pid);
	*ret = (int)syscall(SYS_pidfd_getfd, pidfd, (int)fd, 0);
	if (*ret < 0)
		return ug_err_errno(err, "cannot take over a descriptor of process %d", p->pid);
	return 0;
}

static int close_there(struct ug_remote *r, int64_t fd, struct ug_error *err)
{
	int64_t v;

	return ug_remote_syscall(r, SYS_close, (const uint64_t[6]){ (uint64_t)fd }, &v, err);
}

int ug_remote_userfault(struct ug_remote *r, int *ret, struct ug_error *err)
{
	const uint64_t args[6] = { FLAGS };
	int64_t fd;
	int e, closed;

	e = ug_seccomp_check_userfault(ug_remote_proc(r), ug_remote_tid(r), args[0], err);
	if (e == 0)
		e = ug_remote_syscall(r, SYS_userfaultfd, args, &fd, err);
	if (e < 0)
		return e;
	if (fd < 0)
		return ug_err(err, -UG_E_REMOTE_CALL, "userfaultfd in process %d failed: %s",
			      ug_remote_proc(r)->pid, strerror((int)-fd));
	e = take_over(ug_remote_proc(r), fd, ret, err);
	closed = close_there(r, fd, e < 0 ? NULL : err);
	if (e == 0 && closed < 0)
		close(*ret);
	return e < 0 ? e : closed;
}

/*
 * Is it one that nobody has begun to use? Only then can it be ours, left by a dead controller
 * between creating and closing it: "API:\t%Lx:%x:%Lx", features in the middle (fs/userfaultfd.c,
 * userfaultfd_show_fdinfo).
 */
static bool is_unused(struct ug_proc *p, const char *fd)
{
	char path[64], line[128];
	ug_autofclose FILE *f = NULL;
	unsigned int features = 1;
	int info;

	(void)snprintf(path, sizeof(path), "fdinfo/%.20s", fd);
	info = ug_proc_open_mm_file(p->dirfd, path, O_RDONLY);
	f = info >= 0 ? fdopen(info, "r") : NULL;
	if (!f) {
		if (info >= 0)
			close(info);
		return false;
	}
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "API: %*x:%x", &features) == 1)
			break;
	return features == 0;
}

static bool is_userfault(int dirfd, const char *fd)
{
	static const char name[] = "anon_inode:[userfaultfd]";
	char link[64];
	ssize_t n = readlinkat(dirfd, fd, link, sizeof(link));

	return n == (ssize_t)strlen(name) && memcmp(link, name, strlen(name)) == 0;
}

int ug_remote_close_userfault(struct ug_remote *r, struct ug_error *err)
{
	struct ug_proc *p = ug_remote_proc(r);
	ug_autoclose int fd = ug_proc_open_mm_file(p->dirfd, "fd", O_RDONLY | O_DIRECTORY);
	ug_autoclosedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	int ret = 0;

	if (!dir)
		return ug_err_errno(err, "cannot list the descriptors of process %d", p->pid);
	(void)ug_take_fd(&fd);
	while (ret == 0 && (e = readdir(dir)))
		if (is_userfault(dirfd(dir), e->d_name) && is_unused(p, e->d_name))
			ret = close_there(r, strtoll(e->d_name, NULL, 10), err);
	return ret;
}
