/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a real kernel was seen to do with stacked livepatches, repeated on a process. A test
 * bears the name of the kernel's scenario; docs/kernel-tests.md says where each one came from.
 *
 * Seat 0 is the scenario's task T1, seat 1 T2, and seat NEW makes the calls of tasks that are
 * in no function of the patches. A version is the letter of its patch: 1 is orc_a's, 0 the
 * original. Lines of the log are the kernel's, in its order.
 *
 * Where the outcome is not the kernel's, the test says so, and it is one of these:
 *
 *  - after a force: the kernel looks for the version directly below the new one only. Here every
 *    version is looked for, so that a thread in any of them is waited for;
 *  - after a force: the kernel pins what was removed for good. Here it is released when a check
 *    finds it empty;
 *  - a request for what is already so, or already going on, succeeds: the verbs say what is to be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "lib/stacked.h"

#define SHORT_MS 50
#define NEW 3

static struct stacked s;

static int set_up(void **state)
{
	stacked_start(&s, 0);
	return 0;
}

static int tear_down(void **state)
{
	stacked_stop(&s);
	return 0;
}

static const char *orc(char letter, const char *funcs)
{
	const char name[] = { 'o', 'r', 'c', '_', letter, 0 };

	return stacked_patch(name, letter - 'a' + 1, funcs, false);
}

static const char *orc_replace(char letter, const char *funcs)
{
	const char name[] = { 'o', 'r', 'c', '_', letter, 0 };

	return stacked_patch(name, letter - 'a' + 1, funcs, true);
}

static void refused_as_busy(int r)
{
	assert_int_equal(r, -UG_E_TRANSITION);
	assert_int_equal(ug_error_errno(r), EBUSY);
}

/* ---- S1: who is waited for ---- */

/* A task asleep in the top of two stacked patches when an atomic replace comes. */
static void asleep_in_top(void)
{
	stacked_enable(&s, orc('a', "f"));
	stacked_enable(&s, orc('b', "f"));
	stacked_enter(&s, 0, 'f', 2);
	stacked_begin_enable(&s, orc_replace('c', "f"));
	stacked_expect_pending(&s, 1);
	stacked_expect_patches(&s, "orc_a orc_b orc_c:patching");
	stacked_call(&s, NEW, 'f', 3, 0);
}

static void expect_replaced(void)
{
	stacked_complete(&s);
	stacked_expect_patches(&s, "orc_c");
	stacked_call(&s, 0, 'f', 3, 0);
	stacked_disable(&s, "orc_c");
	stacked_call(&s, NEW, 'f', 0, 0);
	stacked_expect_log(&s, "PATCH:orc_a PATCH:orc_b EN:orc_c IP:orc_c SP:orc_c CP:orc_c PC:orc_c "
			   "UNPATCH:orc_c");
}

static void test_s1a(void **state)
{
	asleep_in_top();
	stacked_nest(&s, 0, 'f', 2);
	stacked_leave(&s, 0, 2, 0);
	expect_replaced();
}

/* It leaves the function only to enter it again: the old one, and it is waited for. */
static void test_s1b(void **state)
{
	asleep_in_top();
	for (int i = 0; i < 2; i++) {
		stacked_again(&s, 0, 2);
		stacked_expect_pending(&s, 1);
	}
	stacked_leave(&s, 0, 2, 0);
	expect_replaced();
}

static void test_s1c(void **state)
{
	stacked_enable(&s, orc('a', "f"));
	stacked_enter(&s, 0, 'f', 1);
	stacked_begin_enable(&s, orc('b', "f"));
	stacked_expect_pending(&s, 1);
	stacked_call(&s, NEW, 'f', 2, 0);
	stacked_nest(&s, 0, 'f', 1);
	refused_as_busy(stacked_load(&s, orc_replace('c', "f"), SHORT_MS, 0));
	refused_as_busy(stacked_unload(&s, "orc_a", SHORT_MS, 0));
	stacked_leave(&s, 0, 1, 0);
	stacked_complete(&s);
	stacked_enable(&s, orc_replace('c', "f"));
	stacked_expect_patches(&s, "orc_c");
	stacked_call(&s, NEW, 'f', 3, 0);
	stacked_disable(&s, "orc_c");
	stacked_expect_log(&s, "PATCH:orc_a PATCH:orc_b PATCH:orc_c UNPATCH:orc_c");
}

static void test_s1d(void **state)
{
	stacked_enter(&s, 0, 'f', 0);
	stacked_begin_enable(&s, orc('a', "f"));
	stacked_expect_pending(&s, 1);
	stacked_call(&s, NEW, 'f', 1, 0);
	stacked_nest(&s, 0, 'f', 0);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	stacked_call(&s, 0, 'f', 1, 0);
	stacked_disable(&s, "orc_a");
	stacked_expect_log(&s, "PATCH:orc_a UNPATCH:orc_a");
}

/*
 * [N10] Interruptible sleepers. The kernel's signal at the 15th attempt makes a system call
 * return to user space, and with it leave the kernel's function. No signal takes a thread out
 * of a function of its program: there is none here, and no such line. What a stop does to a
 * call is undone, however often it happens.
 */
static void test_s1e(void **state)
{
	stacked_enable(&s, orc('a', "f"));
	stacked_enable(&s, orc('b', "f"));
	stacked_enter(&s, 0, 'f', 2);
	stacked_enter(&s, 1, 'f', 2);
	stacked_begin_enable(&s, orc_replace('c', "f"));
	for (int i = 0; i < 16; i++)
		stacked_expect_pending(&s, 2);
	assert_int_equal(stacked_count(&s, "interrupted"), 0);
	stacked_leave(&s, 1, 2, 0);
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 0, 2, 0);
	expect_replaced();
}

/* A function of another object, which the new patch does not have at all. */
static void test_s1f(void **state)
{
	stacked_enable(&s, orc('a', "m"));
	stacked_enable(&s, orc('b', "m"));
	stacked_enter(&s, 0, 'm', 2);
	stacked_begin_enable(&s, orc_replace('c', "f"));
	stacked_expect_pending(&s, 1);
	stacked_call(&s, NEW, 'm', 0, 0);
	stacked_nest(&s, 0, 'm', 2);
	stacked_leave(&s, 0, 2, 2);
	stacked_complete(&s);
	stacked_expect_patches(&s, "orc_c");
	stacked_call(&s, 0, 'm', 0, 0);
	stacked_disable(&s, "orc_c");
}

/* Two functions: nobody sees one old and one new. Asleep in the new one holds up nothing. */
static void test_s1g(void **state)
{
	stacked_enter(&s, 0, 'f', 0);
	stacked_begin_enable(&s, orc('a', "fg"));
	stacked_call(&s, NEW, 'f', 1, 1);
	stacked_call(&s, NEW, 'g', 1, 1);
	stacked_nest(&s, 0, 'g', 0);
	stacked_spawn(&s, NEW, 'f', 1);
	stacked_enter(&s, 1, 'f', 1);
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	stacked_leave(&s, 1, 1, 1);
	stacked_disable(&s, "orc_a");
	stacked_expect_log(&s, "PATCH:orc_a UNPATCH:orc_a");
}

/* ---- S2: force ---- */

/*
 * Asleep in the original, the first patch forced, a second one. The kernel looks for the
 * first patch's version only, and does not wait; here the original is looked for as well.
 */
static void test_s2a(void **state)
{
	stacked_enter(&s, 0, 'f', 0);
	stacked_begin_enable(&s, orc('a', "f"));
	stacked_must_force(&s, 1);
	stacked_expect_patches(&s, "orc_a");
	stacked_nest(&s, 0, 'f', 1);
	stacked_begin_enable(&s, orc('b', "f"));
	stacked_expect_pending(&s, 1);
	stacked_call(&s, NEW, 'f', 2, 0);
	stacked_nest(&s, 0, 'f', 1);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	stacked_disable(&s, "orc_b");
	stacked_disable(&s, "orc_a");
	stacked_expect_log(&s, "EN:orc_a IP:orc_a SP:orc_a FO CP:orc_a PC:orc_a PATCH:orc_b "
			   "UNPATCH:orc_b UNPATCH:orc_a");
}

/*
 * A forced replace, then a second one. The kernel pins the first patch for good and does not
 * wait; here the second waits, and the first is released and can be loaded again.
 */
static void test_s2b(void **state)
{
	stacked_enable(&s, orc('a', "f"));
	stacked_enter(&s, 0, 'f', 1);
	stacked_begin_enable(&s, orc_replace('c', "f"));
	stacked_must_force(&s, 1);
	stacked_expect_patches(&s, "orc_c (orc_a:left:forced)");
	assert_int_equal(stacked_load(&s, orc('a', "f"), SHORT_MS, 0), -EBUSY);
	stacked_begin_enable(&s, orc_replace('d', "f"));
	stacked_expect_pending(&s, 1);
	stacked_call(&s, NEW, 'f', 4, 0);
	stacked_leave(&s, 0, 1, 0);
	stacked_complete(&s);
	stacked_drain(&s);
	stacked_expect_patches(&s, "orc_d");
	stacked_enable(&s, orc('a', "f"));
	stacked_disable(&s, "orc_a");
	stacked_disable(&s, "orc_d");
	stacked_expect_log(&s, "PATCH:orc_a EN:orc_c IP:orc_c SP:orc_c FO CP:orc_c PC:orc_c "
			   "PATCH:orc_d PATCH:orc_a UNPATCH:orc_a UNPATCH:orc_d");
}

/* A forced disable: the kernel pins, and the next patch does not wait. Here as in S2b. */
static void test_s2c(void **state)
{
	stacked_enable(&s, orc('a', "f"));
	stacked_enter(&s, 0, 'f', 1);
	stacked_begin_disable(&s, "orc_a");
	stacked_expect_pending(&s, 1);
	stacked_must_force(&s, 1);
	stacked_expect_patches(&s, "(orc_a:left:forced)");
	stacked_begin_enable(&s, orc('b', "f"));
	stacked_expect_pending(&s, 1);
	stacked_call(&s, NEW, 'f', 2, 0);
	stacked_nest(&s, 0, 'f', 0);
	stacked_leave(&s, 0, 1, 0);
	stacked_complete(&s);
	stacked_drain(&s);
	stacked_expect_patches(&s, "orc_b");
	stacked_disable(&s, "orc_b");
	stacked_expect_log(&s, "PATCH:orc_a IU:orc_a SU:orc_a FO CU:orc_a UC:orc_a PATCH:orc_b "
			   "UNPATCH:orc_b");
}

/* Forced on top of a sleeper, by a patch that replaces nothing: as the kernel. */
static void forced_on_top(void)
{
	stacked_enable(&s, orc('a', "f"));
	stacked_enter(&s, 0, 'f', 1);
	stacked_begin_enable(&s, orc('b', "f"));
	stacked_must_force(&s, 1);
	stacked_expect_patches(&s, "orc_a orc_b");
}

static void test_s2d(void **state)
{
	forced_on_top();
	stacked_begin_disable(&s, "orc_a");
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 0, 1, 0);
	stacked_complete(&s);
	stacked_disable(&s, "orc_b");
	stacked_expect_log(&s, "PATCH:orc_a EN:orc_b IP:orc_b SP:orc_b FO CP:orc_b PC:orc_b "
			   "UNPATCH:orc_a UNPATCH:orc_b");
}

/*
 * Two versions down from an atomic replace. The kernel does not look there, frees the text
 * under the sleeper and crashes; here the sleeper is waited for.
 */
static void test_s2e(void **state)
{
	forced_on_top();
	stacked_begin_enable(&s, orc_replace('c', "f"));
	stacked_expect_pending(&s, 1);
	stacked_expect_patches(&s, "orc_a orc_b orc_c:patching");
	stacked_call(&s, NEW, 'f', 3, 0);
	stacked_leave(&s, 0, 1, 0);
	stacked_complete(&s);
	stacked_drain(&s);
	stacked_expect_patches(&s, "orc_c");
	stacked_disable(&s, "orc_c");
	stacked_expect_log(&s, "PATCH:orc_a EN:orc_b IP:orc_b SP:orc_b FO CP:orc_b PC:orc_b "
			   "PATCH:orc_c UNPATCH:orc_c");
}

/* Force without a transition, or of a patch that is not in one. (There is no "force 0".) */
static void test_s2f(void **state)
{
	stacked_enable(&s, orc('a', "f"));
	assert_int_equal(stacked_force(&s, "orc_a"), -UG_E_NO_TRANSITION);
	assert_int_equal(ug_error_errno(-UG_E_NO_TRANSITION), EINVAL);
	stacked_enter(&s, 0, 'f', 1);
	stacked_begin_enable(&s, orc('b', "f"));
	assert_int_equal(stacked_force(&s, "orc_a"), -UG_E_NO_TRANSITION);
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 0, 1, 0);
	stacked_complete(&s);
	stacked_disable(&s, "orc_b");
	stacked_disable(&s, "orc_a");
	stacked_expect_log(&s, "PATCH:orc_a PATCH:orc_b UNPATCH:orc_b UNPATCH:orc_a");
}

/* ---- S3: reverse ---- */

/* A sleeper in the original does not hold up the way back; the patch is gone under it. */
static void test_s3a(void **state)
{
	stacked_enter(&s, 0, 'f', 0);
	stacked_begin_enable(&s, orc('a', "f"));
	stacked_expect_pending(&s, 1);
	stacked_disable(&s, "orc_a");
	stacked_expect_patches(&s, "");
	stacked_nest(&s, 0, 'f', 0);
	stacked_leave(&s, 0, 0, 0);
	stacked_call(&s, NEW, 'f', 0, 0);
	stacked_expect_log(&s, "EN:orc_a IP:orc_a SP:orc_a RU:orc_a SU:orc_a CU:orc_a UC:orc_a");
}

/* Asleep in the new f: waited for on the way back, not on the way forth. Asking once more for
 * the way back (EINVAL in the kernel) goes on with it. */
static void test_s3b(void **state)
{
	stacked_enter(&s, 0, 'f', 0);
	stacked_begin_enable(&s, orc('a', "f"));
	stacked_enter(&s, 1, 'f', 1);
	stacked_begin_reverse(&s);
	stacked_expect_pending(&s, 1);
	stacked_begin_disable(&s, "orc_a");
	stacked_expect_patches(&s, "orc_a:unpatching");
	stacked_begin_reverse(&s);
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	stacked_expect_patches(&s, "orc_a");
	stacked_begin_disable(&s, "orc_a");
	stacked_expect_pending(&s, 1);
	assert_int_equal(stacked_reverse(&s), 0);
	assert_int_equal(s.report.outcome, UG_DONE);
	stacked_begin_disable(&s, "orc_a");
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 1, 1, 0);
	stacked_complete(&s);
	stacked_expect_patches(&s, "");
	stacked_expect_log(&s, "EN:orc_a IP:orc_a SP:orc_a RU:orc_a SU:orc_a RP:orc_a SP:orc_a CP:orc_a "
			   "PC:orc_a IU:orc_a SU:orc_a RP:orc_a SP:orc_a CP:orc_a PC:orc_a "
			   "UNPATCH:orc_a");
}

static void test_s3c(void **state)
{
	stacked_enable(&s, orc('a', "fg"));
	stacked_enable(&s, orc('b', "f"));
	stacked_enter(&s, 0, 'f', 2);
	stacked_begin_enable(&s, orc_replace('c', "f"));
	stacked_call(&s, NEW, 'f', 3, 0);
	stacked_call(&s, NEW, 'g', 0, 0);
	stacked_enter(&s, 1, 'g', 0);
	stacked_begin_reverse(&s);
	stacked_expect_pending(&s, 1);
	stacked_call(&s, NEW, 'f', 2, 1);
	stacked_nest(&s, 1, 'g', 0);
	stacked_leave(&s, 1, 0, 0);
	stacked_complete(&s);
	stacked_expect_patches(&s, "orc_a orc_b");
	stacked_call(&s, NEW, 'g', 1, 1);
	stacked_leave(&s, 0, 2, 1);
	stacked_disable(&s, "orc_b");
	stacked_disable(&s, "orc_a");
	stacked_expect_log(&s, "PATCH:orc_a PATCH:orc_b EN:orc_c IP:orc_c SP:orc_c RU:orc_c SU:orc_c "
			   "CU:orc_c UC:orc_c UNPATCH:orc_b UNPATCH:orc_a");
}

/* A second load during a transition: of the same patch (EEXIST in the kernel) it goes on with
 * that, of another one it is refused. */
static void test_s3d(void **state)
{
	stacked_enter(&s, 0, 'f', 0);
	stacked_begin_enable(&s, orc('a', "f"));
	stacked_begin_enable(&s, orc('a', "f"));
	refused_as_busy(stacked_load(&s, orc('b', "f"), SHORT_MS, 0));
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	assert_int_equal(stacked_load(&s, orc('a', "f"), SHORT_MS, 0), 0);
	assert_int_equal(s.report.outcome, UG_ALREADY);
	stacked_enable(&s, orc('b', "f"));
	stacked_call(&s, NEW, 'f', 2, 0);
	stacked_disable(&s, "orc_a");
	stacked_call(&s, NEW, 'f', 2, 0);
	stacked_disable(&s, "orc_b");
	stacked_call(&s, NEW, 'f', 0, 0);
	stacked_expect_log(&s, "PATCH:orc_a PATCH:orc_b UNPATCH:orc_a UNPATCH:orc_b");
}

/* ---- S4: sets of functions ---- */

static void expect_fgh(unsigned int seat, int f, int g, int h)
{
	stacked_call(&s, seat, 'f', f, g);
	stacked_call(&s, seat, 'g', g, g);
	stacked_call(&s, seat, 'h', h, h);
}

static void test_s4a(void **state)
{
	stacked_enable(&s, orc('a', "fg"));
	stacked_enable(&s, orc('b', "gh"));
	expect_fgh(NEW, 1, 2, 2);
	stacked_enter(&s, 0, 'g', 2);
	stacked_begin_enable(&s, orc_replace('c', "fh"));
	stacked_expect_pending(&s, 1);
	expect_fgh(NEW, 3, 0, 3);
	stacked_nest(&s, 0, 'f', 1);
	stacked_nest(&s, 0, 'g', 2);
	stacked_nest(&s, 0, 'h', 2);
	stacked_enter(&s, 1, 'g', 0);
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 0, 2, 2);
	stacked_complete(&s);
	stacked_expect_patches(&s, "orc_c");
	expect_fgh(NEW, 3, 0, 3);
	/* It has no g, so that the sleeper in the original g does not matter. */
	stacked_disable(&s, "orc_c");
	stacked_leave(&s, 1, 0, 0);
	expect_fgh(NEW, 0, 0, 0);
	stacked_expect_log(&s, "PATCH:orc_a PATCH:orc_b PATCH:orc_c UNPATCH:orc_c");
}

/* Smaller, larger, disjoint sets; a patch on top of a replace, and a replace over both. */
static void test_s4b(void **state)
{
	stacked_enable(&s, orc('a', "fgh"));
	expect_fgh(NEW, 1, 1, 1);
	stacked_enable(&s, orc_replace('b', "g"));
	expect_fgh(NEW, 0, 2, 0);
	stacked_expect_patches(&s, "orc_b");
	stacked_enable(&s, orc_replace('c', "fgh"));
	expect_fgh(NEW, 3, 3, 3);
	stacked_enable(&s, orc_replace('d', "m"));
	expect_fgh(NEW, 0, 0, 0);
	stacked_call(&s, NEW, 'm', 4, 4);
	stacked_expect_patches(&s, "orc_d");
	stacked_enable(&s, orc('e', "g"));
	expect_fgh(NEW, 0, 5, 0);
	stacked_call(&s, NEW, 'm', 4, 4);
	stacked_enable(&s, orc_replace('a', "h"));
	expect_fgh(NEW, 0, 0, 1);
	stacked_call(&s, NEW, 'm', 0, 0);
	stacked_expect_patches(&s, "orc_a");
	stacked_disable(&s, "orc_a");
	expect_fgh(NEW, 0, 0, 0);
	stacked_expect_log(&s, "PATCH:orc_a PATCH:orc_b PATCH:orc_c PATCH:orc_d PATCH:orc_e PATCH:orc_a "
			   "UNPATCH:orc_a");
}

/* Asleep in what only the new patch has, then in what only the old one has. */
static void test_s4c(void **state)
{
	stacked_enable(&s, orc('a', "f"));
	stacked_enter(&s, 0, 'g', 0);
	stacked_begin_enable(&s, orc_replace('c', "fg"));
	stacked_expect_pending(&s, 1);
	stacked_call(&s, NEW, 'f', 3, 3);
	stacked_nest(&s, 0, 'f', 1);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	stacked_enter(&s, 1, 'g', 3);
	stacked_begin_enable(&s, orc_replace('d', "f"));
	stacked_expect_pending(&s, 1);
	stacked_call(&s, NEW, 'f', 4, 0);
	stacked_nest(&s, 1, 'f', 3);
	stacked_leave(&s, 1, 3, 3);
	stacked_complete(&s);
	stacked_expect_patches(&s, "orc_d");
	stacked_call(&s, NEW, 'f', 4, 0);
	stacked_disable(&s, "orc_d");
	stacked_call(&s, NEW, 'f', 0, 0);
	stacked_expect_log(&s, "PATCH:orc_a PATCH:orc_c PATCH:orc_d UNPATCH:orc_d");
}

/* ---- S5: any order ---- */

static void test_s5a(void **state)
{
	stacked_enable(&s, orc('a', "fg"));
	stacked_enable(&s, orc('b', "fh"));
	stacked_enable(&s, orc('c', "f"));
	expect_fgh(NEW, 3, 1, 2);
	stacked_disable(&s, "orc_b");
	expect_fgh(NEW, 3, 1, 0);
	stacked_expect_patches(&s, "orc_a orc_c");
	stacked_disable(&s, "orc_a");
	expect_fgh(NEW, 3, 0, 0);
	stacked_disable(&s, "orc_c");
	expect_fgh(NEW, 0, 0, 0);
	stacked_expect_log(&s, "PATCH:orc_a PATCH:orc_b PATCH:orc_c UNPATCH:orc_b UNPATCH:orc_a "
			   "UNPATCH:orc_c");
}

static void test_s5b(void **state)
{
	stacked_enable(&s, orc('a', "f"));
	stacked_enable(&s, orc('b', "f"));
	stacked_enable(&s, orc('c', "f"));
	stacked_call(&s, NEW, 'f', 3, 0);
	stacked_disable(&s, "orc_c");
	stacked_call(&s, NEW, 'f', 2, 0);
	stacked_disable(&s, "orc_a");
	stacked_call(&s, NEW, 'f', 2, 0);
	stacked_disable(&s, "orc_b");
	stacked_call(&s, NEW, 'f', 0, 0);
	stacked_expect_log(&s, "PATCH:orc_a PATCH:orc_b PATCH:orc_c UNPATCH:orc_c UNPATCH:orc_a "
			   "UNPATCH:orc_b");
}

/* The middle one is taken back: waited for is who is in it, not who is in the top one. */
static void test_s5c(void **state)
{
	stacked_enable(&s, orc('a', "fg"));
	stacked_enable(&s, orc('b', "fh"));
	stacked_enable(&s, orc('c', "f"));
	stacked_enter(&s, 0, 'h', 2);
	stacked_enter(&s, 1, 'f', 3);
	stacked_begin_disable(&s, "orc_b");
	stacked_expect_pending(&s, 1);
	expect_fgh(NEW, 3, 1, 0);
	stacked_nest(&s, 0, 'f', 3);
	stacked_nest(&s, 0, 'h', 2);
	refused_as_busy(stacked_load(&s, orc('d', "g"), SHORT_MS, 0));
	refused_as_busy(stacked_unload(&s, "orc_a", SHORT_MS, 0));
	stacked_leave(&s, 0, 2, 2);
	stacked_complete(&s);
	expect_fgh(NEW, 3, 1, 0);
	stacked_disable(&s, "orc_a");
	stacked_begin_disable(&s, "orc_c");
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 1, 3, 0);
	stacked_complete(&s);
	expect_fgh(NEW, 0, 0, 0);
	stacked_expect_log(&s, "PATCH:orc_a PATCH:orc_b PATCH:orc_c UNPATCH:orc_b UNPATCH:orc_a "
			   "UNPATCH:orc_c");
}

static void test_s5d(void **state)
{
	stacked_enable(&s, orc('a', "f"));
	stacked_enable(&s, orc('b', "f"));
	stacked_enable(&s, orc('c', "f"));
	stacked_enter(&s, 1, 'f', 3);
	stacked_disable(&s, "orc_b");
	stacked_begin_enable(&s, orc('d', "f"));
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 1, 3, 0);
	stacked_complete(&s);
	stacked_call(&s, NEW, 'f', 4, 0);
	stacked_enable(&s, orc('b', "f"));
	stacked_expect_patches(&s, "orc_a orc_c orc_d orc_b");
	stacked_call(&s, NEW, 'f', 2, 0);
	stacked_disable(&s, "orc_d");
	stacked_call(&s, NEW, 'f', 2, 0);
	stacked_disable(&s, "orc_b");
	stacked_call(&s, NEW, 'f', 3, 0);
	stacked_disable(&s, "orc_c");
	stacked_call(&s, NEW, 'f', 1, 0);
	stacked_disable(&s, "orc_a");
	stacked_call(&s, NEW, 'f', 0, 0);
}

#define S(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		S(s1a), S(s1b), S(s1c), S(s1d), S(s1e), S(s1f), S(s1g),
		S(s2a), S(s2b), S(s2c), S(s2d), S(s2e), S(s2f),
		S(s3a), S(s3b), S(s3c), S(s3d),
		S(s4a), S(s4b), S(s4c),
		S(s5a), S(s5b), S(s5c), S(s5d),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
