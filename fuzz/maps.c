/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: a /proc/PID/maps, whatever is in it, is refused or becomes a sorted snapshot. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz/driver.h"
#include "fuzz/fake_file.h"
#include "process/maps.h"

#define MAPS_FD 900		/* the input, where the link leads to */

static char dir_name[] = "/tmp/fuzz-maps-XXXXXX";

static void remove_dir(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/maps", dir_name);
	(void)unlink(path);
	(void)rmdir(dir_name);
}

/* Instead of /proc/PID: a directory with nothing but a link to the input. */
static int directory(void)
{
	static int dir = -1;
	char target[32], path[64];

	if (dir >= 0)
		return dir;
	promise(mkdtemp(dir_name) && atexit(remove_dir) == 0);
	(void)snprintf(path, sizeof(path), "%s/maps", dir_name);
	promise(symlink(fake_path(MAPS_FD, target), path) == 0);
	dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	promise(dir >= 0);
	return dir;
}

static void check(const struct ug_maps *maps)
{
	ug_raddr_t end = 0, where;

	ug_maps_for_each(maps, m) {
		promise(m->start >= end && m->start < m->end && m->name);
		promise(ug_maps_find(maps, m->start) == m && ug_maps_find(maps, m->end - 1) == m);
		promise(ug_maps_readable_end(maps, m->start) >= m->start);
		promise(ug_maps_readable_start(maps, m->start) <= m->start);
		end = m->end;
		for (unsigned int attempt = 0; attempt < 2; attempt++) {
			if (ug_maps_find_room(maps, m->start, m->end, 3 * UG_PAGE_SIZE, attempt, &where,
					      NULL) == 0)
				promise(!ug_maps_find(maps, where) &&
					!ug_maps_find(maps, where + 3 * UG_PAGE_SIZE - 1));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ug_proc p = { .pid = getpid(), .dirfd = directory() };
	int fd = fake_file(data, size);
	struct ug_maps maps;

	promise(dup2(fd, MAPS_FD) == MAPS_FD);
	close(fd);
	if (ug_maps_read(&p, &maps, NULL) == 0) {
		check(&maps);
		ug_maps_free(&maps);
	}
	close(MAPS_FD);
	return 0;
}
