/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the scenario programs share: starting a victim that takes commands on its standard
 * input, asking it, building patches. Any failure here ends the program loudly: a scenario
 * that could not be set up has not passed.
 */
#ifndef UG_TESTS_SCENARIO_H
#define UG_TESTS_SCENARIO_H

#include <stdio.h>
#include <sys/types.h>

#include "lib/command.h"

struct scenario_victim {
	pid_t pid;
	FILE *in, *out;		/* to and from it */
};

/* Start argv[0] (a path); waits for its first line of output ("ready"). */
void scenario_start(struct scenario_victim *v, const char *const argv[]);

/* Send a line, return the answer line without its newline (valid until the next call). */
const char *scenario_ask(struct scenario_victim *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The number after "name=" in an answer; ends the program when there is none. */
unsigned long scenario_number(const char *answer, const char *name);

/* End it, by its pid. */
void scenario_stop(struct scenario_victim *v);

/*
 * Build a patch from a C file of tests/scenarios for a target binary; returns the path of
 * the .ugp in a directory that is removed at exit (static storage per call index).
 * `flags`: extra compiler flags or NULL.
 */
const char *scenario_build(const char *source, const char *target, const char *flags);

/* The same for a patch of several objects. */
const char *scenario_build_for(const char *source, const char *const *targets, size_t ntargets,
			       const char *flags);

/* A directory for files of the test, removed at exit. */
const char *scenario_dir(void);

/* Zeroed memory to share with a victim that maps the file at *ret_path (valid to the end): what
 * it has counted can be read without asking it. One for a test. */
void *scenario_share(size_t size, const char **ret_path);

/* killat OPTIONS... ugraft VERB..., which acts at the calls of the worker: killat's exit status. */
int scenario_killat(struct command *c, const char *const options[], const char *const verb[]);

/* Paths: $UG_TEST_SRC (the source tree) and $UG_TEST_BUILD (the build directory). */
const char *scenario_src(const char *relative);
const char *scenario_bin(const char *relative);

void scenario_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
