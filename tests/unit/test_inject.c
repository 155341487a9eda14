// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Remote system calls against victims which check themselves: registers, signal mask,
 * alternate stack, EINTR, timeouts. Sessions run in a process of their own (inject-session),
 * because they are also killed, by killat, before each of their system calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inject/inject.h"
#include "tests/victims/inject_shared.h"

#define SHARED_FD 3
#define MS 1000000ULL

struct victim {
	pid_t pid;
	struct inject_shared *sh;
};

static char build_dir[512];
static const char *program = "victims/inject-victim";

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

static void find_build_dir(void)
{
	ssize_t n = readlink("/proc/self/exe", build_dir, sizeof(build_dir) - 1);

	assert_true(n > 0);
	build_dir[n] = 0;
	for (int i = 0; i < 2; i++)
		*strrchr(build_dir, '/') = 0;
}

static char *tool(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", build_dir, name) > 0);
	return path;
}

/* ---- victims ---- */

static struct victim victim_start(const char *mode)
{
	ug_autofree char *path = tool(program);
	struct victim v;
	int fd = memfd_create("inject-test", MFD_CLOEXEC);

	assert_true(fd >= 0 && !ftruncate(fd, sizeof(*v.sh)));
	v.sh = mmap(NULL, sizeof(*v.sh), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(v.sh != MAP_FAILED);
	v.pid = fork();
	assert_true(v.pid >= 0);
	if (!v.pid) {
		/* dup2 on itself would keep O_CLOEXEC. */
		if (fd == SHARED_FD)
			fcntl(fd, F_SETFD, 0);
		else
			dup2(fd, SHARED_FD);
		execl(path, path, mode, NULL);
		_exit(127);
	}
	close(fd);
	for (int i = 0; i < 2000 && !v.sh->ticks; i++)
		sleep_ms(1);
	if (strcmp(mode, "poll-long") != 0)
		assert_true(v.sh->ticks);
	return v;
}

static void victim_end(struct victim *v)
{
	kill(v->pid, SIGKILL);
	waitpid(v->pid, NULL, 0);
	munmap(v->sh, sizeof(*v->sh));
}

/* Does the value of `key` in the status file at `path` meet `good`? A vanished thread does. */
static bool status_is(const char *path, const char *key, bool (*good)(const char *value))
{
	char buf[4096], want[32], *line;
	ug_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);

	if (n <= 0)
		return true;
	buf[n] = 0;
	snprintf(want, sizeof(want), "\n%s:\t", key);
	line = strstr(buf, want);
	return line && good(line + strlen(want));
}

static bool all_status(pid_t pid, const char *key, bool (*good)(const char *value))
{
	char path[320];
	ug_autoclosedir DIR *dir = NULL;
	struct dirent *e;
	bool all = true;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, e->d_name);
		if (e->d_name[0] != '.')
			all &= status_is(path, key, good);
	}
	return all;
}

static bool is_zero(const char *value)
{
	return atoi(value) == 0;
}

static bool is_live(const char *value)
{
	return *value == 'R' || *value == 'S' || *value == 'D';
}

static bool is_stopped(const char *value)
{
	return *value == 'T';
}

static void no_error(const struct victim *v)
{
	if (v->sh->errors || v->sh->eintr)
		print_message("# victim: %u errors, first at line %u; %u EINTR\n", v->sh->errors,
			      v->sh->what, v->sh->eintr);
	assert_int_equal(v->sh->errors, 0);
	assert_int_equal(v->sh->eintr, 0);
}

/* Alive, not traced, not stopped, and goes on as before. */
static void sane(const struct victim *v)
{
	uint64_t ticks = v->sh->ticks, end = ug_now_ns() + 4000 * MS;

	while (ug_now_ns() < end && v->sh->ticks < ticks + 2)
		sleep_ms(1);
	assert_int_equal(waitpid(v->pid, NULL, WNOHANG), 0);
	assert_true(v->sh->ticks >= ticks + 2);
	assert_true(all_status(v->pid, "TracerPid", is_zero));
	assert_true(all_status(v->pid, "State", is_live));
	no_error(v);
}

static char *read_maps(pid_t pid)
{
	char path[64];
	char *buf = calloc(1, 65536);
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(buf && fd >= 0);
	for (size_t n = 0; n < 65535;) {
		ssize_t r = read(fd, buf + n, 65535 - n);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	close(fd);
	return buf;
}

/* ---- sessions ---- */

/* Start a tool with its output in *ret_fd. */
static pid_t spawn(char *const argv[], int *ret_fd)
{
	int out[2];
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(out[1], 1);
		execv(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	*ret_fd = out[0];
	return pid;
}

/* Its exit status (128 + n for a signal); the output in buf, without the last newline. */
static int finish(pid_t pid, int fd, char *buf, size_t size)
{
	size_t n = 0;
	int status;

	for (;;) {
		ssize_t r = read(fd, buf + n, size - 1 - n);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	while (n && buf[n - 1] == '\n')
		n--;
	buf[n] = 0;
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static pid_t session_start(const struct victim *v, const char *opt, const char *arg, int *ret_fd)
{
	ug_autofree char *path = tool("tools/inject-session");
	char pid[16];
	char *argv[6] = { path };
	int n = 1;

	snprintf(pid, sizeof(pid), "%d", v->pid);
	if (opt)
		argv[n++] = strdupa(opt);
	if (arg)
		argv[n++] = strdupa(arg);
	argv[n] = pid;
	return spawn(argv, ret_fd);
}

static int session(const struct victim *v, const char *opt, const char *arg, char *buf, size_t size)
{
	int fd;
	pid_t pid = session_start(v, opt, arg, &fd);

	return finish(pid, fd, buf, size);
}

static void good_session(const struct victim *v)
{
	char out[128];
	int ret = session(v, NULL, NULL, out, sizeof(out));

	if (ret)
		print_message("# session: %s\n", out);
	assert_int_equal(ret, 0);
}

/* ---- tests: sessions ---- */

static void test_modes(void **state)
{
	static const char *const modes[] = {
		"spin", "spin", "nanosleep", "poll", "futex", "epoll", "read", "threads",
	};

	for (size_t i = 0; i < UG_ARRAY_SIZE(modes); i++) {
		struct victim v = victim_start(modes[i]);
		ug_autofree char *before = read_maps(v.pid), *after = NULL;

		for (int k = 0; k < 8; k++)
			good_session(&v);
		sane(&v);
		after = read_maps(v.pid);
		/* Heaps of new threads may come late; the others are at rest. */
		if (strcmp(modes[i], "threads") != 0)
			assert_string_equal(before, after);
		victim_end(&v);
	}
}

/*
 * poll(600) under a session each 100 ms: were it begun anew each time it would never end.
 * From the second one on the thread sleeps in restart_syscall(2), and has to be taken at once.
 */
static void test_timeout_kept(void **state)
{
	struct victim v = victim_start("poll-long");
	char out[128];

	for (int k = 0; k < 13; k++) {
		assert_int_equal(session(&v, "-t", "60", out, sizeof(out)), 0);
		sleep_ms(100);
	}
	assert_true(v.sh->ticks >= 2);
	assert_true(v.sh->late < 400);
	no_error(&v);
	victim_end(&v);
}

static void send_numbers(pid_t to, int n)
{
	for (int i = 0; i < n; i++) {
		while (sigqueue(to, SIGRTMIN, (union sigval){ .sival_int = i }) && errno == EAGAIN)
			sleep_ms(1);
		sleep_ms(1);
	}
	_exit(0);
}

/* Real-time signals at 1 kHz: none is lost, twice, out of order or on the wrong stack. */
static void test_signals(void **state)
{
	static const char *const modes[] = { "signals-spin", "signals-nap" };

	for (size_t i = 0; i < UG_ARRAY_SIZE(modes); i++) {
		struct victim v = victim_start(modes[i]);
		pid_t sender = fork();
		unsigned int sessions = 0;

		if (!sender)
			send_numbers(v.pid, 300);
		while (!waitpid(sender, NULL, WNOHANG)) {
			good_session(&v);
			sessions++;
		}
		assert_true(sessions > 5);
		sane(&v);
		assert_int_equal(v.sh->signals, 300);
		victim_end(&v);
	}
}

static void wait_stopped(const struct victim *v, bool stopped)
{
	for (int i = 0; i < 1000; i++) {
		if (all_status(v->pid, "State", is_stopped) == stopped)
			return;
		sleep_ms(1);
	}
	fail_msg("the victim is %s", stopped ? "not stopped" : "still stopped");
}

static void test_group_stop(void **state)
{
	/* No epoll: it fails with EINTR at any SIGCONT, without our help. */
	static const char *const modes[] = { "nanosleep", "spin", "poll", "futex", "read" };

	for (size_t i = 0; i < UG_ARRAY_SIZE(modes); i++) {
		struct victim v = victim_start(modes[i]);

		kill(v.pid, SIGSTOP);
		wait_stopped(&v, true);
		good_session(&v);
		wait_stopped(&v, true);
		kill(v.pid, SIGCONT);
		sane(&v);
		victim_end(&v);
	}
}

/* SIGSTOP and SIGCONT while we hold the thread and it makes calls. */
static void test_stop_in_session(void **state)
{
	struct victim v = victim_start("nanosleep");
	char out[128];
	int fd;
	pid_t pid = session_start(&v, "-n", "4000", &fd);

	for (int i = 0; i < 20; i++) {
		sleep_ms(3);
		kill(v.pid, i % 2 ? SIGCONT : SIGSTOP);
	}
	assert_int_equal(finish(pid, fd, out, sizeof(out)), 0);
	sane(&v);
	victim_end(&v);
}

static void test_death_in_session(void **state)
{
	struct victim v = victim_start("threads");
	char out[128];
	int fd;
	pid_t pid = session_start(&v, "-n", "1000000", &fd);

	sleep_ms(30);
	kill(v.pid, SIGKILL);
	assert_int_equal(finish(pid, fd, out, sizeof(out)), UG_EXIT_ABSENT);
	victim_end(&v);
}

static void test_blocked_call(void **state)
{
	struct victim v = victim_start("poll");
	char out[128];

	assert_int_equal(session(&v, "-b", NULL, out, sizeof(out)), 0);
	sane(&v);
	good_session(&v);
	sane(&v);
	victim_end(&v);
}

static bool has_fd(pid_t pid, const char *name)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "ls -l /proc/%d/fd | grep -q 'memfd:%s '", pid, name);
	return system(cmd) == 0;
}

static void test_leaked(void **state)
{
	struct victim v = victim_start("leak");
	char out[128];

	assert_true(has_fd(v.pid, "ugraft-leaked"));
	assert_int_equal(session(&v, "-l", "ugraft-leaked", out, sizeof(out)), 0);
	assert_false(has_fd(v.pid, "ugraft-leaked"));
	assert_true(has_fd(v.pid, "ugraft-other"));
	sane(&v);
	victim_end(&v);
}

/* ---- tests: death of the controller ---- */

/* killat with these arguments. 0, or 3: the session made fewer calls. */
static int run_killat(char *const argv[], int at)
{
	char out[128];
	int fd, ret;
	pid_t tracer = spawn(argv, &fd);

	ret = finish(tracer, fd, out, sizeof(out));
	if (ret != 0 && ret != 3)
		print_message("# killat %d: %d %s\n", at, ret, out);
	assert_true(ret == 0 || ret == 3);
	return ret;
}

/* One session killed before its system call number `at` (from the first ptrace on), or disturbed
 * before its ptrace(2) number `at` by a script. */
static int disturbed_session(const struct victim *v, int at, char *script)
{
	ug_autofree char *killat = tool("tools/killat"), *path = tool("tools/inject-session");
	char opt[] = "-p", by[] = "-x", nr[] = "-n101", pid[16], n[16];
	char *killed[] = { killat, opt, n, path, pid, NULL };
	char *scripted[] = { killat, nr, by, script, n, path, pid, NULL };

	snprintf(pid, sizeof(pid), "%d", v->pid);
	snprintf(n, sizeof(n), "%d", at);
	return run_killat(script ? scripted : killed, at);
}

/* One that closes a leaked descriptor, killed. */
static int killed_closing(const struct victim *v, int at)
{
	ug_autofree char *killat = tool("tools/killat"), *path = tool("tools/inject-session");
	char opt[] = "-p", none[] = "-n0", close[] = "-lugraft-leaked", pid[16], n[16];
	char *argv[] = { killat, opt, n, path, none, close, pid, NULL };

	snprintf(pid, sizeof(pid), "%d", v->pid);
	snprintf(n, sizeof(n), "%d", at);
	return run_killat(argv, at);
}

/* SIGSTOP before each ptrace(2): a stop of the thread we hold is not taken away from it. */
static void test_stop_at_each_call(void **state)
{
	struct victim v = victim_start("nanosleep");
	char script[32];
	int at, ret = 0;

	snprintf(script, sizeof(script), "kill -STOP %d", v.pid);
	for (at = 1; at < 2000 && ret != 3; at++) {
		ret = disturbed_session(&v, at, script);
		wait_stopped(&v, ret != 3);
		kill(v.pid, SIGCONT);
		wait_stopped(&v, false);
	}
	assert_true(at > 20);
	sane(&v);
	victim_end(&v);
}

static void sweep_victim(const struct victim *v)
{
	int at, ret = 0;

	for (at = 1; at < 2000 && ret != 3; at++) {
		ret = disturbed_session(v, at, NULL);
		sane(v);
	}
	assert_true(at > 50);
}

static void sweep(const char *mode)
{
	struct victim v = victim_start(mode);

	sweep_victim(&v);
	good_session(&v);
	victim_end(&v);
}

static void test_kill_poll(void **state)
{
	sweep("poll");
}

static void test_kill_read(void **state)
{
	sweep("read");
}

static void test_kill_threads(void **state)
{
	sweep("threads");
}

/* No signal is lost by our death either; registers and red zone are checked as well. */
static void test_kill_signals(void **state)
{
	struct victim v = victim_start("signals-spin");
	pid_t sender = fork();

	if (!sender)
		send_numbers(v.pid, 1500);
	sweep_victim(&v);
	assert_int_equal(waitpid(sender, NULL, 0), sender);
	sane(&v);
	assert_int_equal(v.sh->signals, 1500);
	victim_end(&v);
}

/*
 * A stopped process stays stopped. Its thread cannot restore itself before SIGCONT, so the
 * frames of several dead controllers lie one below the other; not too many, for the stack.
 */
static void test_kill_stopped(void **state)
{
	struct victim v = victim_start("poll");
	int ret = 0;

	for (int at = 1; at < 2000 && ret != 3; at++) {
		if (at % 16 == 1) {
			kill(v.pid, SIGSTOP);
			wait_stopped(&v, true);
		}
		ret = disturbed_session(&v, at, NULL);
		wait_stopped(&v, true);
		if (at % 16 == 0 || ret == 3) {
			kill(v.pid, SIGCONT);
			sane(&v);
		}
	}
	victim_end(&v);
}

/*
 * The thread of a dead controller stands in front of a call, in a stopped process until SIGCONT.
 * After SIGCONT, does it make one that the next controller must have seen made, or not made?
 */
static unsigned int late_calls(bool disarmed)
{
	unsigned int late = 0;
	bool held = true;
	char out[128];

	for (int at = 1; held && (disarmed || !late); at++) {
		struct victim v = victim_start("leak");

		assert_true(at < 500);
		kill(v.pid, SIGSTOP);
		wait_stopped(&v, true);
		assert_int_equal(killed_closing(&v, at), 0);
		if (disarmed)
			assert_int_equal(session(&v, "-d", NULL, out, sizeof(out)), 0);
		wait_stopped(&v, true);
		held = has_fd(v.pid, "ugraft-leaked");
		kill(v.pid, SIGCONT);
		sane(&v);
		late += has_fd(v.pid, "ugraft-leaked") != held;
		victim_end(&v);
	}
	return late;
}

static void test_late_calls(void **state)
{
	assert_true(late_calls(false) > 0);
	assert_int_equal(late_calls(true), 0);
}

/* ---- tests: seccomp ---- */

static bool may_read_filters(void)
{
	char line[128];
	uint64_t eff = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %lx", &eff) == 1)
			break;
	if (f)
		fclose(f);
	return eff >> 21 & 1;	/* CAP_SYS_ADMIN */
}

static void refused(const char *mode)
{
	struct victim v = victim_start(mode);
	uint64_t ticks;
	char out[128];

	assert_int_equal(session(&v, NULL, NULL, out, sizeof(out)), UG_EXIT_REFUSED);
	assert_string_equal(out, "SECCOMP");
	ticks = v.sh->ticks;
	if (strcmp(mode, "strict") != 0)
		sane(&v);
	else
		assert_int_equal(waitpid(v.pid, NULL, WNOHANG), 0);
	assert_true(v.sh->ticks >= ticks);
	victim_end(&v);
}

static void test_seccomp(void **state)
{
	struct victim v;
	char out[128];

	if (!may_read_filters()) {
		print_message("# SKIPPED: reading seccomp filters needs CAP_SYS_ADMIN\n");
		skip();
	}
	v = victim_start("allow");
	for (int k = 0; k < 3; k++)
		good_session(&v);
	sane(&v);
	victim_end(&v);
	refused("no-mmap");
	refused("no-sigreturn");
	refused("strict");
	v = victim_start("no-mmap");
	assert_int_equal(session(&v, "-s", NULL, out, sizeof(out)), 0);
	sane(&v);
	victim_end(&v);
}

/* ---- tests: programs without rt_sigreturn ---- */

static struct ug_gadgets gadgets_of(const struct victim *v)
{
	struct ug_maps maps = UG_VEC_INIT;
	struct ug_error err = { 0 };
	struct ug_gadgets g;
	struct ug_proc p;

	assert_int_equal(ug_proc_open(v->pid, &p, &err), 0);
	assert_int_equal(ug_maps_read(&p, &maps, &err), 0);
	if (ug_gadgets_find(&p, &maps, &g, &err))
		fail_msg("%s", err.message);
	assert_true(ug_gadgets_verify(&p, &g));
	ug_maps_free(&maps);
	ug_proc_close(&p);
	return g;
}

/* How rt_sigreturn is reached: with a chain that begins with this byte, or without one. */
static void assert_gadgets(bool chain, bool pops_rax)
{
	struct victim v = victim_start("nanosleep");
	struct ug_gadgets g = gadgets_of(&v);

	assert_int_equal(g.chain != 0, chain);
	if (chain)
		assert_int_equal(g.code[0] == 0x58, pops_rax);
	victim_end(&v);
}

static void without_sigreturn(const char *name, bool pops_rax)
{
	ug_autofree char *path = tool(name);

	if (access(path, X_OK)) {
		print_message("# SKIPPED: %s has not been built: no musl-gcc\n", name);
		skip();
	}
	program = name;
	assert_gadgets(true, pops_rax);
	test_modes(NULL);
	test_kill_stopped(NULL);
}

static int usual_program(void **state)
{
	program = "victims/inject-victim";
	return 0;
}

static void test_restorer_first(void **state)
{
	assert_gadgets(false, false);
}

static void test_chain_of_pop(void **state)
{
	without_sigreturn("victims/inject-victim-musl", true);
	sweep("threads");
	sweep("read");
	if (may_read_filters())
		refused("no-sigreturn");
}

static void test_chain_of_mov(void **state)
{
	without_sigreturn("victims/inject-tiny", false);
	sweep("nanosleep");
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_timeout_kept),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_group_stop),
		cmocka_unit_test(test_stop_in_session),
		cmocka_unit_test(test_death_in_session),
		cmocka_unit_test(test_blocked_call),
		cmocka_unit_test(test_leaked),
		cmocka_unit_test(test_stop_at_each_call),
		cmocka_unit_test(test_kill_poll),
		cmocka_unit_test(test_kill_read),
		cmocka_unit_test(test_kill_threads),
		cmocka_unit_test(test_kill_signals),
		cmocka_unit_test(test_kill_stopped),
		cmocka_unit_test(test_late_calls),
		cmocka_unit_test(test_seccomp),
		cmocka_unit_test(test_restorer_first),
		cmocka_unit_test_teardown(test_chain_of_pop, usual_program),
		cmocka_unit_test_teardown(test_chain_of_mov, usual_program),
	};

	find_build_dir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
