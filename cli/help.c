/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "help.h"

#include <stdio.h>

#include "options.h"

static void print_option(const struct option_def *def)
{
	char left[64];
	char letter[4] = "   ";

	if (def->letter)
		snprintf(letter, sizeof(letter), "-%c,", def->letter);
	snprintf(left, sizeof(left), "%s --%s%s%s%s%s", letter, def->name,
		 def->arg_optional ? "[" : "", def->arg ? "=" : "", def->arg ? def->arg : "",
		 def->arg_optional ? "]" : "");
	printf("  %-31s %s\n", left, def->help);
}

static void print_options(const struct verb *verb)
{
	puts("\nOptions:");
	for (const struct option_def *def = option_defs; def->name; def++)
		if (option_known(def, verb))
			print_option(def);
}

static const char procs_text[] =
	"\nPROC is a PID, name:GLOB (the command or program name), exe:/PATH (everyone who runs\n"
	"that program), unit:NAME (a systemd unit), cgroup:/PATH (a control group and those below\n"
	"it), or all (every process the verb applies to).\n";

void help_program(void)
{
	puts("Usage: ugraft VERB [OPTION...] [ARGUMENT...]\n\n"
	     "Patch running processes, safely, and take it back.\n\n"
	     "Verbs:");
	for (const struct verb *v = verbs; v->name; v++)
		printf("  %-9s %s\n", v->name, v->summary);
	fputs(procs_text, stdout);
	print_options(NULL);
	puts("\nExit status: 0 done, or already so; 1 failed, target unchanged; 2 usage; 3 no such\n"
	     "process or patch; 4 not complete in time, target consistent; 5 refused by a safety\n"
	     "rule; 6 permission; 7 some targets done, some not.\n\n"
	     "'ugraft VERB --help' explains a verb, ugraft(1) everything.");
}

void help_verb(const struct verb *verb)
{
	printf("Usage: ugraft %s [OPTION...] %s\n\n%c%s.\n", verb->name, verb->args,
	       verb->summary[0] - 'a' + 'A', verb->summary + 1);
	if (*verb->text)
		printf("\n%s\n", verb->text);
	if (verb->first == OPERAND_PROC || verb->rest == OPERAND_PROC)
		fputs(procs_text, stdout);
	print_options(verb);
}

/* ---- completion ---- */

static const char *operand_word(enum operand operand)
{
	static const char *const words[] = {
		[OPERAND_NONE] = "none",
		[OPERAND_FILE] = "file",
		[OPERAND_PATCH] = "patch",
		[OPERAND_PROC] = "proc",
	};

	return words[operand];
}

static void completion_options(const struct verb *verb)
{
	for (const struct option_def *def = option_defs; def->name; def++)
		if (option_known(def, verb))
			printf(" --%s%s", def->name, def->arg && !def->arg_optional ? "=" : "");
}

static void completion_tables(void)
{
	fputs("_ugraft_verbs=\"", stdout);
	for (const struct verb *v = verbs; v->name; v++)
		printf("%s%s", v == verbs ? "" : " ", v->name);
	puts("\"\n\n_ugraft_options()\n{\n\tcase $1 in");
	for (const struct verb *v = verbs; v->name; v++) {
		printf("\t%s) echo \"", v->name);
		completion_options(v);
		puts("\" ;;");
	}
	fputs("\t*) echo \"", stdout);
	completion_options(NULL);
	puts("\" ;;\n\tesac\n}\n\n_ugraft_values()\n{\n\tcase $1 in");
	for (const struct option_def *def = option_defs; def->name; def++)
		if (def->values)
			printf("\t--%s) echo \"%s\" ;;\n", def->name, def->values);
	puts("\tesac\n}\n\n_ugraft_operand()\n{\n\tcase $1 in");
	for (const struct verb *v = verbs; v->name; v++)
		printf("\t%s) [ \"$2\" = 1 ] && echo %s || echo %s ;;\n", v->name,
		       operand_word(v->first), operand_word(v->rest));
	puts("\tesac\n}\n");
}

/* What is the same for every verb. "=" is a word of its own in COMP_WORDS. */
static const char completion_code[] =
	"_ugraft()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	"\tlocal verb='' n=0 i word\n"
	"\tCOMPREPLY=()\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tword=${COMP_WORDS[i]}\n"
	"\t\tcase $word in\n"
	"\t\t-*|=|:) ;;\n"
	"\t\t*) [ \"${COMP_WORDS[i-1]}\" = \"=\" ] && continue\n"
	"\t\t   if [ -z \"$verb\" ]; then verb=$word; else n=$((n + 1)); fi ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tif [ \"$cur\" = \"=\" ]; then prev=\"=\" cur=''; i=$((COMP_CWORD - 1))\n"
	"\telif [ \"$prev\" = \"=\" ]; then i=$((COMP_CWORD - 2))\n"
	"\telse i=0; fi\n"
	"\tif [ \"$prev\" = \"=\" ]; then\n"
	"\t\tword=$(_ugraft_values \"${COMP_WORDS[i]}\")\n"
	"\t\tif [ -n \"$word\" ]; then mapfile -t COMPREPLY < <(compgen -W \"$word\" -- \"$cur\")\n"
	"\t\telse mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); fi\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tif [[ $cur == -* ]]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$(_ugraft_options \"$verb\")\" -- \"$cur\")\n"
	"\t\t[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tif [ -z \"$verb\" ]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$_ugraft_verbs\" -- \"$cur\")\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tcase $(_ugraft_operand \"$verb\" $((n + 1))) in\n"
	"\tfile) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
	"\tpatch) mapfile -t COMPREPLY < <(compgen -W \"$(ugraft list 2>/dev/null |\n"
	"\t\tawk 'NR > 1 { print $3 }' | sort -u)\" -- \"$cur\") ;;\n"
	"\tproc) mapfile -t COMPREPLY < <(compgen -W \"all name: exe: unit: cgroup:/ $(cd /proc && echo [0-9]*)\" \\\n"
	"\t\t-- \"$cur\")\n"
	"\t\t[[ ${COMPREPLY[0]} == *: ]] && compopt -o nospace ;;\n"
	"\tesac\n"
	"}\n"
	"complete -F _ugraft ugraft\n";

void help_completion(void)
{
	puts("# bash completion of ugraft; generated from its tables of verbs and options\n"
	     "# shellcheck shell=bash\n");
	completion_tables();
	fputs(completion_code, stdout);
}
