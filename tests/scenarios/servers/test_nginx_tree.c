/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nginx, master and workers, as one job, while SIGHUP replaces the workers in the midst of it.
 * Clients with a connection for each request are always answered, by the old code or the new,
 * and by one of them alone when a job has ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/load.h"
#include "lib/scenario.h"
#include "lib/server.h"
#include "lib/victim.h"
#include "tree.h"

#define CYCLES 8
#define WORKERS 3
#define CLIENTS 3

static struct server server;
static struct tree_sums sums;

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
	"	client_body_temp_path body;\n"
	"	proxy_temp_path proxy;\n"
	"	fastcgi_temp_path fastcgi;\n"
	"	uwsgi_temp_path uwsgi;\n"
	"	scgi_temp_path scgi;\n"
	"	server { listen 127.0.0.1:%d; root html; }\n"
	"}\n";

/* ---- clients ---- */

static atomic_int ending;
static atomic_ulong answers, failures;
static char first_failure[300];

static void *client(void *arg)
{
	while (!atomic_load(&ending)) {
		enum load_answer answer;
		char why[300];

		if (load_ask(server.port, &request, &answer, why, sizeof(why)) == 0)
			atomic_fetch_add(&answers, 1);
		else if (atomic_fetch_add(&failures, 1) == 0)
			memcpy(first_failure, why, sizeof(why));
		nap_us(2000);
	}
	return NULL;
}

static void expect_answer(enum load_answer wanted)
{
	for (int i = 0; i < 20; i++) {
		enum load_answer answer;
		char why[300];

		if (load_ask(server.port, &request, &answer, why, sizeof(why)) < 0)
			fail_msg("%s", why);
		assert_int_equal(answer, wanted);
	}
}

/* ---- the test ---- */

static int set_up(void **state)
{
	const char *argv[] = { server.path, "-p", server.dir, "-c", "nginx.conf", "-e",
			       "error.log", NULL };
	char command[300];
	pid_t workers[WORKERS];

	snprintf(command, sizeof(command),
		 "cd %s && mkdir -m 755 html && echo 'it works' > html/index.html && "
		 "chmod 644 html/index.html && touch -d @1000000000 html/index.html", server.dir);
	if (system(command) != 0)
		scenario_die("cannot make the files for nginx");
	server_write(&server, "nginx.conf", config, geteuid() == 0 ? "user nobody nogroup;\n" : "",
		     WORKERS, server.port);
	server_start(&server, argv);
	server_await_children(&server, workers, WORKERS);
	tree_patch = scenario_build(scenario_src("tests/scenarios/servers/nginx_one.c"), server.path,
				    NULL);
	tree_name = "nginx-one";
	return 0;
}

static int tear_down(void **state)
{
	server_stop(&server);
	return 0;
}

/* Later in each cycle, so that it hits every part of a job. */
static void *reload(void *arg)
{
	nap_us(*(unsigned long *)arg);
	kill(server.pid, SIGHUP);
	return NULL;
}

static void job_with_reload(enum ug_job_verb verb, unsigned long delay_us)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, reload, &delay_us), 0);
	tree_run(server.pid, verb, &sums);
	pthread_join(thread, NULL);
}

static void run_cycles(void)
{
	struct victim_state before;
	char why[512];

	if (victim_snapshot(server.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	for (unsigned long i = 0; i < CYCLES; i++) {
		job_with_reload(UG_JOB_LOAD, 20000 * i);
		expect_answer(LOAD_NEW);
		job_with_reload(UG_JOB_UNLOAD, 20000 * i);
		expect_answer(LOAD_OLD);
		if (victim_compare(server.pid, &before, VICTIM_TEXT | VICTIM_NO_UGRAFT, why,
				   sizeof(why)) < 0)
			fail_msg("cycle %lu: %s", i, why);
	}
	victim_state_free(&before);
}

static void test_reloads(void **state)
{
	pthread_t clients[CLIENTS];

	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&clients[i], NULL, client, NULL), 0);
	run_cycles();
	atomic_store(&ending, 1);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(clients[i], NULL);
	tree_note("nginx", &sums);
	print_message("# %lu answers\n", answers);
	if (failures)
		fail_msg("%lu requests failed, the first: %s", failures, first_failure);
	assert_true(answers > 100);
	/* Workers were replaced in the midst. */
	assert_true(sums.count[UG_RESULT_ALREADY] + sums.count[UG_RESULT_GONE] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reloads),
	};

	if (!server_prepare(&server, "nginx"))
		return 0;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
