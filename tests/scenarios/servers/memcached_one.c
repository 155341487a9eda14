/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "stats" says another pid. */
#include <ugraft/patch.h>

int new_getpid(void)
{
	return 424242;
}

UG_PATCH(memcached-one, .description = "stats says another pid");
UG_FUNC("libc.so.6", getpid, new_getpid, .aliases_ok = 1);
