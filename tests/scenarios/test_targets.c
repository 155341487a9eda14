/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which processes can be patched, by whom.
 *
 *  - no such process, a zombie, a thread, a kernel thread, a 32-bit program, ugraft itself
 *  - with a thread that its gates could not tell from others
 *  - traced by somebody else, who is named; sharing its memory; waiting for a vfork child
 *  - stopped by a signal: it is patched, and stays stopped
 *  - of another user, of one's own, hidden, and by a controller with few capabilities
 *
 * Lines that begin with "# |" are the table of docs/confinement.md.
 */
#include "scenarios/refusal.h"
#include "lib/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* <asm/hwcap2.h>: the kernel lets programs execute rdfsbase (Linux 5.9). */
#define HWCAP2_FSGSBASE 2

#define SETPRIV "/usr/bin/setpriv"
#define STRACE "/usr/bin/strace"
#define NOBODY "--reuid=65534", "--regid=65534", "--clear-groups"
#define SOMEBODY "--reuid=65533", "--regid=65533", "--clear-groups"

static struct scenario_victim victim;
static const char *good;
/* Copies where everybody may read and execute them. */
static char dir[64] = "/tmp/ugraft-targets-XXXXXX", ugraft[96], quiet[96], patch[96];

static void row(const char *target, const char *outcome)
{
	print_message("# | %s | %s |\n", target, outcome);
}

static void copy(const char *from, char *to, size_t size, const char *name)
{
	char cmd[4400];

	snprintf(to, size, "%s/%s", dir, name);
	snprintf(cmd, sizeof(cmd), "cp %s %s && chmod 755 %s", from, to, to);
	if (system(cmd) != 0)
		scenario_die("%s", cmd);
}

static int set_up(void **state)
{
	const char *program = scenario_bin("tests/victims/quiet");

	alarm(110);	/* a hang is a failure, too */
	good = scenario_build(scenario_src("tests/scenarios/quiet_fix.c"), program, NULL);
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		scenario_die("mkdtemp");
	copy(scenario_bin("ugraft"), ugraft, sizeof(ugraft), "ugraft");
	copy(program, quiet, sizeof(quiet), "quiet");
	copy(good, patch, sizeof(patch), "quiet.ugp");
	return 0;
}

static int clean_up(void **state)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static void start(const char *mode)
{
	const char *argv[] = { scenario_bin("tests/victims/quiet"), mode, NULL };

	scenario_start(&victim, argv);
	if (!mode || strcmp(mode, "vfork") != 0)
		scenario_ask(&victim, "?");
}

static int stop_victim(void **state)
{
	scenario_stop(&victim);
	return 0;
}

static void assert_value(unsigned long value)
{
	assert_int_equal(scenario_number(scenario_ask(&victim, "?"), "value"), value);
}

/* Load must fail with this code, and say so. */
static void assert_fails(pid_t pid, int code, const char *target)
{
	struct ug_error err = { 0 };
	char text[640];
	int r = ug_load(pid, good, NULL, NULL, &err);

	if (r != code)
		fail_msg("%s: %s, expected %s: %s", target, ug_error_name(r), ug_error_name(code),
			 err.message);
	assert_sentence(&err, code);
	assert_cli_fails(pid, good, ug_error_exit(code));
	snprintf(text, sizeof(text), "%s: %s", ug_error_name(code), err.message);
	row(target, text);
}

/* ---- what is no process of a program ---- */

static pid_t make_zombie(void)
{
	siginfo_t si;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
	return pid;
}

static void test_zombie_and_gone(void **state)
{
	pid_t pid = make_zombie();

	assert_fails(pid, -UG_E_GONE, "zombie");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_fails(pid, -UG_E_GONE, "process that has ended");
}

static void *wait_for(void *arg)
{
	int *fds = arg;
	pid_t tid = gettid();
	char byte;

	if (write(fds[1], &tid, sizeof(tid)) != sizeof(tid) || read(fds[2], &byte, 1) != 1)
		abort();
	return NULL;
}

static void test_thread_id(void **state)
{
	int fds[4];
	pthread_t t;
	pid_t tid;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(fds + 2), 0);
	assert_int_equal(pthread_create(&t, NULL, wait_for, fds), 0);
	assert_int_equal(read(fds[0], &tid, sizeof(tid)), sizeof(tid));
	assert_fails(tid, -EINVAL, "id of a thread");
	assert_int_equal(write(fds[3], "", 1), 1);
	pthread_join(t, NULL);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

static void test_kernel_thread(void **state)
{
	char comm[32] = "";
	FILE *f = fopen("/proc/2/comm", "re");

	if (f && !fgets(comm, sizeof(comm), f))
		comm[0] = 0;
	if (f)
		fclose(f);
	if (strcmp(comm, "kthreadd\n") != 0) {
		print_message("# SKIPPED: no kernel thread to be seen here\n");
		skip();
	}
	assert_fails(2, -UG_E_UNSUPPORTED, "kernel thread");
}

/* Kernels without 32-bit emulation say ENOEXEC. */
static bool is_executable(const char *path)
{
	char *argv[] = { (char *)(uintptr_t)path, NULL };
	pid_t pid;

	if (posix_spawn(&pid, path, NULL, NULL, argv, NULL) != 0)
		return false;
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return true;
}

static void test_32_bit(void **state)
{
	const char *argv[] = { scenario_bin("tests/victims/quiet-32"), NULL };
	struct victim_state before;
	char why[512];

	if (!is_executable(argv[0])) {
		print_message("# SKIPPED: 32-bit programs cannot be linked, or executed, here\n");
		skip();
	}
	scenario_start(&victim, argv);
	assert_int_equal(victim_snapshot(victim.pid, &before, why, sizeof(why)), 0);
	assert_fails(victim.pid, -UG_E_FOREIGN_CODE, "32-bit program");
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
	scenario_stop(&victim);
}

/* Not before the full stop is it seen: nothing may be left of what was prepared. */
static void test_32_bit_thread(void **state)
{
	char cmd[160];

	/* It says so by its exit status; otherwise it ends with its input. */
	snprintf(cmd, sizeof(cmd), "%s mode32 </dev/null >/dev/null", quiet);
	if (system(cmd) != 0) {
		print_message("# SKIPPED: no 32-bit code segment here\n");
		skip();
	}
	start("mode32");
	assert_refused(victim.pid, good, -UG_E_FOREIGN_CODE);
	assert_fails(victim.pid, -UG_E_FOREIGN_CODE, "thread in 32-bit code");
	assert_value(41);
	scenario_stop(&victim);
}

/* It might get one, as a program that is just beginning does: that is waited for. */
static void test_no_pointer(void **state)
{
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 3000 };
	struct victim_state before;
	struct ug_error err = { 0 };
	char why[512];
	int r;

	start("nopointer");
	assert_int_equal(victim_snapshot(victim.pid, &before, why, sizeof(why)), 0);
	r = ug_load(victim.pid, good, &opts, NULL, &err);
	if (r != -UG_E_UNSUPPORTED || !strstr(err.message, "no usable thread pointer"))
		fail_msg("%s: %s", ug_error_name(r), err.message);
	assert_sentence(&err, r);
	assert_value(41);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
	row("thread without a thread pointer", err.message);
}

/* Where it may execute rdfsbase the gates need no copy. */
static void test_no_copy(void **state)
{
	struct ug_error err = { 0 };

	start("nocopy");
	if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) {
		if (ug_load(victim.pid, good, NULL, NULL, &err) < 0)
			fail_msg("load: %s", err.message);
		assert_value(1041);
		return;
	}
	assert_refused(victim.pid, good, -UG_E_UNSUPPORTED);
	assert_fails(victim.pid, -UG_E_UNSUPPORTED, "thread pointer not at %fs:0, no rdfsbase");
	assert_value(41);
}

/* It is looked at by a child of its own, which finds that the patch is not for it. */
static void test_itself(void **state)
{
	char script[512];
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	struct command c;
	int status;

	snprintf(script, sizeof(script), "exec %s load %s $$", ugraft, patch);
	status = command_run(&c, argv);
	if (status != UG_EXIT_REFUSED || strncmp(c.output, "ugraft: ", 8) != 0)
		fail_msg("exit %d: %s", status, c.output);
}

/* ---- what is held by others ---- */

static void test_traced(void **state)
{
	struct victim_state before;
	char why[512], number[16];
	struct ug_error err = { 0 };
	int status, r;
	pid_t tracer;

	start("plain");
	assert_int_equal(victim_snapshot(victim.pid, &before, why, sizeof(why)), 0);
	for (int held = 0; held < 2; held++) {
		tracer = fork();
		if (tracer == 0) {
			if (ptrace(PTRACE_SEIZE, victim.pid, 0, 0) < 0 ||
			    (held && ptrace(PTRACE_INTERRUPT, victim.pid, 0, 0) < 0))
				_exit(1);
			raise(SIGSTOP);
			_exit(0);
		}
		assert_int_equal(waitpid(tracer, &status, WUNTRACED), tracer);
		assert_true(WIFSTOPPED(status));
		r = ug_load(victim.pid, good, NULL, NULL, &err);
		snprintf(number, sizeof(number), "%d", tracer);
		if (r != -UG_E_TRACED || !strstr(err.message, number))
			fail_msg("%s, tracer %d: %s", ug_error_name(r), tracer, err.message);
		assert_sentence(&err, r);
		assert_cli_fails(victim.pid, good, UG_EXIT_REFUSED);
		row(held ? "traced and held by another process" : "traced by another process",
		    err.message);
		kill(tracer, SIGKILL);
		assert_int_equal(waitpid(tracer, NULL, 0), tracer);
	}
	assert_value(41);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
}

static pid_t tracer_of(pid_t pid)
{
	char path[64], line[256];
	pid_t tracer = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	if (f)
		fclose(f);
	return tracer;
}

static void test_strace(void **state)
{
	char pid[16], tracer[32];
	const char *argv[] = { STRACE, "-f", "-o", "/dev/null", "-p", pid, NULL };
	struct ug_error err = { 0 };
	struct command c;

	start("plain");
	if (access(STRACE, X_OK) < 0) {
		print_message("# SKIPPED: strace is not installed\n");
		skip();
	}
	snprintf(pid, sizeof(pid), "%d", victim.pid);
	command_start(&c, argv);
	for (int i = 0; i < 5000 && tracer_of(victim.pid) != c.pid; i++)
		nap_us(1000);
	assert_int_equal(tracer_of(victim.pid), c.pid);
	snprintf(tracer, sizeof(tracer), "traced by process %d", c.pid);
	assert_int_equal(ug_load(victim.pid, good, NULL, NULL, &err), -UG_E_TRACED);
	assert_non_null(strstr(err.message, tracer));
	kill(c.pid, SIGINT);
	(void)command_wait(&c);
	assert_value(41);
}

static void test_shared_memory(void **state)
{
	start("sharer");
	assert_refused(victim.pid, good, -UG_E_SHARED_MM);
	assert_fails(victim.pid, -UG_E_SHARED_MM, "another process shares the memory");
	assert_value(41);
}

static void test_vfork(void **state)
{
	start("vfork");
	assert_refused(victim.pid, good, -UG_E_VFORK);
	assert_fails(victim.pid, -UG_E_VFORK, "waits for a vfork child");
}

/* ---- stopped by a signal ---- */

static char process_state(pid_t pid)
{
	char path[64], line[512], *end = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f))
		end = strrchr(line, ')');
	if (f)
		fclose(f);
	return end ? end[2] : '?';
}

static void await_state(char wanted)
{
	for (int i = 0; i < 2000 && process_state(victim.pid) != wanted; i++)
		nap_us(1000);
	assert_int_equal(process_state(victim.pid), wanted);
}

static void test_stopped(void **state)
{
	struct ug_error err = { 0 };
	struct victim_state before;
	char why[512];

	start("plain");
	assert_int_equal(victim_snapshot(victim.pid, &before, why, sizeof(why)), 0);
	kill(victim.pid, SIGSTOP);
	await_state('T');
	if (ug_load(victim.pid, good, NULL, NULL, &err) < 0)
		fail_msg("load: %s", err.message);
	nap_us(20000);
	await_state('T');
	kill(victim.pid, SIGCONT);
	assert_value(1041);
	kill(victim.pid, SIGSTOP);
	await_state('T');
	if (ug_unload(victim.pid, "quiet-fix", NULL, NULL, &err) < 0)
		fail_msg("unload: %s", err.message);
	nap_us(20000);
	await_state('T');
	kill(victim.pid, SIGCONT);
	assert_value(41);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
	row("stopped by SIGSTOP", "works, and it stays stopped");
}

/* ---- permission ---- */

/* A number from a file of /proc/sys; -1 when the kernel does not have it. */
static int yama_scope(void)
{
	FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope = -1;

	if (f && fscanf(f, "%d", &scope) != 1)
		scope = -1;
	if (f)
		fclose(f);
	return scope;
}

/* Start the victim by setpriv with these options (NULL-terminated), as root with none. */
static void start_as(const char *const user[], const char *mode)
{
	const char *argv[12] = { SETPRIV };
	int n = 1;

	if (access(SETPRIV, X_OK) < 0 || geteuid() != 0)
		scenario_die("root and setpriv (util-linux) are needed");
	for (int i = 0; user[i]; i++)
		argv[n++] = user[i];
	argv[n++] = quiet;
	argv[n++] = mode;
	scenario_start(&victim, argv);
	scenario_ask(&victim, "?");
}

static int run_as(struct command *c, const char *const user[], const char *verb, const char *what)
{
	char pid[16];
	const char *argv[16] = { SETPRIV };
	int n = 1;

	for (int i = 0; user[i]; i++)
		argv[n++] = user[i];
	snprintf(pid, sizeof(pid), "%d", victim.pid);
	argv[n++] = ugraft;
	argv[n++] = verb;
	argv[n++] = what;
	argv[n++] = pid;
	return command_run(c, argv);
}

static void refused_to(const char *const user[], const char *name)
{
	struct victim_state before;
	struct command c;
	char why[512];
	int status;

	assert_int_equal(victim_snapshot(victim.pid, &before, why, sizeof(why)), 0);
	status = run_as(&c, user, "load", patch);
	if (status != UG_EXIT_PERMISSION || strncmp(c.output, "ugraft: ", 8) != 0 ||
	    strchr(c.output, '\n') != c.output + c.len - 1 || !strstr(c.output, "run ugraft as root"))
		fail_msg("%s: exit %d: %s", name, status, c.output);
	assert_value(41);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s: %s", name, why);
	victim_state_free(&before);
	c.output[c.len - 1] = 0;
	row(name, c.output + strlen("ugraft: "));
}

static void allowed_to(const char *const user[], const char *name)
{
	struct victim_state before;
	struct command c;
	char why[512];
	int status;

	assert_int_equal(victim_snapshot(victim.pid, &before, why, sizeof(why)), 0);
	status = run_as(&c, user, "load", patch);
	if (status != 0)
		fail_msg("%s: load: exit %d: %s", name, status, c.output);
	assert_value(1041);
	status = run_as(&c, user, "unload", "quiet-fix");
	if (status != 0)
		fail_msg("%s: unload: exit %d: %s", name, status, c.output);
	assert_value(41);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s: %s", name, why);
	victim_state_free(&before);
	row(name, "works");
}

static const char *const root[] = { NULL };
static const char *const nobody[] = { NOBODY, NULL };
static const char *const somebody[] = { SOMEBODY, NULL };
static const char *const tracer[] = { NOBODY, "--inh-caps=+sys_ptrace",
				      "--ambient-caps=+sys_ptrace", NULL };
static const char *const opener[] = { NOBODY, "--inh-caps=+sys_ptrace,+dac_override",
				      "--ambient-caps=+sys_ptrace,+dac_override", NULL };

static void test_process_of_root(void **state)
{
	start_as(root, "plain");
	refused_to(nobody, "process of root, ugraft without privilege");
}

static void test_process_of_another(void **state)
{
	start_as(somebody, "plain");
	refused_to(nobody, "process of another user, ugraft without privilege");
}

static void test_process_of_the_same(void **state)
{
	start_as(nobody, "plain");
	if (yama_scope() < 0)
		print_message("# not seen: Yama, which this kernel does not have\n");
	if (yama_scope() > 0)
		refused_to(nobody, "process of the same user, Yama's ptrace_scope not 0");
	else
		allowed_to(nobody, "process of the same user, ugraft without privilege");
}

static void test_hidden_process(void **state)
{
	start_as(nobody, "hidden");
	refused_to(nobody, "process of the same user that is not dumpable");
}

static void test_capability(void **state)
{
	start_as(root, "plain");
	refused_to(tracer, "process of root, ugraft with CAP_SYS_PTRACE only");
	if (yama_scope() > 2)
		refused_to(opener, "ugraft with any capability, Yama's ptrace_scope 3");
	else
		allowed_to(opener, "process of root, ugraft with CAP_SYS_PTRACE and "
			   "CAP_DAC_OVERRIDE");
}

/* Who cannot read the filters cannot know that nothing happens. */
static void test_filter_unread(void **state)
{
	struct victim_state before;
	struct command c;
	char why[512];
	int status;

	start_as(nobody, "allow");
	if (yama_scope() > 0) {
		print_message("# SKIPPED: Yama does not let a user trace here\n");
		skip();
	}
	assert_int_equal(victim_snapshot(victim.pid, &before, why, sizeof(why)), 0);
	status = run_as(&c, nobody, "load", patch);
	if (status != UG_EXIT_REFUSED || !strstr(c.output, "CAP_SYS_ADMIN"))
		fail_msg("exit %d: %s", status, c.output);
	assert_value(41);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN | VICTIM_EXACT, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
	c.output[c.len - 1] = 0;
	row("process of the same user with a seccomp filter", c.output + strlen("ugraft: "));
}

#define WITH_VICTIM(name) cmocka_unit_test_teardown(name, stop_victim)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zombie_and_gone),
		cmocka_unit_test(test_thread_id),
		cmocka_unit_test(test_kernel_thread),
		cmocka_unit_test(test_32_bit),
		cmocka_unit_test(test_32_bit_thread),
		cmocka_unit_test_teardown(test_no_pointer, stop_victim),
		cmocka_unit_test_teardown(test_no_copy, stop_victim),
		cmocka_unit_test(test_itself),
		WITH_VICTIM(test_traced),
		WITH_VICTIM(test_strace),
		WITH_VICTIM(test_shared_memory),
		WITH_VICTIM(test_vfork),
		WITH_VICTIM(test_stopped),
		WITH_VICTIM(test_process_of_root),
		WITH_VICTIM(test_process_of_another),
		WITH_VICTIM(test_process_of_the_same),
		WITH_VICTIM(test_hidden_process),
		WITH_VICTIM(test_capability),
		WITH_VICTIM(test_filter_unread),
	};

	tap_correct_skips();
	return cmocka_run_group_tests(tests, set_up, clean_up);
}
