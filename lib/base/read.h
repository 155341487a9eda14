/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UG_BASE_READ_H
#define UG_BASE_READ_H

#include <stddef.h>
#include <sys/types.h>

/* Up to the end of the file, at most `size` bytes: how many there were, or -errno. */
ssize_t ug_read_all(int fd, void *buf, size_t size);

#endif
