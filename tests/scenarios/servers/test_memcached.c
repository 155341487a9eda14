/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memcached of the distribution with four threads under load: one function of glibc, and
 * twenty of glibc and libevent, 80 cycles each. The program itself is stripped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/campaign.h"
#include "lib/scenario.h"

static struct server server;
static struct load load;
static char libc[256], libevent[256];

static char old_stats[64];

/* Filled in when the pid is known. */
static struct load_request requests[] = {
	{ "stats\r\n", old_stats, "STAT pid 424242\r\n" LOAD_ANY "END\r\n" },
	{ "set key 1 0 5\r\nvalue\r\n", "STORED\r\n", NULL },
	{ "get key\r\n", "VALUE key 1 5\r\nvalue\r\nEND\r\n", NULL },
	{ "set number 0 0 1\r\n5\r\n", "STORED\r\n", NULL },
	{ "incr number 3\r\n", LOAD_ANY "\r\n", NULL },
	{ "touch key 0\r\n", "TOUCHED\r\n", NULL },
	{ "version\r\n", "VERSION " LOAD_ANY "\r\n", NULL },
	{ "get none\r\n", "END\r\n", NULL },
};

static int set_up(void **state)
{
	char port[16];
	const char *argv[] = { server.path, "-u", "root", "-l", "127.0.0.1", "-U", "0", "-t", "4",
			       "-p", port, NULL };

	snprintf(port, sizeof(port), "%d", server.port);
	server_start(&server, argv);
	server_library(server.pid, "libc.so.", libc, sizeof(libc));
	server_library(server.pid, "libevent-2.1.so.", libevent, sizeof(libevent));
	snprintf(old_stats, sizeof(old_stats), "STAT pid %d\r\n" LOAD_ANY "END\r\n", server.pid);
	load_start(&load, server.port, requests, sizeof(requests) / sizeof(requests[0]), 16);
	return 0;
}

static int tear_down(void **state)
{
	load_stop(&load);
	server_stop(&server);
	return 0;
}

static void run(const char *name, const char *source, size_t objects)
{
	const char *targets[] = { libc, libevent };
	struct campaign c = {
		.name = name, .pid = server.pid, .port = server.port, .probe = &requests[0],
		.load = &load,
		.patch = scenario_build_for(scenario_src(source), targets, objects, NULL),
	};

	campaign_run(&c);
}

static void test_one(void **state)
{
	run("memcached, 1 function", "tests/scenarios/servers/memcached_one.c", 1);
}

static void test_twenty(void **state)
{
	if (!libevent[0])
		skip();
	run("memcached, 20 functions", "tests/scenarios/servers/memcached_twenty.c", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_twenty),
	};

	if (!server_prepare(&server, "memcached"))
		return 0;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
