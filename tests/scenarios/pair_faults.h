/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes wrong in the worker of an atomic change, at a store that is told by its kind and
 * number: not at a sampled system call, so that each store of the commit is met. The functions that
 * store are linked with --wrap (meson.build).
 */
#ifndef UG_TESTS_PAIR_FAULTS_H
#define UG_TESTS_PAIR_FAULTS_H

#include <stdbool.h>
#include <sys/types.h>

enum store {
	STORE_ANY,		/* of all kinds */
	STORE_OTHER,		/* mappings, records, log; ways back */
	STORE_ARM,		/* entries to the gates */
	STORE_WORD,		/* of which the first decides */
	STORE_FINISH,
	STORE_FORGET,		/* of the intent */
	STORES,
};

enum fault_act {
	FAULT_NONE,
	FAULT_DIE,		/* the worker, by SIGKILL */
	FAULT_DIE_WITH_HOST,	/* and the process that has called the library */
	FAULT_STOP,		/* the worker, by SIGSTOP */
	FAULT_FAIL,		/* the store fails */
};

/* Shared with the worker. */
struct fault {
	enum fault_act act;
	enum store kind;	/* before which store, of which kind */
	unsigned int nth;	/* from 1 */
	pid_t refuse;		/* a load into this process cannot be prepared: seccomp */

	bool hit;
	pid_t worker;		/* that was hit */
	unsigned int made[STORES];	/* until it was hit; else in all */
};

extern struct fault *fault;

void fault_init(void);
/* Forget what happened; from now on this is to happen. */
void fault_set(enum fault_act act, enum store kind, unsigned int nth);

const char *store_name(enum store kind);

#endif
