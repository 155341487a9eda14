/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps of a program: its system calls told apart by how it came to make them. A loop over
 * a thousand threads makes the same few steps a thousand times; a step of that loop in another
 * phase is another step. What counts is the number of the call and the chain of callers.
 */
#ifndef UG_TESTS_STEPS_H
#define UG_TESTS_STEPS_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define STEP_NAMES 160

/*
 * The step that a stopped tracee of ours is about to make; the same in each run of the program,
 * wherever it is loaded. 0: its stack cannot be read. names: the innermost functions of the
 * program, for people.
 */
uint64_t step_of(pid_t tid, long nr, char names[static STEP_NAMES]);

/* Remember that it was made; call is the name of the system call. */
void step_made(uint64_t step, long nr, const char *call, const char *names);

/* One line for each, in the order of the first time: STEP NR TIMES CALL < FUNCTION < ... */
void steps_print(FILE *to);

#endif
