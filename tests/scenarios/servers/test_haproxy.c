/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * haproxy of the distribution with two threads under load: one function and twenty functions,
 * 80 cycles each. It uses OpenSSL's asynchronous jobs, which are suspended contexts: without
 * the administrator's word that there are none all transitions are all-at-once with a scan of
 * its memory.
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
#include "ugraft/ugraft.h"

static struct server server;
static struct load load;
static struct pressure pressure;

#define ANSWER_BEFORE "HTTP/1.1 200 OK\r\n" LOAD_ANY "\r\n\r\n"

/*
 * One number: a thread may be switched between two calls in one request, and rightly so. The
 * hashes are computed, but not printed.
 */
static const struct load_request request = {
	"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
	ANSWER_BEFORE "<41 a b>",
	ANSWER_BEFORE "<42 a b>",
};

static const char config[] =
	"global\n"
	"	nbthread 2\n"
	"	maxconn 256\n"
	"defaults\n"
	"	mode http\n"
	"	timeout client 60s\n"
	"	timeout server 60s\n"
	"	timeout connect 5s\n"
	"frontend f\n"
	"	bind 127.0.0.1:%d\n"
	"	http-request set-var(txn.djb2) str(abc),djb2\n"
	"	http-request set-var(txn.sdbm) str(abc),sdbm\n"
	"	http-request set-var(txn.crc32) str(abc),crc32\n"
	"	http-request return status 200 content-type text/plain lf-string "
	"\"<%%[int(41)] %%[str(a%%20b),url_dec]>\"\n";

static int set_up(void **state)
{
	char url[64];
	const char *argv[] = { server.path, "-db", "-f", "haproxy.cfg", NULL };
	const char *wrk[] = { "wrk", "-t1", "-c4", "-d600", url, NULL };

	server_write(&server, "haproxy.cfg", config, server.port);
	server_start(&server, argv);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", server.port);
	load_start(&load, server.port, &request, 1, 8);
	pressure_start(&pressure, wrk);
	return 0;
}

static int tear_down(void **state)
{
	load_stop(&load);
	pressure_stop(&pressure, SIGINT);
	server_stop(&server);
	return 0;
}

static void run(const char *name, const char *source, unsigned int flags)
{
	struct campaign c = {
		.name = name, .pid = server.pid, .port = server.port, .probe = &request,
		.load = &load, .flags = flags,
		.patch = scenario_build(scenario_src(source), server.path, NULL),
	};

	campaign_run(&c);
}

static void test_one(void **state)
{
	run("haproxy, 1 function", "tests/scenarios/servers/haproxy_one.c", 0);
}

static void test_twenty(void **state)
{
	run("haproxy, 20 functions", "tests/scenarios/servers/haproxy_twenty.c", 0);
}

static void test_one_no_contexts(void **state)
{
	run("haproxy, 1 function, contexts=none", "tests/scenarios/servers/haproxy_one.c",
	    UG_OPT_CONTEXTS_NONE);
}

static void test_twenty_no_contexts(void **state)
{
	run("haproxy, 20 functions, contexts=none", "tests/scenarios/servers/haproxy_twenty.c",
	    UG_OPT_CONTEXTS_NONE);
}

static void test_wrk_saw_nothing(void **state)
{
	const char *output = pressure_stop(&pressure, SIGINT);

	if (strstr(output, "Socket errors") || strstr(output, "Non-2xx"))
		fail_msg("wrk: %s", output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_twenty),
		cmocka_unit_test(test_one_no_contexts),
		cmocka_unit_test(test_twenty_no_contexts),
		cmocka_unit_test(test_wrk_saw_nothing),
	};

	if (!server_prepare(&server, "haproxy"))
		return 0;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
