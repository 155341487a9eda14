/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manual page of a verb, made from the tables; ugraft(1) is written by hand. */
#include <ctype.h>
#include <stdio.h>

#include "help.h"
#include "options.h"

/* Text for roff: hyphens that can be copied, no accidental requests. */
static void put(const char *s)
{
	bool line_start = true;

	for (; *s; s++) {
		if (line_start && (*s == '.' || *s == '\''))
			fputs("\\&", stdout);
		if (*s == '-')
			fputs("\\-", stdout);
		else if (*s == '\\')
			fputs("\\e", stdout);
		else
			putchar(*s);
		line_start = *s == '\n';
	}
}

static void put_option(const struct option_def *def)
{
	puts(".TP");
	if (def->letter)
		printf("\\fB\\-%c\\fP, ", def->letter);
	fputs("\\fB\\-\\-", stdout);
	put(def->name);
	fputs("\\fP", stdout);
	if (def->arg) {
		fputs(def->arg_optional ? "[=\\fI" : "=\\fI", stdout);
		put(def->arg);
		fputs(def->arg_optional ? "\\fP]" : "\\fP", stdout);
	}
	printf("\n%c", toupper((unsigned char)def->help[0]));
	put(def->help + 1);
	puts(".");
}

static void put_head(const struct verb *verb)
{
	fputs(".TH UGRAFT-", stdout);
	for (const char *p = verb->name; *p; p++)
		putchar(toupper((unsigned char)*p));
	printf(" 1 \"\" \"ugraft " UG_VERSION "\" \"User Commands\"\n.SH NAME\nugraft\\-%s \\- %s\n",
	       verb->name, verb->summary);
	printf(".SH SYNOPSIS\n.B ugraft %s\n[OPTION...] ", verb->name);
	put(verb->args);
	printf("\n.SH DESCRIPTION\n%c", toupper((unsigned char)verb->summary[0]));
	put(verb->summary + 1);
	puts(".");
	if (*verb->text) {
		puts(".PP");
		put(verb->text);
		putchar('\n');
	}
}

void manual_verb(const struct verb *verb)
{
	put_head(verb);
	if (verb->first == OPERAND_PROC || verb->rest == OPERAND_PROC)
		puts(".PP\nPROC is a PID, name:GLOB (the command or program name), exe:/PATH\n"
		     "(everyone who runs that program), unit:NAME (a systemd unit), cgroup:/PATH (a control\n"
		     "group and those below it), or all (every process the verb applies to).");
	puts(".SH OPTIONS");
	for (const struct option_def *def = option_defs; def->name; def++)
		if (option_known(def, verb))
			put_option(def);
	puts(".SH EXIT STATUS\nSee\n.BR ugraft (1).\n.SH SEE ALSO\n.BR ugraft (1)");
}
