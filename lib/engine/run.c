/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "engine/search.h"
#include "engine/transfers.h"
#include "inject/seccomp.h"
#include "text/gate.h"

#define MAX_NAP_US 900000

static int load_table(struct ug_run *run, struct ug_error *err)
{
	const struct ug_reg_trans *trans = run->trans->trans;

	run->table_len = trans->table_len;
	run->table = calloc(1, trans->table_len ? trans->table_len : 1);
	if (!run->table)
		return ug_err(err, -ENOMEM, "out of memory");
	if (!trans->table_used)
		return 0;
	return ug_proc_read(&run->t->proc, trans->table, run->table, trans->table_used, err);
}

int ug_run_init(struct ug_run *run, struct ug_target *t, uint32_t trans_id, struct ug_error *err)
{
	int r;

	memset(run, 0, sizeof(*run));
	run->t = t;
	run->id = trans_id;
	run->trans = trans_id ? ug_registry_find(&t->reg, trans_id) : NULL;
	if (trans_id && (!run->trans || run->trans->s.kind != UG_REG_TRANS))
		return ug_err(err, -UG_E_REGISTRY, "transition %u is not in the registry", trans_id);
	r = ug_checkset_init(&run->cs, t, run->trans, err);
	if (r < 0)
		return r;
	ug_checkset_stack_ctx(&run->cs, t, &run->stack);
	run->hits = calloc(run->cs.nwords, sizeof(uint64_t));
	run->occupied = calloc(run->cs.nwords, sizeof(uint64_t));
	if (!run->hits || !run->occupied)
		r = ug_err(err, -ENOMEM, "out of memory");
	else if (run->trans)
		r = load_table(run, err);
	if (r < 0)
		ug_run_deinit(run);
	return r;
}

void ug_run_deinit(struct ug_run *run)
{
	ug_checkset_free(&run->cs);
	ug_vec_free(&run->threads);
	free(run->index);
	free(run->table);
	free(run->hits);
	free(run->occupied);
	ug_search_end(run);
	memset(run, 0, sizeof(*run));
}

const struct ug_reg_site *ug_run_site(const struct ug_run *run, const struct ug_reg_move *move)
{
	return ug_registry_site(&run->t->reg, move->func, NULL);
}

/* ---- records of threads ---- */

static size_t bucket_of(const struct ug_run *run, pid_t tid)
{
	return ((uint32_t)tid * UINT32_C(2654435761)) & (run->index_cap - 1);
}

static void index_record(struct ug_run *run, size_t i)
{
	size_t b = bucket_of(run, run->threads.v[i].tid);

	while (run->index[b])
		b = (b + 1) & (run->index_cap - 1);
	run->index[b] = (uint32_t)i + 1;
}

static void reindex(struct ug_run *run)
{
	memset(run->index, 0, run->index_cap * sizeof(*run->index));
	for (size_t i = 0; i < run->threads.n; i++)
		index_record(run, i);
}

/* Room for one more at a load of at most one half. */
static int grow_index(struct ug_run *run)
{
	size_t cap = run->index_cap ? run->index_cap * 2 : 256;
	uint32_t *grown;

	if (2 * (run->threads.n + 1) <= run->index_cap)
		return 0;
	grown = calloc(cap, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	free(run->index);
	run->index = grown;
	run->index_cap = cap;
	reindex(run);
	return 0;
}

struct ug_thread_rec *ug_run_find(struct ug_run *run, pid_t tid, uint64_t start_time)
{
	if (!run->index_cap)
		return NULL;
	for (size_t b = bucket_of(run, tid); run->index[b]; b = (b + 1) & (run->index_cap - 1)) {
		struct ug_thread_rec *rec = &run->threads.v[run->index[b] - 1];

		if (rec->tid == tid && rec->start_time == start_time)
			return rec;
	}
	return NULL;
}

static struct ug_thread_rec *record_of(struct ug_run *run, const struct ug_thread *th)
{
	struct ug_thread_rec *rec = ug_run_find(run, th->tid, th->start_time);

	if (rec)
		return rec;
	if (grow_index(run) < 0)
		return NULL;
	rec = ug_vec_add(&run->threads);
	if (!rec)
		return NULL;
	rec->tid = th->tid;
	rec->start_time = th->start_time;
	index_record(run, run->threads.n - 1);
	return rec;
}

struct ug_thread_rec *ug_run_check(struct ug_run *run, struct ug_thread *thread,
				   struct ug_error *err)
{
	struct ug_thread_rec *rec = record_of(run, thread);
	struct ug_stack_report report;

	if (!rec) {
		(void)ug_err(err, -ENOMEM, "out of memory");
		return NULL;
	}
	/* Told by the one who can still do without; a way back or to the end has to be gone. */
	if (thread->no_restart)
		(void)ug_seccomp_refuse_restart(&run->refusal, run->t->proc.pid, thread->tid);
	memset(run->hits, 0, run->cs.nwords * sizeof(uint64_t));
	ug_stack_check(&run->stack, thread, &run->cs.ranges, run->tier2, run->hits, run->cs.nitems,
		       &report);
	rec->pointer = thread->regs.fs_base;
	rec->sp = thread->regs.rsp;
	rec->stack_top = thread->tid == run->t->proc.pid ? run->t->main_stack_top : rec->pointer;
	rec->safe = !ug_checkset_meet(&run->cs, run->hits, run->cs.concerned);
	rec->in_bytes = ug_checkset_meet(&run->cs, run->hits, run->cs.bytes);
	rec->in_pad = ug_checkset_meet(&run->cs, run->hits, run->cs.pads);
	rec->in_left = ug_checkset_meet(&run->cs, run->hits, run->cs.left);
	rec->foreign = report.foreign;
	rec->seen = true;
	if (!rec->safe)
		rec->report = report;
	if ((!rec->safe || rec->in_left) && !thread->was_asleep)
		run->hot = true;
	for (size_t i = 0; i < run->cs.nwords; i++)
		run->occupied[i] |= run->hits[i];
	return rec;
}

/* Asked of what may begin in this stop: without rdfsbase the gates read %fs:0. */
static bool keeps_pointer(struct ug_run *run, uint64_t pointer)
{
	uint64_t word = 0;

	if (run->t->rdfsbase || !run->trans || run->trans->trans->word != UG_WORD_ALL)
		return true;
	return ug_proc_read_present(&run->t->proc, pointer, &word, sizeof(word), true, NULL) == 0 &&
	       word == pointer;
}

static int visit(struct ug_stop *s, struct ug_thread *thread, void *ctx, struct ug_error *err)
{
	struct ug_run *run = ctx;
	struct ug_thread_rec *rec = ug_run_check(run, thread, err);

	if (!rec)
		return -ENOMEM;
	/* Now, for most threads are visited while the others run: it takes 5 us a thread. */
	rec->pointer_kept = keeps_pointer(run, rec->pointer);
	return 0;
}

int ug_run_unwind(struct ug_run *run, struct ug_error *err)
{
	int r = ug_target_load_cfi(run->t, err);

	if (r == 0)
		r = ug_checkset_load_own(&run->cs, run->t, err);
	if (r == 0)
		run->tier2 = true;
	return r;
}

static int create_stop(struct ug_run *run, struct ug_stop **ret, struct ug_error *err)
{
	struct ug_stop_opts opts = { .budget_us = run->t->max_pause_us, .hold_us = run->hold_us };

	return ug_stop_create(&run->t->proc, &opts, ret, err);
}

/* Records of threads that were not found in this stop are of threads that have gone. */
static void drop_unseen(struct ug_run *run)
{
	size_t kept = 0;

	for (size_t i = 0; i < run->threads.n; i++)
		if (run->threads.v[i].seen)
			run->threads.v[kept++] = run->threads.v[i];
	if (kept == run->threads.n)
		return;
	run->threads.n = kept;
	reindex(run);
}

static void account(struct ug_report *report, const struct ug_stop_stats *stats)
{
	report->stops++;
	report->total_pause_ns += stats->pause_ns;
	if (stats->pause_ns > report->max_pause_ns)
		report->max_pause_ns = stats->pause_ns;
	report->cured += stats->cured;
	report->short_transfers += stats->transfers;
}

/* Only what has not begun can still be refused; a reversal ends what has. */
static int spare_transfers(struct ug_run *run, struct ug_error *err)
{
	int r = ug_transfers_await(run->t, err);
	bool begun = !run->untouched || run->trans->trans->parent;

	return r == -UG_E_TRANSFER && begun ? 0 : r;
}

int ug_run_stop_ready(struct ug_run *run, struct ug_error *err)
{
	int r;

	/* A fresh snapshot: new threads have new stacks. Read before, not in, the stop. */
	ug_maps_free(&run->t->maps);
	r = ug_maps_read(&run->t->proc, &run->t->maps, err);
	if (r == 0)
		r = spare_transfers(run, err);
	if (r == 0)
		ug_search_prepare(run);
	return r;
}

int ug_run_stop_now(struct ug_run *run, struct ug_stop **ret, struct ug_error *err)
{
	struct ug_stop *stop;
	int r = create_stop(run, &stop, err);

	if (r < 0)
		return r;
	ug_vec_for_each(&run->threads, rec)
		rec->seen = false;
	memset(run->occupied, 0, run->cs.nwords * sizeof(uint64_t));
	run->scanned = false;
	run->refusal.code = 0;
	r = ug_stop_all(stop, visit, run, err);
	if (r < 0) {
		/* It was felt all the same, unless no thread was interrupted. */
		if (ug_stop_stats(stop)->total_ns)
			account(run->t->report, ug_stop_stats(stop));
		ug_stop_destroy(stop);
		return r;
	}
	drop_unseen(run);
	*ret = stop;
	return 0;
}

int ug_run_stop_all(struct ug_run *run, struct ug_stop **ret, struct ug_error *err)
{
	int r = ug_run_stop_ready(run, err);

	return r < 0 ? r : ug_run_stop_now(run, ret, err);
}

void ug_run_resume(struct ug_run *run, struct ug_stop *stop)
{
	ug_stop_resume(stop);
	account(run->t->report, ug_stop_stats(stop));
	ug_stop_destroy(stop);
}

int ug_run_set_word(struct ug_run *run, uint64_t word, struct ug_error *err)
{
	ug_raddr_t at = run->trans->s.meta + offsetof(struct ug_reg_trans, word);
	int r = ug_proc_write(&run->t->proc, at, &word, sizeof(word), err);

	if (r == 0)
		run->trans->trans->word = word;
	return r;
}

bool ug_run_worth_retrying(int r)
{
	return r == -EAGAIN || r == -UG_E_UNSTOPPABLE || r == -UG_E_VFORK;
}

/*
 * A thread that runs through the functions all the time is outside them now and then: look
 * again soon, and at uneven moments. One that sleeps inside will sleep on.
 */
void ug_run_back_off(struct ug_run *run, unsigned int round)
{
	unsigned int shift = round < 6 ? round : 6;
	long us = 1000L << shift;
	struct timespec ts;

	if (run->hot && round < 2000)
		us = 500 + (long)(round * 2654435761U % 1500);
	/* Looking at thousands of sleepers must not take a whole processor. */
	if (us < (long)(run->round_ns / 1000) && us < MAX_NAP_US)
		us = run->round_ns / 1000 < MAX_NAP_US ? (long)(run->round_ns / 1000) : MAX_NAP_US;
	run->hot = false;
	ts = (struct timespec){ .tv_nsec = us * 1000 };
	nanosleep(&ts, NULL);
}
