// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads as /proc shows them. */
#include "process/task.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/internal.h"

bool ug_task_skipped(const struct ug_task *t)
{
	return t->state == 'Z' || t->state == 'X' ||
	       (t->flags & (UG_PF_IO_WORKER | UG_PF_USER_WORKER));
}

static ssize_t read_task_file(struct ug_proc *p, pid_t tid, const char *name, char *buf,
			      size_t size)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/%s", tid, name);
	return ug_procfile_read(p->dirfd, path, buf, size);
}

static const char *skip_fields(const char *s, unsigned int n)
{
	while (n--) {
		s = strchr(s, ' ');
		if (!s)
			return NULL;
		s++;
	}
	return s;
}

static bool parse_stat(const char *buf, struct ug_task *t)
{
	const char *f = ug_procfile_stat(buf, t->comm, sizeof(t->comm));

	if (!f)
		return false;
	t->state = *f;
	f = skip_fields(f, 6);		/* 9: flags */
	if (!f)
		return false;
	t->flags = (unsigned int)strtoul(f, NULL, 10);
	f = skip_fields(f, 13);		/* 22: start time */
	if (!f)
		return false;
	t->start_time = strtoull(f, NULL, 10);
	f = skip_fields(f, 18);		/* 40: real-time priority */
	t->rt_priority = f ? (unsigned int)strtoul(f, NULL, 10) : 0;
	return true;
}

int ug_task_read(struct ug_proc *p, pid_t tid, struct ug_task *ret, struct ug_error *err)
{
	struct ug_task t = { .tid = tid };
	char buf[1024];
	ssize_t r = read_task_file(p, tid, "stat", buf, sizeof(buf));

	if (r >= 0 && !parse_stat(buf, &t))
		r = -EPROTO;
	if (r < 0) {
		(void)ug_err(err, (int)r, "cannot read the state of thread %d: %s", tid,
			     strerror((int)-r));
		ug_err_thread(err, p->pid, tid);
		return (int)r;
	}
	*ret = t;
	return 0;
}

static int list_one(struct ug_proc *p, pid_t tid, struct ug_tasks *tasks, struct ug_error *err)
{
	struct ug_task task, *slot;
	int r = ug_task_read(p, tid, &task, err);

	if (r == -ESRCH)
		return 0;
	if (r < 0)
		return r;
	slot = ug_vec_add(tasks);
	if (!slot)
		return ug_err(err, -ENOMEM, "out of memory");
	*slot = task;
	return 0;
}

int ug_tasks_list(struct ug_proc *p, struct ug_tasks *ret, struct ug_error *err)
{
	int fd = openat(p->dirfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ug_autoclosedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct ug_tasks tasks = UG_VEC_INIT;
	struct dirent *de;
	int r = 0;

	if (!dir)
		return ug_procfile_error(p, -errno, "task", err);
	while (!r && (de = readdir(dir))) {
		pid_t tid = ug_procfile_tid(de->d_name);

		if (tid)
			r = list_one(p, tid, &tasks, err);
	}
	if (!r && !tasks.n)
		r = ug_procfile_error(p, -ESRCH, "task", err);
	if (r < 0) {
		ug_tasks_free(&tasks);
		return r;
	}
	p->rt_priority = 0;
	ug_vec_for_each(&tasks, task)
		if (task->rt_priority > p->rt_priority)
			p->rt_priority = task->rt_priority;
	*ret = tasks;
	return 0;
}

void ug_tasks_free(struct ug_tasks *tasks)
{
	if (tasks)
		ug_vec_free(tasks);
}

size_t ug_tasks_count(struct ug_proc *p)
{
	struct stat st;

	/* fs/proc/base.c, proc_task_getattr: two links of the directory and one a thread. */
	if (fstatat(p->dirfd, "task", &st, 0) < 0 || st.st_nlink < 2)
		return 0;
	return st.st_nlink - 2;
}

int ug_task_switches(struct ug_proc *p, pid_t tid, uint64_t *ret, struct ug_error *err)
{
	char buf[8192];
	ssize_t r = read_task_file(p, tid, "status", buf, sizeof(buf));
	const char *vol, *invol;

	if (r < 0)
		return ug_err(err, (int)r, "cannot read the status of thread %d: %s", tid,
			      strerror((int)-r));
	vol = ug_procfile_field(buf, "voluntary_ctxt_switches");
	invol = ug_procfile_field(buf, "nonvoluntary_ctxt_switches");
	if (!vol || !invol)
		return ug_err(err, -EPROTO, "the status of thread %d has no switch counts", tid);
	*ret = strtoull(vol, NULL, 10) + strtoull(invol, NULL, 10);
	return 0;
}

pid_t ug_task_tracer(struct ug_proc *p, pid_t tid)
{
	char buf[8192];
	const char *v;

	if (read_task_file(p, tid, "status", buf, sizeof(buf)) < 0)
		return -ESRCH;
	v = ug_procfile_field(buf, "TracerPid");
	return v ? (pid_t)strtol(v, NULL, 10) : 0;
}

/* "running", or "-1 sp pc", or "nr a0 a1 a2 a3 a4 a5 sp pc" (proc_pid_syscall(5)). */
static bool parse_syscall(const char *buf, struct ug_task_syscall *sc)
{
	uint64_t v[8] = { 0 };
	int n = 0;
	char *end;

	if (!strncmp(buf, "running", 7)) {
		sc->running = true;
		return true;
	}
	sc->nr = strtol(buf, &end, 10);
	if (end == buf)
		return false;
	while (n < 8) {
		const char *s = end;

		v[n] = strtoull(s, &end, 0);
		if (end == s)
			break;
		n++;
	}
	if (n != (sc->nr < 0 ? 2 : 8))
		return false;
	if (sc->nr >= 0)
		memcpy(sc->args, v, sizeof(sc->args));
	sc->sp = v[n - 2];
	sc->pc = v[n - 1];
	return true;
}

int ug_task_syscall(struct ug_proc *p, pid_t tid, struct ug_task_syscall *ret,
		    struct ug_error *err)
{
	struct ug_task_syscall sc = { .nr = -1 };
	char buf[512];
	ssize_t r = read_task_file(p, tid, "syscall", buf, sizeof(buf));

	if (r >= 0 && !parse_syscall(buf, &sc))
		r = -EPROTO;
	if (r < 0) {
		(void)ug_err(err, (int)r, "cannot read the system call of thread %d: %s", tid,
			     strerror((int)-r));
		ug_err_thread(err, p->pid, tid);
		return (int)r;
	}
	*ret = sc;
	return 0;
}
