/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of func stacks share: the victim tests/victims/stacked.c, patches for it made
 * on the spot, and the livepatch log of what was done, compared word for word.
 */
#ifndef UG_TESTS_STACKED_H
#define UG_TESTS_STACKED_H

#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define STACKED_LOG_MAX 256

struct stacked {
	struct scenario_victim v;
	struct victim_state before;
	char log[STACKED_LOG_MAX][128];		/* without the prefix "livepatch: " */
	size_t nlog;
	char history[STACKED_LOG_MAX][128];	/* since the start */
	size_t nhistory;
	unsigned int hot;
	struct ug_report report;		/* of the last call */
	struct ug_error err;
};

/* Start the victim with this many hot threads. */
void stacked_start(struct stacked *s, unsigned int hot);

/* End it; nothing may be left in it, its text and mappings are as before. */
void stacked_stop(struct stacked *s);

/*
 * Make a patch: its name, its number (what its versions answer), the functions it replaces
 * ("f", "fg", ...; m is that of the shared object), and whether it is an atomic replace.
 * Returns the path, valid to the end; the same patch again costs nothing.
 */
const char *stacked_patch(const char *name, int version, const char *funcs, bool replace);

/* The calls of the library with a log kept; they return what it returns. `ms`: the timeout. */
int stacked_load(struct stacked *s, const char *patch, unsigned int ms, unsigned int flags);
int stacked_unload(struct stacked *s, const char *name, unsigned int ms, unsigned int flags);
int stacked_wait(struct stacked *s, unsigned int ms);
int stacked_reverse(struct stacked *s);
int stacked_force(struct stacked *s, const char *name);
int stacked_recover(struct stacked *s);

/* The same, failing the test unless they succeed and complete, or have begun and are left so. */
void stacked_enable(struct stacked *s, const char *patch);
void stacked_disable(struct stacked *s, const char *name);
void stacked_complete(struct stacked *s);
void stacked_begin_enable(struct stacked *s, const char *patch);
void stacked_begin_disable(struct stacked *s, const char *name);
void stacked_begin_reverse(struct stacked *s);

/* Force, with exactly this many threads that are not switched. */
void stacked_must_force(struct stacked *s, unsigned int asleep);

/* Nobody forced or left any more: everything dead is unmapped, however often one must ask. */
void stacked_drain(struct stacked *s);

/*
 * The log since the last call is exactly this: tokens separated by blanks, "EN:p1" and so on
 * (lines in brackets are the kernel's):
 *
 *	EN	[enabling patch 'p']
 *	IP IU	[initializing patching / unpatching transition]
 *	SP SU	[starting ...]
 *	CP CU	[completing ...]
 *	PC UC	[patching complete / unpatching complete]
 *	RU RP	[reversing transition from patching to unpatching / back]
 *	FP	[failed to patch object 'p']; p is the object here
 *	FE CAN	[failed to enable patch / canceling patching transition, going to unpatch]
 *	FO	[forcing remaining tasks to the patched state]
 *	PATCH = EN IP SP CP PC, UNPATCH = IU SU CU UC
 */
void stacked_expect_log(struct stacked *s, const char *tokens);

/* The ring in the process holds the same lines. From the first patch on: it goes with the last. */
void stacked_expect_ring(struct stacked *s);

/* A call by a seat: it answers these versions. `below` only counts for f. */
void stacked_call(struct stacked *s, unsigned int seat, char func, int version, int below);
void stacked_enter(struct stacked *s, unsigned int seat, char func, int version);
void stacked_nest(struct stacked *s, unsigned int seat, char func, int version);
void stacked_leave(struct stacked *s, unsigned int seat, int version, int below);

/* It leaves and enters the same function again at once; enters it on a stack of its own;
 * starts a thread that calls; ends where it sleeps. */
void stacked_again(struct stacked *s, unsigned int seat, int version);
void stacked_swap(struct stacked *s, unsigned int seat, char func, int version);
void stacked_spawn(struct stacked *s, unsigned int seat, char func, int version);
void stacked_exit(struct stacked *s, unsigned int seat);

/* A counter of the victim: "calls", "mixed", "interrupted". */
unsigned long stacked_count(struct stacked *s, const char *what);

/* The patches in force or in transition, oldest first, as "a b c"; each with its state when it
 * is not "enabled": "a b:patching". Then those that are left or pinned, in parentheses. */
void stacked_expect_patches(struct stacked *s, const char *expected);

/* Driven on, the running transition comes to wait for exactly n threads, never for fewer. */
void stacked_expect_pending(struct stacked *s, unsigned int n);

#endif
