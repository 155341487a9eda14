/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A target under work: the pinned process with everything the engine knows of it. Opened
 * once per operation; the registry is read anew after each change (ug_target_reload), so
 * every operation starts from what is really in the process.
 */
#ifndef UG_ENGINE_TARGET_H
#define UG_ENGINE_TARGET_H

#include "engine/registry.h"
#include "object/object.h"
#include "ugraft/ugraft.h"

struct ug_intent;

struct ug_target {
	struct ug_proc proc;
	struct ug_maps maps;
	struct ug_objects objects;
	struct ug_registry reg;
	ug_raddr_t main_stack_top;
	bool forked;			/* and no execve since */
	bool rdfsbase;			/* the target may execute rdfsbase */

	/* of this operation */
	unsigned int flags;		/* enum ug_opt_flags */
	uint64_t max_pause_us;		/* 0: default */
	uint64_t began_ns;		/* CLOCK_MONOTONIC, as the deadline of the transition */
	uint64_t deadline_ns;
	struct ug_report *report;
	const struct ug_notify *notify;
	bool inherited;			/* a dead controller may have left calls to be made */
	unsigned int settled;		/* of a group, brought to its end when the session began */
	const struct ug_intent *intent;	/* of a group: recorded with the transition; NULL: none */
	bool forward;			/* what cannot commit yet is left as it is, not taken back */
};

/* How an operation tells of its progress and hears of a cancellation. */
struct ug_notify {
	void (*progress)(const struct ug_progress *progress, void *ctx);
	void (*blocker)(const struct ug_blocker *blocker, void *ctx);
	bool (*cancelled)(void *ctx);
	void *ctx;
};

enum {
	UG_TARGET_LOCK = 1 << 0,	/* be the only controller */
	UG_TARGET_OBJECTS = 1 << 1,	/* find the objects */
};

int ug_target_open(pid_t pid, unsigned int what, struct ug_target *ret, struct ug_error *err) ug_must_check;
void ug_target_close(struct ug_target *t);

/*
 * The result r of something that was tried on the target. Whatever went wrong in a process that
 * has exited meanwhile, or runs another program, went wrong for that reason: then -UG_E_GONE,
 * and err says so.
 */
int ug_target_reason(struct ug_target *t, int r, struct ug_error *err);

/*
 * Open the unwind tables of all objects (idempotent). Slow, so before any stop in which
 * threads are to be unwound, and only then: most loads never need them.
 */
int ug_target_load_cfi(struct ug_target *t, struct ug_error *err) ug_must_check;

/* Does the host want it to end? And is there no time left, for that reason or by the clock? */
bool ug_target_cancelled(const struct ug_target *t);
bool ug_target_out_of_time(const struct ug_target *t);

/* Borrow a thread of the target, as its options say (inject/remote.h). */
struct ug_remote;
int ug_target_borrow(struct ug_target *t, struct ug_remote **ret, struct ug_error *err) ug_must_check;

/* Read maps and registry again. */
int ug_target_reload(struct ug_target *t, struct ug_error *err) ug_must_check;

/* Name of the object that holds addr, or "?". */
const char *ug_target_object_name(const struct ug_target *t, ug_raddr_t addr);

#endif
