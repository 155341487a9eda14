/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A load generator that keeps to a timetable. A child process holds a fixed number of
 * connections with at most one request outstanding on each; the requests are due at even
 * intervals, whatever the server does, and the latency of each counts from when it was
 * *due*. A generator that waits for the answer before it thinks of the next request sends
 * none while the server stands still, and would count the stop as a single late answer.
 *
 * Each answer is read and judged. What is neither the old code's nor the new one's, and
 * what does not come, is an error.
 */
#ifndef UG_BENCH_PACED_H
#define UG_BENCH_PACED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "histogram.h"

enum paced_answer {
	PACED_MORE,		/* not complete yet */
	PACED_OLD,		/* of the original function */
	PACED_NEW,		/* of the patch's */
	PACED_WRONG,
};

struct paced_protocol {
	/* What comes before the first request. 0, or -1 when the server does not want us. */
	int (*greet)(int fd);
	/* Must be short enough to be taken at once by an empty socket. */
	const char *request;
	size_t request_len;
	enum paced_answer (*judge)(const char *answer, size_t len);
};

struct paced_plan {
	const struct paced_protocol *protocol;
	int port;		/* of the loopback */
	unsigned int connections;
	double rate;		/* requests a second, of all connections; 0: as many as it takes */
	uint64_t start;		/* bench_now(): the first is due */
	uint64_t from, until;	/* those due in this time count, and none is due later */
};

struct paced_result {
	struct histogram latency;	/* ns, of those answered well */
	uint64_t old, new_;		/* of them */
	uint64_t errors;		/* at any time */
	char why[160];			/* of the first error */
	uint64_t finished;		/* the generator came to its end */
};

struct paced {
	pid_t pid;
	struct paced_result *shared;
};

/* A connection to the loopback; -1 and errno. */
int paced_connect(int port);

/* Start it. The plan is copied, what it points to must live on. */
void paced_start(struct paced *p, const struct paced_plan *plan);

/* Wait until all that was due is answered, or has failed. Ends the program without a result. */
void paced_end(struct paced *p, struct paced_result *ret);

#endif
