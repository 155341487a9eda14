// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading /proc/PID/maps. */
#include "process/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bisect.h"
#include "base/cleanup.h"
#include "process/internal.h"

#define READ_STEP 65536
#define TEXT_MAX (256UL << 20)	/* a million mappings; vm.max_map_count is 65530 by default */

static ssize_t slurp(int fd, char **ret)
{
	ug_autofree char *buf = NULL;
	size_t got = 0, cap = 0;

	for (;;) {
		ssize_t n;

		if (cap - got < READ_STEP) {
			char *grown;

			cap = cap ? cap * 2 : 2 * READ_STEP;
			grown = cap > TEXT_MAX ? NULL : realloc(buf, cap);
			if (!grown)
				return -ENOMEM;
			buf = grown;
		}
		n = read(fd, buf + got, cap - got - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	buf[got] = '\0';
	*ret = ug_take_ptr(buf);
	return (ssize_t)got;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The kernel writes a newline in a path as \012 (seq_path); nothing else is escaped. */
static char *unescape(const char *s)
{
	char *out = malloc(strlen(s) + 1), *o = out;

	if (!out)
		return NULL;
	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && is_octal(s[2]) &&
		    is_octal(s[3])) {
			*o++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*o++ = *s++;
		}
	}
	*o = '\0';
	return out;
}

static bool take_number(const char **s, int base, char end, uint64_t *ret)
{
	char *after;

	errno = 0;
	*ret = strtoull(*s, &after, base);
	if (errno || after == *s || *after != end)
		return false;
	*s = after + 1;
	return true;
}

static bool take_flags(const char **s, struct ug_map *m)
{
	const char *f = *s;

	if (strnlen(f, 5) < 5 || f[4] != ' ')
		return false;
	m->prot = (f[0] == 'r' ? PROT_READ : 0) | (f[1] == 'w' ? PROT_WRITE : 0) |
		  (f[2] == 'x' ? PROT_EXEC : 0);
	m->shared = f[3] == 's';
	*s += 5;
	return true;
}

/* "start-end rwxp offset major:minor inode   name": Documentation/filesystems/proc.rst. */
static bool parse_line(const char *s, struct ug_map *m)
{
	uint64_t major_nr, minor_nr;
	char *after;

	if (!take_number(&s, 16, '-', &m->start) || !take_number(&s, 16, ' ', &m->end) ||
	    !take_flags(&s, m) || !take_number(&s, 16, ' ', &m->offset) ||
	    !take_number(&s, 16, ':', &major_nr) || !take_number(&s, 16, ' ', &minor_nr))
		return false;
	m->dev = makedev((unsigned int)major_nr, (unsigned int)minor_nr);
	m->inode = strtoull(s, &after, 10);
	if (after == s || m->end <= m->start)
		return false;
	m->name = unescape(after + strspn(after, " "));
	return m->name != NULL;
}

/*
 * The file is not read in one go, and the target may map meanwhile: what is seen twice is
 * taken once, so that the snapshot is sorted and free of overlaps whatever happens.
 */
static int add_line(struct ug_maps *maps, const char *line)
{
	struct ug_map m = { 0 }, *slot;

	if (!parse_line(line, &m))
		return -EPROTO;
	if (maps->n && m.start < maps->v[maps->n - 1].end) {
		uint64_t end = maps->v[maps->n - 1].end;

		if (m.end <= end) {
			free(m.name);
			return 0;
		}
		m.offset += end - m.start;
		m.start = end;
	}
	slot = ug_vec_add(maps);
	if (!slot) {
		free(m.name);
		return -ENOMEM;
	}
	*slot = m;
	return 0;
}

int ug_maps_read(struct ug_proc *p, struct ug_maps *ret, struct ug_error *err)
{
	ug_autoclose int fd = ug_proc_open_mm_file(p->dirfd, "maps", O_RDONLY);
	ug_autofree char *text = NULL;
	struct ug_maps maps = UG_VEC_INIT;
	char *save = NULL;
	ssize_t r;

	if (fd < 0)
		return ug_procfile_error(p, -errno, "maps", err);
	r = slurp(fd, &text);
	if (r == 0)
		r = -ESRCH;	/* no mm any more */
	if (r < 0)
		return ug_procfile_error(p, r, "maps", err);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		r = add_line(&maps, line);
		if (r >= 0)
			continue;
		ug_maps_free(&maps);
		return ug_err(err, (int)r, "cannot understand /proc/%d/maps: %s", p->pid,
			      strerror((int)-r));
	}
	*ret = maps;
	return 0;
}

void ug_maps_free(struct ug_maps *maps)
{
	if (!maps)
		return;
	for (size_t i = 0; i < maps->n; i++)
		free(maps->v[i].name);
	ug_vec_free(maps);
}

/* The index of the last mapping that starts at or below addr, or -1. */
static ssize_t find_index(const struct ug_maps *maps, ug_raddr_t addr)
{
	return (ssize_t)ug_bisect(0, maps->n, i, maps->v[i].start <= addr) - 1;
}

const struct ug_map *ug_maps_find(const struct ug_maps *maps, ug_raddr_t addr)
{
	ssize_t i = find_index(maps, addr);

	return i >= 0 && addr < maps->v[i].end ? &maps->v[i] : NULL;
}

ug_raddr_t ug_maps_readable_end(const struct ug_maps *maps, ug_raddr_t addr)
{
	const struct ug_map *m = ug_maps_find(maps, addr);

	for (; m && m < maps->v + maps->n && (m->prot & PROT_READ); m++) {
		if (m->start > addr)
			break;
		addr = m->end;
	}
	return addr;
}

ug_raddr_t ug_maps_readable_start(const struct ug_maps *maps, ug_raddr_t addr)
{
	const struct ug_map *m = ug_maps_find(maps, addr);
	bool first = true;

	for (; m && m >= maps->v && (m->prot & PROT_READ); m--) {
		if (!first && m->end != addr)
			break;
		addr = m->start;
		first = false;
	}
	return addr;
}
