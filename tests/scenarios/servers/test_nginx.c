/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nginx of the distribution under load: one function and twenty functions, 80 cycles each in
 * the master and in two workers, which are processes of their own.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/campaign.h"
#include "lib/scenario.h"

#define WORKERS 2
/* By reuseport they are spread at random: enough that each worker gets some. */
#define CONNECTIONS 16

static struct server server;
static struct load load;
static struct pressure pressure;
static pid_t workers[WORKERS];

#define ANSWER_BEFORE "HTTP/1.1 200 OK\r\n" LOAD_ANY "Last-Modified: "
#define ANSWER_AFTER " GMT\r\n" LOAD_ANY "\r\n\r\nit works\n"

static const struct load_request request = {
	"GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n",
	ANSWER_BEFORE "Sun, 09 Sep 2001 01:46:40" ANSWER_AFTER,
	ANSWER_BEFORE "Thu, 01-Jan-70 00:00:00" ANSWER_AFTER,
};

static const char config[] =
	"daemon off;\n"
	"%s"
	"worker_processes %d;\n"
	"pid nginx.pid;\n"
	"error_log error.log;\n"
	"events { worker_connections 256; }\n"
	"http {\n"
	"	access_log off;\n"
	"	sendfile on;\n"
	"	tcp_nopush on;\n"
	"	keepalive_requests 1000000000;\n"
	"	client_body_temp_path body;\n"
	"	proxy_temp_path proxy;\n"
	"	fastcgi_temp_path fastcgi;\n"
	"	uwsgi_temp_path uwsgi;\n"
	"	scgi_temp_path scgi;\n"
	"	server { listen 127.0.0.1:%d reuseport; root html; }\n"
	"}\n";

static void make_html(void)
{
	char command[200];

	snprintf(command, sizeof(command),
		 "cd %s && mkdir -m 755 html && echo 'it works' > html/index.html && "
		 "chmod 644 html/index.html && touch -d @1000000000 html/index.html",
		 server.dir);
	if (system(command) != 0)
		scenario_die("cannot make the files for nginx");
}

static int set_up(void **state)
{
	char url[64];
	const char *argv[] = { server.path, "-p", server.dir, "-c", "nginx.conf", "-e",
			       "error.log", NULL };
	const char *wrk[] = { "wrk", "-t1", "-c4", "-d600", url, NULL };

	make_html();
	server_write(&server, "nginx.conf", config, geteuid() == 0 ? "user nobody nogroup;\n" : "",
		     WORKERS, server.port);
	server_start(&server, argv);
	server_await_children(&server, workers, WORKERS);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/index.html", server.port);
	load_start(&load, server.port, &request, 1, CONNECTIONS);
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

static const char *build(const char *source)
{
	return scenario_build(scenario_src(source), server.path, NULL);
}

/* No probe: which worker a connection gets is not known. The load sees both answers. */
static void run(const char *name, pid_t pid, const char *patch, bool answers)
{
	struct campaign c = {
		.name = name, .pid = pid, .port = server.port, .load = &load, .patch = patch,
	};
	struct load_counts before = load_look(&load), after;

	campaign_run(&c);
	after = load_look(&load);
	assert_int_equal(after.answers[LOAD_NEW] > before.answers[LOAD_NEW], answers);
	assert_true(after.answers[LOAD_OLD] > before.answers[LOAD_OLD]);
}

static void run_all(const char *source)
{
	const char *patch = build(source);

	run("nginx, master", server.pid, patch, false);
	for (int i = 0; i < WORKERS; i++)
		run("nginx, worker", workers[i], patch, true);
}

static void test_one(void **state)
{
	run_all("tests/scenarios/servers/nginx_one.c");
}

static void test_twenty(void **state)
{
	run_all("tests/scenarios/servers/nginx_twenty.c");
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
		cmocka_unit_test(test_wrk_saw_nothing),
	};

	if (!server_prepare(&server, "nginx"))
		return 0;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
