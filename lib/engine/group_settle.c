/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a dead controller has left of a group. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "engine/group.h"
#include "engine/session.h"
#include "engine/transition.h"
#include "rt/gate_abi.h"

/* The process we are asked about, or another one that its intent names. */
struct member {
	struct ug_reg_member who;
	struct ug_target t;
	struct ug_report report;
	bool open;		/* it lives, and we have its lock */
	bool listed;		/* else it is a child that a member has forked: it has a copy */
};

struct settling {
	const struct ug_operation *op;
	const struct ug_notify *notify;
	uint64_t group;
	bool patching;
	char patch[UG_NAME_MAX];
	struct member *v;	/* by pid */
	size_t n;
};

uint64_t ug_group_pid_ns(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

/* ---- where a member stands ---- */

enum stand { NOTHING, OPEN, COMMITTED, BACK };

static struct ug_seg *intent_of(const struct ug_target *t, uint64_t group)
{
	struct ug_seg *seg = ug_registry_intent(&t->reg);

	return seg && seg->trans->group == group ? seg : NULL;
}

static enum stand stand_of(const struct ug_target *t, uint64_t group)
{
	const struct ug_seg *seg = intent_of(t, group);

	if (!seg)
		return NOTHING;
	if (seg->trans->word != UG_WORD_ALL)
		return COMMITTED;
	return seg->s.state == UG_REG_OPEN ? OPEN : BACK;
}

/* Of a member that has forgotten: what it is like now. */
static bool ended_forward(const struct settling *s, const struct ug_target *t)
{
	const struct ug_seg *patch = ug_registry_patch(&t->reg, s->patch);

	return (patch && patch->s.state == UG_REG_ENABLED) == s->patching;
}

/*
 * Forward when a member has committed. A child has a copy of the intent, of which the members may
 * have no trace any more: then they say by what they are how it ended. (A member without a trace
 * among members that have one was not recorded yet, or has forgotten already; both say nothing.)
 */
static bool is_decided(const struct settling *s)
{
	bool traces = false, committed = false, forward = false;

	for (size_t i = 0; i < s->n; i++) {
		const struct member *m = &s->v[i];
		enum stand stand = m->open ? stand_of(&m->t, s->group) : NOTHING;

		committed |= stand == COMMITTED;
		traces |= m->listed && stand != NOTHING;
		forward |= m->listed && m->open && ended_forward(s, &m->t);
	}
	return committed || (!traces && forward);
}

/* ---- opening ---- */

static int open_member(struct settling *s, struct member *m, struct ug_error *err)
{
	struct ug_operation op = *s->op;
	int r;

	op.pid = m->who.pid;
	r = ug_session_open(&m->t, &op, s->notify, &m->report, err);
	if (r == -UG_E_GONE)
		return 0;
	if (r < 0) {
		if (err)
			err->pid = op.pid;
		return r;
	}
	if (m->t.proc.start_time == m->who.start_time)
		m->open = true;
	else	/* its pid was given to somebody else */
		ug_target_close(&m->t);
	return 0;
}

static void close_members(struct settling *s)
{
	for (size_t i = 0; s->v && i < s->n; i++) {
		if (!s->v[i].open)
			continue;
		ug_session_tidy(&s->v[i].t);
		ug_target_close(&s->v[i].t);
	}
	free(s->v);
}

static int by_pid(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return (x->who.pid > y->who.pid) - (x->who.pid < y->who.pid);
}

/* The members, and t if it is none. */
static int list_members(struct settling *s, const struct ug_target *t, const struct ug_seg *seg,
			struct ug_error *err)
{
	const struct ug_reg_member *v = ug_seg_members(seg);
	bool self = false;

	if (seg->trans->nmembers > UG_GROUP_MAX)
		return ug_err(err, -UG_E_REGISTRY, "a group of %u processes is more than there can be",
			      seg->trans->nmembers);
	s->v = calloc(seg->trans->nmembers + 1u, sizeof(*s->v));
	if (!s->v)
		return ug_err(err, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < seg->trans->nmembers; i++) {
		/* A pid that was given to t meanwhile is not the member's any more. */
		if (v[i].pid == t->proc.pid && v[i].start_time != t->proc.start_time)
			continue;
		self |= v[i].pid == t->proc.pid;
		s->v[s->n++] = (struct member){ .who = v[i], .listed = true };
	}
	if (!self)
		s->v[s->n++].who = (struct ug_reg_member){ .pid = t->proc.pid,
							   .start_time = t->proc.start_time };
	qsort(s->v, s->n, sizeof(*s->v), by_pid);
	return 0;
}

/* ---- to the end, and forgetting ---- */

int ug_group_end(struct ug_target *t, uint64_t group, bool forward, struct ug_error *err)
{
	const struct ug_seg *seg = intent_of(t, group);
	bool open;
	int r;

	if (!seg || seg->s.state != UG_REG_OPEN)
		return 0;
	open = seg->trans->word == UG_WORD_ALL;
	/* What has not committed is committed now; what cannot be yet is never taken back. */
	t->forward = forward;
	r = ug_transition_run(t, seg->s.id, forward && open, err);
	t->forward = false;
	if (r == -ECANCELED && !forward)
		r = 0;
	return r < 0 ? ug_target_reason(t, r, err) : 1;
}

int ug_group_forget(struct ug_target *t, uint64_t group, struct ug_error *err)
{
	struct ug_seg *seg = intent_of(t, group);

	if (!seg)
		return 0;
	return ug_target_reason(t, ug_seg_unmark(&t->proc, &t->reg, seg, UG_REG_MARK_GROUP, err), err);
}

/* Who has gone meanwhile hinders nobody. */
static int passed(int r)
{
	return r == -UG_E_GONE ? 0 : r;
}

static int settle(struct settling *s, unsigned int *n, struct ug_error *err)
{
	bool forward = is_decided(s);
	int r = 0;

	for (size_t i = 0; r >= 0 && i < s->n; i++) {
		r = s->v[i].open ? passed(ug_group_end(&s->v[i].t, s->group, forward, err)) : 0;
		*n += r > 0;
	}
	/* Only now: a member that forgot early would be asked in vain. */
	for (size_t i = 0; r >= 0 && i < s->n; i++)
		r = s->v[i].open ? passed(ug_group_forget(&s->v[i].t, s->group, err)) : 0;
	return r < 0 ? r : 0;
}

static int open_and_settle(struct settling *s, unsigned int *n, struct ug_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n; i++)
		r = open_member(s, &s->v[i], err);
	return r < 0 ? r : settle(s, n, err);
}

int ug_group_settle(struct ug_target *t, const struct ug_operation *op, unsigned int *ret_n,
		    struct ug_error *err)
{
	const struct ug_seg *seg = ug_registry_intent(&t->reg);
	struct settling s = {
		.op = op, .notify = t->notify, .group = seg->trans->group,
		.patching = seg->trans->patching,
	};
	int r;

	if (seg->trans->pid_ns != ug_group_pid_ns())
		r = ug_err(err, -UG_E_GROUP, "process %d belongs to a group that was changed from "
			   "another pid namespace: recover it from there", t->proc.pid);
	else
		r = list_members(&s, t, seg, err);
	(void)snprintf(s.patch, sizeof(s.patch), "%s", ug_session_patch_name(t, seg));
	ug_target_close(t);
	if (r == 0)
		r = open_and_settle(&s, ret_n, err);
	close_members(&s);
	return r;
}
