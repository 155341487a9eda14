/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A growing byte buffer. After a failed append `failed` stays set: check once at the end. */
#ifndef UG_BUILDER_BUF_H
#define UG_BUILDER_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ug_buf {
	uint8_t *v;
	size_t n, cap;
	bool failed;
};

/* Returns the offset of what was appended. data NULL: zeros. */
size_t ug_buf_add(struct ug_buf *b, const void *data, size_t len);
size_t ug_buf_align(struct ug_buf *b, size_t align);
void ug_buf_free(struct ug_buf *b);

#endif
