/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cycle [--contexts=none] PID N FILE.ugp
 *
 * Load and unload a patch N times; after every unload the process must be clean. Prints a
 * line of JSON. Exit 0: all is well. 1: it is not; the reason is on stderr.
 */
#include "lib/cycle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/victim.h"
#include "ugraft/ugraft.h"

int main(int argc, char **argv)
{
	struct cycle c = { .compare = VICTIM_CLEAN };
	struct cycle_result result;
	char text[600];
	int r;

	if (argc > 1 && strcmp(argv[1], "--contexts=none") == 0) {
		c.flags = UG_OPT_CONTEXTS_NONE;
		argc--;
		argv++;
	}
	if (argc != 4) {
		fprintf(stderr, "usage: cycle [--contexts=none] PID N FILE.ugp\n");
		return 2;
	}
	c.pid = atoi(argv[1]);
	c.cycles = (unsigned int)atoi(argv[2]);
	c.patch = argv[3];
	r = cycle_run(&c, &result, text, sizeof(text));
	if (r < 0)
		fprintf(stderr, "cycle: %s\n", text);
	cycle_json(&result, text, sizeof(text));
	printf("%s\n", text);
	return r < 0;
}
