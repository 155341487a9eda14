/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Generated from the tables of verbs and options. */
#ifndef UG_CLI_HELP_H
#define UG_CLI_HELP_H

#include "cli.h"

void help_program(void);
void help_verb(const struct verb *verb);

/* The manual page of a verb, for man(1) (the hidden verb "manual"). */
void manual_verb(const struct verb *verb);

/* The bash completion, as a script (the hidden verb "completion"). */
void help_completion(void);

#endif
