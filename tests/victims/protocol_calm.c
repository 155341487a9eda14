/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * protocol-calm THREADS NAP_US
 *
 * The protocol of protocol.c in processes of another kind: with 0 threads the only one there
 * is calls f between commands; NAP_US is slept after each call, 0: none. Command on standard
 * input: stat, answered as by protocol.c. tests/scenarios/protocol_fix.c fits.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "protocol_calls.h"

static atomic_ulong calls[3];
static long nap_ns;

__attribute__((noipa)) void park_here(void)
{
}

static void call_once(void)
{
	int (*volatile call)(int) = f;
	int version = call(1);

	atomic_fetch_add(&calls[version == NEW ? NEW : OLD], 1);
	if (nap_ns) {
		struct timespec ts = { .tv_nsec = nap_ns };

		nanosleep(&ts, NULL);
	}
}

static void *work(void *arg)
{
	for (;;)
		call_once();
	return arg;
}

/* One line at a time, without stdio, which would hide lines from poll. */
static int answer(void)
{
	char line[64];
	unsigned long old = calls[OLD], new = calls[NEW];
	ssize_t n = read(0, line, sizeof(line));

	if (n <= 0)
		return 0;
	printf("threads=1 calls=%lu old=%lu new=%lu mixed=%lu parked=0\n", old + new, old, new,
	       atomic_load(&mixed));
	return 1;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0;
	struct pollfd pfd = { .fd = 0, .events = POLLIN };

	nap_ns = argc > 2 ? atol(argv[2]) * 1000 : 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < n; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, work, NULL) != 0)
			return 1;
	}
	printf("ready\n");
	for (;;) {
		if (poll(&pfd, 1, n ? -1 : 0) > 0 && !answer())
			return 0;
		if (!n)
			call_once();
	}
}
