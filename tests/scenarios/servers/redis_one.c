/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ECHO answers its own name. */
#include <ugraft/patch.h>

#include "redis.h"

void new_echo(client *c)
{
	addReplyBulk(c, c->argv[0]);
}

UG_PATCH(redis-one, .description = "ECHO answers its own name");
UG_FUNC(UG_EXE, echoCommand, new_echo);
