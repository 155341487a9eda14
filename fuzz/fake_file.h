/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a target needs beside the parser: a file in memory. */
#ifndef UG_FUZZ_FAKE_FILE_H
#define UG_FUZZ_FAKE_FILE_H

#include <stddef.h>

/* A file with these bytes, to be opened by fake_path: no disk is touched. Aborts without memory. */
int fake_file(const void *data, size_t size);
const char *fake_path(int fd, char buf[32]);

#endif
