/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory map of a process: one snapshot of /proc/PID/maps, sorted by address. */
#ifndef UG_PROCESS_MAPS_H
#define UG_PROCESS_MAPS_H

#include <sys/mman.h>

#include "base/vec.h"
#include "process/proc.h"

struct ug_map {
	ug_raddr_t start;
	ug_raddr_t end;
	int prot;		/* PROT_READ | PROT_WRITE | PROT_EXEC */
	bool shared;
	uint64_t offset;	/* in the file, bytes */
	uint64_t dev;		/* makedev(major, minor) */
	uint64_t inode;		/* 0: anonymous */
	char *name;		/* path or [name]; "" for none; owned by the snapshot; octal escapes undone */
};

struct ug_maps {
	struct ug_map *v;
	size_t n;
	size_t cap;
};

int ug_maps_read(struct ug_proc *p, struct ug_maps *ret, struct ug_error *err) ug_must_check;
void ug_maps_free(struct ug_maps *maps);

/* The mapping that contains addr, or NULL. */
const struct ug_map *ug_maps_find(const struct ug_maps *maps, ug_raddr_t addr);

/* The end of the run of directly adjoining readable mappings that holds addr; addr if none. */
ug_raddr_t ug_maps_readable_end(const struct ug_maps *maps, ug_raddr_t addr);
/* The same downwards: the start of that run. */
ug_raddr_t ug_maps_readable_start(const struct ug_maps *maps, ug_raddr_t addr);

/*
 * A free range of `len` bytes (multiple of the page size) all of which lies within +-2 GiB
 * (less 64 KiB of slack) of every byte of [near_lo, near_hi). For a non-PIE executable
 * (near_hi below 2 GiB) top-down from 2 GiB, away from brk; otherwise the free range nearest
 * below near_lo is preferred, never one adjoining [heap] from above or within 1 MiB below a
 * stack. Skips `attempt` candidates (0, 1, ...) so that a lost race can be retried.
 * Returns 0 and *ret, or -UG_E_NO_ROOM.
 */
int ug_maps_find_room(const struct ug_maps *maps, ug_raddr_t near_lo, ug_raddr_t near_hi,
		      size_t len, unsigned int attempt, ug_raddr_t *ret,
		      struct ug_error *err) ug_must_check;

#define ug_maps_for_each(maps, m)                                                                  \
	for (const struct ug_map *m = (maps)->v; m < (maps)->v + (maps)->n; m++)

#endif
