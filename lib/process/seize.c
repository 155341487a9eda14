// SPDX-License-Identifier: LGPL-2.1-or-later
/* The set of tracees of a stop: finding the threads, seizing them, children born meanwhile. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/internal.h"

/* Listings come in the same order as before: the next hit is nearly always the next entry. */
struct ug_tracee *ug_stop_find(struct ug_stop *s, pid_t tid)
{
	for (size_t i = 0; i < s->all.n; i++) {
		size_t at = (s->hint + i) % s->all.n;
		struct ug_tracee *t = s->all.v[at];

		if (t->t.tid != tid || t->state == UG_TRACEE_GONE)
			continue;
		s->hint = at + 1;
		return t;
	}
	return NULL;
}

struct ug_tracee *ug_stop_add(struct ug_stop *s, const struct ug_task *task,
			      enum ug_tracee_state state)
{
	struct ug_tracee *t = calloc(1, sizeof(*t)), **slot;

	if (!t)
		return NULL;
	slot = ug_vec_add(&s->all);
	if (!slot) {
		free(t);
		return NULL;
	}
	t->t.tid = task->tid;
	t->t.start_time = task->start_time;
	t->t.was_asleep = task->state == 'S';
	t->running = task->state == 'R';
	t->state = state;
	*slot = t;
	/* Attached by the kernel: no SEIZE of ours has told the reaper. */
	if (state == UG_TRACEE_WAITING)
		ug_tracer_added(task->tid);
	if (task->rt_priority > s->p->rt_priority)
		s->p->rt_priority = task->rt_priority;
	return t;
}

static int out_of_memory(struct ug_error *err)
{
	return ug_err(err, -ENOMEM, "out of memory");
}

static bool is_skipped(const struct ug_stop *s, pid_t tid)
{
	for (size_t i = 0; i < s->skipped.n; i++)
		if (s->skipped.v[i] == tid)
			return true;
	return false;
}

static int skip(struct ug_stop *s, pid_t tid, struct ug_error *err)
{
	pid_t *slot = ug_vec_add(&s->skipped);

	if (!slot)
		return out_of_memory(err);
	*slot = tid;
	return 0;
}

/* 1: a new tracee; 0: nothing to hold. */
static int seize_one(struct ug_stop *s, const struct ug_task *task, unsigned int options,
		     struct ug_error *err)
{
	struct ug_tracee *t;
	int r;

	if (ug_task_skipped(task))
		return skip(s, task->tid, err);
	/* The record first: nothing must be seized that is not known. */
	t = ug_stop_add(s, task, UG_TRACEE_GONE);
	if (!t)
		return out_of_memory(err);
	r = ug_tracee_seize(s->p, task->tid, options, err);
	if (r == 0)
		t->state = UG_TRACEE_SEIZED;
	if (r == -EALREADY) {
		t->state = UG_TRACEE_WAITING;
		ug_tracer_added(task->tid);
	}
	if (t->state == UG_TRACEE_GONE)
		return r == -ESRCH ? 0 : r;
	return 1;
}

static bool is_known(struct ug_stop *s, pid_t tid)
{
	return ug_stop_find(s, tid) || is_skipped(s, tid);
}

/* The threads in task/ that are not known, the group leader first. */
static int list_unknown(struct ug_stop *s, struct ug_tasks *tasks, struct ug_error *err)
{
	int fd = openat(s->p->dirfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ug_autoclosedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir)
		return ug_procfile_error(s->p, -errno, "task", err);
	while ((de = readdir(dir))) {
		pid_t tid = ug_procfile_tid(de->d_name);
		struct ug_task task, *slot;

		if (!tid || is_known(s, tid) || ug_task_read(s->p, tid, &task, NULL) < 0)
			continue;
		slot = ug_vec_add(tasks);
		if (!slot)
			return out_of_memory(err);
		*slot = task;
		if (tid == s->p->pid) {
			*slot = tasks->v[0];
			tasks->v[0] = task;
		}
	}
	return 0;
}

static int find_vfork(struct ug_stop *s, const struct ug_tasks *tasks, struct ug_error *err)
{
	for (size_t i = 0; i < tasks->n; i++) {
		const struct ug_task *task = &tasks->v[i];

		if (task->state != 'D' || !ug_task_in_vfork(s->p, task->tid))
			continue;
		(void)ug_err(err, -UG_E_VFORK, "thread %d waits for its vfork child", task->tid);
		ug_err_thread(err, s->p->pid, task->tid);
		return -UG_E_VFORK;
	}
	return 0;
}

int ug_stop_seize_new(struct ug_stop *s, unsigned int options, size_t *ret_new,
		      struct ug_error *err)
{
	struct ug_tasks tasks = UG_VEC_INIT;
	size_t seized = 0;
	int r = list_unknown(s, &tasks, err);

	if (!r && !s->all.n)
		r = find_vfork(s, &tasks, err);
	for (size_t i = 0; i < tasks.n && r >= 0; i++) {
		r = seize_one(s, &tasks.v[i], options, err);
		seized += r > 0;
	}
	ug_tasks_free(&tasks);
	if (r < 0)
		return r;
	*ret_new = seized;
	return 0;
}

static bool in_group(struct ug_stop *s, pid_t tid)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d", tid);
	return faccessat(s->p->dirfd, path, F_OK, 0) == 0;
}

/*
 * A plain forked child has its own copy of the memory: it is held until the others are let
 * go, no more. One that shares the memory without being a thread makes the stop worthless.
 */
static int adopt_stranger(struct ug_stop *s, pid_t tid, struct ug_error *err)
{
	struct ug_task task = { .tid = tid, .state = 'S' };
	struct ug_tracee *t = ug_stop_add(s, &task, UG_TRACEE_WAITING);

	if (!t)
		return out_of_memory(err);
	t->stranger = true;
	if (ug_mm_shared(tid, s->p->pid) != 1)
		return 0;
	(void)ug_err(err, -UG_E_SHARED_MM, "process %d shares its memory with process %d",
		     s->p->pid, tid);
	return -UG_E_SHARED_MM;
}

int ug_stop_adopt_child(struct ug_stop *s, struct ug_tracee *parent, struct ug_error *err)
{
	unsigned long message = 0;
	struct ug_task task;
	pid_t tid;

	if (ptrace(PTRACE_GETEVENTMSG, parent->t.tid, NULL, &message) < 0)
		return 0;
	tid = (pid_t)message;
	if (tid <= 0 || ug_stop_find(s, tid))
		return 0;
	if (!in_group(s, tid))
		return adopt_stranger(s, tid, err);
	if (ug_task_read(s->p, tid, &task, NULL) < 0)
		return 0;
	return ug_stop_add(s, &task, UG_TRACEE_WAITING) ? 0 : out_of_memory(err);
}
