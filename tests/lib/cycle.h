/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same patch loaded and unloaded many times, with the questions of lib/victim.h after
 * every unload.
 */
#ifndef UG_TESTS_CYCLE_H
#define UG_TESTS_CYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cycle {
	pid_t pid;
	const char *patch;		/* a .ugp */
	unsigned int cycles;
	unsigned int flags;		/* enum ug_opt_flags */
	unsigned int compare;		/* VICTIM_... */
	/* Called after every load and every unload; -1: why. May be NULL. */
	int (*probe)(void *ctx, bool patched, char *why, size_t size);
	void *ctx;
};

struct cycle_result {
	unsigned int cycles;		/* complete */
	unsigned int functions;
	unsigned int stops, cured, short_transfers;
	unsigned int again;		/* attempts that came to nothing: not all threads stopped in
					 * the pause budget, or reversed after the timeout */
	uint64_t max_pause_ns;
	uint64_t load_ns, unload_ns;	/* sums of the walls */
	/* kB, after the first and after the last unload */
	unsigned long anon_first, anon_last;	/* anonymous memory that is present */
	unsigned long mapped_first, mapped_last;
};

/* 0, or -1 and why. */
int cycle_run(const struct cycle *c, struct cycle_result *ret, char *why, size_t size);

/* As a line of JSON, without the newline. */
void cycle_json(const struct cycle_result *r, char *buf, size_t size);

#endif
