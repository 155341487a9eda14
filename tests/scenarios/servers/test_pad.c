/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two jumps of a short entry (jmp rel8 to padding, jmp rel32 in it).
 *
 *  - A thread stands between them when the patch is unloaded: the padding must not get its
 *    bytes back under it.
 *  - The controller is killed between writing the one and the other: recovery takes both back.
 *
 *	test_pad PROGRAM
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define STEPS_MAX 100000

static const char *program;
static char trace[] = "/tmp/ugraft-pad-XXXXXX";

/* The one thread that is not the main thread. */
static pid_t worker_of(pid_t pid)
{
	char path[64];
	pid_t tid = 0;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.' && atoi(e->d_name) != pid)
			tid = atoi(e->d_name);
	closedir(dir);
	assert_int_not_equal(tid, 0);
	return tid;
}

static unsigned char opcode_at_pc(pid_t tid)
{
	struct user_regs_struct regs;

	assert_int_equal(ptrace(PTRACE_GETREGS, tid, 0, &regs), 0);
	return (unsigned char)ptrace(PTRACE_PEEKTEXT, tid, (void *)regs.rip, 0);
}

/* Steps the thread until it has made a short jump to a far one, and leaves it stopped there. */
static void stop_between_jumps(pid_t tid)
{
	unsigned char before, now = 0;
	int status, steps = 0;

	assert_int_equal(ptrace(PTRACE_SEIZE, tid, 0, 0), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, tid, 0, 0), 0);
	assert_int_equal(waitpid(tid, &status, __WALL), tid);
	do {
		before = now;
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, tid, 0, 0), 0);
		assert_int_equal(waitpid(tid, &status, __WALL), tid);
		assert_true(WIFSTOPPED(status));
		now = opcode_at_pc(tid);
	} while (++steps < STEPS_MAX && !(before == 0xeb && now == 0xe9));
	assert_true(steps < STEPS_MAX);
	assert_int_equal(ptrace(PTRACE_DETACH, tid, 0, SIGSTOP), 0);
}

static void test_unload_waits(void **state)
{
	const char *argv[] = { program, "1", NULL };
	const char *patch = scenario_build(
		scenario_src("tests/scenarios/servers/twenty_twenty.c"), program, NULL);
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 300 };
	struct scenario_victim victim;
	struct victim_state before;
	struct ug_error err;
	char why[600];

	scenario_start(&victim, argv);
	assert_int_equal(victim_snapshot(victim.pid, &before, why, sizeof(why)), 0);
	assert_int_equal(ug_load(victim.pid, patch, NULL, NULL, &err), 0);
	stop_between_jumps(worker_of(victim.pid));

	assert_int_equal(ug_unload(victim.pid, "twenty-twenty", &opts, NULL, &err),
			 -UG_E_STACK_BUSY);

	assert_int_equal(kill(victim.pid, SIGCONT), 0);
	scenario_ask(&victim, "settle");
	assert_int_equal(ug_unload(victim.pid, "twenty-twenty", NULL, NULL, &err), 0);
	scenario_ask(&victim, "settle");
	assert_int_equal(scenario_number(scenario_ask(&victim, "stat"), "failed"), 0);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
	scenario_stop(&victim);
}

/* strace -f ... -e OPTION ugraft VERB ARG PID: its exit status. */
static int run_traced(const char *option, const char *verb, const char *arg, pid_t pid)
{
	static struct command cmd;
	char pid_text[16];
	const char *argv[] = {
		"/usr/bin/strace", "-f", "-o", trace, "-e", option, scenario_bin("ugraft"), verb, arg,
		pid_text, NULL,
	};

	snprintf(pid_text, sizeof(pid_text), "%d", pid);
	return command_run(&cmd, argv);
}

/* Which of the traced stores is the first of two bytes: the near jump, or what it replaced. */
static unsigned int near_store(void)
{
	FILE *f = fopen(trace, "r");
	unsigned int n = 0;
	bool found = false;
	char line[512];

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f)) {
		if (!strstr(line, "pwrite64("))
			continue;
		n++;
		found = strstr(line, "\", 2, ") != NULL;
	}
	fclose(f);
	assert_true(found);
	return n;
}

/* Finish or roll back what a dead controller left, and unload what was finished. */
static void recover_and_unload(pid_t pid)
{
	struct ug_error err;
	int r;

	if (ug_recover(pid, NULL, NULL, &err) < 0)
		fail_msg("recover: %s", err.message);
	r = ug_unload(pid, "twenty-twenty", NULL, NULL, &err);
	if (r < 0 && r != -UG_E_NO_PATCH)
		fail_msg("unload: %s", err.message);
}

/* Kill the worker as it is about to make the store before the near one, that, the next. */
static void kill_at_stores(pid_t pid, const char *verb, const char *arg, const char *patch,
			   const struct victim_state *before)
{
	unsigned int near;
	char why[600], option[64];

	assert_int_equal(run_traced("trace=pwrite64", verb, arg, pid), 0);
	near = near_store();
	for (unsigned int n = near - 1; n <= near + 1; n++) {
		struct ug_error err;

		recover_and_unload(pid);
		if (strcmp(verb, "unload") == 0 && ug_load(pid, patch, NULL, NULL, &err) < 0)
			fail_msg("load: %s", err.message);
		snprintf(option, sizeof(option), "inject=pwrite64:signal=KILL:when=%u", n);
		assert_int_not_equal(run_traced(option, verb, arg, pid), 0);
		recover_and_unload(pid);
		if (victim_compare(pid, before, VICTIM_TEXT, why, sizeof(why)) < 0)
			fail_msg("%s killed at store %u: %s", verb, n, why);
	}
}

static void test_kill_between_stores(void **state)
{
	const char *argv[] = { program, "1", NULL };
	const char *patch = scenario_build(
		scenario_src("tests/scenarios/servers/twenty_twenty.c"), program, NULL);
	struct scenario_victim victim;
	struct victim_state before;
	struct ug_error err;
	char why[600];
	int fd;

	if (access("/usr/bin/strace", X_OK) < 0) {
		print_message("# strace is missing\n");
		skip();
	}
	fd = mkstemp(trace);
	assert_true(fd >= 0);
	close(fd);
	scenario_start(&victim, argv);
	assert_int_equal(victim_snapshot(victim.pid, &before, why, sizeof(why)), 0);
	kill_at_stores(victim.pid, "load", patch, patch, &before);
	if (ug_load(victim.pid, patch, NULL, NULL, &err) < 0)
		fail_msg("load: %s", err.message);
	kill_at_stores(victim.pid, "unload", "twenty-twenty", patch, &before);
	victim_state_free(&before);
	scenario_stop(&victim);
	unlink(trace);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unload_waits),
		cmocka_unit_test(test_kill_between_stores),
	};

	program = argc > 1 ? argv[1] : "";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
