/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/command.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/scenario.h"

#define PATIENCE_S 60

void nap_us(unsigned long us)
{
	struct timespec ts = { .tv_sec = (time_t)(us / 1000000),
			       .tv_nsec = (long)(us % 1000000) * 1000 };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

void command_start(struct command *c, const char *const argv[])
{
	int fds[2];

	c->len = 0;
	c->output[0] = 0;
	if (pipe(fds) < 0)
		scenario_die("pipe: %s", strerror(errno));
	fflush(NULL);
	c->pid = fork();
	if (c->pid < 0)
		scenario_die("fork: %s", strerror(errno));
	if (c->pid == 0) {
		char *args[COMMAND_ARGS_MAX + 1] = { NULL };

		for (int i = 0; i < COMMAND_ARGS_MAX && argv[i]; i++)
			args[i] = (char *)(uintptr_t)argv[i];
		setpgid(0, 0);
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		close(fds[0]);
		close(fds[1]);
		execv(args[0], args);
		_exit(127);
	}
	setpgid(c->pid, c->pid);
	close(fds[1]);
	c->out = fds[0];
}

/* False at the end of the output. */
static int read_more(struct command *c)
{
	struct pollfd pfd = { .fd = c->out, .events = POLLIN };
	char buf[1024];
	size_t room = sizeof(c->output) - 1 - c->len;
	ssize_t n;

	if (poll(&pfd, 1, 100) == 0)
		return 1;
	n = read(c->out, buf, sizeof(buf));
	if (n <= 0)
		return n < 0 && errno == EINTR;
	if ((size_t)n < room)
		room = (size_t)n;
	memcpy(c->output + c->len, buf, room);
	c->len += room;
	c->output[c->len] = 0;
	return 1;
}

int command_wait(struct command *c)
{
	time_t until = time(NULL) + PATIENCE_S;
	int status;

	while (read_more(c)) {
		if (time(NULL) < until)
			continue;
		kill(-c->pid, SIGKILL);
		scenario_die("command %d does not end; it said: %s", c->pid, c->output);
	}
	close(c->out);
	while (waitpid(c->pid, &status, 0) < 0)
		if (errno != EINTR)
			scenario_die("waitpid: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int command_run(struct command *c, const char *const argv[])
{
	command_start(c, argv);
	return command_wait(c);
}

pid_t command_child(pid_t parent, const char *comm)
{
	char path[64], name[64] = "", list[256] = "";
	FILE *f;
	char *at = list;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(list, sizeof(list), f))
		list[0] = 0;
	fclose(f);
	for (char *end;; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			return 0;
		snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) && strncmp(name, comm, strlen(comm)) == 0) {
			fclose(f);
			return (pid_t)pid;
		}
		fclose(f);
	}
}

static int has_ended(pid_t pid)
{
	siginfo_t si = { 0 };

	return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid;
}

pid_t command_await_child(pid_t parent, const char *comm)
{
	for (int i = 0; i < 20000; i++) {
		pid_t child = command_child(parent, comm);

		if (child || has_ended(parent))
			return child;
		nap_us(100);
	}
	return 0;
}
