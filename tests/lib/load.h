/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A load generator that reads the answers: a child process which keeps a number of
 * connections to a server busy and compares every answer with what the old and the new code
 * say. What is neither, and what does not come, has failed.
 */
#ifndef UG_TESTS_LOAD_H
#define UG_TESTS_LOAD_H

#include <stddef.h>
#include <sys/types.h>

/* In an answer: any bytes up to the next that match. */
#define LOAD_ANY "\001"

struct load_request {
	const char *send;
	const char *old;	/* the answer of the old code, with LOAD_ANY */
	const char *new_;	/* of the new code; NULL: the same */
};

enum load_answer { LOAD_OLD, LOAD_NEW, LOAD_SAME, LOAD_ANSWERS };

/* Of every load generator. */
#define LOAD_NICE 10

struct load_counts {
	unsigned long answers[LOAD_ANSWERS];
	unsigned long failed;
	long long oldest_ms;	/* when the oldest request was sent that has no answer yet */
	char why[300];		/* of the first failure */
};

struct load {
	pid_t pid;
	struct load_counts *shared;
};

/* Start; the requests go round, on every connection from another one on. */
void load_start(struct load *l, int port, const struct load_request *requests, size_t n,
		unsigned int connections);

/* What has been answered until now. */
struct load_counts load_look(const struct load *l);

/*
 * Wait until every request that has been sent until now is answered or counted as failed.
 * -1: that does not happen, the generator or the server is stuck.
 */
int load_settle(const struct load *l);

void load_stop(struct load *l);

/* One request on a connection of its own. 0: *ret is set. -1: why. */
int load_ask(int port, const struct load_request *request, enum load_answer *ret, char *why,
	     size_t size);

/*
 * The same on a connection that is kept: load_open() makes it (-1 and errno), close() ends it.
 */
int load_open(int port);
int load_ask_on(int fd, const struct load_request *request, enum load_answer *ret, char *why,
		size_t size);

#endif
