/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/build.h"

void scenario_die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "scenario: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(99);
}

static const char *below(const char *variable, const char *relative)
{
	static char paths[16][4096];
	static unsigned int next;
	char *path = paths[next++ % 16];
	const char *root = getenv(variable);

	if (!root)
		scenario_die("%s is not set: run it by 'meson test'", variable);
	snprintf(path, sizeof(paths[0]), "%s/%s", root, relative);
	return path;
}

const char *scenario_src(const char *relative)
{
	return below("UG_TEST_SRC", relative);
}

const char *scenario_bin(const char *relative)
{
	return below("UG_TEST_BUILD", relative);
}

void scenario_start(struct scenario_victim *v, const char *const argv[])
{
	int to[2], from[2];
	char line[64];

	if (pipe(to) < 0 || pipe(from) < 0)
		scenario_die("pipe: %s", strerror(errno));
	fflush(NULL);
	v->pid = fork();
	if (v->pid < 0)
		scenario_die("fork: %s", strerror(errno));
	if (v->pid == 0) {
		/* A test that dies must not leave its victim spinning. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[0]);
		close(to[1]);
		close(from[0]);
		close(from[1]);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	v->in = fdopen(to[1], "w");
	v->out = fdopen(from[0], "r");
	if (!fgets(line, sizeof(line), v->out) || strncmp(line, "ready", 5) != 0)
		scenario_die("victim %s did not become ready", argv[0]);
}

const char *scenario_ask(struct scenario_victim *v, const char *fmt, ...)
{
	static char answer[4096];
	va_list ap;

	va_start(ap, fmt);
	vfprintf(v->in, fmt, ap);
	va_end(ap);
	fputc('\n', v->in);
	if (fflush(v->in) != 0 || !fgets(answer, sizeof(answer), v->out))
		scenario_die("victim %d does not answer", v->pid);
	answer[strcspn(answer, "\n")] = 0;
	return answer;
}

unsigned long scenario_number(const char *answer, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = answer; (at = strstr(at, name)); at += len)
		if ((at == answer || at[-1] == ' ') && at[len] == '=')
			return strtoul(at + len + 1, NULL, 10);
	scenario_die("no '%s' in '%s'", name, answer);
}

void scenario_stop(struct scenario_victim *v)
{
	fclose(v->in);
	kill(v->pid, SIGKILL);
	waitpid(v->pid, NULL, 0);
	fclose(v->out);
}

/* ---- patches ---- */

static char build_dir[64];

static void remove_dir(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", build_dir);
	if (system(cmd) != 0)
		fprintf(stderr, "scenario: cannot remove %s\n", build_dir);
}

const char *scenario_dir(void)
{
	if (build_dir[0])
		return build_dir;
	snprintf(build_dir, sizeof(build_dir), "/tmp/ugraft-test-XXXXXX");
	if (!mkdtemp(build_dir))
		scenario_die("mkdtemp: %s", strerror(errno));
	atexit(remove_dir);
	return build_dir;
}

void *scenario_share(size_t size, const char **ret_path)
{
	static char path[128];
	void *shared;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/shared", scenario_dir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		scenario_die("%s: %s", path, strerror(errno));
	shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		scenario_die("mmap: %s", strerror(errno));
	close(fd);
	*ret_path = path;
	return shared;
}

const char *scenario_build(const char *source, const char *target, const char *flags)
{
	return scenario_build_for(source, &target, 1, flags);
}

const char *scenario_build_for(const char *source, const char *const *targets, size_t ntargets,
			       const char *flags)
{
	static char outputs[16][96];
	static unsigned int next;
	char *output = outputs[next % 16];
	char include[4200];
	const char *cflags[2] = { include, flags };
	struct ug_build_report report = { 0 };
	struct ug_error err = { 0 };
	struct ug_build_source_opts opts = {
		.source = source, .targets = targets, .ntargets = ntargets, .output = output,
		.cflags = cflags, .ncflags = flags ? 2 : 1,
	};

	snprintf(include, sizeof(include), "-I%s", scenario_src("include"));
	snprintf(output, sizeof(outputs[0]), "%s/%u.ugp", scenario_dir(), next++);
	if (ug_build_source(&opts, &report, &err) < 0)
		scenario_die("building %s: %s\n%s", source, err.message, report.compiler_output);
	return output;
}

int scenario_killat(struct command *c, const char *const options[], const char *const verb[])
{
	const char *argv[COMMAND_ARGS_MAX + 1] = { scenario_bin("tests/tools/killat"), "-p", "-w",
						   "ugraft-worker" };
	int n = 4;

	while (*options)
		argv[n++] = *options++;
	argv[n++] = scenario_bin("ugraft");
	while (*verb)
		argv[n++] = *verb++;
	return command_run(c, argv);
}
