/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The victim of the tests of atomic changes, and what is done to it and asked of it. */
#ifndef UG_TESTS_PAIR_COMMON_H
#define UG_TESTS_PAIR_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/scenario.h"
#include "pair_faults.h"
#include "ugraft/job.h"

#define PAIR_NAME "pair-fix"
#define PAIR_MAX 4
#define PAIR_PAUSE_US 500000	/* of a busy machine */

extern struct pair {
	struct scenario_victim v;
	unsigned int n;			/* processes */
	pid_t pids[PAIR_MAX];		/* the parent, then child 0, 1, ... */
	const char *patch;
	char what[200];			/* was done, for messages of failures */
} pair;

int pair_set_up(unsigned int processes);
int pair_set_up_two(void **state);
int pair_set_up_three(void **state);
int pair_tear_down(void **state);

/* ---- what the victim is like; each fails the test ---- */

/* Of its answer to "stat". */
unsigned long pair_number(const char *name);
/* They go on, and how many exchanges were mixed meanwhile. */
unsigned long pair_mixed_in(unsigned long count);
void pair_expect_clean_one(unsigned int i);
void pair_expect_clean(void);
void pair_expect_version(unsigned long version);
/* Clean, old, and no exchange was ever mixed. */
void pair_expect_as_before(void);

struct ug_status *pair_status(unsigned int i);
/* Nothing may be open in it. */
bool pair_is_loaded(unsigned int i);
/* From the process `first` on; they must agree. */
bool pair_all_loaded(unsigned int first);
/* They are members of a group that was cut off, of so many; 0: of none. */
void pair_expect_group(unsigned int first, unsigned int members);

/* ---- changes ---- */

struct pair_change {
	enum ug_job_verb verb;
	bool single;			/* not atomic */
	unsigned int ms, pause_us;	/* 0: long enough for a busy machine */
	unsigned int first;		/* without the processes before */
	pid_t also;
};

int pair_try(const struct pair_change *c, struct ug_members **ret, struct ug_error *err);
struct ug_members *pair_change(const struct pair_change *c);
/* All of them, applied. */
void pair_do_all(enum ug_job_verb verb);
const struct ug_member *pair_member(const struct ug_members *m, pid_t pid);
/* `culprit` answers `code`, the others that it was because of another one; nothing is changed. */
void pair_expect_refused(struct ug_members *m, pid_t culprit, int code);

/* A verb for one of them: recover, wait, reverse, force, unload, load. */
int pair_use(const char *verb, unsigned int i, struct ug_error *err);
int pair_recover(unsigned int i, struct ug_error *err);
/* One settles all, unless others were recorded and it was not: they know, then. */
void pair_recover_all(unsigned int first);

/*
 * Changed by a process of its own, which is killed with its worker before that store. False: there
 * was no such store, and it is done. A group, unless it is recovered, or the last process alone.
 */
bool pair_cut_off(enum ug_job_verb verb, unsigned int first, enum store kind, unsigned int nth);

/* pair_kills.c; all: before stores of every kind, each. */
int pair_run_kills(bool all);
int pair_run_campaign(unsigned long exchanges);

#endif
