/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Binary search by macro, in whatever is sorted by whatever. */
#ifndef UG_BASE_BISECT_H
#define UG_BASE_BISECT_H

#include <stddef.h>

/*
 * The first index `i` of [from, to) for which `before` is false, or `to`. `before`, an
 * expression in i, must be true of some first ones and false of all behind them.
 *
 *	size_t at = ug_bisect(0, v.n, i, v.v[i].addr < addr);	// the first not below addr
 *	size_t n = ug_bisect(0, v.n, i, v.v[i].addr <= addr);	// how many begin at or below it
 */
#define ug_bisect(from, to, i, before)                                                             \
	({                                                                                         \
		size_t bisect_from = (from), bisect_to = (to);                                     \
                                                                                                   \
		while (bisect_from < bisect_to) {                                                  \
			size_t i = bisect_from + (bisect_to - bisect_from) / 2;                    \
                                                                                                   \
			if (before)                                                                \
				bisect_from = i + 1;                                               \
			else                                                                       \
				bisect_to = i;                                                     \
		}                                                                                  \
		bisect_from;                                                                       \
	})

#endif
