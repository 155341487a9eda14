/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/load.h"
#include "lib/scenario.h"

/* Daemons are not in everybody's PATH. */
static bool find_program(const char *program, char path[PATH_MAX])
{
	static const char *const dirs[] = { "/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin",
					    "/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin" };
	char candidate[PATH_MAX];

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(candidate, sizeof(candidate), "%s/%s", dirs[i], program);
		if (access(candidate, X_OK) != 0)
			continue;
		/* As it is named: redis-server is a link to a program that goes by its name. */
		memcpy(path, candidate, sizeof(candidate));
		return true;
	}
	return false;
}

static int free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		scenario_die("no free port: %s", strerror(errno));
	close(fd);
	return ntohs(a.sin_port);
}

bool server_prepare(struct server *s, const char *program)
{
	memset(s, 0, sizeof(*s));
	if (!find_program(program, s->path)) {
		printf("1..0 # SKIP %s is not installed\n", program);
		return false;
	}
	snprintf(s->dir, sizeof(s->dir), "/tmp/ugraft-server-XXXXXX");
	/* Servers that give up root must still be able to read it. */
	if (!mkdtemp(s->dir) || chmod(s->dir, 0755) < 0)
		scenario_die("mkdtemp: %s", strerror(errno));
	s->port = free_port();
	return true;
}

void server_write(const struct server *s, const char *name, const char *fmt, ...)
{
	char path[128];
	va_list ap;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	f = fopen(path, "we");
	if (!f)
		scenario_die("%s: %s", path, strerror(errno));
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	if (fclose(f) != 0 || chmod(path, 0644) < 0)
		scenario_die("%s: %s", path, strerror(errno));
}

static void __attribute__((noreturn)) become(const char *const argv[], int out)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	/* Not SIGKILL: nginx must end its workers. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void nap_ms(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static void await_port(struct server *s, const char *program)
{
	for (int i = 0; i < 500; i++) {
		int fd = load_open(s->port);

		if (fd >= 0) {
			close(fd);
			return;
		}
		if (waitpid(s->pid, NULL, WNOHANG) != 0)
			scenario_die("%s has ended: see %s/log", program, s->dir);
		nap_ms(20);
	}
	scenario_die("%s does not listen: see %s/log", program, s->dir);
}

void server_start(struct server *s, const char *const argv[])
{
	char log[128];
	int out;

	snprintf(log, sizeof(log), "%s/log", s->dir);
	out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (out < 0)
		scenario_die("%s: %s", log, strerror(errno));
	fflush(NULL);
	s->pid = fork();
	if (s->pid < 0)
		scenario_die("fork: %s", strerror(errno));
	if (s->pid == 0) {
		if (chdir(s->dir) < 0)
			_exit(127);
		become(argv, out);
	}
	close(out);
	await_port(s, argv[0]);
}

static void remove_dir(const char *dir)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		fprintf(stderr, "cannot remove %s\n", dir);
}

void server_stop(struct server *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGTERM);
		for (int i = 0; i < 250 && waitpid(s->pid, NULL, WNOHANG) == 0; i++)
			nap_ms(20);
		if (kill(s->pid, SIGKILL) == 0)
			waitpid(s->pid, NULL, 0);
	}
	s->pid = 0;
	if (s->dir[0])
		remove_dir(s->dir);
}

static size_t list_children(const struct server *s, pid_t *pids, size_t n)
{
	char path[64];
	size_t found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", s->pid, s->pid);
	f = fopen(path, "re");
	while (f && found < n && fscanf(f, "%d", &pids[found]) == 1)
		found++;
	if (f)
		fclose(f);
	return found;
}

void server_await_children(const struct server *s, pid_t *pids, size_t n)
{
	size_t found = 0;

	for (int i = 0; i < 500 && (found = list_children(s, pids, n)) < n; i++)
		nap_ms(20);
	if (found < n)
		scenario_die("%s has started %zu of its %zu children", s->path, found, n);
}

void server_library(pid_t pid, const char *prefix, char *path, size_t size)
{
	char maps[64], line[PATH_MAX + 100];
	FILE *f;

	path[0] = 0;
	snprintf(maps, sizeof(maps), "/proc/%d/maps", pid);
	f = fopen(maps, "re");
	while (f && !path[0] && fgets(line, sizeof(line), f)) {
		const char *slash = strrchr(line, '/');

		line[strcspn(line, "\n")] = 0;
		if (slash && strncmp(slash + 1, prefix, strlen(prefix)) == 0)
			snprintf(path, size, "%s", strchr(line, '/'));
	}
	if (f)
		fclose(f);
}

/* ---- somebody else's load generators ---- */

void pressure_start(struct pressure *p, const char *const argv[])
{
	const char *full[16];
	char path[PATH_MAX];
	size_t n = 0;

	memset(p, 0, sizeof(*p));
	if (!find_program(argv[0], path)) {
		printf("# %s is not installed: only our own load\n", argv[0]);
		return;
	}
	while (argv[n] && n < 15) {
		full[n] = argv[n];
		n++;
	}
	full[0] = path;
	full[n] = NULL;
	p->out = memfd_create("pressure", MFD_CLOEXEC);
	fflush(NULL);
	p->pid = fork();
	if (p->out < 0 || p->pid < 0)
		scenario_die("%s: %s", argv[0], strerror(errno));
	if (p->pid == 0) {
		if (nice(LOAD_NICE) < 0)
			_exit(127);
		become(full, p->out);
	}
}

void pressure_run(const char *const argv[])
{
	struct pressure p;
	int status;

	pressure_start(&p, argv);
	if (p.pid <= 0)
		return;
	if (waitpid(p.pid, &status, 0) < 0 || status != 0)
		scenario_die("%s fails: status %d", argv[0], status);
	close(p.out);
}

const char *pressure_stop(struct pressure *p, int signal)
{
	static char output[8192];
	ssize_t n;

	output[0] = 0;
	if (p->pid <= 0)
		return output;
	if (waitpid(p->pid, NULL, WNOHANG) == 0) {
		kill(p->pid, signal);
		waitpid(p->pid, NULL, 0);
	} else {
		scenario_die("the load generator has ended before the test");
	}
	n = pread(p->out, output, sizeof(output) - 1, 0);
	output[n > 0 ? n : 0] = 0;
	close(p->out);
	memset(p, 0, sizeof(*p));
	return output;
}
