/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One controller's work on one transition: what transition.c (the verbs), attempt.c (single
 * threads), force.c, finish.c (completion) and release.c share. Private to these.
 */
#ifndef UG_ENGINE_RUN_H
#define UG_ENGINE_RUN_H

#include "engine/checkset.h"
#include "process/stop.h"

/* What is known of a thread since it was last looked at. */
struct ug_thread_rec {
	pid_t tid;
	uint64_t start_time;
	uint64_t pointer;		/* fs base */
	bool pointer_kept;		/* at %fs:0, too, where the gates go by that; of full stops */
	ug_raddr_t sp, stack_top;	/* the part of its home stack that was checked */
	bool safe;			/* at the last check */
	bool in_left;			/* inside something that waits to be released */
	bool in_bytes;			/* inside bytes of an entry that is to be written */
	bool in_pad;			/* at or in the far jump of a short entry */
	bool seen;			/* in the present full stop */
	bool listed;			/* alive, when the threads were last listed */
	bool foreign;			/* on a stack that is not the thread's */
	uint64_t slice;			/* of attempt.c: the last one it was held in */
	bool sampled;			/* it slept when it was stopped; `switches`, `pc` are valid */
	ug_raddr_t pc;			/* where, with sp */
	uint64_t switches;		/* context switches while it was stopped */
	uint64_t leave_until_ns;	/* class-E sleeper: not stopped singly before */
	struct ug_stack_report report;	/* of the last check that failed */
};

struct ug_run {
	struct ug_target *t;
	uint32_t id;			/* of the transition */
	struct ug_seg *trans;		/* in t->reg */
	struct ug_checkset cs;
	struct ug_stack_ctx stack;
	UG_VEC(struct ug_thread_rec) threads;
	uint32_t *index;		/* of threads by tid: open addressing, 0 is free, else + 1 */
	size_t index_cap;		/* a power of two, or 0 */
	uint8_t *table;			/* copy of the table in the target */
	size_t table_len;		/* capacity; trans->table_used of it hold something */
	uint64_t *hits;			/* scratch of one check */
	uint64_t *occupied;		/* items some thread may be in, of the last full stop */
	bool tier2;			/* refute hits of the scan by unwinding; ug_run_unwind */
	bool at_once;			/* suspended contexts: no table, and memory counts */
	bool together;			/* of a group: no thread may be left behind */
	uint64_t hold_us;		/* of a group: how long all may be stopped */
	bool scanned;			/* memory, in this full stop */
	bool searchable;		/* prepared for this stop; else nothing is known to be free */
	struct ug_error unsearchable;	/* why it never will be */
	struct ug_watch *watch;		/* of search.c: large memory, searched before stops */
	bool untouched;			/* recorded by us, and no entry has led to its gates */
	bool hot;			/* a thread found unsafe was running, not asleep */
	struct ug_error refusal;	/* of the last full stop: this process must not be stopped */
	unsigned int attempts;
	uint64_t slices;		/* counted, so that each has a number */
	uint64_t round_ns;		/* how long the last round of attempts took */
	uint64_t listing_ns;		/* and the last listing of the threads */
};

int ug_run_init(struct ug_run *run, struct ug_target *t, uint32_t trans_id,
		struct ug_error *err) ug_must_check;
void ug_run_deinit(struct ug_run *run);

/* The site of a move; it exists while the transition does. NULL: the registry is damaged. */
const struct ug_reg_site *ug_run_site(const struct ug_run *run, const struct ug_reg_move *move);

/* From here on unwind where the scan hits: opens the tables it needs, so before a stop. */
int ug_run_unwind(struct ug_run *run, struct ug_error *err) ug_must_check;

/* Stop the whole process and check every thread; results in run->threads, run->occupied. */
int ug_run_stop_all(struct ug_run *run, struct ug_stop **ret, struct ug_error *err) ug_must_check;

/* Its two halves, for when several processes are stopped: what takes time, and the stop. */
int ug_run_stop_ready(struct ug_run *run, struct ug_error *err) ug_must_check;
int ug_run_stop_now(struct ug_run *run, struct ug_stop **ret, struct ug_error *err) ug_must_check;

/* Resume, account for the pause. */
void ug_run_resume(struct ug_run *run, struct ug_stop *stop);

/* Check one stopped thread, update its record (added when new). */
struct ug_thread_rec *ug_run_check(struct ug_run *run, struct ug_thread *thread,
				   struct ug_error *err);
struct ug_thread_rec *ug_run_find(struct ug_run *run, pid_t tid, uint64_t start_time);

/*
 * What a beginning is made of, for a group, which makes each step in all its members before the
 * next:
 *	ready	what takes time, in round `round` of trying; nothing is stopped
 *	hold	the whole process is stopped, and may commit; on failure it runs (-EAGAIN: not this time)
 *	arm	in the stop, the entries lead to the gates, word ALL; on failure they are as before
 *	disarm	in the stop, back
 * and to take back what did not commit: cancel.
 */
int ug_run_ready(struct ug_run *run, unsigned int round, struct ug_error *err) ug_must_check;
int ug_run_hold(struct ug_run *run, struct ug_stop **ret, struct ug_error *err) ug_must_check;
int ug_run_arm(struct ug_run *run, struct ug_error *err) ug_must_check;
void ug_run_disarm(struct ug_run *run);
int ug_run_cancel(struct ug_run *run);

/* Held for longer than a stop that is to begin something may last: -UG_E_UNSTOPPABLE. */
int ug_run_check_pause(const struct ug_run *run, const struct ug_stop *stop,
		       struct ug_error *err) ug_must_check;

/* Which thread kept it from being held. Returns the error. */
int ug_run_explain(const struct ug_run *run, struct ug_error *err);

/* The lines of a transition from its start to its end. */
void ug_run_log_whole(struct ug_run *run);

/* Store of the transition's word. In a full stop only. */
int ug_run_set_word(struct ug_run *run, uint64_t word, struct ug_error *err) ug_must_check;

/*
 * In a full stop, all threads checked: word NULL, entries to their targets, states, and what
 * nobody is inside of is marked empty. Idempotent.
 */
int ug_run_finish(struct ug_run *run, struct ug_error *err) ug_must_check;

/* In a full stop: mark segments that are left and that nobody is inside of. */
int ug_run_mark_empty(struct ug_run *run, struct ug_error *err) ug_must_check;

/* Sites that no patch in force needs wait to be released. Not during a transition, unless in
 * the stop that completes it. */
int ug_leave_unused_sites(struct ug_target *t, struct ug_error *err) ug_must_check;

/*
 * One round over the threads that are not switched: look without stopping, stop and check
 * those that ran. *ret_left: pointers that still wait for a live thread.
 */
int ug_run_attempt(struct ug_run *run, size_t *ret_left, struct ug_error *err) ug_must_check;

/*
 * Look at the threads that were in what waits to be released, one by one, without a stop of
 * the whole process: how many still are. Nothing leads there any more, so a thread that has
 * left does not come back; the proof is still a full stop.
 */
int ug_run_attempt_left(struct ug_run *run, size_t *ret_left, struct ug_error *err) ug_must_check;

/* Is this the failure of one stop only, so that the next may do better? */
bool ug_run_worth_retrying(int r);

/* Wait before the next round: briefly while threads run through the functions, longer when
 * all that are in the way sleep. */
void ug_run_back_off(struct ug_run *run, unsigned int round);

/* Not switched, and found inside at its last check. */
bool ug_run_is_pending(const struct ug_run *run, const struct ug_thread_rec *rec);

/* Tell the host how far it is (blockers.c). */
void ug_run_progress(struct ug_run *run);

/* Tell the host every pending thread, one by one. */
void ug_run_tell_blockers(struct ug_run *run);

#endif
