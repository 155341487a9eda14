/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A growing array by macro.
 *
 *	UG_VEC(struct ug_map) maps = UG_VEC_INIT;
 *	struct ug_map *m = ug_vec_add(&maps);	// zeroed slot, NULL without memory
 *	ug_vec_free(&maps);
 *
 * Elements move when the array grows: keep indexes, not pointers, across an add.
 */
#ifndef UG_BASE_VEC_H
#define UG_BASE_VEC_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define UG_VEC(type)                                                                               \
	struct {                                                                                   \
		type *v;                                                                           \
		size_t n;                                                                          \
		size_t cap;                                                                        \
	}

#define UG_VEC_INIT { NULL, 0, 0 }

/* Room for one more of `size` bytes: the new slot, zeroed, or NULL. */
void *ug_vec_add_raw(void **v, size_t *n, size_t *cap, size_t size);

#define ug_vec_add(vec)                                                                            \
	((__typeof__((vec)->v))ug_vec_add_raw((void **)&(vec)->v, &(vec)->n, &(vec)->cap,          \
					      sizeof(*(vec)->v)))

#define ug_vec_free(vec)                                                                           \
	do {                                                                                       \
		free((vec)->v);                                                                    \
		(vec)->v = NULL;                                                                   \
		(vec)->n = (vec)->cap = 0;                                                         \
	} while (0)

#define ug_vec_for_each(vec, it)                                                                   \
	for (__typeof__(*(vec)->v) *it = (vec)->v; it < (vec)->v + (vec)->n; it++)

#endif
