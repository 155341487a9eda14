/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The target's own unwinding (exceptions, pthread_cancel, backtrace) through the code of
 * patches: libgcc asks _dl_find_object of glibc for the unwind tables of a PC, and that is
 * redirected to code of ours which knows those of patches (rt/find_object.S).
 *
 * It is one more function of every patch that has unwind tables, moved by the patch's own
 * transition and taken back by it: journal, gates, checks and recovery are those of any
 * function. All such patches share one version, which belongs to the site; so only the first
 * patch of a process moves the entry, and the last. docs/unwinding.md.
 */
#ifndef UG_ENGINE_HOOK_H
#define UG_ENGINE_HOOK_H

#include "engine/build.h"
#include "engine/sites.h"

#define UG_HOOK_FUNCTION "_dl_find_object"

struct ug_load_hook {
	bool wanted;			/* the patch gets it */
	bool moves;			/* and no other patch has it: the entry is to be moved */
	ug_raddr_t func;
	const char *object;		/* name; lives as long as the target */
	struct ug_load_func lf;
};

/*
 * Find the function and plan its entry; adds what is new to the build. A process without one
 * (musl, glibc before 2.35), or with one that cannot be redirected, has no hook: that is no
 * error. Not when the patch replaces the function itself (match). After the patch's layout.
 */
int ug_hook_plan(struct ug_load_hook *hook, struct ug_build *b, const struct ug_match *match,
		 struct ug_texts *texts, struct ug_error *err) ug_must_check;

/*
 * The first half of that, for plan: find it and plan its entry, nothing else. Negative, and
 * why: there is none that can be redirected. hook->lf.plan is the caller's.
 */
int ug_hook_find(struct ug_load_hook *hook, struct ug_target *t, const struct ug_match *match,
		 struct ug_texts *texts, struct ug_error *err) ug_must_check;

/* Its record, b->hook. Before the addresses are chosen only the size is right. */
int ug_hook_record(const struct ug_load_hook *hook, struct ug_build *b,
		   struct ug_error *err) ug_must_check;

/* When the addresses are chosen: code into the image, addresses of the move. */
int ug_hook_encode_all(const struct ug_load_hook *hook, struct ug_build *b,
		       struct ug_error *err) ug_must_check;

/* The version that patches share. */
ug_raddr_t ug_hook_entry(const struct ug_load_hook *hook, const struct ug_build *b);

/* Of a patch, the functions that are its author's. */
uint32_t ug_hook_others(const struct ug_seg *patch);
/* The same of the moves of a transition. */
uint32_t ug_hook_other_moves(const struct ug_registry *reg, const struct ug_seg *trans);

#endif
