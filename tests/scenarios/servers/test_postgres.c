/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cluster of PostgreSQL as one job, loaded and unloaded again and again, while clients come
 * and go: pgbench makes a connection, and so a process of the server, for each transaction,
 * and others that last. No query fails, every result adds up, and a new process of the server
 * has what its parent has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/server.h"
#include "lib/victim.h"
#include "tree.h"

#define CYCLES 3

static struct server server;
static char port[16], program[PATH_MAX];
static struct pressure passing, lasting;
static struct tree_sums sums;

/* It refuses to be root. (runuser(1) would stay as its parent.) */
static size_t as_postgres(const char **argv)
{
	size_t n = 0;

	if (geteuid() == 0) {
		argv[n++] = "/usr/bin/setpriv";
		argv[n++] = "--reuid=postgres";
		argv[n++] = "--regid=postgres";
		argv[n++] = "--clear-groups";
	}
	return n;
}

static void run(const char *what, struct command *c, const char *const *args)
{
	const char *argv[COMMAND_ARGS_MAX + 1] = { NULL };
	size_t n = as_postgres(argv);

	for (size_t i = 0; args[i]; i++)
		argv[n + i] = args[i];
	if (command_run(c, argv) != 0)
		scenario_die("%s: %s", what, c->output);
}

static void make_cluster(void)
{
	static char initdb[PATH_MAX + 16];
	char data[100];
	const char *args[] = { initdb, "-D", data, "-A", "trust", "-N", "--no-instructions", "-U",
			       "postgres", NULL };
	struct passwd *pw = getpwnam("postgres");
	struct command c;

	snprintf(initdb, sizeof(initdb), "%.*s/initdb",
		 (int)(strrchr(program, '/') - program), program);
	snprintf(data, sizeof(data), "%s/data", server.dir);
	if (geteuid() == 0 && chown(server.dir, pw->pw_uid, pw->pw_gid) < 0)
		scenario_die("chown %s", server.dir);
	run("initdb", &c, args);
}

static int set_up(void **state)
{
	char data[100];
	const char *argv[20] = { NULL };
	size_t n = as_postgres(argv);

	make_cluster();
	snprintf(data, sizeof(data), "%s/data", server.dir);
	snprintf(port, sizeof(port), "%d", server.port);
	argv[n++] = program;
	argv[n++] = "-D";
	argv[n++] = data;
	argv[n++] = "-p";
	argv[n++] = port;
	argv[n++] = "-k";
	argv[n++] = server.dir;
	argv[n++] = "-h";
	argv[n++] = "127.0.0.1";
	argv[n++] = "-F";
	server_start(&server, argv);
	tree_patch = scenario_build(scenario_src("tests/scenarios/servers/postgres_one.c"), program,
				    NULL);
	tree_name = "postgres-one";
	return 0;
}

static int tear_down(void **state)
{
	server_stop(&server);
	return 0;
}

/* A division by zero, which ends the client, when the answer is of neither version. */
static void start_clients(void)
{
	char script[100];
	const char *comes[] = { "pgbench", "-n", "-C", "-c", "3", "-T", "600", "-f", script, "-h",
				server.dir, "-p", port, NULL };
	const char *stays[] = { "pgbench", "-n", "-R", "100", "-c", "4", "-T", "600", "-f", script,
				"-h", server.dir, "-p", port, NULL };

	server_write(&server, "script", "SELECT ascii('A') AS a \\gset\n"
		     "SELECT 1 / (CASE WHEN :a IN (65, 66) THEN 1 ELSE 0 END);\n");
	snprintf(script, sizeof(script), "%s/script", server.dir);
	setenv("PGUSER", "postgres", 1);
	pressure_start(&passing, comes);
	pressure_start(&lasting, stays);
	if (passing.pid <= 0 || lasting.pid <= 0)
		scenario_die("pgbench is not installed");
}

/* pgbench says at its end how many there were; an aborted client says so itself. */
static unsigned long end_clients(struct pressure *p, const char *which)
{
	const char *output = pressure_stop(p, SIGINT);

	if (strstr(output, "aborted") || strstr(output, "ERROR") || strstr(output, "FATAL") ||
	    strstr(output, "failed:"))
		fail_msg("%s clients: %s", which, output);
	return strlen(output);
}

/* By a connection of its own, which is a new process of the server. */
static void expect_answer(const char *answer)
{
	const char *args[] = { "/usr/bin/psql", "-X", "-A", "-t", "-h", server.dir, "-p", port, "-U",
			       "postgres", "-c", "SELECT ascii('A')", NULL };
	struct command c;

	if (command_run(&c, args) != 0 || strncmp(c.output, answer, 2) != 0)
		fail_msg("ascii('A') is '%s', not %s", c.output, answer);
}

static void test_cycles(void **state)
{
	struct victim_state before;
	char why[512];

	expect_answer("65");
	if (victim_snapshot(server.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	start_clients();
	for (int i = 0; i < CYCLES; i++) {
		tree_run(server.pid, UG_JOB_LOAD, &sums);
		expect_answer("66");
		tree_run(server.pid, UG_JOB_UNLOAD, &sums);
		expect_answer("65");
		if (victim_compare(server.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
			fail_msg("cycle %d: %s", i, why);
	}
	victim_state_free(&before);
	end_clients(&passing, "passing");
	end_clients(&lasting, "lasting");
	tree_note("postgres", &sums);
	assert_true(sums.count[UG_RESULT_APPLIED] >= 2 * CYCLES * 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cycles),
	};

	if (!server_prepare(&server, "postgres"))
		return 0;
	if (!realpath(server.path, program))
		scenario_die("%s", server.path);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
