/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * redis-server of the distribution under load: one command and twenty commands, 80 cycles
 * each. Stripped, but it exports its symbols.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/campaign.h"
#include "lib/scenario.h"

static struct server server;
static struct load load;
static struct pressure pressure;

static const struct load_request requests[] = {
	{ "ECHO hello\r\n", "$5\r\nhello\r\n", "$4\r\nECHO\r\n" },
	{ "PING\r\n", "+PONG\r\n", ":1\r\n" },
	{ "SET key value\r\n", "+OK\r\n", NULL },
	{ "GET key\r\n", "$5\r\nvalue\r\n", NULL },
	{ "MSET a 1 b 2\r\n", "+OK\r\n", NULL },
	{ "INCR up\r\n", ":" LOAD_ANY "\r\n", NULL },
	{ "DECR up\r\n", ":" LOAD_ANY "\r\n", NULL },
	{ "LPUSH list x\r\n", ":" LOAD_ANY "\r\n", NULL },
	{ "RPOP list\r\n", "$1\r\nx\r\n", NULL },
	{ "HGETALL hash\r\n", "*2\r\n$5\r\nfield\r\n$1\r\n7\r\n", NULL },
	{ "HKEYS hash\r\n", "*1\r\n$5\r\nfield\r\n", NULL },
	{ "TTL key\r\n", ":-1\r\n", NULL },
	{ "ZRANK sorted b\r\n", ":1\r\n", NULL },
};

/* What the requests above want to find. */
static const struct load_request data[] = {
	{ "HSET hash field 7\r\n", ":1\r\n", NULL },
	{ "ZADD sorted 1 a 2 b\r\n", ":2\r\n", NULL },
	{ "LPUSH list x x x x x x x x x x x x x x x x\r\n", ":16\r\n", NULL },
};

static void fill(void)
{
	enum load_answer answer;
	char why[300];

	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++)
		if (load_ask(server.port, &data[i], &answer, why, sizeof(why)) < 0)
			scenario_die("%s", why);
}

static int set_up(void **state)
{
	char port[16];
	const char *argv[] = { server.path, "--bind", "127.0.0.1", "--port", port, "--save", "",
			       "--appendonly", "no", "--daemonize", "no", NULL };
	/* Ends at the first error. What it leaves behind is bounded by -r. */
	const char *benchmark[] = { "redis-benchmark", "-p", port, "-l", "-q", "-c", "4", "-t",
				    "set,get,incr,sadd,mset", "-r", "1000", NULL };
	const char *once[] = { "redis-benchmark", "-p", port, "-q", "-n", "20000", "-c", "4", "-t",
			       "set,get,incr,sadd,mset", "-r", "1000", NULL };

	snprintf(port, sizeof(port), "%d", server.port);
	server_start(&server, argv);
	fill();
	/* So that the server has its full size before it is measured. */
	pressure_run(once);
	load_start(&load, server.port, requests, sizeof(requests) / sizeof(requests[0]), 8);
	pressure_start(&pressure, benchmark);
	return 0;
}

static int tear_down(void **state)
{
	load_stop(&load);
	pressure_stop(&pressure, SIGTERM);
	server_stop(&server);
	return 0;
}

static void run(const char *name, const char *source)
{
	struct campaign c = {
		.name = name, .pid = server.pid, .port = server.port, .probe = &requests[0],
		.load = &load, .patch = scenario_build(scenario_src(source), server.path, NULL),
	};

	campaign_run(&c);
}

static void test_one(void **state)
{
	run("redis, 1 function", "tests/scenarios/servers/redis_one.c");
}

static void test_twenty(void **state)
{
	run("redis, 20 functions", "tests/scenarios/servers/redis_twenty.c");
}

static void test_benchmark_saw_nothing(void **state)
{
	const char *output = pressure_stop(&pressure, SIGTERM);

	if (strstr(output, "rror"))
		fail_msg("redis-benchmark: %s", output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_twenty),
		cmocka_unit_test(test_benchmark_saw_nothing),
	};

	if (!server_prepare(&server, "redis-server"))
		return 0;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
