/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "victim.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define complain(why, size, ...) (snprintf(why, size, __VA_ARGS__), -1)

/* ---- threads: alive, running, untraced ---- */

static bool status_field(const char *text, const char *field, char *value, size_t size)
{
	const char *at = strstr(text, field);

	if (!at)
		return false;
	snprintf(value, size, "%.*s", (int)strcspn(at + strlen(field), "\n"), at + strlen(field));
	return true;
}

static int read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return -1;
	buf[n] = 0;
	return 0;
}

static int check_thread(pid_t pid, const char *tid, char *why, size_t size)
{
	char path[400], text[4096], value[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, tid);
	if (read_file(path, text, sizeof(text)) < 0)
		return 0;	/* has exited meanwhile */
	if (status_field(text, "TracerPid:\t", value, sizeof(value)) && strcmp(value, "0") != 0)
		return complain(why, size, "thread %s is traced by %s", tid, value);
	if (status_field(text, "State:\t", value, sizeof(value)) && strchr("Tt", value[0]))
		return complain(why, size, "thread %s is stopped: %s", tid, value);
	return 0;
}

static bool is_dead(pid_t pid, const char *tid)
{
	char path[400], text[4096], value[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, tid);
	return read_file(path, text, sizeof(text)) < 0 ||
	       (status_field(text, "State:\t", value, sizeof(value)) && strchr("ZX", value[0]));
}

/*
 * A thread that lives, -1 when there is none. The first one may have ended before the others:
 * it stays a zombie, without memory and descriptors, until they end.
 */
static pid_t live_thread(pid_t pid)
{
	char path[64];
	struct dirent *e;
	pid_t tid = -1;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && tid < 0 && (e = readdir(dir)))
		if (e->d_name[0] != '.' && !is_dead(pid, e->d_name))
			tid = atoi(e->d_name);
	if (dir)
		closedir(dir);
	return tid;
}

int victim_alive(pid_t pid, char *why, size_t size)
{
	char path[64];
	struct dirent *e;
	DIR *dir;
	int r = 0;

	if (live_thread(pid) < 0)
		return complain(why, size, "process %d is dead or gone", pid);
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return complain(why, size, "process %d is gone", pid);
	while (r == 0 && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			r = check_thread(pid, e->d_name, why, size);
	closedir(dir);
	return r;
}

/* ---- mappings ---- */

/* FNV by words: mappings are whole pages. A single word that differs always shows. */
static uint64_t fnv(uint64_t h, const unsigned char *p, size_t n)
{
	uint64_t word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = (h ^ word) * UINT64_C(0x100000001b3);
	}
	while (n--)
		h = (h ^ *p++) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t hash_range(int mem, uint64_t start, uint64_t end)
{
	static unsigned char buf[1 << 16];
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	while (start < end) {
		size_t want = end - start < sizeof(buf) ? end - start : sizeof(buf);
		ssize_t n = pread(mem, buf, want, (off_t)start);

		if (n <= 0)
			break;
		h = fnv(h, buf, (size_t)n);
		start += (uint64_t)n;
	}
	return h;
}

static bool parse_line(const char *line, struct victim_map *m)
{
	unsigned long long start, end;
	int at = 0;

	if (sscanf(line, "%llx-%llx %4s %*s %*s %*s %n", &start, &end, m->perms, &at) < 3)
		return false;
	m->start = start;
	m->end = end;
	snprintf(m->name, sizeof(m->name), "%.*s", (int)strcspn(line + at, "\n"), line + at);
	return true;
}

static int read_maps(pid_t pid, struct victim_state *st, char *why, size_t size)
{
	char path[64], line[600];
	pid_t tid = live_thread(pid);
	int mem;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/mem", pid, tid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/maps", pid, tid);
	f = fopen(path, "re");
	if (mem < 0 || !f)
		return complain(why, size, "cannot look at process %d", pid);
	while (fgets(line, sizeof(line), f)) {
		struct victim_map m = { 0 }, *grown;

		if (!parse_line(line, &m))
			continue;
		if (m.perms[2] == 'x' && m.perms[0] == 'r' && m.name[0] != '[')
			m.hash = hash_range(mem, m.start, m.end);
		grown = reallocarray(st->maps, st->n + 1, sizeof(m));
		if (!grown)
			abort();
		st->maps = grown;
		st->maps[st->n++] = m;
	}
	fclose(f);
	close(mem);
	return 0;
}

/* Descriptors whose link names ugraft; *ret_all counts all. */
static unsigned int count_fds(pid_t pid, unsigned int *ret_all)
{
	unsigned int ours = 0, all = 0;
	pid_t tid = live_thread(pid);
	char path[400], target[200];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/fd", pid, tid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		ssize_t n;

		if (e->d_name[0] == '.')
			continue;
		all++;
		snprintf(path, sizeof(path), "/proc/%d/task/%d/fd/%s", pid, tid, e->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = 0;
			ours += strstr(target, "memfd:ugraft") != NULL;
		}
	}
	if (dir)
		closedir(dir);
	*ret_all = all;
	return ours;
}

int victim_snapshot(pid_t pid, struct victim_state *ret, char *why, size_t size)
{
	memset(ret, 0, sizeof(*ret));
	if (victim_alive(pid, why, size) < 0)
		return -1;
	(void)count_fds(pid, &ret->fds);
	return read_maps(pid, ret, why, size);
}

void victim_state_free(struct victim_state *st)
{
	free(st->maps);
	memset(st, 0, sizeof(*st));
}

static bool is_ours(const struct victim_map *m)
{
	return strstr(m->name, "memfd:ugraft") || strstr(m->name, "anon:ugraft");
}

/* Which mappings take part in a comparison of mappings. */
static bool is_counted(const struct victim_map *m, unsigned int flags)
{
	if (strncmp(m->name, "[heap]", 6) == 0 || strncmp(m->name, "[stack", 6) == 0)
		return false;
	return (flags & VICTIM_EXACT) || m->name[0] == '/' || m->perms[2] == 'x';
}

static const struct victim_map *find_map(const struct victim_state *st, const struct victim_map *m)
{
	for (size_t i = 0; i < st->n; i++)
		if (st->maps[i].start == m->start && st->maps[i].end == m->end &&
		    strcmp(st->maps[i].perms, m->perms) == 0 &&
		    strcmp(st->maps[i].name, m->name) == 0)
			return &st->maps[i];
	return NULL;
}

static int each_is_in(const struct victim_state *a, const struct victim_state *b, unsigned int flags,
		      const char *what, char *why, size_t size)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct victim_map *m = &a->maps[i];

		if (is_counted(m, flags) && !find_map(b, m))
			return complain(why, size, "mapping %llx-%llx %s %s %s",
					(unsigned long long)m->start, (unsigned long long)m->end,
					m->perms, m->name, what);
	}
	return 0;
}

static int same_text(const struct victim_state *before, const struct victim_state *now, char *why,
		     size_t size)
{
	for (size_t i = 0; i < before->n; i++) {
		const struct victim_map *m = &before->maps[i], *same;

		if (!m->hash)
			continue;
		same = find_map(now, m);
		if (!same || same->hash != m->hash)
			return complain(why, size, "text of %s at %llx has changed", m->name,
					(unsigned long long)m->start);
	}
	return 0;
}

static int no_ugraft(pid_t pid, const struct victim_state *now, char *why, size_t size)
{
	unsigned int all;

	for (size_t i = 0; i < now->n; i++)
		if (is_ours(&now->maps[i]))
			return complain(why, size, "mapping %llx of ugraft is left",
					(unsigned long long)now->maps[i].start);
	if (count_fds(pid, &all))
		return complain(why, size, "a descriptor of ugraft is left open");
	return 0;
}

int victim_compare(pid_t pid, const struct victim_state *before, unsigned int flags, char *why,
		   size_t size)
{
	struct victim_state now;
	int r = victim_snapshot(pid, &now, why, size);

	if (r == 0 && (flags & VICTIM_NO_UGRAFT))
		r = no_ugraft(pid, &now, why, size);
	if (r == 0 && (flags & VICTIM_TEXT))
		r = same_text(before, &now, why, size);
	if (r == 0 && (flags & (VICTIM_MAPS | VICTIM_EXACT))) {
		r = each_is_in(before, &now, flags, "is gone", why, size);
		if (r == 0)
			r = each_is_in(&now, before, flags, "is new", why, size);
	}
	victim_state_free(&now);
	return r;
}
