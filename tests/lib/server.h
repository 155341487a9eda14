/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Servers from the distribution's packages as victims: each on a free port of the loopback,
 * in a directory of its own, without anything of the system's configuration.
 */
#ifndef UG_TESTS_SERVER_H
#define UG_TESTS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct server {
	pid_t pid;
	int port;
	char dir[64];
	char path[4096];		/* of its program, symbolic links resolved */
};

/*
 * Find the program and make the directory. False: not installed; a plan that skips all tests
 * has been written ("1..0 # SKIP ..."), the caller ends with 0.
 */
bool server_prepare(struct server *s, const char *program);

/* A file in its directory. */
void server_write(const struct server *s, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Start it (its directory is the working directory) and wait until it accepts connections. */
void server_start(struct server *s, const char *const argv[]);

void server_stop(struct server *s);

/* Wait until it has n children (a server listens before it starts them). */
void server_await_children(const struct server *s, pid_t *pids, size_t n);

/* The file a process maps whose name begins like that ("libc.so."); "" when there is none. */
void server_library(pid_t pid, const char *prefix, char *path, size_t size);

/*
 * A load generator of somebody else's beside ours (wrk, redis-benchmark), which judges for
 * itself. Nothing happens when it is not installed.
 */
struct pressure {
	pid_t pid;
	int out;
};

void pressure_start(struct pressure *p, const char *const argv[]);

/* Run one that ends by itself, to its end; ends the program when it fails. */
void pressure_run(const char *const argv[]);

/* End it by the signal; what it has written (valid until the next call), "" without it. */
const char *pressure_stop(struct pressure *p, int signal);

#endif
