/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that stands between the two jumps of a short entry (jmp rel8 to padding, jmp rel32
 * in it) when the patch is unloaded: the padding must not get its bytes back under it.
 *
 *	test_pad PROGRAM
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define STEPS_MAX 100000

static const char *program;

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
	assert_int_equal(ug_load(victim.pid, patch, &opts, NULL, &err), 0);
	stop_between_jumps(worker_of(victim.pid));

	assert_int_equal(ug_unload(victim.pid, "twenty-twenty", &opts, NULL, &err),
			 -UG_E_STACK_BUSY);

	assert_int_equal(kill(victim.pid, SIGCONT), 0);
	scenario_ask(&victim, "settle");
	assert_int_equal(ug_unload(victim.pid, "twenty-twenty", &opts, NULL, &err), 0);
	scenario_ask(&victim, "settle");
	assert_int_equal(scenario_number(scenario_ask(&victim, "stat"), "failed"), 0);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
	scenario_stop(&victim);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unload_waits),
	};

	program = argc > 1 ? argv[1] : "";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
