/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads parked where it is hard to see that they are in a function (tests/victims/parked.c)
 * are never switched early, and with the last of them released the transition completes. Both
 * directions: parked in the original for a load, in the patch's version for an unload. While
 * they are parked all others run the other version.
 *
 * One thread more is caught inside a gate of the transition by a signal handler: it is
 * switched, but the gate has to outlive the completion until it has left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <gelf.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

/* What is waited for takes as long as it takes on a busy machine. */
#define POLLS 3000
#define POLL_MS 10
#define SHORT_MS 100
#define PAGE 4096

#define OLD 1
#define NEW 2

static const char *const kinds[] = {
	"plain", "cold", "signal", "altstack", "mlock", "asm", "deep",
};

#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

struct range {
	unsigned long start, end;
};

struct ranges {
	struct range v[32];
	size_t n;
};

static struct scenario_victim victim;
static const char *patch;

static void nap(void)
{
	struct timespec ts = { .tv_nsec = POLL_MS * 1000000L };

	nanosleep(&ts, NULL);
}

static void snapshot(struct victim_state *st)
{
	char why[512];

	if (victim_snapshot(victim.pid, st, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

/* ---- the victim's mappings and symbols ---- */

static void add_range(struct ranges *list, unsigned long start, unsigned long end)
{
	assert_true(list->n < 32);
	list->v[list->n++] = (struct range){ start, end };
}

/* Mappings with these permissions whose name ends or begins so. */
static struct ranges mappings(const char *perms, const char *name)
{
	struct ranges list = { .n = 0 };
	char path[64], line[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", victim.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end;
		char mode[5];

		if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) == 3 && strstr(line, name) &&
		    strncmp(mode, perms, strlen(perms)) == 0)
			add_range(&list, start, end);
	}
	fclose(f);
	return list;
}

static struct ranges our_text(void)
{
	return mappings("r-xp", "memfd:ugraft");
}

static bool mapped(unsigned long addr)
{
	struct ranges list = our_text();

	for (size_t i = 0; i < list.n; i++)
		if (addr >= list.v[i].start && addr < list.v[i].end)
			return true;
	return false;
}

/* The gates are the first page of the executable mapping that a transition has added. */
static unsigned long new_gates(const struct ranges *before)
{
	struct ranges now = our_text();

	for (size_t i = 0; i < now.n; i++) {
		bool known = false;

		for (size_t k = 0; k < before->n; k++)
			known |= before->v[k].start == now.v[i].start;
		if (!known)
			return now.v[i].start;
	}
	fail_msg("the transition has mapped no gates");
	return 0;
}

static bool find_symbol(Elf *elf, const char *name, GElf_Sym *ret)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	while ((scn = elf_nextscn(elf, scn))) {
		Elf_Data *data;

		if (!gelf_getshdr(scn, &shdr) || shdr.sh_type != SHT_SYMTAB)
			continue;
		data = elf_getdata(scn, NULL);
		for (int i = 0; gelf_getsym(data, i, ret); i++) {
			const char *s = elf_strptr(elf, shdr.sh_link, ret->st_name);

			if (s && strcmp(s, name) == 0)
				return true;
		}
	}
	return false;
}

/* Where a symbol of the unstripped twin lies in the victim. */
static struct range symbol(const char *twin, const char *program, const char *name)
{
	struct ranges maps = mappings("", program);
	struct range r;
	GElf_Ehdr ehdr;
	GElf_Sym sym;
	Elf *elf;
	int fd = open(twin, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(maps.n > 0);
	(void)elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	assert_non_null(elf);
	assert_non_null(gelf_getehdr(elf, &ehdr));
	if (!find_symbol(elf, name, &sym))
		fail_msg("%s has no %s: it would not be tested", twin, name);
	r.start = sym.st_value + (ehdr.e_type == ET_DYN ? maps.v[0].start : 0);
	r.end = r.start + sym.st_size;
	elf_end(elf);
	close(fd);
	return r;
}

/* ---- the transition ---- */

static struct ug_status *status(void)
{
	struct ug_error err = { 0 };
	struct ug_status *st;

	if (ug_status(victim.pid, &st, &err) < 0)
		fail_msg("status: %s", err.message);
	return st;
}

static unsigned int pending(enum ug_patch_state state)
{
	struct ug_status *st = status();
	unsigned int n = st->pending_threads;

	assert_int_equal(st->npatches, 1);
	assert_int_equal(st->patches[0].state, state);
	assert_true(st->needs_recovery);
	ug_status_free(st);
	return n;
}

static int recover(void)
{
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = SHORT_MS };
	struct ug_report report;
	struct ug_error err = { 0 };
	int r = ug_recover(victim.pid, &opts, &report, &err);

	if (r < 0 && r != -UG_E_TIMEOUT)
		fail_msg("recover: %s", err.message);
	return r;
}

/* Until exactly the n parked threads are not switched; never fewer. */
static void wait_for_pending(enum ug_patch_state state, unsigned int n)
{
	for (int i = 0; i < POLLS; i++) {
		unsigned int now = pending(state);

		if (now < n)
			fail_msg("%u threads are parked, but only %u wait", n, now);
		if (now == n && i > 0)
			return;
		assert_int_equal(recover(), -UG_E_TIMEOUT);
	}
	fail_msg("more than the %u parked threads wait", n);
}

/* New calls run this version and only this one. */
static void assert_running(int version)
{
	const char *mine = version == NEW ? "new" : "old", *other = version == NEW ? "old" : "new";
	const char *answer = scenario_ask(&victim, "stat");
	unsigned long n = scenario_number(answer, mine), theirs = scenario_number(answer, other);

	for (int i = 0; i < POLLS; i++) {
		nap();
		answer = scenario_ask(&victim, "stat");
		assert_int_equal(scenario_number(answer, other), theirs);
		assert_int_equal(scenario_number(answer, "mixed"), 0);
		if (scenario_number(answer, mine) > n + 100)
			return;
	}
	fail_msg("no new calls");
}

/* The victim tells addresses as complements. */
static unsigned long parked_at(const char *kind, const char *answer)
{
	unsigned long at;

	if (sscanf(answer, "parked tid=%*d at=%lx", &at) != 1)
		fail_msg("%s: %s", kind, answer);
	return ~at;
}

static unsigned long park(const char *kind)
{
	return parked_at(kind, scenario_ask(&victim, "park %s", kind));
}

static void release(const char *kind, int version)
{
	const char *answer = scenario_ask(&victim, "release %s", kind);

	if (scenario_number(answer, "version") != (unsigned long)version)
		fail_msg("%s: %s", kind, answer);
}

/* Park all; returns the return address into the cold part. */
static unsigned long park_all(void)
{
	unsigned long cold = 0;

	for (size_t i = 0; i < NKINDS; i++) {
		unsigned long at = park(kinds[i]);

		if (strcmp(kinds[i], "cold") == 0)
			cold = at;
	}
	return cold;
}

static unsigned long catch_in_gate(unsigned long gates)
{
	return parked_at("gate", scenario_ask(&victim, "park gate %lx %lx", ~gates,
					      ~(gates + PAGE)));
}

/* One after the other leaves; each time the transition waits for all the others. */
static void release_all(enum ug_patch_state state, int version)
{
	for (size_t i = 0; i < NKINDS; i++) {
		release(kinds[i], version);
		if (i + 1 < NKINDS)
			wait_for_pending(state, (unsigned int)(NKINDS - i - 1));
	}
	for (int i = 0; recover() < 0; i++)
		assert_true(i < POLLS / 10);
}

static void drain(unsigned long gates)
{
	for (int i = 0; i < 100 && mapped(gates); i++)
		assert_int_equal(recover(), 0);
	if (mapped(gates))
		fail_msg("the gates at %#lx are not released", gates);
}

/*
 * The transition has been begun with all parked in `from`: everything up to its end.
 * The thread in the gate was switched long before.
 */
static void go_through(enum ug_patch_state state, unsigned long gates, int from, int to)
{
	unsigned long pc;

	wait_for_pending(state, NKINDS);
	assert_running(to);
	pc = catch_in_gate(gates);
	wait_for_pending(state, NKINDS);
	release_all(state, from);
	assert_true(mapped(pc));
	assert_int_equal(recover(), 0);
	assert_true(mapped(pc));
	release("gate", to);
	drain(gates);
	assert_running(to);
}

static const struct ug_opts keep = {
	.sz = sizeof(keep), .timeout_ms = SHORT_MS, .flags = UG_OPT_KEEP_ON_TIMEOUT,
};

/* On a busy machine the process is not stopped in time now and then: nothing has happened. */
static int try_begin(bool loading, const struct ug_opts *opts, struct ug_report *report,
		     struct ug_error *err)
{
	for (int i = 0; i < POLLS; i++) {
		int r = loading ? ug_load(victim.pid, patch, opts, report, err) :
				  ug_unload(victim.pid, "parked-fix", opts, report, err);

		if (r != -UG_E_UNSTOPPABLE)
			return r;
	}
	fail_msg("the process cannot be stopped");
	return 0;
}

/* Begin it with all parked; returns the transition's gates. */
static unsigned long begin(bool loading)
{
	struct ranges before = our_text();
	struct ug_report report;
	struct ug_error err = { 0 };
	int r;

	/* A worker can be preempted on the very bytes to be overwritten. */
	for (int i = 0; (r = try_begin(loading, &keep, &report, &err)) == -UG_E_STACK_BUSY; i++)
		assert_true(i < POLLS / 10);
	if (r < 0)
		fail_msg("%s: %s", loading ? "load" : "unload", err.message);
	assert_int_equal(report.outcome, UG_PENDING);
	return new_gates(&before);
}

static void load(struct range cold)
{
	unsigned long at = park_all();
	struct ug_status *st;

	/* A return address: it may be the end, when the call is the last instruction. */
	if (at <= cold.start || at > cold.end)
		fail_msg("%#lx is not in split.cold [%#lx, %#lx)", at, cold.start, cold.end);
	go_through(UG_PATCH_PATCHING, begin(true), OLD, NEW);
	st = status();
	assert_int_equal(st->npatches, 1);
	assert_int_equal(st->patches[0].state, UG_PATCH_ENABLED);
	ug_status_free(st);
}

static void unload(void)
{
	assert_true(mapped(park_all()));
	go_through(UG_PATCH_UNPATCHING, begin(false), NEW, OLD);
}

static void run_variant(const char *program, const char *twin)
{
	const char *argv[] = { scenario_bin(program), "1", NULL };
	struct victim_state before;
	char why[512];

	if (access(argv[0], X_OK) < 0) {
		print_message("# SKIPPED: %s has not been built\n", program);
		skip();
	}
	scenario_start(&victim, argv);
	patch = scenario_build(scenario_src("tests/scenarios/parked_fix.c"), argv[0], NULL);
	snapshot(&before);
	load(symbol(scenario_bin(twin), program, "split.cold"));
	unload();
	for (int i = 0; i < 100 && our_text().n; i++)
		assert_int_equal(recover(), 0);
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
	scenario_stop(&victim);
}

static void test_pie(void **state)
{
	run_variant("tests/victims/parked-pie", "tests/victims/parked-pie");
}

static void test_stripped(void **state)
{
	run_variant("tests/victims/parked-stripped", "tests/victims/parked-pie");
}

static void test_nopie(void **state)
{
	run_variant("tests/victims/parked-nopie", "tests/victims/parked-nopie");
}

static void test_static(void **state)
{
	run_variant("tests/victims/parked-static", "tests/victims/parked-static");
}

static void test_static_pie(void **state)
{
	run_variant("tests/victims/parked-static-pie", "tests/victims/parked-static-pie");
}

static void test_musl(void **state)
{
	run_variant("tests/victims/parked-musl", "tests/victims/parked-musl");
}

/* ---- suspended coroutines ---- */

static void start_coroutines(const char *program, struct victim_state *before)
{
	const char *argv[] = { scenario_bin(program), NULL };

	scenario_start(&victim, argv);
	patch = scenario_build(scenario_src("tests/scenarios/parked_fix.c"), argv[0], "-DNO_SPLIT");
	snapshot(before);
}

static void assert_calls(int version, unsigned int mixed)
{
	const char *answer = scenario_ask(&victim, "stat");

	assert_int_equal(scenario_number(answer, "version"), version);
	assert_int_equal(scenario_number(answer, "mixed"), mixed);
}

static void suspend(void)
{
	assert_string_equal(scenario_ask(&victim, "suspend"), "suspended");
}

static void resume(int version)
{
	assert_int_equal(scenario_number(scenario_ask(&victim, "resume"), "version"), version);
}

struct changing {
	pthread_t thread;
	bool loading;
	struct ug_error err;
	int result;
	atomic_bool ended;
};

static void *change(void *arg)
{
	static const struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 30000 };
	struct changing *c = arg;

	c->result = c->loading ? ug_load(victim.pid, patch, &opts, NULL, &c->err) :
				 ug_unload(victim.pid, "parked-fix", &opts, NULL, &c->err);
	atomic_store(&c->ended, true);
	return NULL;
}

/* A transition that has not committed shows in the log of the process only. */
static bool has_begun(bool loading)
{
	const char *line = loading ? "initializing patching transition" :
				     "initializing unpatching transition";
	struct ug_status *st = status();
	bool begun = st->busy && st->nlog && strstr(st->log[st->nlog - 1], line);

	ug_status_free(st);
	return begun;
}

/* It stays uncommitted while the coroutine is inside, and completes when it has left. */
static void change_waits(bool loading, int from, int to)
{
	struct changing c = { .loading = loading };

	suspend();
	assert_int_equal(pthread_create(&c.thread, NULL, change, &c), 0);
	while (!has_begun(loading) && !atomic_load(&c.ended))
		nap();
	for (int i = 0; i < 20; i++) {
		assert_false(atomic_load(&c.ended));
		assert_calls(from, 0);
		nap();
	}
	resume(from);
	pthread_join(c.thread, NULL);
	if (c.result < 0)
		fail_msg("%s: %s", loading ? "load" : "unload", c.err.message);
	assert_calls(to, 0);
}

static void assert_clean(struct victim_state *before)
{
	char why[512];

	if (victim_compare(victim.pid, before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

/* Also when it may go on: what is not committed has nothing to go on with. */
static void assert_refused(bool loading, int version)
{
	struct ug_opts opts = keep;
	struct ug_report report;
	struct ug_error err = { 0 };

	assert_int_equal(try_begin(loading, &opts, &report, &err), -UG_E_STACK_BUSY);
	assert_calls(version, 0);
	opts.flags = 0;
	assert_int_equal(try_begin(loading, &opts, &report, &err), -UG_E_STACK_BUSY);
	assert_calls(version, 0);
}

/* Loaded and unloaded, with a coroutine inside that is in the way. */
static void check_running(struct victim_state *before)
{
	suspend();
	assert_refused(true, OLD);
	assert_clean(before);
	resume(OLD);
	change_waits(true, OLD, NEW);
	suspend();
	assert_refused(false, NEW);
	resume(NEW);
	change_waits(false, NEW, OLD);
	assert_clean(before);
	victim_state_free(before);
}

static void check_coroutine(const char *program)
{
	struct victim_state before;

	start_coroutines(program, &before);
	check_running(&before);
	scenario_stop(&victim);
}

static void test_coroutine(void **state)
{
	check_coroutine("tests/victims/parked-coroutine");
}

static void test_sigaltstack(void **state)
{
	check_coroutine("tests/victims/parked-sigaltstack");
}

/* Nothing but a thread that is seen on a stack which is not its own tells of it. */
static void test_switch(void **state)
{
	check_coroutine("tests/victims/parked-switch");
}

/* Too much memory for a stop: most of it is searched while the process runs and writes. */
static void test_large(void **state)
{
	struct victim_state before;
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 30000 };
	struct ug_report report;
	struct ug_error err = { 0 };

	start_coroutines("tests/victims/parked-coroutine", &before);
	victim_state_free(&before);
	assert_string_equal(scenario_ask(&victim, "grow"), "grown");
	snapshot(&before);
	if (ug_load(victim.pid, patch, &opts, &report, &err) == -UG_E_CONTEXTS) {
		print_message("# SKIPPED: %s\n", err.message);
		scenario_stop(&victim);
		victim_state_free(&before);
		skip();
	}
	assert_int_equal(report.outcome, UG_DONE);
	print_message("# 256 MiB: longest stop %.1f ms\n", (double)report.max_pause_ns / 1e6);
	assert_int_equal(ug_unload(victim.pid, "parked-fix", &opts, &report, &err), 0);
	assert_clean(&before);
	check_running(&before);
	scenario_stop(&victim);
}

static unsigned int count_fds(void)
{
	char path[32];
	struct dirent *e;
	unsigned int n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", victim.pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Is killed before its n-th call with that number; then there are that many descriptors more. */
static void kill_search(long nr, const char *n, unsigned int fds)
{
	char number[16], pid[16];
	const char *const argv[] = {
		scenario_bin("tests/tools/killat"), "-n", number, n, scenario_bin("ugraft"), "load",
		"--timeout=5s", patch, pid, NULL,
	};
	unsigned int before = count_fds();
	struct command c;
	int status;

	(void)snprintf(number, sizeof(number), "%ld", nr);
	(void)snprintf(pid, sizeof(pid), "%d", victim.pid);
	status = command_run(&c, argv);
	if (status != 0)
		fail_msg("killat: exit %d: %s", status, c.output);
	assert_int_equal(count_fds(), before + fds);
	assert_calls(OLD, 0);
	for (int i = 0; i < POLLS && recover() < 0; i++)
		nap();
}

/* The descriptor by which writes are watched does not outlive the controller for long. */
static void test_large_killed(void **state)
{
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 30000 };
	struct victim_state before;
	struct ug_error err = { 0 };

	start_coroutines("tests/victims/parked-coroutine", &before);
	victim_state_free(&before);
	assert_string_equal(scenario_ask(&victim, "grow"), "grown");
	snapshot(&before);
	if (ug_load(victim.pid, patch, &opts, NULL, &err) == -UG_E_CONTEXTS) {
		print_message("# SKIPPED: %s\n", err.message);
		scenario_stop(&victim);
		victim_state_free(&before);
		skip();
	}
	assert_int_equal(ug_unload(victim.pid, "parked-fix", &opts, NULL, &err), 0);
	assert_clean(&before);
	kill_search(SYS_pidfd_getfd, "1", 1);	/* open in the target, and not ours yet */
	assert_clean(&before);
	kill_search(SYS_ioctl, "6", 0);
	assert_clean(&before);
	kill_search(SYS_ioctl, "30", 0);
	assert_clean(&before);
	victim_state_free(&before);
	scenario_stop(&victim);
}

/* Whoever asserts that there are none gets what it says: the old target calls the new version. */
static void test_coroutine_denied(void **state)
{
	struct ug_opts opts = {
		.sz = sizeof(opts), .timeout_ms = 30000, .flags = UG_OPT_CONTEXTS_NONE,
	};
	struct victim_state before;
	struct ug_error err = { 0 };

	start_coroutines("tests/victims/parked-coroutine", &before);
	suspend();
	if (ug_load(victim.pid, patch, &opts, NULL, &err) < 0)
		fail_msg("load: %s", err.message);
	assert_calls(NEW, 0);
	resume(OLD);
	assert_calls(NEW, 1);
	if (ug_unload(victim.pid, "parked-fix", &opts, NULL, &err) < 0)
		fail_msg("unload: %s", err.message);
	assert_calls(OLD, 1);
	assert_clean(&before);
	victim_state_free(&before);
	scenario_stop(&victim);
}

static unsigned int count_left(void)
{
	struct ug_status *st = status();
	unsigned int n = 0;

	for (size_t i = 0; i < st->npatches; i++)
		n += st->patches[i].state == UG_PATCH_LEFT;
	ug_status_free(st);
	return n;
}

/*
 * The false assertion of one controller is not inherited by the next: a patch that a
 * coroutine is still inside of is not unmapped when that one completes the transition.
 */
static void test_coroutine_outlives(void **state)
{
	struct ug_opts opts = {
		.sz = sizeof(opts), .timeout_ms = 30000,
		.flags = UG_OPT_CONTEXTS_NONE | UG_OPT_NO_WAIT,
	};
	struct victim_state before;
	struct ug_report report;
	struct ug_error err = { 0 };

	start_coroutines("tests/victims/parked-coroutine", &before);
	if (ug_load(victim.pid, patch, NULL, NULL, &err) < 0)
		fail_msg("load: %s", err.message);
	suspend();
	assert_string_equal(scenario_ask(&victim, "hold"), "held");
	if (ug_unload(victim.pid, "parked-fix", &opts, &report, &err) < 0)
		fail_msg("unload: %s", err.message);
	assert_int_equal(report.outcome, UG_PENDING);
	assert_int_equal(scenario_number(scenario_ask(&victim, "drop"), "version"), NEW);
	if (ug_wait(victim.pid, NULL, NULL, &report, &err) < 0)
		fail_msg("wait: %s", err.message);
	assert_int_equal(report.outcome, UG_DONE);
	assert_calls(OLD, 0);
	assert_int_equal(count_left(), 1);
	resume(NEW);
	for (int i = 0; i < POLLS && count_left(); i++)
		assert_int_equal(recover(), 0);
	assert_clean(&before);
	victim_state_free(&before);
	scenario_stop(&victim);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pie),
		cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_nopie),
		cmocka_unit_test(test_static),
		cmocka_unit_test(test_static_pie),
		cmocka_unit_test(test_musl),
		cmocka_unit_test(test_coroutine),
		cmocka_unit_test(test_sigaltstack),
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_large_killed),
		cmocka_unit_test(test_coroutine_denied),
		cmocka_unit_test(test_coroutine_outlives),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
