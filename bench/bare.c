// SPDX-License-Identifier: GPL-2.0-or-later
#include "bare.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "bench.h"

#define THREADS_MAX 10000

static size_t list_threads(pid_t pid, pid_t *tids)
{
	struct dirent *entry;
	char path[64];
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		bench_die("%s: %s", path, strerror(errno));
	while ((entry = readdir(dir)) && n < THREADS_MAX)
		if (entry->d_name[0] != '.')
			tids[n++] = atoi(entry->d_name);
	closedir(dir);
	return n;
}

static void ask_all(int request, const pid_t *tids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ptrace(request, tids[i], 0, 0) < 0)
			bench_die("ptrace request %d of thread %d: %s", request, tids[i],
				  strerror(errno));
}

uint64_t bare_stop(pid_t pid)
{
	static pid_t tids[THREADS_MAX];
	size_t n = list_threads(pid, tids);
	uint64_t start;
	int status;

	ask_all(PTRACE_SEIZE, tids, n);
	start = bench_now();
	ask_all(PTRACE_INTERRUPT, tids, n);
	for (size_t i = 0; i < n; i++)
		if (waitpid(tids[i], &status, __WALL) != tids[i] || !WIFSTOPPED(status))
			bench_die("thread %d did not stop", tids[i]);
	ask_all(PTRACE_DETACH, tids, n);
	return bench_now() - start;
}
