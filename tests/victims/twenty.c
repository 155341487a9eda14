/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * twenty THREADS
 *
 * Threads call extra() and all() as fast as they can; all() calls nineteen steps, which must
 * all be of its own version. Commands on standard input, one answer line each:
 *
 *	stat	calls=N old=N new=N extra=N failed=N
 *	quit
 *
 * old and new count the results of all(), extra the new ones of extra(); what is neither has
 * failed. tests/scenarios/servers/twenty_one.c replaces extra(), twenty_twenty.c all() and
 * the steps.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "twenty.h"

static atomic_ulong olds, news, extras, calls, failed;

/* noipa: what a caller may assume of them is the ABI alone. */
__attribute__((noipa)) int extra(int x)
{
	return x + EXTRA_OLD;
}

#define STEP(i_)                                                                                   \
	__attribute__((noipa)) int step_##i_(int x)                                                \
	{                                                                                          \
		return x + OLD * (i_);                                                             \
	}
STEPS(STEP)

__attribute__((noipa)) int all(int x)
{
#define CALL(i_) x = step_##i_(x);
	STEPS(CALL)
	return x;
}

static void *work(void *arg)
{
	for (;;) {
		int sum = all(0), one = extra(0);

		if (sum == OLD * STEPS_SUM)
			atomic_fetch_add(&olds, 1);
		else if (sum == NEW * STEPS_SUM)
			atomic_fetch_add(&news, 1);
		else
			atomic_fetch_add(&failed, 1);
		if (one == EXTRA_NEW)
			atomic_fetch_add(&extras, 1);
		else if (one != EXTRA_OLD)
			atomic_fetch_add(&failed, 1);
		atomic_fetch_add(&calls, 1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	char line[64];

	for (int i = 0; i < threads; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, work, NULL) != 0)
			return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "stat", 4) == 0)
			printf("calls=%lu old=%lu new=%lu extra=%lu failed=%lu\n",
			       atomic_load(&calls), atomic_load(&olds), atomic_load(&news),
			       atomic_load(&extras), atomic_load(&failed));
		else if (strncmp(line, "quit", 4) == 0)
			break;
	}
	return 0;
}
