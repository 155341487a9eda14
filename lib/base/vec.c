/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/vec.h"

void *ug_vec_add_raw(void **v, size_t *n, size_t *cap, size_t size)
{
	void *slot;

	if (*n == *cap) {
		size_t new_cap = *cap ? *cap * 2 : 8;
		void *grown = reallocarray(*v, new_cap, size);

		if (!grown)
			return NULL;
		*v = grown;
		*cap = new_cap;
	}
	slot = (char *)*v + *n * size;
	memset(slot, 0, size);
	(*n)++;
	return slot;
}
