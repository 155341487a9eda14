/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The beginning of struct client of redis 7.0 (src/server.h), as far as it is needed. */
#ifndef UG_TESTS_REDIS_H
#define UG_TESTS_REDIS_H

#include <stddef.h>
#include <stdint.h>

typedef struct redisObject robj;

typedef struct client {
	uint64_t id;
	uint64_t flags;
	void *conn;
	int resp;
	void *db;
	robj *name;
	char *querybuf;
	size_t qb_pos;
	size_t querybuf_peak;
	int argc;
	robj **argv;
} client;

_Static_assert(offsetof(client, argv) == 0x50, "echoCommand() reads argv there");

void addReplyBulk(client *c, robj *obj);
void addReplyLongLong(client *c, long long number);

#endif
