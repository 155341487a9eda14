/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/transition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/contexts.h"
#include "engine/entry.h"
#include "engine/prepare.h"
#include "engine/release.h"
#include "engine/run.h"
#include "engine/search.h"
#include "text/gate.h"
#include "text/text.h"

/* Less than that is not enough for every process to be stopped in: the default is. */
#define BACK_OUT_MIN_US 10000

static const char *direction(const struct ug_run *run)
{
	return run->trans->trans->patching ? "patching" : "unpatching";
}

static const char *patch_name(const struct ug_run *run)
{
	const struct ug_seg *patch = ug_registry_find(&run->t->reg, run->trans->trans->patch);

	return patch && patch->s.kind == UG_REG_PATCH ? ug_seg_str(patch, patch->patch->name) : "?";
}

/* ---- start ---- */

static int site_of(const struct ug_run *run, uint32_t i, const struct ug_reg_move **ret_move,
		   const struct ug_reg_site **ret_site, struct ug_error *err)
{
	*ret_move = &ug_seg_moves(run->trans)[i];
	*ret_site = ug_run_site(run, *ret_move);
	if (!*ret_site)
		return ug_err(err, -UG_E_REGISTRY, "a site of transition %u is missing", run->id);
	return 0;
}

/* Each entry is as the record expects it: `before`, or (somebody died) the gate already.
 * Also brings the pages in, so that nothing faults in the stop. */
static int verify_entries(struct ug_run *run, struct ug_error *err)
{
	for (uint32_t i = 0; i < run->trans->trans->nmoves; i++) {
		const struct ug_reg_move *move;
		const struct ug_reg_site *site;
		ug_raddr_t now;
		int r = site_of(run, i, &move, &site, err);

		if (r == 0)
			r = ug_entry_read(&run->t->proc, site, &now, err);
		if (r == 0 && now != move->before && now != move->gate)
			r = ug_err(err, -UG_E_ENTRY_BUSY, "the entry at %#llx leads to %#llx, which "
				   "ugraft has not put there: remove that hook",
				   (unsigned long long)site->at, (unsigned long long)now);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Only what is ours is overwritten: `before` by the gate, the gate by `before`. What somebody
 * else has put there meanwhile refuses the commit, and is left alone on the way back. */
static int move_entry(struct ug_run *run, const struct ug_reg_move *move,
		      const struct ug_reg_site *site, bool to_gate, struct ug_error *err)
{
	ug_raddr_t now;
	int r = ug_entry_read(&run->t->proc, site, &now, err);

	if (r == -UG_E_ENTRY_BUSY && !to_gate)
		return 0;
	if (r < 0)
		return r;
	/* The padding of a short entry is not seen in it: who died may have written that alone. */
	if (now == (to_gate ? move->gate : move->before))
		return to_gate || site->form != UG_FORM_JMP2 ? 0 :
		       ug_entry_write(&run->t->proc, site, now, err);
	if (now == (to_gate ? move->before : move->gate))
		return ug_entry_write(&run->t->proc, site, to_gate ? move->gate : move->before, err);
	if (!to_gate)
		return 0;
	return ug_err(err, -UG_E_ENTRY_BUSY, "the entry at %#llx was changed by somebody else: remove "
		      "that hook", (unsigned long long)site->at);
}

static int move_entries(struct ug_run *run, bool to_gates, struct ug_error *err)
{
	for (uint32_t i = 0; i < run->trans->trans->nmoves; i++) {
		const struct ug_reg_move *move;
		const struct ug_reg_site *site;
		int r = site_of(run, i, &move, &site, err);

		if (r == 0)
			r = move_entry(run, move, site, to_gates, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool any_in_bytes(const struct ug_run *run)
{
	ug_vec_for_each(&run->threads, rec)
		if (rec->in_bytes)
			return true;
	return false;
}

/* Does any entry get its original bytes back: at the end, or when the transition is undone? */
static bool restores(const struct ug_run *run, bool undone)
{
	for (uint32_t i = 0; i < run->trans->trans->nmoves; i++) {
		const struct ug_reg_move *move = &ug_seg_moves(run->trans)[i];
		const struct ug_reg_site *site = ug_run_site(run, move);

		if (site && site->displaced == (undone ? move->before : move->to))
			return true;
	}
	return false;
}

/*
 * A thread between the two jumps of a short entry: the original bytes must not come back under
 * it, another far jump may. It is outside every version, so that this says nothing of whether
 * it may be switched.
 */
static bool pad_in_the_way(const struct ug_run *run, bool undone)
{
	ug_vec_for_each(&run->threads, rec)
		if (rec->in_pad)
			return restores(run, undone);
	return false;
}

/*
 * Who takes `from`: the threads that are not safe. In a reversal those which the reversed
 * transition had not switched are already where it leads.
 */
static bool must_wait(const struct ug_run *run, const struct ug_run *parent,
		      const struct ug_thread_rec *rec)
{
	size_t off;
	uint8_t byte;
	const struct ug_reg_trans *trans;

	if (rec->safe)
		return false;
	if (!parent)
		return true;
	trans = parent->trans->trans;
	return trans->word == UG_WORD_NULL ||
	       !ug_table_kill(parent->table, trans->table_used, rec->pointer, &off, &byte);
}

static int fill_table(struct ug_run *run, const struct ug_run *parent, size_t *ret_n,
		      struct ug_error *err)
{
	uint64_t *pointers = calloc(run->threads.n ? run->threads.n : 1, sizeof(*pointers));
	size_t n = 0, used;
	int r = 0;

	if (!pointers)
		return ug_err(err, -ENOMEM, "out of memory");
	ug_vec_for_each(&run->threads, rec)
		if (must_wait(run, parent, rec))
			pointers[n++] = rec->pointer;
	*ret_n = n;
	used = ug_table_size(n);
	if (n && used > run->table_len)
		r = ug_err(err, -UG_E_UNSTOPPABLE, "threads were created faster than counted");
	else if (n)
		r = ug_table_build(pointers, n, run->table, used, err);
	free(pointers);
	if (r < 0 || !n)
		return r;
	run->trans->trans->table_used = (uint32_t)used;
	r = ug_proc_write(&run->t->proc, run->trans->trans->table, run->table, used, err);
	if (r < 0)
		return r;
	return ug_proc_write(&run->t->proc,
			     run->trans->s.meta + offsetof(struct ug_reg_trans, table_used),
			     &run->trans->trans->table_used, sizeof(uint32_t), err);
}

/* No gate would find it. The first thread has a pointer once the dynamic linker has set it up. */
static const struct ug_thread_rec *find_pointerless(const struct ug_run *run)
{
	ug_vec_for_each(&run->threads, rec)
		if (rec->pointer == 0 || rec->pointer % 8)
			return rec;
	return NULL;
}

/* Without rdfsbase the gates read %fs:0, which must hold the pointer itself. */
static int check_copies(const struct ug_run *run, struct ug_error *err)
{
	ug_vec_for_each(&run->threads, rec)
		if (!rec->pointer_kept)
			return ug_err(err, -UG_E_UNSUPPORTED, "thread %d keeps no copy of its thread "
				      "pointer at %%fs:0", rec->tid);
	return 0;
}

int ug_run_arm(struct ug_run *run, struct ug_error *err)
{
	int r = check_copies(run, err);

	if (r < 0)
		return r;
	run->untouched = false;
	r = move_entries(run, true, err);
	if (r < 0)
		ug_run_disarm(run);
	return r;
}

void ug_run_disarm(struct ug_run *run)
{
	struct ug_error err;

	if (run->untouched)
		return;
	if (move_entries(run, false, &err) < 0)
		ug_log_warn("cannot move the entries back: %s", err.message);
	else
		run->untouched = true;
}

/*
 * In the stop: entries under ALL, table, word. *ret_waiting: threads that are not switched.
 * On failure the entries are back at `before`.
 */
static int commit(struct ug_run *run, const struct ug_run *parent, size_t *ret_waiting,
		  struct ug_error *err)
{
	int r = ug_run_arm(run, err);

	if (r < 0)
		return r;
	r = fill_table(run, parent, ret_waiting, err);
	if (r == 0)
		r = ug_run_set_word(run, *ret_waiting ? run->trans->trans->table : UG_WORD_NULL, err);
	if (r < 0) {
		ug_run_disarm(run);
		return r;
	}
	run->t->report->threads = (unsigned int)run->threads.n;
	run->t->report->switched_at_once = (unsigned int)(run->threads.n - *ret_waiting);
	return 0;
}

static size_t count_unsafe(const struct ug_run *run)
{
	size_t n = 0;

	ug_vec_for_each(&run->threads, rec)
		n += !rec->safe;
	return n;
}

/* May this stop commit? -EAGAIN: not this one. */
static int may_commit(struct ug_run *run, struct ug_error *err)
{
	int r;

	if (run->refusal.code) {
		if (err)
			*err = run->refusal;
		return run->refusal.code;
	}
	if (any_in_bytes(run) || pad_in_the_way(run, false) || find_pointerless(run))
		return -EAGAIN;
	r = ug_contexts_notice(run, err);
	if (r < 0 || (!run->at_once && !run->together))
		return r;
	if (count_unsafe(run))
		return -EAGAIN;
	if (!run->at_once)
		return 0;
	if (run->unsearchable.code) {
		if (err)
			*err = run->unsearchable;
		return run->unsearchable.code;
	}
	r = ug_search_memory(run, err);
	if (r < 0)
		return r;
	return ug_checkset_meet(&run->cs, run->occupied, run->cs.concerned) ||
	       ug_checkset_meet(&run->cs, run->occupied, run->cs.pads) ? -EAGAIN : 0;
}

int ug_run_ready(struct ug_run *run, unsigned int round, struct ug_error *err)
{
	/* The second try refutes stale words by unwinding: it costs pause, so not the first. */
	int r = round ? ug_run_unwind(run, err) : 0;

	if (r == 0)
		r = verify_entries(run, err);
	return r < 0 ? r : ug_run_stop_ready(run, err);
}

int ug_run_check_pause(const struct ug_run *run, const struct ug_stop *stop, struct ug_error *err)
{
	/* Nothing has been written: another stop can be tried. Not on the way back or to the end. */
	if (run->trans->trans->parent || run->t->forward || !ug_stop_is_overdue(stop))
		return 0;
	return ug_err(err, -UG_E_UNSTOPPABLE, "process %d was not stopped and checked within the pause "
		      "budget: raise --max-pause", run->t->proc.pid);
}

int ug_run_hold(struct ug_run *run, struct ug_stop **ret, struct ug_error *err)
{
	struct ug_stop *stop;
	int r = ug_run_stop_now(run, &stop, err);

	if (r < 0)
		return r;
	/* Not for the search for contexts, which is bounded by a size and never gets faster. */
	r = ug_run_check_pause(run, stop, err);
	if (r == 0)
		r = may_commit(run, err);
	if (r < 0)
		ug_run_resume(run, stop);
	else
		*ret = stop;
	return r;
}

static int start_once(struct ug_run *run, const struct ug_run *parent, size_t *ret_waiting,
		      struct ug_error *err)
{
	struct ug_stop *stop;
	int r = ug_run_hold(run, &stop, err);

	if (r < 0)
		return r;
	r = commit(run, parent, ret_waiting, err);
	if (r == 0 && *ret_waiting == 0)
		r = ug_run_finish(run, err);
	ug_run_resume(run, stop);
	return r;
}

/* No stop was found that could commit: say which thread was in the way, and why. */
int ug_run_explain(const struct ug_run *run, struct ug_error *err)
{
	const struct ug_thread_rec *bare = find_pointerless(run);

	if (bare) {
		(void)ug_err(err, -UG_E_UNSUPPORTED, "thread %d has no usable thread pointer (%#llx)",
			     bare->tid, (unsigned long long)bare->pointer);
		ug_err_thread(err, run->t->proc.pid, bare->tid);
		return -UG_E_UNSUPPORTED;
	}
	ug_vec_for_each(&run->threads, rec) {
		int r;

		if (!rec->in_bytes && !rec->in_pad && (rec->safe || (!run->at_once && !run->together)))
			continue;
		r = rec->report.verdict == UG_UNRELIABLE ?
		    ug_err(err, -UG_E_STACK_UNRELIABLE, "the stack of thread %d cannot be checked: %s",
			   rec->tid, rec->report.reason) :
		    ug_err(err, -UG_E_STACK_BUSY, "thread %d was never outside the functions when the "
			   "process was stopped", rec->tid);
		ug_err_thread(err, run->t->proc.pid, rec->tid);
		return r;
	}
	return ug_err(err, -UG_E_STACK_BUSY, "memory of the process holds a pointer into the "
		      "functions: a suspended coroutine may be inside them");
}

static int start(struct ug_run *run, const struct ug_run *parent, size_t *ret_waiting,
		 struct ug_error *err)
{
	int r;

	for (unsigned int round = 0;; round++) {
		r = ug_run_ready(run, round, err);
		if (r == 0)
			r = start_once(run, parent, ret_waiting, err);
		if (!ug_run_worth_retrying(r))
			return r;
		if (ug_target_out_of_time(run->t))
			break;
		ug_run_progress(run);
		ug_run_back_off(run, round);
	}
	return r == -EAGAIN ? ug_run_explain(run, err) : r;
}

/* ---- completion ---- */

/* At a full stop: every pointer still listed is held by safe threads only, or by none. */
static bool all_switched(const struct ug_run *run)
{
	ug_vec_for_each(&run->threads, rec)
		if (ug_run_is_pending(run, rec))
			return false;
	return true;
}

static int try_complete_all(struct ug_run *run, struct ug_error *err)
{
	struct ug_stop *stop;
	int r;

	r = ug_run_unwind(run, err);
	if (r == 0)
		r = ug_run_stop_all(run, &stop, err);
	if (r < 0)
		return r;
	r = ug_contexts_notice(run, err);
	/* Too late for all-at-once: it ends, and what cannot be searched for stays mapped. */
	if (r == 0 || r == -UG_E_CONTEXTS)
		r = all_switched(run) && !pad_in_the_way(run, false) ? ug_run_finish(run, err) : -EAGAIN;
	ug_run_resume(run, stop);
	return r;
}

static int try_complete(struct ug_run *run, struct ug_error *err)
{
	size_t left = 0;
	int r = 0;

	if (run->trans->trans->word != UG_WORD_NULL)
		r = ug_run_attempt(run, &left, err);
	if (r < 0 || left)
		return r < 0 ? r : -EAGAIN;
	return try_complete_all(run, err);
}

static int complete(struct ug_run *run, struct ug_error *err)
{
	uint64_t told = ug_now_ns();

	for (unsigned int round = 0;; round++) {
		int r = try_complete(run, err);

		if (!ug_run_worth_retrying(r))
			return r;
		if (ug_now_ns() - told > UINT64_C(200000000)) {
			ug_run_progress(run);
			told = ug_now_ns();
		}
		if (ug_target_out_of_time(run->t)) {
			ug_run_progress(run);
			return ug_err(err, -UG_E_TIMEOUT, "patch '%s' is still being %s: some threads "
				      "have not left the functions", patch_name(run),
				      run->trans->trans->patching ? "applied" : "taken back");
		}
		ug_run_back_off(run, round);
	}
}

/* ---- taking back what did not commit ---- */

/*
 * What no entry has ever led to is empty, whatever the threads' stacks are like: a thread
 * that cannot be checked must not keep a failed load's memory for good. A controller that
 * finds somebody else's transition cannot know that, and has it proven.
 */
static int leave_segment(struct ug_run *run, struct ug_seg *seg, uint8_t state, struct ug_error *err)
{
	return ug_seg_set_state(&run->t->proc, &run->t->reg, seg,
				run->untouched ? UG_REG_EMPTY : state, err);
}

/* The entries that were new with a load: their records are the two before the patch's. */
static int leave_new_sites(struct ug_run *run, uint32_t patch_id, struct ug_error *err)
{
	int r = 0;

	for (uint32_t id = patch_id - 2; r == 0 && run->untouched && id < patch_id; id++) {
		struct ug_seg *sites = ug_registry_find(&run->t->reg, id);

		if (sites && sites->s.kind == UG_REG_SITES)
			r = leave_segment(run, sites, UG_REG_LEFT, err);
	}
	return r;
}

/* The patch of a load that never committed. Not that of an unload, nor of a reversal of one. */
static struct ug_seg *never_loaded(const struct ug_run *run)
{
	struct ug_seg *patch = ug_registry_find(&run->t->reg, run->trans->trans->patch);
	bool loading = patch && patch->s.state == UG_REG_PREPARED && !run->trans->trans->parent;

	return loading ? patch : NULL;
}

/* The transition's record needs its entries': those go last. */
static int leave_all(struct ug_run *run, struct ug_error *err)
{
	struct ug_seg *patch = never_loaded(run);
	int r = patch ? leave_segment(run, patch, UG_REG_LEFT, err) : 0;

	if (r == 0)
		r = leave_segment(run, run->trans, UG_REG_CLOSED, err);
	return r < 0 || !patch ? r : leave_new_sites(run, patch->s.id, err);
}

/* No entry has moved: there is nothing to stop the process for. */
static int back_out(struct ug_run *run, struct ug_error *err)
{
	struct ug_stop *stop;
	int r;

	if (run->untouched)
		return leave_all(run, err);
	r = ug_run_stop_all(run, &stop, err);
	if (r < 0)
		return r;
	r = pad_in_the_way(run, true) ? -EAGAIN : move_entries(run, false, err);
	if (r == 0)
		r = leave_all(run, err);
	ug_run_resume(run, stop);
	return r;
}

static void log_line(struct ug_run *run, int level, const char *verb, const char *way)
{
	ug_registry_log(&run->t->proc, &run->t->reg, level, "'%s': %s %s transition", patch_name(run),
			verb, way);
}

static void log_complete(struct ug_run *run, const char *way)
{
	ug_registry_log(&run->t->proc, &run->t->reg, UG_LOG_NOTICE, "'%s': %s complete",
			patch_name(run), way);
}

void ug_run_log_whole(struct ug_run *run)
{
	log_line(run, UG_LOG_NOTICE, "starting", direction(run));
	log_line(run, UG_LOG_DEBUG, "completing", direction(run));
	log_complete(run, direction(run));
}

/* The kernel ends a load that could not begin as if it had been taken back. */
void ug_log_failed_load(struct ug_target *t, const char *patch)
{
	ug_registry_log(&t->proc, &t->reg, UG_LOG_WARN, "failed to enable patch '%s'", patch);
	ug_registry_log(&t->proc, &t->reg, UG_LOG_DEBUG,
			"'%s': canceling patching transition, going to unpatch", patch);
	ug_registry_log(&t->proc, &t->reg, UG_LOG_DEBUG, "'%s': completing unpatching transition",
			patch);
	ug_registry_log(&t->proc, &t->reg, UG_LOG_NOTICE, "'%s': unpatching complete", patch);
}

int ug_run_cancel(struct ug_run *run)
{
	struct ug_error err;
	int r;

	/* The way back has to be possible where the budget was too small for the way there. */
	if (run->t->max_pause_us < BACK_OUT_MIN_US)
		run->t->max_pause_us = 0;
	if (run->trans->trans->patching && !run->trans->trans->parent)
		ug_log_failed_load(run->t, patch_name(run));
	for (unsigned int round = 0; round < 100; round++) {
		r = back_out(run, &err);
		if (!ug_run_worth_retrying(r))
			break;
		ug_run_back_off(run, round);
	}
	if (r < 0 && r != -UG_E_GONE)
		ug_log_warn("cannot take the transition back: %s", err.message);
	return r;
}

/* ---- the loop ---- */

static int run_fresh(struct ug_run *run, struct ug_error *err)
{
	struct ug_run parent;
	bool reversal = run->trans->trans->parent != 0;
	size_t waiting = 0;
	int r = 0;

	if (reversal)
		r = ug_run_init(&parent, run->t, run->trans->trans->parent, err);
	if (r < 0)
		return r;
	/* Of somebody else's, whose intent binds us, nothing is known. */
	run->untouched = !run->t->forward;
	r = start(run, reversal ? &parent : NULL, &waiting, err);
	/* Not before: the kernel, too, says so once nothing can keep it from being begun. */
	if (r == 0)
		log_line(run, UG_LOG_NOTICE, "starting", direction(run));
	if (reversal)
		ug_run_deinit(&parent);
	if (r < 0 && run->trans->trans->word == UG_WORD_ALL && !run->t->forward)
		(void)ug_run_cancel(run);
	if (r < 0 || !waiting)
		return r;
	if (run->t->flags & UG_OPT_NO_WAIT)
		return ug_err(err, -UG_E_TIMEOUT, "%zu threads are not switched yet", waiting);
	return complete(run, err);
}

int ug_transition_run(struct ug_target *t, uint32_t id, bool fresh, struct ug_error *err)
{
	struct ug_run run;
	int r = ug_run_init(&run, t, id, err);

	if (r < 0)
		return r;
	r = ug_contexts_possible(t, err);
	if (r < 0)
		goto out;
	run.at_once = r > 0;
	run.together = run.trans->trans->nmembers != 0;
	if (run.trans->trans->word != UG_WORD_ALL)
		r = complete(&run, err);
	else if (fresh)
		r = run_fresh(&run, err);
	else {
		r = ug_run_cancel(&run);
		if (r == 0)
			r = ug_err(err, -ECANCELED, "the transition had not begun and was taken back");
		goto out;
	}
	if (r == 0) {
		log_line(&run, UG_LOG_DEBUG, "completing", direction(&run));
		log_complete(&run, direction(&run));
	}
out:
	ug_run_deinit(&run);
	return r;
}

bool ug_transition_is_ending(struct ug_target *t, const struct ug_seg *trans)
{
	if (trans->trans->word != UG_WORD_NULL)
		return false;
	for (uint32_t i = 0; i < trans->trans->nmoves; i++) {
		const struct ug_reg_move *move = &ug_seg_moves(trans)[i];
		const struct ug_reg_site *site = ug_registry_site(&t->reg, move->func, NULL);
		ug_raddr_t now;

		if (site && ug_entry_read(&t->proc, site, &now, NULL) == 0 && now == move->to)
			return true;
	}
	return false;
}

int ug_transition_blocking(struct ug_target *t, uint32_t id, struct ug_error *err)
{
	struct ug_stop *stop;
	struct ug_run run;
	int r = ug_run_init(&run, t, id, err);

	if (r < 0)
		return r;
	r = ug_run_unwind(&run, err);
	for (unsigned int round = 0; r == 0; round++) {
		r = ug_run_stop_all(&run, &stop, err);
		if (!ug_run_worth_retrying(r) || ug_target_out_of_time(t))
			break;
		ug_run_back_off(&run, round);
		r = 0;
	}
	if (r == 0) {
		ug_run_resume(&run, stop);
		t->report->threads = (unsigned int)run.threads.n;
		ug_run_tell_blockers(&run);
	}
	ug_run_deinit(&run);
	return r;
}

int ug_transition_reverse(struct ug_target *t, uint32_t id, uint32_t *ret_id, struct ug_error *err)
{
	const struct ug_seg *trans = ug_registry_find(&t->reg, id);
	const struct ug_seg *patch;
	const char *from, *to;

	if (!trans || trans->s.kind != UG_REG_TRANS)
		return ug_err(err, -UG_E_REGISTRY, "transition %u is not in the registry", id);
	patch = ug_registry_find(&t->reg, trans->trans->patch);
	from = trans->trans->patching ? "patching" : "unpatching";
	to = trans->trans->patching ? "unpatching" : "patching";
	ug_registry_log(&t->proc, &t->reg, UG_LOG_DEBUG, "'%s': reversing transition from %s to %s",
			patch ? ug_seg_str(patch, patch->patch->name) : "?", from, to);
	return ug_prepare_reversal(t, trans, ret_id, err);
}
