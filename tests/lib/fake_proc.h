/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that is nothing but memory, for parsers of what is in one: unit tests, fuzz targets. */
#ifndef UG_TESTS_FAKE_PROC_H
#define UG_TESTS_FAKE_PROC_H

#include "process/maps.h"

/*
 * Its memory is a sparse file in which offsets are addresses: reading it fails behind the last
 * byte that was put there. Writes of the parser go there, too.
 */
struct fake_proc {
	struct ug_proc proc;
	struct ug_maps maps;
};

void fake_proc_open(struct fake_proc *f);
void fake_proc_close(struct fake_proc *f);
/* Bytes at an address; a mapping of whole pages (ascending). Neither needs the other. */
void fake_proc_put(struct fake_proc *f, ug_raddr_t addr, const void *data, size_t size);
void fake_proc_map(struct fake_proc *f, ug_raddr_t start, size_t len, int prot, const char *name);

#endif
