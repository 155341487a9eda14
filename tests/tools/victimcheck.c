/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * victimcheck alive PID
 * victimcheck around PID CMD ARGS...	run CMD; the victim must be clean afterwards
 * victimcheck snapshot PID FILE	write the state of the victim
 * victimcheck clean PID FILE		is it clean, compared with FILE?
 * victimcheck exact PID FILE		and are all its mappings the same?
 *
 * Exit 0: all holds. 1: it does not; the reason is on stderr.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/victim.h"

static int save(const char *path, const struct victim_state *st)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -1;
	fwrite(&st->n, sizeof(st->n), 1, f);
	fwrite(st->maps, sizeof(*st->maps), st->n, f);
	return fclose(f);
}

static int restore(const char *path, struct victim_state *st)
{
	FILE *f = fopen(path, "re");
	int r = -1;

	memset(st, 0, sizeof(*st));
	if (!f)
		return -1;
	if (fread(&st->n, sizeof(st->n), 1, f) == 1 && st->n < 1000000) {
		st->maps = calloc(st->n, sizeof(*st->maps));
		if (st->maps && fread(st->maps, sizeof(*st->maps), st->n, f) == st->n)
			r = 0;
	}
	fclose(f);
	return r;
}

static int run(char **argv)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (waitpid(child, &status, 0) < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int finish(int r, const char *why)
{
	if (r < 0)
		fprintf(stderr, "victimcheck: %s\n", why);
	return r < 0;
}

int main(int argc, char **argv)
{
	struct victim_state st;
	char why[512] = "cannot read the state file";
	const char *verb = argc > 2 ? argv[1] : "";
	pid_t pid = argc > 2 ? atoi(argv[2]) : 0;
	int r;

	if (strcmp(verb, "alive") == 0)
		return finish(victim_alive(pid, why, sizeof(why)), why);
	if (argc < 4) {
		fprintf(stderr, "usage: victimcheck alive|around|snapshot|clean|exact PID ...\n");
		return 2;
	}
	if (strcmp(verb, "snapshot") == 0 || strcmp(verb, "around") == 0) {
		r = victim_snapshot(pid, &st, why, sizeof(why));
		if (r < 0 || verb[0] == 's')
			return finish(r < 0 ? r : save(argv[3], &st), why);
		r = run(argv + 3);
		if (r)
			return r;
		return finish(victim_compare(pid, &st, VICTIM_CLEAN, why, sizeof(why)), why);
	}
	r = restore(argv[3], &st);
	if (r == 0)
		r = victim_compare(pid, &st, VICTIM_CLEAN | (verb[0] == 'e' ? VICTIM_EXACT : 0), why,
				   sizeof(why));
	return finish(r, why);
}
