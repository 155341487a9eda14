/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/fake_proc.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Without memory nothing is tested: that must not look like a test that passed. */
static void need(bool ok)
{
	if (!ok)
		abort();
}

void fake_proc_open(struct fake_proc *f)
{
	*f = (struct fake_proc){
		.proc = {
			.pid = getpid(),
			.start_time = 1,
			.pidfd = -1,
			.dirfd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC),
			.mem_fd = memfd_create("memory", MFD_CLOEXEC),
			.pagemap_fd = -1,
			.lock_fd = -1,
		},
	};
	need(f->proc.dirfd >= 0 && f->proc.mem_fd >= 0);
}

void fake_proc_close(struct fake_proc *f)
{
	close(f->proc.dirfd);
	close(f->proc.mem_fd);
	ug_maps_free(&f->maps);
}

void fake_proc_put(struct fake_proc *f, ug_raddr_t addr, const void *data, size_t size)
{
	need(pwrite(f->proc.mem_fd, data, size, (off_t)addr) == (ssize_t)size);
}

void fake_proc_map(struct fake_proc *f, ug_raddr_t start, size_t len, int prot, const char *name)
{
	struct ug_map *m = ug_vec_add(&f->maps);

	need(m);
	*m = (struct ug_map){
		.start = start,
		.end = start + ug_align_up(len, UG_PAGE_SIZE),
		.prot = prot,
		.name = strdup(name),
	};
	need(m->name);
}
