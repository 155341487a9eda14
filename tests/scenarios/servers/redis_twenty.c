/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Twenty commands: ECHO and PING change, eighteen do the same by the same helpers. */
#include <ugraft/patch.h>

#include "redis.h"

void getGenericCommand(client *c);
void incrDecrCommand(client *c, long long by);
void pushGenericCommand(client *c, int where, int xx);
void popGenericCommand(client *c, int where);
void genericHgetallCommand(client *c, int flags);
void ttlGenericCommand(client *c, int ms, int absolute);
void msetGenericCommand(client *c, int nx);
void zrankGenericCommand(client *c, int reverse);

enum { HEAD, TAIL };
enum { KEY = 1, VALUE = 2 };

void new_echo(client *c)
{
	addReplyBulk(c, c->argv[0]);
}

void new_ping(client *c)
{
	addReplyLongLong(c, c->argc);
}

#define SAME(name_, helper_, ...)                                                                  \
	void new_##name_(client *c)                                                                \
	{                                                                                          \
		helper_(c, ##__VA_ARGS__);                                                         \
	}                                                                                          \
	UG_FUNC(UG_EXE, name_##Command, new_##name_)

UG_PATCH(redis-twenty, .description = "twenty commands");
UG_FUNC(UG_EXE, echoCommand, new_echo);
UG_FUNC(UG_EXE, pingCommand, new_ping);
SAME(get, getGenericCommand);
SAME(incr, incrDecrCommand, 1);
SAME(decr, incrDecrCommand, -1);
SAME(lpush, pushGenericCommand, HEAD, 0);
SAME(rpush, pushGenericCommand, TAIL, 0);
SAME(lpushx, pushGenericCommand, HEAD, 1);
SAME(rpushx, pushGenericCommand, TAIL, 1);
SAME(lpop, popGenericCommand, HEAD);
SAME(rpop, popGenericCommand, TAIL);
SAME(hkeys, genericHgetallCommand, KEY);
SAME(hvals, genericHgetallCommand, VALUE);
SAME(hgetall, genericHgetallCommand, KEY | VALUE);
SAME(ttl, ttlGenericCommand, 0, 0);
SAME(pttl, ttlGenericCommand, 1, 0);
SAME(expiretime, ttlGenericCommand, 0, 1);
SAME(mset, msetGenericCommand, 0);
SAME(zrank, zrankGenericCommand, 0);
SAME(zrevrank, zrankGenericCommand, 1);
