// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who shares the memory without being a thread of the group?
 *
 * task/ does not show processes made with CLONE_VM but without CLONE_THREAD. kcmp(2) compares
 * the mm of two processes; it is one cheap call, so simply everybody who is visible is asked.
 * Processes we may not look at are passed over: a sharer has the dumpable flag of the same mm
 * as the target, so only one which changed its user ids while sharing memory would hide.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/internal.h"

int ug_mm_shared(pid_t a, pid_t b)
{
	long r = syscall(SYS_kcmp, a, b, KCMP_VM, 0UL, 0UL);

	return r < 0 ? -errno : r == 0;
}

static bool any_in_vfork(struct ug_proc *p)
{
	struct ug_tasks tasks;
	bool found = false;

	if (ug_tasks_list(p, &tasks, NULL) < 0)
		return false;
	for (size_t i = 0; i < tasks.n && !found; i++)
		found = tasks.v[i].state == 'D' && ug_task_in_vfork(p, tasks.v[i].tid);
	ug_tasks_free(&tasks);
	return found;
}

/* Its size is 0 without an mm: of a thread of the kernel, and of one that is past exit_mm(). */
static bool has_memory(pid_t tid)
{
	char path[32], text[128];

	(void)snprintf(path, sizeof(path), "/proc/%d/statm", tid);
	return ug_procfile_read(AT_FDCWD, path, text, sizeof(text)) > 0 && text[0] != '0';
}

/* An exited leader has no mm: compare with a thread that has one. */
static pid_t live_tid(struct ug_proc *p)
{
	struct ug_tasks tasks;
	pid_t tid = p->pid;

	if (ug_tasks_list(p, &tasks, NULL) < 0)
		return tid;
	for (size_t i = 0; i < tasks.n; i++) {
		if (ug_task_skipped(&tasks.v[i]) || !has_memory(tasks.v[i].tid))
			continue;
		tid = tasks.v[i].tid;
		break;
	}
	ug_tasks_free(&tasks);
	return tid;
}

static int report(struct ug_proc *p, pid_t other, struct ug_error *err)
{
	int code = any_in_vfork(p) ? -UG_E_VFORK : -UG_E_SHARED_MM;

	if (code == -UG_E_VFORK)
		(void)ug_err(err, code, "a thread of process %d waits for its vfork child %d: try again "
			     "when that has ended", p->pid, other);
	else
		(void)ug_err(err, code, "process %d shares its memory with process %d, which cannot be "
			     "patched with it", p->pid, other);
	if (err)
		err->pid = p->pid;
	return code;
}

/*
 * Equal are also two without memory: a thread that has just exited, or one of a process that
 * dumps core, and one of the kernel. So asked again, and of the other one, too.
 */
static int confirm(struct ug_proc *p, pid_t other, struct ug_error *err)
{
	int r = ug_proc_check(p, err);

	if (r < 0)
		return r;
	return ug_mm_shared(live_tid(p), other) == 1 && has_memory(other) ? report(p, other, err) : 0;
}

int ug_proc_check_sharers(struct ug_proc *p, struct ug_error *err)
{
	ug_autoclosedir DIR *dir = opendir("/proc");
	pid_t self = live_tid(p);
	struct dirent *de;

	if (!dir)
		return ug_err_errno(err, "cannot list /proc");
	while ((de = readdir(dir))) {
		pid_t pid = ug_procfile_tid(de->d_name);
		int shared, r = 0;

		if (!pid || pid == p->pid)
			continue;
		shared = ug_mm_shared(self, pid);
		if (shared == 1)
			r = confirm(p, pid, err);
		else if (shared == -ENOSYS)
			r = ug_err(err, -UG_E_UNSUPPORTED,
				   "the kernel lacks kcmp(2): sharers of memory cannot be found");
		if (r < 0)
			return r;
	}
	return ug_proc_check(p, err);
}
