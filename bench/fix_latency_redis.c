/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GET answers the length, as STRLEN does. */
#include <ugraft/patch.h>

struct client;

void strlenCommand(struct client *c);

void new_get(struct client *c)
{
	strlenCommand(c);
}

UG_PATCH(latency-redis, .description = "GET answers the length");
UG_FUNC(UG_EXE, getCommand, new_get);
