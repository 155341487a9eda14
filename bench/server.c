// SPDX-License-Identifier: GPL-2.0-or-later
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define TALK_MS 10000

/* ---- its directory ---- */

static struct server *running[SERVERS];	/* stopped at exit */

static bool find_program(const char *program, char path[static 64])
{
	static const char *const dirs[] = { "/usr/bin", "/usr/sbin", "/usr/local/bin",
					    "/usr/local/sbin" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, 64, "%s/%s", dirs[i], program);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* Whom the servers run as: never root. */
static const struct passwd *unprivileged(void)
{
	const struct passwd *pw = getpwnam("nobody");

	if (!pw)
		bench_die("there is no user 'nobody'");
	return pw;
}

static void make_dir(struct server *s)
{
	snprintf(s->dir, sizeof(s->dir), "/tmp/ugraft-latency-XXXXXX");
	if (!mkdtemp(s->dir))
		bench_die("mkdtemp: %s", strerror(errno));
	if (geteuid() == 0 && chown(s->dir, unprivileged()->pw_uid, unprivileged()->pw_gid) < 0)
		bench_die("%s: %s", s->dir, strerror(errno));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void server_write(const struct server *s, const char *name, const char *fmt, ...)
{
	char path[128];
	va_list ap;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	f = fopen(path, "we");
	if (!f)
		bench_die("%s: %s", path, strerror(errno));
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	if (fclose(f) != 0 || chmod(path, 0644) < 0)
		bench_die("%s: %s", path, strerror(errno));
}

/* ---- its process ---- */

static int free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		bench_die("no free port: %s", strerror(errno));
	close(fd);
	return ntohs(a.sin_port);
}

static int give_up_root(void)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return 0;
	pw = unprivileged();
	if (setgroups(0, NULL) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
		return -1;
	return 0;
}

static _Noreturn void become(const struct server *s, const char *const args[])
{
	const char *argv[24] = { s->path };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), log;

	for (size_t i = 0; args[i] && i < 22; i++)
		argv[i + 1] = args[i];
	if (give_up_root() < 0 || chdir(s->dir) < 0)
		_exit(126);
	/* Not before, that would undo it. Not SIGKILL: nginx must end its workers. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	log = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(126);
	execv(s->path, (char *const *)(uintptr_t)argv);
	_exit(127);
}

void server_run(struct server *s, const char *const args[])
{
	fflush(NULL);
	s->pid = fork();
	if (s->pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (s->pid == 0)
		become(s, args);
}

/* What it said before it ended; its directory is about to go. */
static void show_log(const struct server *s)
{
	char path[128], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", s->dir);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "%s: %s", s->kind->name, line);
	if (f)
		fclose(f);
}

static void await_port(struct server *s)
{
	for (int i = 0; i < 1500; i++) {
		int fd = paced_connect(s->port);

		if (fd >= 0) {
			close(fd);
			return;
		}
		if (waitpid(s->pid, NULL, WNOHANG) != 0) {
			s->pid = 0;
			break;
		}
		bench_nap(20000000);
	}
	show_log(s);
	bench_die("%s does not listen", s->path);
}

static unsigned int list_children(struct server *s)
{
	char path[64];
	unsigned int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", s->pid, s->pid);
	f = fopen(path, "re");
	while (f && n < SERVER_PROCESSES && fscanf(f, "%d", &s->serving[n]) == 1)
		n++;
	if (f)
		fclose(f);
	return n;
}

/* A server listens before it starts its children. */
static void find_serving(struct server *s)
{
	s->nserving = s->kind->workers ? 0 : 1;
	s->serving[0] = s->pid;
	for (int i = 0; i < 500 && s->nserving < s->kind->workers; i++) {
		s->nserving = list_children(s);
		bench_nap(20000000);
	}
	if (s->nserving < s->kind->workers)
		bench_die("%s has not started its workers", s->path);
}

static void stop_running(void)
{
	for (int i = 0; i < SERVERS; i++)
		if (running[i])
			server_stop(running[i]);
}

static void remember(struct server *s)
{
	for (int i = 0; i < SERVERS; i++) {
		if (!running[i]) {
			running[i] = s;
			return;
		}
	}
	bench_die("more than %d servers", SERVERS);
}

static void forget(const struct server *s)
{
	for (int i = 0; i < SERVERS; i++)
		if (running[i] == s)
			running[i] = NULL;
}

bool server_start(struct server *s, const struct server_kind *kind)
{
	static bool registered;

	memset(s, 0, sizeof(*s));
	s->kind = kind;
	if (!find_program(kind->program, s->path))
		return false;
	if (!registered)
		atexit(stop_running);
	registered = true;
	make_dir(s);
	remember(s);
	s->port = free_port();
	kind->start(s);
	await_port(s);
	find_serving(s);
	if (kind->fill)
		kind->fill(s);
	return true;
}

void server_stop(struct server *s)
{
	forget(s);
	if (s->pid > 0) {
		kill(s->pid, SIGTERM);
		for (int i = 0; i < 500 && waitpid(s->pid, NULL, WNOHANG) == 0; i++)
			bench_nap(20000000);
		if (kill(s->pid, SIGKILL) == 0)
			waitpid(s->pid, NULL, 0);
	}
	s->pid = 0;
	if (nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		fprintf(stderr, "cannot remove %s\n", s->dir);
}

int server_talk(int fd, const char *request, size_t len, const char *reply, size_t reply_len)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[1024];
	size_t have = 0;

	if (len && send(fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
		return -1;
	while (have < sizeof(buf) && poll(&p, 1, TALK_MS) == 1) {
		ssize_t n = recv(fd, buf + have, sizeof(buf) - have, 0);

		if (n <= 0)
			return -1;
		have += (size_t)n;
		if (have >= reply_len && memcmp(buf + have - reply_len, reply, reply_len) == 0)
			return 0;
	}
	return -1;
}
