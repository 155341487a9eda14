// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mappings in the target, made by its own calls. All of these are in the table of seccomp.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "inject/inject.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U	/* since 6.3; vm.memfd_noexec may demand it */
#endif

/* A call whose failure is ours: 0 or positive is its value. */
static int must(struct ug_remote *r, const char *name, long nr, const uint64_t args[6],
		int64_t *ret_value, struct ug_error *err)
{
	int64_t v;
	int ret = ug_remote_syscall(r, nr, args, &v, err);

	if (ret)
		return ret;
	if (v < 0 && v >= -4095) {
		ug_err(err, -UG_E_REMOTE_CALL, "%s in process %d failed: %s", name,
		       ug_remote_proc(r)->pid, strerror((int)-v));
		return v == -EEXIST ? -EEXIST : -UG_E_REMOTE_CALL;
	}
	*ret_value = v;
	return 0;
}

static int raw_unmap(struct ug_remote *r, ug_raddr_t addr, size_t len, struct ug_error *err)
{
	int64_t v;

	return must(r, "munmap", SYS_munmap, (const uint64_t[6]){ addr, len }, &v, err);
}

int ug_remote_unmap(struct ug_remote *r, ug_raddr_t addr, size_t len, struct ug_error *err)
{
	if (ug_remote_uses(r, addr, len))
		return ug_err(err, -EINVAL, "the range to unmap is in use by the borrowed thread");
	return raw_unmap(r, addr, len, err);
}

static int map(struct ug_remote *r, ug_raddr_t addr, size_t len, int prot, int flags, int64_t fd,
	       ug_raddr_t *ret_addr, struct ug_error *err)
{
	const uint64_t args[6] = {
		addr, len, (uint64_t)prot,
		(uint64_t)(flags | MAP_PRIVATE | (addr ? MAP_FIXED_NOREPLACE : 0)),
		(uint64_t)fd, 0,
	};
	int64_t v;
	int ret = must(r, "mmap", SYS_mmap, args, &v, err);

	if (ret == -EEXIST)
		return ug_err(err, -EEXIST, "the address range at 0x%lx of process %d was taken "
			      "meanwhile", addr, ug_remote_proc(r)->pid);
	if (ret)
		return ret;
	/* Before 4.17 the flag is unknown, the address only a hint. */
	if (addr && (ug_raddr_t)v != addr) {
		ret = raw_unmap(r, (ug_raddr_t)v, len, err);
		return ret ? ret : ug_err(err, -EEXIST, "the address range at 0x%lx of process %d "
					  "was taken meanwhile", addr, ug_remote_proc(r)->pid);
	}
	*ret_addr = (ug_raddr_t)v;
	return 0;
}

int ug_remote_map(struct ug_remote *r, ug_raddr_t addr, size_t len, int prot, ug_raddr_t *ret,
		  struct ug_error *err)
{
	return map(r, addr, len, prot, MAP_ANONYMOUS, -1, ret, err);
}

/* A failed step is undone; a failure to undo is logged, the first error returned. */
static void undo(int ret, const struct ug_error *e)
{
	if (ret)
		ug_log_warn("cannot undo: %s", e->message);
}

static int map_anon_named(struct ug_remote *r, ug_raddr_t addr, size_t len, ug_raddr_t name,
			  ug_raddr_t *ret_addr, struct ug_error *err)
{
	struct ug_error undo_err;
	ug_raddr_t m;
	int64_t v;
	int ret;

	ret = map(r, addr, len, PROT_READ | PROT_WRITE, MAP_ANONYMOUS, -1, &m, err);
	if (ret)
		return ret;
	ret = must(r, "prctl", SYS_prctl,
		   (const uint64_t[6]){ PR_SET_VMA, PR_SET_VMA_ANON_NAME, m, len, name }, &v, err);
	if (ret) {
		undo(raw_unmap(r, m, len, &undo_err), &undo_err);
		return ret;
	}
	*ret_addr = m;
	return 0;
}

static int memfd(struct ug_remote *r, ug_raddr_t name, int64_t *ret_fd, struct ug_error *err)
{
	const uint64_t args[6] = { name, MFD_CLOEXEC | MFD_NOEXEC_SEAL };
	int64_t v;
	int ret = ug_remote_syscall(r, SYS_memfd_create, args, &v, err);

	if (ret)
		return ret;
	if (v == -EINVAL)	/* a kernel before 6.3 */
		return must(r, "memfd_create", SYS_memfd_create,
			    (const uint64_t[6]){ name, MFD_CLOEXEC }, ret_fd, err);
	if (v < 0)
		return ug_err(err, -UG_E_REMOTE_CALL, "memfd_create in process %d failed: %s",
			      ug_remote_proc(r)->pid, strerror((int)-v));
	*ret_fd = v;
	return 0;
}

/*
 * A private mapping: what is written stays in the process, the file behind is empty and
 * only bears the name. A forked child gets a copy, as of anonymous memory.
 */
static int map_memfd(struct ug_remote *r, ug_raddr_t addr, size_t len, ug_raddr_t name,
		     ug_raddr_t *ret_addr, struct ug_error *err)
{
	struct ug_error undo_err;
	ug_raddr_t m = 0;
	int64_t fd, v;
	int ret, closed;

	ret = memfd(r, name, &fd, err);
	if (ret)
		return ret;
	ret = must(r, "ftruncate", SYS_ftruncate, (const uint64_t[6]){ (uint64_t)fd, len }, &v,
		   err);
	if (!ret)
		ret = map(r, addr, len, PROT_READ | PROT_WRITE, 0, fd, &m, err);
	closed = must(r, "close", SYS_close, (const uint64_t[6]){ (uint64_t)fd }, &v, &undo_err);
	if (ret) {
		undo(closed, &undo_err);
		return ret;
	}
	if (closed) {
		if (err)
			*err = undo_err;
		undo(raw_unmap(r, m, len, &undo_err), &undo_err);
		return closed;
	}
	*ret_addr = m;
	return 0;
}

int ug_remote_map_named(struct ug_remote *r, ug_raddr_t addr, size_t len, const char *name,
			ug_raddr_t *ret_addr, struct ug_error *err)
{
	ug_raddr_t where;
	int ret = ug_remote_name(r, name, &where, err);

	if (ret)
		return ret;
	if (ug_anon_names_known())
		return map_anon_named(r, addr, len, where, ret_addr, err);
	return map_memfd(r, addr, len, where, ret_addr, err);
}

/* Does descriptor `fd` of the target (a name in /proc/PID/fd) lead to the memfd `name`? */
static bool is_memfd(int dirfd, const char *fd, const char *name)
{
	char want[320], link[320];
	ssize_t n = readlinkat(dirfd, fd, link, sizeof(link));

	snprintf(want, sizeof(want), "/memfd:%s (deleted)", name);
	return n > 0 && (size_t)n == strlen(want) && !memcmp(link, want, (size_t)n);
}

static int open_fds(struct ug_proc *p, DIR **ret, struct ug_error *err)
{
	ug_autoclose int fd = ug_proc_open_mm_file(p->dirfd, "fd", O_RDONLY | O_DIRECTORY);

	*ret = fd >= 0 ? fdopendir(fd) : NULL;
	if (!*ret)
		return ug_err_errno(err, "cannot list the descriptors of process %d", p->pid);
	(void)ug_take_fd(&fd);
	return 0;
}

bool ug_remote_any_leaked(struct ug_proc *p, const char *name)
{
	ug_autoclosedir DIR *dir = NULL;
	struct dirent *e;

	if (open_fds(p, &dir, NULL) < 0)
		return false;
	while ((e = readdir(dir)))
		if (is_memfd(dirfd(dir), e->d_name, name))
			return true;
	return false;
}

int ug_remote_close_leaked(struct ug_remote *r, const char *name, struct ug_error *err)
{
	ug_autoclosedir DIR *dir = NULL;
	struct dirent *e;
	int opened = open_fds(ug_remote_proc(r), &dir, err);

	if (opened < 0)
		return opened;
	while ((e = readdir(dir))) {
		int64_t v;
		int ret;

		if (!is_memfd(dirfd(dir), e->d_name, name))
			continue;
		/* -EBADF: the program was quicker (close_range). */
		ret = ug_remote_syscall(r, SYS_close,
					(const uint64_t[6]){ strtoull(e->d_name, NULL, 10) }, &v, err);
		if (ret)
			return ret;
	}
	return 0;
}
