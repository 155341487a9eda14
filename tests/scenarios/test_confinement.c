/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Confined processes: each is patched, or is refused before anything is touched, with the
 * reason.
 *
 *  - seccomp: strict mode; filters that forbid a call which is needed, of all threads or of one
 *  - MemoryDenyWriteExecute, by a filter and by PR_SET_MDWE; memory files without execution
 *  - resource limits, no free address near the program
 *  - namespaces: process ids, mounts, users; the first process of its namespace
 *
 * Lines that begin with "# |" are the table of docs/confinement.md.
 */
#include "scenarios/refusal.h"
#include "lib/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

#define NEEDED "/usr/bin/"

static const char *good;

static void row(const char *confinement, const char *outcome)
{
	print_message("# | %s | %s |\n", confinement, outcome);
}

static void start(struct scenario_victim *v, const char *mode, const char *n)
{
	const char *argv[] = { scenario_bin("tests/victims/quiet"), mode, n, NULL };

	scenario_start(v, argv);
	scenario_ask(v, "?");
}

static void assert_value(struct scenario_victim *v, unsigned long value)
{
	assert_int_equal(scenario_number(scenario_ask(v, "?"), "value"), value);
}

/* ---- the two outcomes ---- */

static void assert_works(struct scenario_victim *v, pid_t pid, const char *name)
{
	struct victim_state before;
	struct ug_error err = { 0 };
	char why[512];

	assert_value(v, 41);
	assert_int_equal(victim_snapshot(pid, &before, why, sizeof(why)), 0);
	if (ug_load(pid, good, NULL, NULL, &err) < 0)
		fail_msg("%s: load: %s", name, err.message);
	assert_value(v, 1041);
	if (ug_unload(pid, "quiet-fix", NULL, NULL, &err) < 0)
		fail_msg("%s: unload: %s", name, err.message);
	assert_value(v, 41);
	if (victim_compare(pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s: %s", name, why);
	victim_state_free(&before);
	row(name, "works");
}

static void assert_refuses(struct scenario_victim *v, pid_t pid, const char *name, int code)
{
	struct victim_state before;
	struct ug_error err = { 0 };
	char why[512];
	int r;

	assert_value(v, 41);
	if (victim_snapshot(pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s: %s", name, why);
	r = ug_load(pid, good, NULL, NULL, &err);
	if (r != code)
		fail_msg("%s: %s, expected %s; it says: %s", name, ug_error_name(r),
			 ug_error_name(code), err.message);
	assert_sentence(&err, code);
	assert_value(v, 41);
	if (victim_compare(pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s: %s", name, why);
	victim_state_free(&before);
	assert_cli_fails(pid, good, ug_error_exit(code));
	assert_value(v, 41);
	snprintf(why, sizeof(why), "%s: %s", ug_error_name(code), err.message);
	row(name, why);
}

static void mode_works(const char *mode, const char *n, const char *name)
{
	struct scenario_victim v;

	start(&v, mode, n);
	assert_works(&v, v.pid, name);
	scenario_stop(&v);
}

static void mode_refuses(const char *mode, const char *n, const char *name, int code)
{
	struct scenario_victim v;

	start(&v, mode, n);
	assert_refuses(&v, v.pid, name, code);
	scenario_stop(&v);
}

/* ---- seccomp ---- */

static void test_allowing_filter(void **state)
{
	mode_works("allow", NULL, "seccomp filter that allows everything");
}

/* Filters that forbid something of which ugraft has no need. */
static void test_harmless_filter(void **state)
{
	char nr[16];

	snprintf(nr, sizeof(nr), "%d", SYS_ptrace);
	mode_works("forbid", nr, "seccomp filter that forbids ptrace");
	snprintf(nr, sizeof(nr), "%d", SYS_mprotect);
	mode_works("forbid", nr, "seccomp filter that forbids mprotect");
}

static void test_strict(void **state)
{
	mode_refuses("strict", NULL, "seccomp strict mode", -UG_E_SECCOMP);
}

static void test_forbidding_filters(void **state)
{
	static const struct { int nr; const char *name; } needed[] = {
		{ SYS_mmap, "mmap" }, { SYS_munmap, "munmap" }, { SYS_close, "close" },
		{ SYS_memfd_create, "memfd_create" }, { SYS_ftruncate, "ftruncate" },
		{ SYS_rt_sigreturn, "rt_sigreturn" }, { SYS_restart_syscall, "restart_syscall" },
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		char nr[16], name[96];

		snprintf(nr, sizeof(nr), "%d", needed[i].nr);
		snprintf(name, sizeof(name), "seccomp filter that kills for %s", needed[i].name);
		mode_refuses("forbid", nr, name, -UG_E_SECCOMP);
		snprintf(name, sizeof(name), "seccomp filter by which %s fails", needed[i].name);
		mode_refuses("deny", nr, name, -UG_E_SECCOMP);
	}
}

/* A filter of one thread: the others do the work. But every thread is stopped. */
static void test_filter_of_one_thread(void **state)
{
	char nr[16];

	snprintf(nr, sizeof(nr), "%d", SYS_mmap);
	mode_works("thread", nr, "filter of one thread that kills for mmap");
	snprintf(nr, sizeof(nr), "%d", SYS_restart_syscall);
	mode_refuses("thread", nr, "filter of one thread that kills for restart_syscall",
		     -UG_E_SECCOMP);
}

/* ---- write xor execute ---- */

static void test_deny_write_execute_filter(void **state)
{
	mode_works("nowx", NULL, "MemoryDenyWriteExecute by a seccomp filter");
}

static void test_deny_write_execute_prctl(void **state)
{
	if (prctl(PR_GET_MDWE, 0, 0, 0, 0) < 0) {
		print_message("# SKIPPED: this kernel has no PR_SET_MDWE (since 6.3)\n");
		skip();
	}
	mode_works("mdwe", NULL, "MemoryDenyWriteExecute by PR_SET_MDWE");
}

/* ---- resources ---- */

static void test_crowded(void **state)
{
	mode_refuses("crowded", NULL, "no free address within 2 GiB", -UG_E_NO_ROOM);
}

static void refuse_limited(int resource, rlim_t limit, const char *name)
{
	const struct rlimit r = { limit, limit };
	struct scenario_victim v;

	start(&v, "plain", NULL);
	assert_int_equal(prlimit(v.pid, (enum __rlimit_resource)resource, &r, NULL), 0);
	assert_refuses(&v, v.pid, name, -UG_E_LIMIT);
	scenario_stop(&v);
}

static void test_limits(void **state)
{
	refuse_limited(RLIMIT_AS, 4096, "RLIMIT_AS exhausted");
	/* poll itself needs one. */
	refuse_limited(RLIMIT_NOFILE, 1, "RLIMIT_NOFILE exhausted");
	/* It would be killed by SIGXFSZ for our file. */
	refuse_limited(RLIMIT_FSIZE, 0, "RLIMIT_FSIZE 0");
}

/* ---- namespaces ---- */

static void need(const char *program)
{
	if (access(program, X_OK) == 0)
		return;
	print_message("# SKIPPED: %s is not installed\n", program);
	skip();
}

/* Start by unshare(1) with these options; the process itself is its child, with --fork. */
static pid_t start_apart(struct scenario_victim *v, const char *const options[], const char *script)
{
	const char *argv[16] = { NEEDED "unshare" };
	char text[512];
	pid_t child;
	int n = 1;

	need(argv[0]);
	for (int i = 0; options[i]; i++)
		argv[n++] = options[i];
	snprintf(text, sizeof(text), "%s exec %s", script, scenario_bin("tests/victims/quiet"));
	argv[n++] = "/bin/sh";
	argv[n++] = "-c";
	argv[n] = text;
	scenario_start(v, argv);
	child = command_child(v->pid, "");
	return child ? child : v->pid;
}

static void works_apart(const char *const options[], const char *script, const char *name)
{
	struct scenario_victim v;
	pid_t pid = start_apart(&v, options, script);

	assert_works(&v, pid, name);
	if (pid != v.pid)
		kill(pid, SIGKILL);
	scenario_stop(&v);
}

static void test_pid_namespace(void **state)
{
	static const char *const options[] = { "--pid", "--fork", "--mount-proc", NULL };

	works_apart(options, "", "first process of a pid namespace");
}

static void test_user_namespace(void **state)
{
	static const char *const options[] = { "--user", "--map-root-user", NULL };

	works_apart(options, "", "user namespace");
}

/* Its paths lead to other files, or nowhere, outside. */
static void test_mount_namespace(void **state)
{
	static const char *const options[] = { "--mount", NULL };
	char script[4400];

	snprintf(script, sizeof(script), "mount -t tmpfs none /mnt && mkdir /mnt/inner && "
		 "cp %s /mnt/inner/quiet && exec /mnt/inner/quiet;",
		 scenario_bin("tests/victims/quiet"));
	works_apart(options, script, "mount namespace, program on a file system of its own");
}

static void test_noexec_memfd(void **state)
{
	static const char *const options[] = { "--pid", "--fork", "--mount-proc", NULL };

	if (access("/proc/sys/vm/memfd_noexec", W_OK) < 0) {
		print_message("# SKIPPED: no vm.memfd_noexec here (since 6.3)\n");
		skip();
	}
	works_apart(options, "echo 2 >/proc/sys/vm/memfd_noexec &&", "vm.memfd_noexec=2");
}

/* The controller inside, its target the process 1. */
static void test_controller_inside(void **state)
{
	static const char *const options[] = { "--pid", "--fork", "--mount-proc", NULL };
	struct scenario_victim v;
	pid_t pid = start_apart(&v, options, "");
	char outside[16];
	const char *load[] = { NEEDED "nsenter", "-t", outside, "-p", "-m",
			       scenario_bin("ugraft"), "load", good, "1", NULL };
	const char *unload[] = { NEEDED "nsenter", "-t", outside, "-p", "-m",
				 scenario_bin("ugraft"), "unload", "quiet-fix", "1", NULL };
	struct victim_state before;
	struct command c;
	char why[512];

	need(load[0]);
	snprintf(outside, sizeof(outside), "%d", pid);
	assert_value(&v, 41);
	assert_int_equal(victim_snapshot(pid, &before, why, sizeof(why)), 0);
	if (command_run(&c, load) != 0)
		fail_msg("load: %s", c.output);
	assert_value(&v, 1041);
	if (command_run(&c, unload) != 0)
		fail_msg("unload: %s", c.output);
	assert_value(&v, 41);
	if (victim_compare(pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
	row("process 1 of a pid namespace, ugraft inside", "works");
	kill(pid, SIGKILL);
	scenario_stop(&v);
}

static int set_up(void **state)
{
	alarm(170);	/* a hang is a failure, too */
	good = scenario_build(scenario_src("tests/scenarios/quiet_fix.c"),
			      scenario_bin("tests/victims/quiet"), NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowing_filter),
		cmocka_unit_test(test_harmless_filter),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_forbidding_filters),
		cmocka_unit_test(test_filter_of_one_thread),
		cmocka_unit_test(test_deny_write_execute_filter),
		cmocka_unit_test(test_deny_write_execute_prctl),
		cmocka_unit_test(test_crowded),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_pid_namespace),
		cmocka_unit_test(test_user_namespace),
		cmocka_unit_test(test_mount_namespace),
		cmocka_unit_test(test_noexec_memfd),
		cmocka_unit_test(test_controller_inside),
	};

	tap_correct_skips();
	return cmocka_run_group_tests(tests, set_up, NULL);
}
