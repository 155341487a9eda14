/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bounded reader: every byte of an untrusted buffer (patch file, target memory) is taken
 * through it. There is one overflow-checked bounds check, ug_reader_check; nothing is ever
 * cast into the buffer.
 */
#ifndef UG_BASE_READER_H
#define UG_BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ug_reader {
	const uint8_t *data;
	size_t size;
	size_t pos;
};

static inline void ug_reader_init(struct ug_reader *r, const void *data, size_t size)
{
	r->data = data;
	r->size = size;
	r->pos = 0;
}

/* Do `len` bytes at `off` lie inside? The sum is never formed, so it cannot overflow. */
static inline bool ug_reader_check(const struct ug_reader *r, uint64_t off, uint64_t len)
{
	return off <= r->size && len <= r->size - off;
}

/* Copy `len` bytes from `off`; false and dst untouched when they are not inside. */
static inline bool ug_reader_at(const struct ug_reader *r, uint64_t off, void *dst, size_t len)
{
	if (!ug_reader_check(r, off, len))
		return false;
	memcpy(dst, r->data + off, len);
	return true;
}

/* Copy the next `len` bytes and go past them. */
static inline bool ug_reader_next(struct ug_reader *r, void *dst, size_t len)
{
	if (!ug_reader_at(r, r->pos, dst, len))
		return false;
	r->pos += len;
	return true;
}

/* The NUL-terminated string at `off`, or NULL when it does not end inside. */
static inline const char *ug_reader_str(const struct ug_reader *r, uint64_t off)
{
	if (off >= r->size || !memchr(r->data + off, 0, r->size - off))
		return NULL;
	return (const char *)r->data + off;
}

#endif
