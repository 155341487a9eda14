/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * twenty THREADS
 *
 * Threads call extra() and all() as fast as they can; all() calls nineteen steps, which must
 * all be of its own version. Commands on standard input, one answer line each:
 *
 *	stat	calls=N old=N new=N extra=N failed=N
 *	settle	settled: every thread has since ended an iteration that began after the command
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
#include <unistd.h>

#include "twenty.h"

#define THREADS_MAX 1024

static atomic_ulong olds, news, extras, calls, failed;
static atomic_ulong iterations[THREADS_MAX];

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

int all_steps(int x);

__attribute__((noipa)) int all_steps(int x)
{
#define CALL(i_) x = step_##i_(x);
	STEPS(CALL)
	return x;
}

/*
 * A loop leads to its third byte: only a short jump fits in front of that, and the long one
 * goes to the padding (tests/scenarios/servers/test_pad.c). That does not begin where all() ends:
 * the address would be one that all() may have been left by, and padding has no unwind tables.
 */
asm("	.text\n"
    "	.p2align 4\n"
    "	.globl	all\n"
    "	.type	all, @function\n"
    "all:\n"
    "	.cfi_startproc\n"
    "	mov	$1, %al\n"
    "1:	dec	%al\n"
    "	jne	1b\n"
    "	sub	$8, %rsp\n"
    "	.cfi_adjust_cfa_offset 8\n"
    "	call	all_steps\n"
    "	add	$8, %rsp\n"
    "	.cfi_adjust_cfa_offset -8\n"
    "	ret\n"
    "	.cfi_endproc\n"
    "	.size	all, . - all\n"
    "	.type	behind_all, @function\n"
    "behind_all:\n"
    "	ret\n"
    "	.size	behind_all, . - behind_all\n"
    "	.skip	16, 0x90\n");

static void *work(void *arg)
{
	atomic_ulong *mine = arg;

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
		atomic_fetch_add(mine, 1);
	}
	return NULL;
}

/* The iteration that is under way may have made its calls, but not yet counted them. */
static void settled(int threads)
{
	unsigned long start[THREADS_MAX];

	for (int i = 0; i < threads; i++)
		start[i] = atomic_load(&iterations[i]);
	for (int i = 0; i < threads; i++)
		while (atomic_load(&iterations[i]) < start[i] + 2)
			usleep(100);
	printf("settled\n");
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	char line[64];

	if (threads < 1 || threads > THREADS_MAX)
		return 1;
	for (int i = 0; i < threads; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, work, &iterations[i]) != 0)
			return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "stat", 4) == 0)
			printf("calls=%lu old=%lu new=%lu extra=%lu failed=%lu\n",
			       atomic_load(&calls), atomic_load(&olds), atomic_load(&news),
			       atomic_load(&extras), atomic_load(&failed));
		else if (strncmp(line, "settle", 6) == 0)
			settled(threads);
		else if (strncmp(line, "quit", 4) == 0)
			break;
	}
	return 0;
}
