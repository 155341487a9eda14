/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The servers of bench/latency, from the distribution's packages: each on a free port of the
 * loopback, in a directory of its own, without anything of the system's configuration, and
 * as "nobody" when we are root. What each is asked, how its answer is judged, and the patch
 * that changes the answer.
 */
#ifndef UG_BENCH_SERVER_H
#define UG_BENCH_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "paced.h"

#define SERVERS 2		/* at a time */
#define SERVER_PROCESSES 2

struct server;

struct server_kind {
	const char *name, *program;
	const char *source, *patch;	/* of bench/, and the name in it */
	unsigned int workers;		/* children that serve; 0: the process itself does */
	struct paced_protocol protocol;
	/* Make its files and start it. */
	void (*start)(struct server *s);
	/* Give it what the request wants to find. */
	void (*fill)(const struct server *s);
};

extern const struct server_kind server_kinds[];
extern const unsigned int server_nkinds;

struct server {
	const struct server_kind *kind;
	pid_t pid;
	int port;
	char dir[64];
	char path[64];		/* of the program */
	unsigned int nserving;
	pid_t serving[SERVER_PROCESSES];	/* those that execute the function */
};

/*
 * False: it is not installed. Otherwise it runs, listens and is filled; it ends with this
 * program at the latest.
 */
bool server_start(struct server *s, const struct server_kind *kind);
void server_stop(struct server *s);

/* ---- for the kinds ---- */

/* Execute the program in the server's directory; argv[0] is not in args. */
void server_run(struct server *s, const char *const args[]);
void server_write(const struct server *s, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Send on a connection, and read until `reply`, which ends what is read. -1: something else
 * came, or nothing.
 */
int server_talk(int fd, const char *request, size_t len, const char *reply, size_t reply_len);

#endif
