// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "builder/buf.h"

static bool reserve(struct ug_buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : 256;
	uint8_t *v;

	while (cap - b->n < len)
		cap *= 2;
	if (cap == b->cap)
		return true;
	v = realloc(b->v, cap);
	if (!v)
		return false;
	b->v = v;
	b->cap = cap;
	return true;
}

size_t ug_buf_add(struct ug_buf *b, const void *data, size_t len)
{
	size_t at = b->n;

	if (b->failed || !reserve(b, len)) {
		b->failed = true;
		return 0;
	}
	if (data && len)
		memcpy(b->v + b->n, data, len);
	else if (len)
		memset(b->v + b->n, 0, len);
	b->n += len;
	return at;
}

size_t ug_buf_align(struct ug_buf *b, size_t align)
{
	if (align > 1 && b->n % align)
		ug_buf_add(b, NULL, align - b->n % align);
	return b->n;
}

void ug_buf_free(struct ug_buf *b)
{
	free(b->v);
	*b = (struct ug_buf){ 0 };
}
