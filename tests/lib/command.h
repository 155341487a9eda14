/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running programs from a scenario: the command line of ugraft, killat, helpers. Output and
 * errors are collected together; nobody waits for ever.
 */
#ifndef UG_TESTS_COMMAND_H
#define UG_TESTS_COMMAND_H

#include <stddef.h>
#include <sys/types.h>

#define COMMAND_ARGS_MAX 16

struct command {
	pid_t pid;
	int out;
	size_t len;
	char output[16384];	/* NUL-terminated; what does not fit is dropped */
};

/* Start argv (NULL-terminated) in a process group of its own. */
void command_start(struct command *c, const char *const argv[]);

/*
 * Wait until it has ended and everybody who inherited its output has, too (the worker of a
 * killed ugraft). The exit status, or 128 + signal. Ends the program after a minute.
 */
int command_wait(struct command *c);

int command_run(struct command *c, const char *const argv[]);

/* The first child of `parent` with this name (/proc/PID/comm), 0 when there is none. */
pid_t command_child(pid_t parent, const char *comm);

/* The same, waiting for it up to two seconds; 0: it never came, or the parent has ended. */
pid_t command_await_child(pid_t parent, const char *comm);

void nap_us(unsigned long us);

#endif
