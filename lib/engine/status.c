/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ug_status, ug_applicable: looking only. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/entry.h"
#include "engine/target.h"
#include "patchfile/patch.h"
#include "process/task.h"
#include "text/gate.h"

static enum ug_patch_state state_of(const struct ug_target *t, const struct ug_seg *seg)
{
	const struct ug_seg *trans = ug_registry_running_trans(&t->reg);

	if (trans && trans->trans->patch == seg->s.id && trans->trans->word != UG_WORD_ALL)
		return trans->trans->patching ? UG_PATCH_PATCHING : UG_PATCH_UNPATCHING;
	switch (seg->s.state) {
	case UG_REG_ENABLED:
		return UG_PATCH_ENABLED;
	case UG_REG_PINNED:
		return UG_PATCH_PINNED;
	case UG_REG_PREPARED:
		return UG_PATCH_PREPARED;
	default:
		return UG_PATCH_LEFT;
	}
}

/* Is this the version that new calls run? A gate counts by where it leads in the end. */
static bool is_active(struct ug_target *t, const struct ug_reg_func *f)
{
	const struct ug_reg_site *site = ug_registry_site(&t->reg, f->func, NULL);
	ug_raddr_t now;

	if (!site || ug_entry_read(&t->proc, site, &now, NULL) < 0)
		return false;
	return now == f->entry;
}

static int fill_funcs(struct ug_target *t, const struct ug_seg *seg, struct ug_patch_status *ps,
		      struct ug_error *err)
{
	ps->funcs = calloc(seg->patch->nfuncs ? seg->patch->nfuncs : 1, sizeof(*ps->funcs));
	if (!ps->funcs)
		return ug_err(err, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < seg->patch->nfuncs; i++) {
		const struct ug_reg_func *f = &ug_seg_funcs(seg)[i];
		struct ug_func_status *fs;

		if (f->flags & UG_REG_FUNC_HOOK)
			continue;
		fs = &ps->funcs[ps->nfuncs++];

		(void)snprintf(fs->object, sizeof(fs->object), "%s", ug_seg_str(seg, f->object));
		(void)snprintf(fs->name, sizeof(fs->name), "%s", ug_seg_str(seg, f->name));
		fs->address = f->func;
		fs->new_address = f->entry;
		fs->active = is_active(t, f);
	}
	return 0;
}

static int fill_patch(struct ug_target *t, const struct ug_seg *seg, struct ug_patch_status *ps,
		      struct ug_error *err)
{
	(void)snprintf(ps->name, sizeof(ps->name), "%s", ug_seg_str(seg, seg->patch->name));
	(void)snprintf(ps->description, sizeof(ps->description), "%s",
		       ug_seg_str(seg, seg->patch->description));
	(void)snprintf(ps->cves, sizeof(ps->cves), "%s", ug_seg_str(seg, seg->patch->cves));
	ps->state = state_of(t, seg);
	ps->order = seg->s.order;
	ps->replace = seg->patch->replace != UG_REG_REPLACE_NONE;
	ps->forced = seg->s.marks & UG_REG_MARK_FORCED;
	for (int i = 0; i < UG_REG_AREAS; i++)
		ps->bytes += seg->meta->areas[i].len;
	return fill_funcs(t, seg, ps, err);
}

static int by_order(const void *a, const void *b)
{
	const struct ug_patch_status *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

/* One that a dead controller left prepared is on no func stack, and never will be. */
static bool is_listed(const struct ug_patch_status *ps)
{
	return ps->state == UG_PATCH_ENABLED || ps->state == UG_PATCH_PATCHING ||
	       ps->state == UG_PATCH_UNPATCHING;
}

/* 1: oldest, as in the kernel's stack_order: it closes up when earlier ones go. */
static void number_patches(struct ug_status *st)
{
	unsigned int order = 0;

	for (size_t i = 0; i < st->npatches; i++)
		st->patches[i].order = is_listed(&st->patches[i]) ? ++order : 0;
}

static int fill_patches(struct ug_target *t, struct ug_status *st, struct ug_error *err)
{
	int r = 0;

	st->patches = calloc(t->reg.nsegs ? t->reg.nsegs : 1, sizeof(*st->patches));
	if (!st->patches)
		return ug_err(err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < t->reg.nsegs; i++)
		if (t->reg.segs[i].s.kind == UG_REG_PATCH)
			r = fill_patch(t, &t->reg.segs[i], &st->patches[st->npatches++], err);
	qsort(st->patches, st->npatches, sizeof(*st->patches), by_order);
	number_patches(st);
	return r;
}

static void count_one(uint64_t pointer, void *ctx)
{
	(*(unsigned int *)ctx)++;
}

static void describe_transition(const struct ug_target *t, const struct ug_seg *trans,
				struct ug_status *st)
{
	const struct ug_seg *patch = ug_registry_find(&t->reg, trans->trans->patch);

	st->in_transition = true;
	st->transition_patching = trans->trans->patching;
	st->transition_since_ns = trans->trans->start_time;
	if (patch && patch->s.kind == UG_REG_PATCH)
		(void)snprintf(st->transition_patch, sizeof(st->transition_patch), "%s",
			       ug_seg_str(patch, patch->patch->name));
}

static int fill_transition(struct ug_target *t, struct ug_status *st, struct ug_error *err)
{
	const struct ug_seg *trans = ug_registry_running_trans(&t->reg);
	uint8_t *table;
	int r;

	if (!trans)
		return 0;
	describe_transition(t, trans, st);
	st->needs_recovery = true;	/* taken back below when a controller is at work */
	if (!trans->trans->table_used)
		return 0;
	table = malloc(trans->trans->table_used);
	if (!table)
		return ug_err(err, -ENOMEM, "out of memory");
	r = ug_proc_read(&t->proc, trans->trans->table, table, trans->trans->table_used, err);
	if (r == 0)
		r = ug_table_for_each(table, trans->trans->table_used, count_one,
				      &st->pending_threads, err);
	free(table);
	return r;
}

static int fill_process(struct ug_target *t, struct ug_status *st, struct ug_error *err)
{
	struct ug_tasks tasks = { 0 };
	struct ug_task task;
	ssize_t n;
	int r = ug_tasks_list(&t->proc, &tasks, err);

	if (r < 0)
		return r;
	st->threads = (unsigned int)tasks.n;
	ug_tasks_free(&tasks);
	st->pid = t->proc.pid;
	if (ug_task_read(&t->proc, t->proc.pid, &task, NULL) == 0)
		memcpy(st->comm, task.comm, sizeof(st->comm));
	n = readlinkat(t->proc.dirfd, "exe", st->exe, sizeof(st->exe) - 1);
	if (n < 0)
		st->exe[0] = 0;
	return 0;
}

static void fill_group(const struct ug_target *t, struct ug_status *st)
{
	const struct ug_seg *intent = ug_registry_intent(&t->reg);

	if (!intent)
		return;
	st->group = intent->trans->nmembers;
	st->needs_recovery = true;	/* the same */
}

static int fill_registry(struct ug_target *t, struct ug_status *st, struct ug_error *err)
{
	int r;

	if (!t->reg.addr)
		return 0;
	st->patched = true;
	st->is_copy = t->reg.is_copy;
	st->registry_bytes = UG_REG_SIZE;
	r = fill_patches(t, st, err);
	if (r == 0)
		r = fill_transition(t, st, err);
	fill_group(t, st);
	if (r == 0)
		r = ug_registry_read_log(&t->proc, &t->reg, &st->log, &st->nlog, err);
	st->log_total = t->reg.h.log_next;
	return r;
}

/* Whoever holds the lock is at work: an open transition is then not a dead one's. */
static void look_for_controller(struct ug_target *t, struct ug_status *st)
{
	if (ug_proc_locked(&t->proc)) {
		st->busy = true;
		st->needs_recovery = false;
		st->group = 0;
	}
}

int ug_status(pid_t pid, struct ug_status **ret, struct ug_error *err)
{
	struct ug_status *st = calloc(1, sizeof(*st));
	struct ug_target t;
	int r;

	if (!st)
		return ug_err(err, -ENOMEM, "out of memory");
	r = ug_target_open(pid, 0, &t, err);
	if (r < 0) {
		free(st);
		return r;
	}
	r = fill_process(&t, st, err);
	if (r == 0)
		r = fill_registry(&t, st, err);
	if (r == 0)
		look_for_controller(&t, st);
	ug_target_close(&t);
	if (r < 0) {
		ug_status_free(st);
		return r;
	}
	*ret = st;
	return 0;
}

void ug_status_free(struct ug_status *st)
{
	if (!st)
		return;
	for (size_t i = 0; i < st->npatches; i++)
		free(st->patches[i].funcs);
	free(st->patches);
	free(st->log);
	free(st);
}

static bool maps_one_of(const struct ug_target *t, const struct ug_patch *patch)
{
	for (size_t i = 0; i < patch->nfuncs; i++) {
		const struct ug_patch_object *po = &patch->objects[patch->funcs[i].object];

		for (size_t b = 0; b < po->nbuilds; b++)
			if (ug_objects_by_build_id(&t->objects, &po->builds[b]))
				return true;
	}
	return false;
}

int ug_applicable(pid_t pid, const char *file, struct ug_error *err)
{
	struct ug_patch *patch;
	struct ug_target t;
	int r = ug_patch_open(file, &patch, err);

	if (r < 0)
		return r;
	r = ug_target_open(pid, 0, &t, err);
	if (r == 0) {
		r = ug_objects_load(&t.proc, &t.maps, &t.objects, err);
		if (r == 0)
			r = maps_one_of(&t, patch);
		ug_target_close(&t);
	}
	ug_patch_close(patch);
	return r;
}
