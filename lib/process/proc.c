// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pinning a process. */
#include "process/proc.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/internal.h"
#include "process/task.h"

/* Has this thread (a path below dirfd, with its slash) its memory still? True when in doubt. */
static bool has_mm(int dirfd, const char *thread)
{
	char path[48], buf[16];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%smaps", thread);
	n = ug_procfile_read(dirfd, path, buf, sizeof(buf));
	return n != 0 && n != -ESRCH;
}

/*
 * A thread gives its memory up before it becomes a zombie, and a file opened after that is
 * empty or cannot be opened. So it is asked after the opening.
 */
static int open_of_thread(int dirfd, const char *thread, const char *name, int flags)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "%s%s", thread, name);
	fd = openat(dirfd, path, flags | O_CLOEXEC);
	if (has_mm(dirfd, thread))
		return fd;
	if (fd >= 0)
		close(fd);
	errno = ESRCH;
	return -1;
}

int ug_proc_open_mm_file(int dirfd, const char *name, int flags)
{
	int tasks, fd = open_of_thread(dirfd, "", name, flags);
	ug_autoclosedir DIR *dir = NULL;
	struct dirent *de;

	if (fd >= 0 || errno != ESRCH)
		return fd;
	tasks = openat(dirfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = tasks < 0 ? NULL : fdopendir(tasks);
	while (fd < 0 && dir && (de = readdir(dir))) {
		char thread[32];

		if (!ug_procfile_tid(de->d_name))
			continue;
		(void)snprintf(thread, sizeof(thread), "task/%.16s/", de->d_name);
		fd = open_of_thread(dirfd, thread, name, flags);
	}
	if (fd < 0)
		errno = ESRCH;
	return fd;
}

bool ug_proc_mm_alive(const struct ug_proc *p)
{
	char c;

	/* The kernel answers 0 when the mm has no user any more, EIO for an unmapped page. */
	return pread(p->mem_fd, &c, 1, 0) != 0;
}

/* A thread of the kernel never had a program; a process on its way out has it no more. */
static int no_program(struct ug_proc *p, const struct ug_task *leader, struct ug_error *err)
{
	if (leader->flags & UG_PF_KTHREAD)
		return ug_err(err, -UG_E_UNSUPPORTED, "process %d is a thread of the kernel: only "
			      "programs can be patched", p->pid);
	return ug_err(err, -UG_E_GONE, "process %d has exited, or is about to", p->pid);
}

static int check_program(struct ug_proc *p, const struct ug_task *leader, struct ug_error *err)
{
	ug_autoclose int fd = ug_proc_open_mm_file(p->dirfd, "exe", O_RDONLY);
	Elf64_Ehdr eh;

	if (fd < 0 && errno == ESRCH)
		return no_program(p, leader, err);
	if (fd < 0)
		return ug_err_errno(err, "cannot open the program of process %d", p->pid);
	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG))
		return ug_err(err, -EINVAL, "the program of process %d is no ELF file", p->pid);
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_machine != EM_X86_64)
		return ug_err(err, -UG_E_FOREIGN_CODE, "process %d runs 32-bit or foreign code",
			      p->pid);
	return 0;
}

static int open_dir(struct ug_proc *p, struct ug_error *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", p->pid);
	p->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dirfd < 0 && errno == ENOENT)
		return ug_err(err, -UG_E_GONE, "process %d is gone", p->pid);
	if (p->dirfd < 0)
		return ug_err_errno(err, "cannot open %s", path);
	return 0;
}

static int pin(struct ug_proc *p, struct ug_error *err)
{
	p->pidfd = pidfd_open(p->pid, 0);
	if (p->pidfd >= 0)
		return open_dir(p, err);
	if (errno == ESRCH)
		return ug_err(err, -UG_E_GONE, "there is no process %d", p->pid);
	/* A tid that is no leader: EINVAL, and ENOENT since 6.9. */
	if (errno == EINVAL || errno == ENOENT)
		return ug_err(err, -EINVAL, "%d is no process (the id of a thread?)", p->pid);
	return ug_err_errno(err, "cannot refer to process %d", p->pid);
}

/*
 * In the midst of an execve: it has its new memory, but no program in it yet. Field 26 of stat,
 * where the program begins, is set when that is mapped. (An exited leader has no memory at all.)
 */
static bool is_between_programs(struct ug_proc *p)
{
	char text[1024], *at = NULL;

	if (ug_procfile_read(p->dirfd, "stat", text, sizeof(text)) > 0)
		at = strrchr(text, ')');
	if (!at || at[1] != ' ' || at[2] == 'Z')
		return false;
	at++;
	for (int field = 3; at && field < 26; field++)
		at = strchr(at + 1, ' ');
	return at && strtoull(at, NULL, 10) == 0;
}

static int open_files(struct ug_proc *p, struct ug_error *err)
{
	struct ug_task task;
	int r;

	r = ug_task_read(p, p->pid, &task, err);
	if (r == -ESRCH)
		return ug_err(err, -UG_E_GONE, "process %d is gone", p->pid);
	if (r < 0)
		return r;
	p->start_time = task.start_time;
	r = check_program(p, &task, err);
	if (r < 0)
		return r;
	p->mem_fd = ug_proc_open_mm_file(p->dirfd, "mem", O_RDWR);
	if (p->mem_fd < 0 && errno == ESRCH)
		return no_program(p, &task, err);
	/* Its program could be opened, so we may trace it; the mode of the file is 0600. */
	if (p->mem_fd < 0 && errno == EACCES)
		return ug_err(err, -EACCES, "cannot open the memory of process %d, which belongs to "
			      "another user: CAP_DAC_OVERRIDE is needed besides CAP_SYS_PTRACE",
			      p->pid);
	if (p->mem_fd < 0)
		return ug_err_errno(err, "cannot open the memory of process %d", p->pid);
	if (is_between_programs(p))
		return ug_err(err, -UG_E_GONE, "process %d is about to execute another program",
			      p->pid);
	p->pagemap_fd = ug_proc_open_mm_file(p->dirfd, "pagemap", O_RDONLY);
	/* All of it must belong to the process which the pidfd pins. */
	return ug_proc_check(p, err);
}

int ug_proc_open(pid_t pid, struct ug_proc *ret, struct ug_error *err)
{
	struct ug_proc p = {
		.pid = pid,
		.pidfd = -1,
		.dirfd = -1,
		.mem_fd = -1,
		.pagemap_fd = -1,
		.lock_fd = -1,
		.lock_dirfd = -1,
	};
	int r;

	if (pid <= 0)
		return ug_err(err, -EINVAL, "%d is no process id", pid);
	r = pin(&p, err);
	if (!r)
		r = open_files(&p, err);
	if (r < 0) {
		ug_proc_close(&p);
		if (err)
			err->pid = pid;
		return r;
	}
	*ret = p;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void ug_proc_close(struct ug_proc *p)
{
	if (!p)
		return;
	ug_proc_unlock(p);
	close_fd(&p->pidfd);
	close_fd(&p->dirfd);
	close_fd(&p->mem_fd);
	close_fd(&p->pagemap_fd);
}

int ug_proc_check(struct ug_proc *p, struct ug_error *err)
{
	struct pollfd pfd = { .fd = p->pidfd, .events = POLLIN };
	int r = 0;

	/* Readable only when the last thread is gone: an exited leader alone does not count. */
	if (poll(&pfd, 1, 0) != 0)
		r = ug_err(err, -UG_E_GONE, "process %d has exited", p->pid);
	else if (!ug_proc_mm_alive(p))
		r = ug_err(err, -UG_E_GONE, "process %d is exiting, or runs another program now", p->pid);
	if (r && err)
		err->pid = p->pid;
	return r;
}

static bool is_ours(pid_t tracer)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d", tracer);
	return access(path, F_OK) == 0;
}

int ug_proc_check_untraced(struct ug_proc *p, struct ug_error *err)
{
	struct ug_tasks tasks;
	int r = ug_tasks_list(p, &tasks, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < tasks.n; i++) {
		pid_t tracer = ug_task_tracer(p, tasks.v[i].tid);

		if (tracer <= 0 || is_ours(tracer))
			continue;
		(void)ug_err(err, -UG_E_TRACED, "process %d is traced by process %d: end that "
			     "debugger first", p->pid, tracer);
		r = -UG_E_TRACED;
		ug_err_thread(err, p->pid, tasks.v[i].tid);
		break;
	}
	ug_tasks_free(&tasks);
	return r;
}

/*
 * The file that runs is then the translator; what it translates is mapped like any program,
 * but never executed itself. Only qemu's user mode is one, not its system emulators.
 */
int ug_proc_check_native(struct ug_proc *p, struct ug_error *err)
{
	static const char valgrind[] = "-amd64-linux", qemu[] = "qemu-x86_64";
	char exe[PATH_MAX];
	ssize_t n = readlinkat(p->dirfd, "exe", exe, sizeof(exe) - 1);
	const char *base, *who = NULL;
	size_t len;

	if (n <= 0)
		return 0;
	exe[n] = 0;
	base = strrchr(exe, '/') ? strrchr(exe, '/') + 1 : exe;
	len = strlen(base);
	if (strstr(exe, "/valgrind/") && len > sizeof(valgrind) &&
	    strcmp(base + len - (sizeof(valgrind) - 1), valgrind) == 0)
		who = "valgrind";
	else if (strcmp(base, qemu) == 0 || strcmp(base, "qemu-x86_64-static") == 0)
		who = qemu;
	return who ? ug_err(err, -UG_E_UNSUPPORTED, "process %d runs under %s, which executes a "
			    "translation of its code: start it without", p->pid, who) : 0;
}

int ug_proc_check_shadow_stack(struct ug_proc *p, struct ug_error *err)
{
	struct ug_tasks tasks;
	char path[48], buf[4096];
	int r = ug_tasks_list(p, &tasks, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < tasks.n && !r; i++) {
		const char *v;

		(void)snprintf(path, sizeof(path), "task/%d/status", tasks.v[i].tid);
		if (ug_procfile_read(p->dirfd, path, buf, sizeof(buf)) < 0)
			continue;
		v = ug_procfile_field(buf, "x86_Thread_features");
		if (!v || strncmp(v, "shstk", 5))
			continue;
		(void)ug_err(err, -UG_E_SHADOW_STACK,
			     "process %d uses a user shadow stack; its returns cannot be borrowed",
			     p->pid);
		ug_err_thread(err, p->pid, tasks.v[i].tid);
		r = -UG_E_SHADOW_STACK;
	}
	ug_tasks_free(&tasks);
	return r;
}
