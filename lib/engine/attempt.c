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
 *
 * Pointers are worked off in slices, each with one listing of the threads. A slice lasts about
 * as long as its listing takes, so that the cost of a round grows with the number of threads
 * and not with its square: of 5000 threads one listing takes far longer than looking at a few.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bisect.h"
#include "base/clock.h"
#include "engine/run.h"
#include "engine/transfers.h"
#include "text/gate.h"

/* Listings of threads until nothing new turns up; a thread storm may outrun us. */
#define MAX_ROUNDS 32

/* How long threads are gathered that are then held together; longer where listing them is. */
#define SLICE_MIN_NS UINT64_C(2000000)

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

/* A pointer that is listed, with the live threads known to hold it. */
struct group {
	uint64_t pointer;
	size_t first, n;		/* of round.owners */
	unsigned int stopped;		/* owners held and checked in this slice */
	bool safe;			/* all of them */
	bool in_slice;
};

struct owner {
	uint64_t pointer;
	pid_t tid;
	uint64_t start_time;
};

/* One round over all pending pointers. */
struct round {
	struct ug_run *run;
	struct ug_stop *stop;		/* of the slice under way */
	UG_VEC(struct owner) owners;	/* by pointer */
	UG_VEC(struct group) groups;	/* by pointer */
};

static bool is_live(struct ug_run *run, uint64_t pointer)
{
	size_t off;
	uint8_t byte;

	return ug_table_kill(run->table, run->trans->trans->table_used, pointer, &off, &byte);
}

/* ---- who is pending ---- */

static int by_pointer(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	return x->pointer < y->pointer ? -1 : x->pointer > y->pointer;
}

static int list_tasks(struct ug_run *run, struct ug_tasks *tasks, struct ug_error *err)
{
	uint64_t began = ug_now_ns();
	int r = ug_tasks_list(&run->t->proc, tasks, err);

	run->listing_ns = ug_now_ns() - began;
	return r;
}

static int mark_listed(struct ug_run *run, struct ug_error *err)
{
	struct ug_tasks tasks = { 0 };
	int r = list_tasks(run, &tasks, err);

	if (r < 0)
		return r;
	ug_vec_for_each(&run->threads, rec)
		rec->listed = false;
	for (size_t i = 0; i < tasks.n; i++) {
		struct ug_thread_rec *rec = ug_run_find(run, tasks.v[i].tid, tasks.v[i].start_time);

		if (rec)
			rec->listed = !ug_task_skipped(&tasks.v[i]);
	}
	ug_tasks_free(&tasks);
	return 0;
}

static int group_owners(struct round *rd, struct ug_error *err)
{
	if (rd->owners.n)
		qsort(rd->owners.v, rd->owners.n, sizeof(*rd->owners.v), by_pointer);
	for (size_t i = 0; i < rd->owners.n; i++) {
		struct group *g = rd->groups.n ? &rd->groups.v[rd->groups.n - 1] : NULL;

		if (!g || g->pointer != rd->owners.v[i].pointer) {
			g = ug_vec_add(&rd->groups);
			if (!g)
				return ug_err(err, -ENOMEM, "out of memory");
			g->pointer = rd->owners.v[i].pointer;
			g->first = i;
		}
		g->n++;
	}
	return 0;
}

/* An entry no live thread holds is stale: it waits for the full stop that completes. */
static int collect_owners(struct round *rd, struct ug_error *err)
{
	int r = mark_listed(rd->run, err);

	if (r < 0)
		return r;
	ug_vec_for_each(&rd->run->threads, rec) {
		struct owner *o;

		if (!rec->listed || !is_live(rd->run, rec->pointer))
			continue;
		o = ug_vec_add(&rd->owners);
		if (!o)
			return ug_err(err, -ENOMEM, "out of memory");
		*o = (struct owner){ rec->pointer, rec->tid, rec->start_time };
	}
	return group_owners(rd, err);
}

/* Is there any thread to stop for this pointer, or does every verdict stand? */
static bool worth_stopping(struct round *rd, const struct group *g)
{
	bool worth = false;

	for (size_t i = g->first; i < g->first + g->n; i++) {
		struct ug_thread_rec *rec = ug_run_find(rd->run, rd->owners.v[i].tid,
							rd->owners.v[i].start_time);

		if (!rec)
			continue;
		if (leave_alone(rd->run, rec) || ug_transfers_spare(rd->run->t, rec->tid))
			return false;
		worth |= !has_not_run(rd->run, rec);
	}
	return worth;
}

/* ---- a slice: owners of some pointers held together ---- */

static struct group *find_group(struct round *rd, uint64_t pointer)
{
	size_t lo = ug_bisect(0, rd->groups.n, i, rd->groups.v[i].pointer < pointer);

	return lo < rd->groups.n && rd->groups.v[lo].pointer == pointer ? &rd->groups.v[lo] : NULL;
}

/* Stop and check a thread; it stays held if its pointer belongs to the slice. */
static int stop_one(struct round *rd, pid_t tid, struct ug_error *err)
{
	struct ug_thread_rec *rec;
	struct ug_thread *thread;
	struct group *g;
	int r;

	r = ug_stop_thread(rd->stop, tid, &thread, err);
	if (r == -ESRCH)
		return 0;
	if (r < 0)
		return r;
	rec = ug_run_check(rd->run, thread, err);
	if (!rec)
		return -ENOMEM;
	g = find_group(rd, rec->pointer);
	if (!g || !g->in_slice) {
		ug_stop_release(rd->stop, thread);
		return 0;
	}
	rec->slice = rd->run->slices;
	g->stopped++;
	g->safe &= rec->safe;
	sample(rd->run, rec, thread);
	return 0;
}

/* A thread that will not stop in time, or waits for its vfork child, is not switched yet. */
static bool harmless(int r)
{
	return r == -UG_E_UNSTOPPABLE || r == -UG_E_VFORK;
}

static int stop_group(struct round *rd, struct group *g, struct ug_error *err)
{
	int r = 0;

	g->in_slice = true;
	g->safe = true;
	g->stopped = 0;
	for (size_t i = g->first; r == 0 && i < g->first + g->n; i++)
		r = stop_one(rd, rd->owners.v[i].tid, err);
	if (harmless(r)) {
		g->safe = false;
		r = 0;
	}
	return r;
}

/* Nothing of this thread is needed: its pointer is none of the slice, or it is held already. */
static bool settled(struct round *rd, const struct ug_task *task)
{
	const struct ug_thread_rec *rec = ug_run_find(rd->run, task->tid, task->start_time);
	const struct group *g = rec ? find_group(rd, rec->pointer) : NULL;

	return rec && (!g || !g->in_slice || rec->slice == rd->run->slices);
}

/*
 * Threads that are not known may hold any pointer: they are stopped to learn it. So is one
 * that an earlier slice has met, after the owners were collected. Returns how many there
 * were, so that the caller lists again until nothing new turns up.
 */
static int stop_rest(struct round *rd, struct ug_error *err)
{
	struct ug_tasks tasks = { 0 };
	int added = 0, r = list_tasks(rd->run, &tasks, err);

	for (size_t i = 0; r == 0 && i < tasks.n; i++) {
		if (ug_task_skipped(&tasks.v[i]) || settled(rd, &tasks.v[i]))
			continue;
		r = stop_one(rd, tasks.v[i].tid, err);
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

/* Every live thread is known now, and all that hold a pointer of the slice are held: those
 * whose holders are all safe are switched. */
static int switch_slice(struct round *rd, struct ug_error *err)
{
	int r = 1;

	for (int round = 0; r > 0; round++)
		r = round == MAX_ROUNDS ? ug_err(err, -UG_E_UNSTOPPABLE, "threads are created faster "
						 "than looked at") : stop_rest(rd, err);
	ug_vec_for_each(&rd->groups, g)
		if (r == 0 && g->in_slice && g->stopped && g->safe)
			r = kill_slot(rd->run, g->pointer, err);
	return harmless(r) ? 0 : r;
}

/*
 * Groups from *at on, until enough time has passed for one slice: who is held waits for the
 * others, so that many running threads are not held at once for long.
 */
static int fill_slice(struct round *rd, size_t *at, struct ug_error *err)
{
	uint64_t listing = rd->run->listing_ns;
	uint64_t end = ug_now_ns() + (listing > SLICE_MIN_NS ? listing : SLICE_MIN_NS);
	int r = 0;

	while (r == 0 && *at < rd->groups.n && ug_now_ns() < end) {
		struct group *g = &rd->groups.v[(*at)++];

		if (!worth_stopping(rd, g))
			continue;
		rd->run->attempts++;
		rd->run->t->report->attempts++;
		r = stop_group(rd, g, err);
	}
	return r;
}

static int run_slice(struct round *rd, size_t *at, struct ug_error *err)
{
	struct ug_stop_opts opts = { 0 };
	int r = ug_stop_create(&rd->run->t->proc, &opts, &rd->stop, err);

	if (r < 0)
		return r;
	rd->run->slices++;
	r = fill_slice(rd, at, err);
	if (r == 0 && ug_stop_count(rd->stop))
		r = switch_slice(rd, err);
	ug_stop_resume(rd->stop);
	ug_stop_destroy(rd->stop);
	ug_vec_for_each(&rd->groups, g)
		g->in_slice = false;
	return r;
}

static size_t count_live(struct round *rd)
{
	size_t n = 0;

	ug_vec_for_each(&rd->groups, g)
		n += is_live(rd->run, g->pointer);
	return n;
}

int ug_run_attempt(struct ug_run *run, size_t *ret_left, struct ug_error *err)
{
	uint64_t began = ug_now_ns();
	struct round rd = { .run = run };
	size_t at = 0;
	int r;

	ug_maps_free(&run->t->maps);
	r = ug_maps_read(&run->t->proc, &run->t->maps, err);
	if (r == 0)
		r = ug_run_unwind(run, err);
	if (r == 0)
		r = collect_owners(&rd, err);
	while (r == 0 && at < rd.groups.n && ug_now_ns() < run->t->deadline_ns)
		r = run_slice(&rd, &at, err);
	if (r == 0)
		*ret_left = count_live(&rd);
	run->round_ns = ug_now_ns() - began;
	ug_vec_free(&rd.owners);
	ug_vec_free(&rd.groups);
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
