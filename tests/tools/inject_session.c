// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * inject-session [-bds] [-n CALLS] [-t MS] [-l NAME] PID: one session of remote system calls, in a
 * process of its own as the library wants it, and so that it can be killed.
 *	-b	begin with a call that does not return
 *	-d	no session: disarm what dead ones have left
 *	-s	suspend seccomp		-n	getpid that many times
 *	-t	time to find a thread	-l	close leaked memfds of that name
 * Prints the tid that was borrowed, or the name of the error. Exit: as ug_error_exit().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "inject/remote.h"

#define LEN (2 * UG_PAGE_SIZE)
#define NAME "ugraft-test"

static int wrong(struct ug_error *err, const char *what)
{
	return ug_err(err, -UG_E_REMOTE_CALL, "%s", what);
}

static bool mapped(struct ug_proc *p, ug_raddr_t addr, int prot, const char *name)
{
	struct ug_maps maps = UG_VEC_INIT;
	const struct ug_map *m;
	bool good = false;

	if (ug_maps_read(p, &maps, NULL))
		return false;
	m = ug_maps_find(&maps, addr);
	if (m && prot >= 0)
		good = m->prot == prot && (!name || strstr(m->name, name));
	else
		good = !m && prot < 0;
	ug_maps_free(&maps);
	return good;
}

static int calls(struct ug_proc *p, struct ug_remote *r, long n, struct ug_error *err)
{
	static const uint64_t none[6];
	int64_t v;

	for (long i = 0; i < n; i++) {
		int ret = ug_remote_syscall(r, SYS_getpid, none, &v, err);

		if (ret)
			return ret;
		if (v != p->pid)
			return wrong(err, "getpid");
	}
	return 0;
}

/* The session is lost for calls, but must still be closed in good order. */
static int blocked(struct ug_remote *r, struct ug_error *err)
{
	static const uint64_t none[6];
	int64_t v;

	if (ug_remote_syscall(r, SYS_pause, none, &v, err) != -UG_E_REMOTE_CALL)
		return wrong(err, "pause");
	if (ug_remote_syscall(r, SYS_getpid, none, &v, err) != -UG_E_GONE)
		return wrong(err, "getpid after pause");
	return 0;
}

static int mappings(struct ug_proc *p, struct ug_remote *r, struct ug_error *err)
{
	const int rx = PROT_READ | PROT_EXEC, rw = PROT_READ | PROT_WRITE;
	ug_raddr_t a = 0, b, c = 0;
	int ret;

	ret = ug_remote_map(r, 0, LEN, rx, &a, err);
	if (ret)
		return ret;
	if (!mapped(p, a, rx, NULL))
		return wrong(err, "map");
	if (ug_remote_map(r, a, LEN, rx, &b, NULL) != -EEXIST)
		return wrong(err, "a taken range was mapped");
	ret = ug_remote_unmap(r, a, LEN, err);
	if (!ret)
		ret = ug_remote_map_named(r, a, LEN, NAME, &c, err);
	if (ret)
		return ret;
	if (c != a || !mapped(p, a, rw, NAME))
		return wrong(err, "map_named");
	ret = ug_remote_unmap(r, a, LEN, err);
	if (!ret && !mapped(p, a, -1, NULL))
		return wrong(err, "unmap");
	return ret;
}

/* All of the scratch space, which ends where the red zone begins. */
static int pushes(struct ug_proc *p, struct ug_remote *r, struct ug_error *err)
{
	char fill[248], back[8];
	ug_raddr_t at;
	int ret = ug_remote_push(r, "ugraft", 7, &at, err);

	if (ret)
		return ret;
	if (ug_proc_read(p, at, back, 7, NULL) || strcmp(back, "ugraft"))
		return wrong(err, "push");
	memset(fill, 0xaa, sizeof(fill));
	ret = ug_remote_push(r, fill, sizeof(fill), &at, err);
	if (ret)
		return ret;
	if (ug_remote_push(r, fill, 1, &at, NULL) != -ENOSPC)
		return wrong(err, "push of too much");
	return 0;
}

static int work(struct ug_proc *p, struct ug_remote *r, long n, const char *leaked,
		struct ug_error *err)
{
	int ret;

	if (n < 0)
		return blocked(r, err);
	ret = calls(p, r, n, err);
	if (!ret && leaked)
		ret = ug_remote_close_leaked(r, leaked, err);
	if (!ret)
		ret = pushes(p, r, err);
	return ret ? ret : mappings(p, r, err);
}

static int session(struct ug_proc *p, const struct ug_remote_opts *opts, long n,
		   const char *leaked, struct ug_error *err)
{
	struct ug_maps maps = UG_VEC_INIT;
	struct ug_error close_err;
	struct ug_remote *r;
	int ret, closed;

	ret = ug_maps_read(p, &maps, err);
	if (ret)
		return ret;
	ret = ug_remote_open(p, &maps, opts, &r, err);
	ug_maps_free(&maps);
	if (ret)
		return ret;
	printf("%d\n", ug_remote_tid(r));
	ret = work(p, r, n, leaked, err);
	closed = ug_remote_close(r, &close_err);
	if (!ret && closed) {
		*err = close_err;
		return closed;
	}
	return ret;
}

int main(int argc, char **argv)
{
	struct ug_remote_opts opts = { 0 };
	const char *leaked = NULL;
	bool disarm = false;
	struct ug_error err = { 0 };
	struct ug_proc p;
	long n = 1;
	int opt, ret;

	while ((opt = getopt(argc, argv, "bdsn:l:t:")) != -1) {
		if (opt == 's')
			opts.flags |= UG_REMOTE_SUSPEND_SECCOMP;
		else if (opt == 'b')
			n = -1;
		else if (opt == 'd')
			disarm = true;
		else if (opt == 'n')
			n = atol(optarg);
		else if (opt == 't')
			opts.timeout_us = strtoull(optarg, NULL, 10) * 1000;
		else if (opt == 'l')
			leaked = optarg;
		else
			return UG_EXIT_USAGE;
	}
	if (optind >= argc)
		return UG_EXIT_USAGE;
	ret = ug_tracer_init(&err);
	if (!ret)
		ret = ug_proc_open(atoi(argv[optind]), &p, &err);
	if (!ret) {
		ret = disarm ? ug_remote_disarm(&p, &err) : session(&p, &opts, n, leaked, &err);
		ug_proc_close(&p);
	}
	if (ret) {
		printf("%s\n", ug_error_name(ret));
		fprintf(stderr, "# %s\n", err.message);
	}
	return ug_error_exit(ret);
}
