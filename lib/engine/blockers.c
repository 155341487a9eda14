/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who holds up a transition, where, and what would help: for people. */
#include <stdio.h>
#include <string.h>

#include "engine/run.h"
#include "object/symbol.h"
#include "process/task.h"
#include "text/gate.h"

/* Names are looked up when somebody wants to read them, which is never in a stop. */
static void load_names(struct ug_run *run, const struct ug_stack_report *report)
{
	for (unsigned int i = 0; i < report->nchain; i++) {
		struct ug_object *obj = ug_objects_find(&run->t->objects, report->chain[i]);

		if (obj)
			ug_ignore(ug_object_symtab(obj, NULL));
	}
}

static void advise(struct ug_run *run, const struct ug_thread_rec *rec, struct ug_blocker *b)
{
	struct ug_task_syscall sc;
	const char *name;

	if (b->unreliable) {
		(void)snprintf(b->advice, sizeof(b->advice), "wait until it has left that code, or "
			       "reverse the transition");
		return;
	}
	if (ug_task_syscall(&run->t->proc, rec->tid, &sc, NULL) < 0 || sc.running || sc.nr < 0) {
		(void)snprintf(b->advice, sizeof(b->advice), "it is running: give it time");
		return;
	}
	name = ug_syscall_name(sc.nr);
	if (name)
		(void)snprintf(b->advice, sizeof(b->advice), "it sleeps in %s, and leaves some time "
			       "after that has returned", name);
	else
		(void)snprintf(b->advice, sizeof(b->advice), "it is in system call %ld, and leaves "
			       "some time after that has returned", sc.nr);
}

static void fill(struct ug_run *run, const struct ug_thread_rec *rec, struct ug_blocker *b)
{
	const struct ug_stack_report *report = &rec->report;
	const struct ug_item *item = report->range_id < run->cs.nitems ?
				     &run->cs.items[report->range_id] : NULL;
	struct ug_task task;

	memset(b, 0, sizeof(*b));
	b->tid = rec->tid;
	if (ug_task_read(&run->t->proc, rec->tid, &task, NULL) == 0)
		memcpy(b->comm, task.comm, sizeof(b->comm));
	b->unreliable = report->verdict == UG_UNRELIABLE;
	memcpy(b->reason, report->reason, sizeof(b->reason));
	if (report->verdict == UG_BLOCKED && item) {
		(void)snprintf(b->function, sizeof(b->function), "%s", item->name);
		(void)snprintf(b->version, sizeof(b->version), "%s", item->patch ? item->patch : "");
	}
	load_names(run, report);
	(void)ug_stack_format(&run->stack, report, b->chain, sizeof(b->chain));
	advise(run, rec, b);
}

static bool is_listed(const struct ug_run *run, const struct ug_thread_rec *rec)
{
	size_t off;
	uint8_t byte;

	return run->trans->trans->word != UG_WORD_NULL &&
	       ug_table_kill(run->table, run->trans->trans->table_used, rec->pointer, &off, &byte);
}

bool ug_run_is_pending(const struct ug_run *run, const struct ug_thread_rec *rec)
{
	return !rec->safe && is_listed(run, rec);
}

void ug_run_progress(struct ug_run *run)
{
	const struct ug_notify *notify = run->t->notify;
	struct ug_progress progress = { .attempts = run->attempts };

	if (!notify || !notify->progress)
		return;
	ug_vec_for_each(&run->threads, rec) {
		progress.threads++;
		if (!is_listed(run, rec))
			progress.switched++;
		else if (progress.nblockers < UG_BLOCKERS_MAX)
			fill(run, rec, &progress.blockers[progress.nblockers++]);
	}
	notify->progress(&progress, notify->ctx);
}

void ug_run_tell_blockers(struct ug_run *run)
{
	const struct ug_notify *notify = run->t->notify;

	ug_vec_for_each(&run->threads, rec) {
		struct ug_blocker b;

		if (!ug_run_is_pending(run, rec))
			continue;
		fill(run, rec, &b);
		notify->blocker(&b, notify->ctx);
	}
}
