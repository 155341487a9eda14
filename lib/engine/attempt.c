/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Switching single threads, after the commit.
 *
 * A table entry X may be removed only while at least one live thread has the pointer X and
 * every live thread whose pointer is X is stopped and safe. glibc hands the control block of
 * an exited thread to the very next one and raw clones share pointers, so a tid says nothing:
 * threads whose pointer is not known yet are stopped to learn it. An entry that no live
 * thread holds is stale and goes only at a full stop (model/: S2, S3, S13).
 *
 * A thread that has not run since its last failed check is not stopped again: the verdict
 * stands, and each stop would restart its timeout (design review, B2).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/run.h"
#include "text/gate.h"

/* Listings of threads until nothing new turns up; a thread storm may outrun us. */
#define MAX_ROUNDS 32

static bool asleep(const struct ug_task *task)
{
	return task->state == 'S' || task->state == 'D';
}

/* Of a thread that was running there is nothing to remember: it runs on. */
static void sample(struct ug_run *run, struct ug_thread_rec *rec, const struct ug_thread *thread)
{
	rec->pc = thread->regs.rip;
	rec->sampled = thread->was_asleep &&
		       ug_task_switches(&run->t->proc, rec->tid, &rec->switches, NULL) == 0;
}

/*
 * Has it not run since it was stopped? While stopped its switches were `switches`; going
 * back to sleep in its system call adds exactly one. So does another call, when the stop cut
 * the first one short or it was over anyway: it must sleep at the same place.
 */
static bool has_not_run(struct ug_run *run, const struct ug_thread_rec *rec)
{
	struct ug_task_syscall sc;
	struct ug_task task;
	uint64_t now;

	if (!rec->sampled || ug_task_read(&run->t->proc, rec->tid, &task, NULL) < 0 ||
	    !asleep(&task))
		return false;
	return ug_task_switches(&run->t->proc, rec->tid, &now, NULL) == 0 &&
	       now == rec->switches + 1 &&
	       ug_task_syscall(&run->t->proc, rec->tid, &sc, NULL) == 0 && !sc.running &&
	       sc.sp == rec->sp && sc.pc == rec->pc;
}

/*
 * A class-E sleeper with a finite timeout would start its timeout anew at each stop: it is
 * left alone until it has left the call or the timeout has passed twice.
 */
static bool leave_alone(struct ug_run *run, struct ug_thread_rec *rec)
{
	struct ug_task_syscall sc;
	uint64_t timeout_ms;

	if (ug_task_syscall(&run->t->proc, rec->tid, &sc, NULL) < 0 || sc.running || sc.nr < 0 ||
	    !ug_syscall_class_e(sc.nr, sc.args[1]) ||
	    !ug_syscall_timeout(&run->t->proc, &sc, &timeout_ms)) {
		rec->leave_until_ns = 0;
		return false;
	}
	if (!rec->leave_until_ns)
		rec->leave_until_ns = ug_now_ns() + 2 * timeout_ms * UINT64_C(1000000);
	return ug_now_ns() < rec->leave_until_ns;
}

/* Is there any thread to stop for this pointer, or does every verdict stand? */
static bool worth_stopping(struct ug_run *run, uint64_t pointer)
{
	bool worth = false;

	ug_vec_for_each(&run->threads, rec) {
		if (rec->pointer != pointer)
			continue;
		if (leave_alone(run, rec))
			return false;
		if (!has_not_run(run, rec))
			worth = true;
	}
	return worth;
}

struct batch {
	struct ug_run *run;
	struct ug_stop *stop;
	uint64_t pointer;
	unsigned int owners;	/* live, stopped */
	bool safe;		/* all of them */
};

static int stop_one(struct batch *b, pid_t tid, struct ug_error *err)
{
	struct ug_thread_rec *rec;
	struct ug_thread *thread;
	int r;

	r = ug_stop_thread(b->stop, tid, &thread, err);
	if (r == -ESRCH)
		return 0;
	if (r < 0)
		return r;
	rec = ug_run_check(b->run, thread, err);
	if (!rec)
		return -ENOMEM;
	if (rec->pointer != b->pointer) {
		ug_stop_release(b->stop, thread);
		return 0;
	}
	b->owners++;
	b->safe &= rec->safe;
	sample(b->run, rec, thread);
	return 0;
}

/*
 * Stop what must be stopped among the threads there are now: those whose pointer is this
 * one or not known. Returns how many were newly stopped, so that the caller lists again
 * until nothing new turns up.
 */
static int stop_owners(struct batch *b, struct ug_error *err)
{
	struct ug_tasks tasks = { 0 };
	int added = 0, r;

	r = ug_tasks_list(&b->run->t->proc, &tasks, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < tasks.n; i++) {
		struct ug_task *task = &tasks.v[i];
		struct ug_thread_rec *rec;

		if (ug_task_skipped(task))
			continue;
		rec = ug_run_find(b->run, task->tid, task->start_time);
		if (rec && (rec->pointer != b->pointer || rec->seen))
			continue;
		r = stop_one(b, task->tid, err);
		if (r < 0)
			break;
		added++;
	}
	ug_tasks_free(&tasks);
	return r < 0 ? r : added;
}

static int kill_slot(struct ug_run *run, uint64_t pointer, struct ug_error *err)
{
	size_t off;
	uint8_t byte;
	int r;

	if (!ug_table_kill(run->table, run->trans->trans->table_used, pointer, &off, &byte))
		return 0;
	r = ug_proc_write(&run->t->proc, run->trans->trans->table + off, &byte, 1, err);
	if (r == 0)
		run->table[off] = byte;
	return r;
}

/* Stop all that hold the pointer; when they are safe, they are switched. */
static int try_switch(struct ug_run *run, uint64_t pointer, bool *ret_live, struct ug_error *err)
{
	struct ug_stop_opts opts = { 0 };
	struct batch b = { .run = run, .pointer = pointer, .safe = true };
	int r;

	r = ug_stop_create(&run->t->proc, &opts, &b.stop, err);
	if (r < 0)
		return r;
	ug_vec_for_each(&run->threads, rec)
		if (rec->pointer == pointer)
			rec->seen = false;
	for (int round = 0; (r = stop_owners(&b, err)) > 0; round++)
		if (round == MAX_ROUNDS) {
			r = ug_err(err, -UG_E_UNSTOPPABLE, "threads are created faster than looked at");
			break;
		}
	*ret_live = b.owners > 0;
	if (r == 0 && b.owners && b.safe)
		r = kill_slot(run, pointer, err);
	ug_stop_resume(b.stop);
	ug_stop_destroy(b.stop);
	run->attempts++;
	run->t->report->attempts++;
	/* A thread that would not stop in time has simply not been switched yet. */
	return r == -UG_E_UNSTOPPABLE || r == -UG_E_VFORK ? 0 : r;
}

struct pointers {
	uint64_t *v;
	size_t n;
};

static void collect(uint64_t pointer, void *ctx)
{
	struct pointers *list = ctx;

	list->v[list->n++] = pointer;
}

static bool has_owner(struct ug_run *run, uint64_t pointer)
{
	ug_vec_for_each(&run->threads, rec) {
		struct ug_task task;

		if (rec->pointer == pointer &&
		    ug_task_read(&run->t->proc, rec->tid, &task, NULL) == 0 &&
		    task.start_time == rec->start_time && !ug_task_skipped(&task))
			return true;
	}
	return false;
}

static bool is_live(struct ug_run *run, uint64_t pointer)
{
	size_t off;
	uint8_t byte;

	return ug_table_kill(run->table, run->trans->trans->table_used, pointer, &off, &byte);
}

static int attempt_each(struct ug_run *run, const struct pointers *list, size_t *ret_left,
			struct ug_error *err)
{
	*ret_left = 0;
	for (size_t i = 0; i < list->n; i++) {
		bool live = has_owner(run, list->v[i]);
		int r;

		if (live && worth_stopping(run, list->v[i])) {
			r = try_switch(run, list->v[i], &live, err);
			if (r < 0)
				return r;
		}
		if (live && is_live(run, list->v[i]))
			(*ret_left)++;
	}
	return 0;
}

int ug_run_attempt(struct ug_run *run, size_t *ret_left, struct ug_error *err)
{
	struct pointers list = { 0 };
	int r;

	ug_maps_free(&run->t->maps);
	r = ug_maps_read(&run->t->proc, &run->t->maps, err);
	if (r < 0)
		return r;
	list.v = calloc(run->table_len / sizeof(uint64_t) + 1, sizeof(uint64_t));
	if (!list.v)
		return ug_err(err, -ENOMEM, "out of memory");
	r = ug_run_unwind(run, err);
	if (r == 0)
		r = ug_table_for_each(run->table, run->trans->trans->table_used, collect, &list, err);
	if (r == 0)
		r = attempt_each(run, &list, ret_left, err);
	free(list.v);
	return r;
}

/* ---- waiting for the release of memory ---- */

static int look_again(struct ug_run *run, struct ug_thread_rec *rec, struct ug_error *err)
{
	struct ug_stop_opts opts = { 0 };
	struct ug_thread *thread;
	struct ug_stop *stop;
	int r = ug_stop_create(&run->t->proc, &opts, &stop, err);

	if (r < 0)
		return r;
	r = ug_stop_thread(stop, rec->tid, &thread, err);
	if (r == 0 && ug_run_check(run, thread, err))
		sample(run, rec, thread);
	else if (r == -ESRCH)
		rec->in_left = false;
	ug_stop_resume(stop);
	ug_stop_destroy(stop);
	return r == -ESRCH || r == -UG_E_UNSTOPPABLE || r == -UG_E_VFORK ? 0 : r;
}

int ug_run_attempt_left(struct ug_run *run, size_t *ret_left, struct ug_error *err)
{
	*ret_left = 0;
	for (size_t i = 0; i < run->threads.n; i++) {
		struct ug_thread_rec *rec = &run->threads.v[i];
		int r = 0;

		if (rec->in_left && !has_not_run(run, rec))
			r = look_again(run, rec, err);
		if (r < 0)
			return r;
		*ret_left += rec->in_left;
	}
	return 0;
}
