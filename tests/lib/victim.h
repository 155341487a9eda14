/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must hold of a victim after every scenario, success or injected failure. One helper
 * for all tests; tests/tools/victimcheck.c gives it to shell scripts.
 *
 *	victim_snapshot(pid, &before, why, sizeof(why));
 *	... load, unload, kill the controller ...
 *	victim_compare(pid, &before, VICTIM_CLEAN, why, sizeof(why));
 */
#ifndef UG_TESTS_VICTIM_H
#define UG_TESTS_VICTIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct victim_map {
	uint64_t start, end;
	char perms[5];
	char name[200];
	uint64_t hash;		/* of the bytes, for executable mappings */
};

struct victim_state {
	struct victim_map *maps;
	size_t n;
	unsigned int fds;
};

enum {
	VICTIM_TEXT = 1 << 0,	/* bytes of all executable mappings are as before */
	VICTIM_NO_UGRAFT = 1 << 1,	/* no mapping and no descriptor of ugraft is left */
	VICTIM_MAPS = 1 << 2,	/* mappings with a file name, and executable ones, are as before */
	VICTIM_EXACT = 1 << 3,	/* all mappings but [heap] and [stack] are as before */
	VICTIM_CLEAN = VICTIM_TEXT | VICTIM_NO_UGRAFT | VICTIM_MAPS,
};

/* Always checked, whatever the flags: alive, no thread stopped or traced. */
int victim_alive(pid_t pid, char *why, size_t size);

/* 0, or -1 with the reason in why. */
int victim_snapshot(pid_t pid, struct victim_state *ret, char *why, size_t size);
int victim_compare(pid_t pid, const struct victim_state *before, unsigned int flags, char *why,
		   size_t size);
void victim_state_free(struct victim_state *st);

#endif
