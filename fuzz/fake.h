/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a target needs beside the parser: a file in memory, a process that is nothing but memory. */
#ifndef UG_FUZZ_FAKE_H
#define UG_FUZZ_FAKE_H

#include "process/maps.h"

/* A file with these bytes, to be opened by fake_path: no disk is touched. -1: no memory. */
int fake_file(const void *data, size_t size);
const char *fake_path(int fd, char buf[32]);

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
