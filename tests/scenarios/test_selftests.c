/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's own livepatch selftests, and cases which they leave out, on a process: those
 * that need neither callbacks nor objects which are loaded later. The names in brackets are
 * explained in docs/kernel-tests.md, with the cases that other tests have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/stacked.h"

#define SHORT_MS 50
#define CYCLES 10
#define MOVES 24

static struct stacked s;

static int set_up(void **state)
{
	stacked_start(&s, 0);
	return 0;
}

/* One for each CPU, and one more. */
static int set_up_hot(void **state)
{
	stacked_start(&s, (unsigned int)sysconf(_SC_NPROCESSORS_ONLN) + 1);
	return 0;
}

static int tear_down(void **state)
{
	stacked_stop(&s);
	return 0;
}

/* ---- test-livepatch.sh ---- */

/* [L1] Enable, disable; text and mappings as before (stacked_stop). */
static void test_basic(void **state)
{
	stacked_enable(&s, stacked_patch("livepatch", 1, "f", false));
	stacked_call(&s, 0, 'f', 1, 0);
	stacked_disable(&s, "livepatch");
	stacked_call(&s, 0, 'f', 0, 0);
	stacked_expect_patches(&s, "");
	stacked_expect_log(&s, "PATCH:livepatch UNPATCH:livepatch");
}

/* [L2] Two patches of different functions; the ring in the process says what the log said. */
static void test_multiple(void **state)
{
	stacked_enable(&s, stacked_patch("livepatch", 1, "f", false));
	stacked_call(&s, 0, 'f', 1, 0);
	stacked_call(&s, 0, 'h', 0, 0);
	stacked_enable(&s, stacked_patch("atomic_replace", 2, "h", false));
	stacked_call(&s, 0, 'f', 1, 0);
	stacked_call(&s, 0, 'h', 2, 2);
	stacked_disable(&s, "atomic_replace");
	stacked_call(&s, 0, 'f', 1, 0);
	stacked_call(&s, 0, 'h', 0, 0);
	stacked_expect_ring(&s);
	stacked_disable(&s, "livepatch");
	stacked_call(&s, 0, 'f', 0, 0);
	stacked_expect_log(&s, "PATCH:livepatch PATCH:atomic_replace UNPATCH:atomic_replace "
			   "UNPATCH:livepatch");
}

/* [L3, C11] Three patches, and one that takes over from all. */
static void test_atomic_replace(void **state)
{
	stacked_enable(&s, stacked_patch("livepatch", 1, "f", false));
	stacked_enable(&s, stacked_patch("syscall", 3, "g", false));
	stacked_enable(&s, stacked_patch("callbacks_demo", 4, "m", false));
	stacked_expect_patches(&s, "livepatch syscall callbacks_demo");
	stacked_call(&s, 0, 'f', 1, 3);
	stacked_enable(&s, stacked_patch("atomic_replace", 2, "h", true));
	stacked_expect_patches(&s, "atomic_replace");
	stacked_call(&s, 0, 'f', 0, 0);
	stacked_call(&s, 0, 'm', 0, 0);
	stacked_call(&s, 0, 'h', 2, 2);
	stacked_disable(&s, "atomic_replace");
	stacked_call(&s, 0, 'h', 0, 0);
	stacked_expect_log(&s, "PATCH:livepatch PATCH:syscall PATCH:callbacks_demo "
			   "PATCH:atomic_replace UNPATCH:atomic_replace");
}

/* [L4, C8] A function in a shared object; then one patch for functions in two objects. */
static void test_shared_object(void **state)
{
	stacked_enable(&s, stacked_patch("mod_patch", 1, "m", false));
	stacked_call(&s, 0, 'm', 1, 1);
	stacked_disable(&s, "mod_patch");
	stacked_call(&s, 0, 'm', 0, 0);
	stacked_enable(&s, stacked_patch("both", 2, "fm", false));
	stacked_call(&s, 0, 'f', 2, 0);
	stacked_call(&s, 0, 'm', 2, 2);
	stacked_disable(&s, "both");
	stacked_call(&s, 0, 'm', 0, 0);
	stacked_expect_log(&s, "PATCH:mod_patch UNPATCH:mod_patch PATCH:both UNPATCH:both");
}

/* ---- test-callbacks.sh, without callbacks ---- */

/* [C9] A busy thread in one object stalls the patch of two; the disable reverses it. */
static void test_busy_object(void **state)
{
	stacked_enter(&s, 0, 'm', 0);
	stacked_begin_enable(&s, stacked_patch("demo", 1, "fm", false));
	stacked_expect_pending(&s, 1);
	stacked_call(&s, 1, 'f', 1, 0);
	stacked_call(&s, 1, 'm', 1, 1);
	stacked_nest(&s, 0, 'f', 0);
	stacked_disable(&s, "demo");
	stacked_call(&s, 1, 'f', 0, 0);
	stacked_call(&s, 1, 'm', 0, 0);
	stacked_leave(&s, 0, 0, 0);
	stacked_expect_log(&s, "EN:demo IP:demo SP:demo RU:demo SU:demo CU:demo UC:demo");
}

/* [C10] Independent patches, the newer one goes first. */
static void test_independent(void **state)
{
	stacked_enable(&s, stacked_patch("demo", 1, "fm", false));
	stacked_enable(&s, stacked_patch("demo2", 2, "h", false));
	stacked_disable(&s, "demo2");
	stacked_call(&s, 0, 'f', 1, 0);
	stacked_disable(&s, "demo");
	stacked_expect_log(&s, "PATCH:demo PATCH:demo2 UNPATCH:demo2 UNPATCH:demo");
}

/* ---- test-sysfs.sh: what the kernel shows in sysfs, `status --json` shows ---- */

static json_t *status(void)
{
	char pid[16];
	const char *argv[] = { scenario_bin("ugraft"), "status", "--json", pid, NULL };
	json_t *document, *process;
	struct command c;
	json_error_t error;

	(void)snprintf(pid, sizeof(pid), "%d", s.v.pid);
	assert_int_equal(command_run(&c, argv), 0);
	document = json_loads(c.output, 0, &error);
	if (!document)
		fail_msg("%s in: %s", error.text, c.output);
	process = json_incref(json_array_get(json_object_get(document, "processes"), 0));
	assert_non_null(process);
	json_decref(document);
	return process;
}

/* Patch number `order` is this one, in this state, and does or does not replace. */
static void expect_shown(json_t *process, json_int_t order, const char *name, const char *how,
			 bool replace)
{
	json_t *patch;
	size_t i;

	json_array_foreach(json_object_get(process, "patches"), i, patch) {
		if (json_integer_value(json_object_get(patch, "order")) != order)
			continue;
		assert_string_equal(json_string_value(json_object_get(patch, "name")), name);
		assert_string_equal(json_string_value(json_object_get(patch, "state")), how);
		assert_int_equal(json_is_true(json_object_get(patch, "replace")), replace);
		return;
	}
	fail_msg("no patch has the order %d", (int)order);
}

static void expect_enabled(const char *name, bool replace)
{
	json_t *process = status();
	json_t *patches = json_object_get(process, "patches");
	json_t *func;

	expect_shown(process, 1, name, "enabled", replace);
	assert_int_equal(json_array_size(patches), 1);
	assert_null(json_object_get(process, "transition"));
	/* The kernel's object/patched. */
	func = json_array_get(json_object_get(json_array_get(patches, 0), "functions"), 0);
	assert_true(json_is_true(json_object_get(func, "active")));
	json_decref(process);
}

/* [Y1] Also while the transition runs, which the kernel's test does not look at. */
static void test_shown(void **state)
{
	json_t *process, *transition;

	stacked_enter(&s, 0, 'f', 0);
	stacked_begin_enable(&s, stacked_patch("livepatch", 1, "f", false));
	stacked_expect_pending(&s, 1);
	process = status();
	expect_shown(process, 1, "livepatch", "patching", false);
	transition = json_object_get(process, "transition");
	assert_string_equal(json_string_value(json_object_get(transition, "patch")), "livepatch");
	assert_true(json_is_true(json_object_get(transition, "patching")));
	assert_int_equal(json_integer_value(json_object_get(process, "pending_threads")), 1);
	json_decref(process);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	expect_enabled("livepatch", false);
	stacked_disable(&s, "livepatch");
	stacked_expect_log(&s, "PATCH:livepatch UNPATCH:livepatch");
}

/* [Y3, Y4] */
static void test_shown_replace(void **state)
{
	for (int replace = 1; replace >= 0; replace--) {
		stacked_enable(&s, stacked_patch("atomic_replace", 2, "h", replace));
		expect_enabled("atomic_replace", replace);
		stacked_disable(&s, "atomic_replace");
	}
	stacked_expect_log(&s, "PATCH:atomic_replace UNPATCH:atomic_replace PATCH:atomic_replace "
			   "UNPATCH:atomic_replace");
}

/* [Y5] The order is shown, and gaps close. */
static void test_shown_order(void **state)
{
	json_t *process;

	stacked_enable(&s, stacked_patch("atomic_replace", 2, "h", false));
	stacked_enable(&s, stacked_patch("callbacks_demo", 4, "m", false));
	stacked_enable(&s, stacked_patch("syscall", 3, "g", false));
	process = status();
	expect_shown(process, 1, "atomic_replace", "enabled", false);
	expect_shown(process, 2, "callbacks_demo", "enabled", false);
	expect_shown(process, 3, "syscall", "enabled", false);
	json_decref(process);
	stacked_disable(&s, "callbacks_demo");
	process = status();
	expect_shown(process, 1, "atomic_replace", "enabled", false);
	expect_shown(process, 2, "syscall", "enabled", false);
	json_decref(process);
	stacked_disable(&s, "syscall");
	stacked_disable(&s, "atomic_replace");
	stacked_expect_log(&s, "PATCH:atomic_replace PATCH:callbacks_demo PATCH:syscall "
			   "UNPATCH:callbacks_demo UNPATCH:syscall UNPATCH:atomic_replace");
}

/* ---- test-syscall.sh ---- */

static void expect_reached(int version)
{
	unsigned long n = 0;

	for (int i = 0; i < 10000 && n != s.hot; i++) {
		n = scenario_number(scenario_ask(&s.v, "reached %d", version), "reached");
		nap_us(1000);
	}
	if (n != s.hot)
		fail_msg("%lu threads of %u have reached version %d", n, s.hot, version);
}

/* [G1] Every hot thread reaches the new code, and the old one again, many times. */
static void test_hammered(void **state)
{
	for (int i = 0; i < CYCLES; i++) {
		stacked_enable(&s, stacked_patch("syscall", 1, "fg", false));
		expect_reached(1);
		stacked_disable(&s, "syscall");
		expect_reached(0);
	}
	assert_int_equal(stacked_count(&s, "mixed"), 0);
}

/* ---- test-kprobe.sh ---- */

static uint64_t address_of(char func)
{
	return ~(uint64_t)scenario_number(scenario_ask(&s.v, "where 0 %c", func), "not");
}

static void poke(uint64_t at, const void *bytes, void *ret_old, size_t n)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/mem", s.v.pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	if (ret_old)
		assert_int_equal(pread(fd, ret_old, n, (off_t)at), n);
	if (bytes)
		assert_int_equal(pwrite(fd, bytes, n, (off_t)at), n);
	close(fd);
}

static const uint8_t hook[5] = { 0xe9, 0, 0, 0, 0 };

static void refused_by_hook(const char *patch, uint64_t at)
{
	uint8_t now[sizeof(hook)];
	int r = stacked_load(&s, patch, SHORT_MS, 0);

	assert_int_equal(r, -UG_E_ENTRY_BUSY);
	assert_int_equal(ug_error_errno(r), EBUSY);
	poke(at, NULL, now, sizeof(now));
	assert_memory_equal(now, hook, sizeof(hook));
	stacked_expect_patches(&s, "");
}

/* [K1] Somebody else's hook at the entry: refused with the kernel's lines, it is left alone. */
static void test_foreign_hook(void **state)
{
	uint64_t at = address_of('g');
	uint8_t old[sizeof(hook)];

	poke(at, hook, old, sizeof(hook));
	refused_by_hook(stacked_patch("livepatch", 1, "g", false), at);
	poke(at, old, NULL, sizeof(old));
	stacked_expect_log(&s, "EN:livepatch IP:livepatch FP:stacked FE:livepatch CAN:livepatch "
			   "CU:livepatch UC:livepatch");
	stacked_call(&s, 0, 'f', 0, 0);
}

/* [N14] The second function, and one of the second object: the first ones are not patched. */
static void test_second_fails(void **state)
{
	static const struct { const char *name, *funcs; char hooked; const char *log; } cases[] = {
		{ "two", "gh", 'h', "EN:two IP:two FP:stacked FE:two CAN:two CU:two UC:two" },
		{ "obj", "gm", 'm', "EN:obj IP:obj FP:stacked-mod.so FE:obj CAN:obj CU:obj UC:obj" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t at = address_of(cases[i].hooked);
		uint8_t old[sizeof(hook)];

		poke(at, hook, old, sizeof(hook));
		refused_by_hook(stacked_patch(cases[i].name, 1, cases[i].funcs, false), at);
		stacked_call(&s, 0, 'g', 0, 0);
		poke(at, old, NULL, sizeof(old));
		stacked_expect_log(&s, cases[i].log);
	}
}

/* [N12, N14] Everything is prepared, and the stop that should commit finds a thread without a
 * pointer, which no gate could tell: taken back, with the same lines, though it stays as it is. */
static void test_cannot_start(void **state)
{
	int r;

	(void)scenario_ask(&s.v, "strange 1");
	r = stacked_load(&s, stacked_patch("livepatch", 1, "f", false), SHORT_MS, 0);
	if (r != -UG_E_UNSUPPORTED)
		fail_msg("%s: %s", ug_error_name(r), s.err.message);
	stacked_expect_patches(&s, "");
	stacked_expect_log(&s, "EN:livepatch IP:livepatch FE:livepatch CAN:livepatch CU:livepatch "
			   "UC:livepatch");
	stacked_call(&s, 0, 'f', 0, 0);
}

/* [K2] A probe in the midst of the old function does not matter, and may go first. */
static void test_passive_probe(void **state)
{
	static const uint8_t int3 = 0xcc;
	uint64_t at = address_of('h');
	uint8_t code[64], old;
	size_t i = 5;

	poke(at, NULL, code, sizeof(code));
	while (i < sizeof(code) && !(code[i] == 0x5b && code[i + 1] == 0xc3))
		i++;	/* pop %rbx; ret */
	assert_true(i + 1 < sizeof(code));
	poke(at + i, &int3, &old, 1);
	stacked_enable(&s, stacked_patch("livepatch", 1, "h", false));
	stacked_call(&s, 0, 'h', 1, 1);
	poke(at + i, &old, NULL, 1);
	stacked_disable(&s, "livepatch");
	stacked_call(&s, 0, 'h', 0, 0);
	stacked_expect_log(&s, "PATCH:livepatch UNPATCH:livepatch");
}

/* ---- what the kernel's suite leaves out ---- */

/* [N4] The disable of a patch that is not on top is reversed: its own versions are where they
 * were, and nothing is taken for a thread in them. */
static void test_reverse_lower(void **state)
{
	stacked_enable(&s, stacked_patch("p1", 1, "fg", false));
	stacked_enable(&s, stacked_patch("p2", 2, "f", false));
	stacked_enter(&s, 0, 'g', 1);
	stacked_enter(&s, 1, 'f', 2);
	stacked_begin_disable(&s, "p1");
	stacked_expect_pending(&s, 1);
	stacked_call(&s, 2, 'f', 2, 0);
	assert_int_equal(stacked_reverse(&s), 0);
	assert_int_equal(s.report.outcome, UG_DONE);
	stacked_call(&s, 2, 'f', 2, 1);
	stacked_leave(&s, 1, 2, 1);
	stacked_leave(&s, 0, 1, 1);
	stacked_disable(&s, "p1");
	stacked_disable(&s, "p2");
	stacked_expect_log(&s, "PATCH:p1 PATCH:p2 IU:p1 SU:p1 RP:p1 SP:p1 CP:p1 PC:p1 UNPATCH:p1 "
			   "UNPATCH:p2");
}

/* [N7] What is so already is no error and changes nothing; what cannot be read is one. */
static void test_already(void **state)
{
	const char *patch = stacked_patch("p1", 1, "f", false);

	stacked_enable(&s, patch);
	assert_int_equal(stacked_load(&s, patch, SHORT_MS, 0), 0);
	assert_int_equal(s.report.outcome, UG_ALREADY);
	assert_int_equal(stacked_load(&s, scenario_bin("ugraft"), SHORT_MS, 0), -UG_E_BAD_PATCH);
	assert_int_equal(stacked_reverse(&s), -UG_E_NO_TRANSITION);
	stacked_disable(&s, "p1");
	assert_int_equal(stacked_unload(&s, "p1", SHORT_MS, 0), -UG_E_NO_PATCH);
	stacked_expect_log(&s, "PATCH:p1 UNPATCH:p1");
}

/*
 * [N8] Threads that are created during a transition. A new thread is in no function, so it is
 * switched, whoever created it (a task inherits the state of its parent because it inherits
 * its kernel stack's place in a system call; a thread starts with an empty stack). A storm of
 * them neither delays the transition nor mixes.
 */
static void test_new_threads(void **state)
{
	(void)scenario_ask(&s.v, "storm 2");
	stacked_enter(&s, 0, 'g', 0);
	stacked_begin_enable(&s, stacked_patch("p1", 1, "fg", false));
	stacked_expect_pending(&s, 1);
	stacked_spawn(&s, 1, 'f', 1);
	stacked_spawn(&s, 0, 'f', 1);
	stacked_nest(&s, 0, 'f', 0);
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	assert_int_equal(stacked_count(&s, "mixed"), 0);
	stacked_disable(&s, "p1");
	assert_int_equal(stacked_count(&s, "mixed"), 0);
}

/* [N9] The last thread that is waited for ends, and its thread pointer goes to the next. */
static void test_straggler_ends(void **state)
{
	stacked_enter(&s, 0, 'g', 0);
	stacked_begin_enable(&s, stacked_patch("p1", 1, "fg", false));
	stacked_expect_pending(&s, 1);
	stacked_exit(&s, 0);
	(void)scenario_ask(&s.v, "storm 1");
	stacked_complete(&s);
	stacked_call(&s, 1, 'f', 1, 1);
	assert_int_equal(stacked_count(&s, "mixed"), 0);
	stacked_disable(&s, "p1");
}

/*
 * [N12] A thread is on a stack that nobody knows. Whoever switches stacks can have contexts that
 * are suspended, so the process is switched at once or not at all: while that thread is inside
 * nothing begins, and the reason is told.
 */
static void test_unknown_stack(void **state)
{
	const char *p1 = stacked_patch("p1", 1, "fg", false);
	int r;

	stacked_swap(&s, 0, 'g', 0);
	/* In the first stop a word is in the way, in the next ones nobody can unwind from there. */
	r = stacked_load(&s, p1, SHORT_MS, 0);
	assert_true(r == -UG_E_STACK_UNRELIABLE || r == -UG_E_STACK_BUSY);
	print_message("# %s\n", s.err.message);
	assert_true(s.err.tid > 0);
	stacked_call(&s, 1, 'f', 0, 0);
	stacked_nest(&s, 0, 'f', 0);
	stacked_leave(&s, 0, 0, 0);
	stacked_enable(&s, p1);
	stacked_call(&s, 1, 'f', 1, 1);
	stacked_disable(&s, "p1");
}

/* [N13] t ends in a jump to g. Who is in g by that way is in g, and in t no longer. */
static void test_tail_call(void **state)
{
	stacked_enter(&s, 0, 't', 0);
	stacked_enable(&s, stacked_patch("p1", 1, "t", false));
	stacked_begin_enable(&s, stacked_patch("p2", 2, "g", false));
	stacked_expect_pending(&s, 1);
	stacked_nest(&s, 0, 'g', 0);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	stacked_disable(&s, "p1");
	stacked_call(&s, 0, 't', 2, 2);
	stacked_disable(&s, "p2");
}

static void expect_child(const char *told, int version)
{
	const char *answer = scenario_ask(&s.v, "child %s", told);

	if (strncmp(answer, "version", 7) != 0 ||
	    scenario_number(answer, "version") != (unsigned long)version ||
	    scenario_number(answer, "below") != (unsigned long)version)
		fail_msg("child, %s: '%s' instead of version %d", told, answer, version);
}

/* [N16] A child forked during a transition has its parent's state, and a transition of its
 * own, which is driven there. */
static void test_fork(void **state)
{
	struct ug_opts opts = { .sz = sizeof(opts), .timeout_ms = 30000, .max_pause_us = 500000 };
	struct ug_report report = { 0 };
	pid_t child;

	stacked_enter(&s, 0, 'g', 0);
	stacked_begin_enable(&s, stacked_patch("p1", 1, "fg", false));
	stacked_expect_pending(&s, 1);
	child = (pid_t)scenario_number(scenario_ask(&s.v, "fork 0"), "pid");
	expect_child("n", 0);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	stacked_call(&s, 0, 'f', 1, 1);
	/* The parent is through, the child is not. */
	expect_child("n", 0);
	expect_child("l", 0);
	if (ug_wait(child, NULL, &opts, &report, &s.err) < 0)
		fail_msg("%s", s.err.message);
	assert_int_equal(report.outcome, UG_DONE);
	expect_child("c", 1);
	if (ug_unload(child, "p1", &opts, &report, &s.err) < 0)
		fail_msg("%s", s.err.message);
	expect_child("c", 0);
	stacked_call(&s, 0, 'f', 1, 1);
	stacked_disable(&s, "p1");
}

static unsigned long random_below(unsigned long n)
{
	static unsigned long x;

	if (!x) {
		const char *given = getenv("UG_TEST_SEED");

		x = given ? strtoul(given, NULL, 10) : (unsigned long)getpid() * 2654435761u;
		print_message("# seed %lu\n", x);
	}
	x = x * 6364136223846793005UL + 1442695040888963407UL;
	return (x >> 33) % n;
}

/*
 * [N18] Hot threads whose calls break on any mix, while patches are stacked, replaced,
 * disabled and reversed at random, under a storm of new threads. (tests/scenarios has the
 * same at length.)
 */
static void test_no_mix(void **state)
{
	const char *const names[] = { "p1", "p2", "p3" };

	(void)scenario_ask(&s.v, "storm 1");
	for (int i = 0; i < MOVES; i++) {
		unsigned long k = random_below(3);
		unsigned int flags = random_below(2) ? UG_OPT_NO_WAIT : 0;
		const char *patch = stacked_patch(names[k], (int)k + 1, "fg", k == 2);
		int r = random_below(2) ? stacked_load(&s, patch, 20000, flags) :
					  stacked_unload(&s, names[k], 20000, flags);

		if (r < 0 && r != -UG_E_NO_PATCH && r != -UG_E_TRANSITION)
			fail_msg("%s: %s", names[k], s.err.message);
		if (random_below(3) == 0)
			r = stacked_reverse(&s);
		if (random_below(2) && stacked_wait(&s, 20000) < 0)
			fail_msg("wait: %s", s.err.message);
		s.nlog = s.nhistory = 0;
	}
	(void)stacked_wait(&s, 30000);
	for (size_t k = 0; k < 3; k++)
		(void)stacked_unload(&s, names[k], 30000, 0);
	stacked_drain(&s);
	stacked_expect_patches(&s, "");
	expect_reached(0);
	print_message("# %lu calls\n", stacked_count(&s, "calls"));
	assert_int_equal(stacked_count(&s, "mixed"), 0);
}

#define QUIET(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
#define BUSY(name) cmocka_unit_test_setup_teardown(test_##name, set_up_hot, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUIET(basic), QUIET(multiple), QUIET(atomic_replace), QUIET(shared_object),
		QUIET(busy_object), QUIET(independent),
		QUIET(shown), QUIET(shown_replace), QUIET(shown_order),
		BUSY(hammered),
		QUIET(foreign_hook), QUIET(second_fails), QUIET(cannot_start), QUIET(passive_probe),
		QUIET(reverse_lower), QUIET(already), QUIET(new_threads), QUIET(straggler_ends),
		QUIET(unknown_stack), QUIET(tail_call), QUIET(fork), BUSY(no_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
