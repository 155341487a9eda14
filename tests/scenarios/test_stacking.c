/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Func stacks, atomic replace, reverse and force, with the log compared word for word. The
 * names in brackets are those of the kernel's own test cases and of what they leave out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "lib/stacked.h"

#define SHORT_MS 200
#define HOT 1

static struct stacked s;

static int set_up(void **state)
{
	stacked_start(&s, HOT);
	return 0;
}

static int tear_down(void **state)
{
	stacked_stop(&s);
	return 0;
}

/* [L2, N3] The same function in three patches; the middle, the bottom, the top go. */
static void test_stack(void **state)
{
	stacked_enable(&s, stacked_patch("p1", 1, "fg", false));
	stacked_call(&s, 0, 'f', 1, 1);
	stacked_enable(&s, stacked_patch("p2", 2, "f", false));
	stacked_call(&s, 0, 'f', 2, 1);
	stacked_enable(&s, stacked_patch("p3", 3, "fh", false));
	stacked_call(&s, 0, 'f', 3, 1);
	stacked_call(&s, 0, 'h', 3, 3);
	stacked_expect_patches(&s, "p1 p2 p3");
	stacked_expect_log(&s, "PATCH:p1 PATCH:p2 PATCH:p3");

	stacked_disable(&s, "p2");
	stacked_call(&s, 0, 'f', 3, 1);
	stacked_expect_patches(&s, "p1 p3");
	stacked_disable(&s, "p1");
	stacked_call(&s, 0, 'f', 3, 0);
	stacked_disable(&s, "p3");
	stacked_call(&s, 0, 'f', 0, 0);
	stacked_call(&s, 0, 'h', 0, 0);
	stacked_expect_log(&s, "UNPATCH:p2 UNPATCH:p1 UNPATCH:p3");
}

/* "Unpatched" is the next lower version, not the original. */
static void test_fall_back(void **state)
{
	stacked_enable(&s, stacked_patch("p1", 1, "fg", false));
	stacked_enable(&s, stacked_patch("p2", 2, "f", false));
	stacked_disable(&s, "p2");
	stacked_call(&s, 0, 'f', 1, 1);
	stacked_disable(&s, "p1");
	stacked_expect_log(&s, "PATCH:p1 PATCH:p2 UNPATCH:p2 UNPATCH:p1");
}

/* [L3, C11, S4a] A replace takes all older ones away; what it lacks is original again. */
static void test_replace(void **state)
{
	const char *p1 = stacked_patch("p1", 1, "f", false);

	stacked_enable(&s, p1);
	stacked_enable(&s, stacked_patch("p2", 2, "gh", false));
	stacked_enable(&s, stacked_patch("p3", 3, "f", true));
	stacked_call(&s, 0, 'f', 3, 0);
	stacked_call(&s, 0, 'h', 0, 0);
	stacked_expect_patches(&s, "p3");
	stacked_expect_log(&s, "PATCH:p1 PATCH:p2 PATCH:p3");
	/* [N17] What was replaced can be loaded again, on top. */
	stacked_enable(&s, p1);
	stacked_call(&s, 0, 'f', 1, 0);
	stacked_expect_patches(&s, "p3 p1");
	stacked_disable(&s, "p3");
	stacked_call(&s, 0, 'f', 1, 0);
	stacked_disable(&s, "p1");
	stacked_call(&s, 0, 'f', 0, 0);
	stacked_expect_log(&s, "PATCH:p1 UNPATCH:p3 UNPATCH:p1");
}

/* [S1a, S1f] Asleep in a version that is replaced, also by a nop: it waits. */
static void test_replace_waits(void **state)
{
	stacked_enable(&s, stacked_patch("p1", 1, "fg", false));
	stacked_enter(&s, 0, 'g', 1);
	stacked_enter(&s, 1, 'f', 1);
	stacked_begin_enable(&s, stacked_patch("p2", 2, "f", true));
	stacked_expect_patches(&s, "p1 p2:patching");
	stacked_call(&s, 2, 'f', 2, 0);
	/* The sleepers' nested calls run what they always ran. */
	stacked_nest(&s, 0, 'f', 1);
	stacked_nest(&s, 1, 'g', 1);
	stacked_leave(&s, 1, 1, 1);
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 0, 1, 1);
	stacked_complete(&s);
	stacked_drain(&s);
	stacked_expect_patches(&s, "p2");
	stacked_call(&s, 0, 'f', 2, 0);
	stacked_call(&s, 1, 'g', 0, 0);
	stacked_disable(&s, "p2");
	stacked_expect_log(&s, "PATCH:p1 EN:p2 IP:p2 SP:p2 CP:p2 PC:p2 UNPATCH:p2");
}

/* [N6, S1c, S3d] One transition at a time; a second one is refused and disturbs nothing. */
static void test_busy(void **state)
{
	const char *p2 = stacked_patch("p2", 2, "h", false);

	stacked_enable(&s, stacked_patch("p0", 9, "h", false));
	stacked_enter(&s, 0, 'f', 0);
	stacked_begin_enable(&s, stacked_patch("p1", 1, "f", false));
	assert_int_equal(stacked_load(&s, p2, SHORT_MS, 0), -UG_E_TRANSITION);
	assert_int_equal(ug_error_errno(-UG_E_TRANSITION), EBUSY);
	assert_int_equal(stacked_unload(&s, "p0", SHORT_MS, 0), -UG_E_TRANSITION);
	stacked_expect_patches(&s, "p0 p1:patching");
	stacked_call(&s, 1, 'h', 9, 9);
	stacked_call(&s, 1, 'f', 1, 0);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	stacked_enable(&s, p2);
	stacked_disable(&s, "p2");
	stacked_disable(&s, "p1");
	stacked_disable(&s, "p0");
	stacked_expect_log(&s, "PATCH:p0 PATCH:p1 PATCH:p2 UNPATCH:p2 UNPATCH:p1 UNPATCH:p0");
}

/* [S3a, C9] Disabling what is being enabled reverses it; a sleeper in the old does not hold
 * that up. */
static void test_disable_reverses(void **state)
{
	stacked_enter(&s, 0, 'f', 0);
	stacked_begin_enable(&s, stacked_patch("p1", 1, "f", false));
	stacked_expect_log(&s, "EN:p1 IP:p1 SP:p1");
	stacked_disable(&s, "p1");
	stacked_expect_patches(&s, "");
	stacked_expect_log(&s, "RU:p1 SU:p1 CU:p1 UC:p1");
	stacked_call(&s, 1, 'f', 0, 0);
	stacked_leave(&s, 0, 0, 0);
}

/* [S3b, N4] Asleep in the new version: the reversal waits, and can be reversed again. */
static void test_reverse_twice(void **state)
{
	stacked_enter(&s, 0, 'f', 0);
	stacked_begin_enable(&s, stacked_patch("p1", 1, "f", false));
	stacked_enter(&s, 1, 'f', 1);
	stacked_begin_reverse(&s);
	stacked_expect_patches(&s, "p1:unpatching");
	stacked_call(&s, 2, 'f', 0, 0);
	stacked_nest(&s, 1, 'f', 1);
	stacked_begin_reverse(&s);
	stacked_expect_patches(&s, "p1:patching");
	stacked_call(&s, 2, 'f', 1, 0);
	stacked_nest(&s, 0, 'f', 0);
	stacked_leave(&s, 0, 0, 0);
	stacked_complete(&s);
	stacked_expect_log(&s, "EN:p1 IP:p1 SP:p1 RU:p1 SU:p1 RP:p1 SP:p1 CP:p1 PC:p1");
	/* A disable that is reversed: the patch stays. */
	stacked_begin_disable(&s, "p1");
	assert_int_equal(stacked_reverse(&s), 0);
	assert_int_equal(s.report.outcome, UG_DONE);
	stacked_expect_patches(&s, "p1");
	stacked_expect_log(&s, "IU:p1 SU:p1 RP:p1 SP:p1 CP:p1 PC:p1");
	stacked_leave(&s, 1, 1, 0);
	stacked_disable(&s, "p1");
	stacked_drain(&s);
}

/* [S3c, N5] A reversed replace leaves the old patches in force; a thread that came into the
 * original through a nop has to leave it first. */
static void test_reverse_replace(void **state)
{
	stacked_enable(&s, stacked_patch("p1", 1, "fg", false));
	stacked_enter(&s, 0, 'f', 1);
	stacked_begin_enable(&s, stacked_patch("p2", 2, "f", true));
	stacked_enter(&s, 1, 'g', 0);
	stacked_begin_reverse(&s);
	stacked_expect_pending(&s, 1);
	stacked_call(&s, 2, 'f', 1, 1);
	stacked_leave(&s, 1, 0, 0);
	stacked_complete(&s);
	stacked_expect_patches(&s, "p1");
	stacked_leave(&s, 0, 1, 1);
	stacked_disable(&s, "p1");
	stacked_expect_log(&s, "PATCH:p1 EN:p2 IP:p2 SP:p2 RU:p2 SU:p2 CU:p2 UC:p2 UNPATCH:p1");
}

/* [S2f, N1, N7] Nothing to force, nothing to reverse. */
static void test_no_transition(void **state)
{
	assert_int_equal(stacked_force(&s, NULL), -UG_E_NO_TRANSITION);
	assert_int_equal(ug_error_errno(-UG_E_NO_TRANSITION), EINVAL);
	assert_int_equal(stacked_reverse(&s), -UG_E_NO_TRANSITION);
	assert_int_equal(stacked_wait(&s, SHORT_MS), 0);
	assert_int_equal(s.report.outcome, UG_ALREADY);
	assert_int_equal(stacked_unload(&s, "p1", SHORT_MS, 0), -UG_E_NO_PATCH);
	stacked_expect_log(&s, "");
}

/*
 * [N2, S2e] Asleep in version 1, version 2 forced on top, version 3 as atomic replace. The
 * kernel looks for version 2 only, frees version 1 under the sleeper and crashes. Here the
 * sleeper is waited for.
 */
static void test_one_two_three(void **state)
{
	stacked_enable(&s, stacked_patch("p1", 1, "f", false));
	stacked_enter(&s, 0, 'f', 1);
	stacked_begin_enable(&s, stacked_patch("p2", 2, "f", false));
	stacked_must_force(&s, 1);
	stacked_expect_patches(&s, "p1 p2");
	stacked_nest(&s, 0, 'f', 2);
	stacked_begin_enable(&s, stacked_patch("p3", 3, "f", true));
	stacked_expect_pending(&s, 1);
	stacked_call(&s, 1, 'f', 3, 0);
	stacked_nest(&s, 0, 'f', 2);
	stacked_leave(&s, 0, 1, 0);
	stacked_complete(&s);
	stacked_drain(&s);
	stacked_expect_patches(&s, "p3");
	stacked_disable(&s, "p3");
	stacked_expect_log(&s, "PATCH:p1 EN:p2 IP:p2 SP:p2 FO CP:p2 PC:p2 "
			   "EN:p3 IP:p3 SP:p3 CP:p3 PC:p3 UNPATCH:p3");
}

/* [S2b, N1, N17] A forced replace: what it removed is still executed, and is released when it
 * is not (the kernel pins it for ever). Until then its name is taken. */
static void test_forced_replace(void **state)
{
	const char *p1 = stacked_patch("p1", 1, "f", false);

	stacked_enable(&s, p1);
	stacked_enter(&s, 0, 'f', 1);
	stacked_begin_enable(&s, stacked_patch("p2", 2, "f", true));
	stacked_must_force(&s, 1);
	stacked_expect_patches(&s, "p2 (p1:left:forced)");
	assert_int_equal(stacked_load(&s, p1, SHORT_MS, 0), -EBUSY);
	/* A second one waits for the sleeper, which is two versions down. */
	stacked_begin_enable(&s, stacked_patch("p3", 3, "f", true));
	stacked_expect_pending(&s, 1);
	stacked_leave(&s, 0, 1, 0);
	stacked_complete(&s);
	stacked_drain(&s);
	stacked_expect_patches(&s, "p3");
	stacked_enable(&s, p1);
	stacked_disable(&s, "p1");
	stacked_disable(&s, "p3");
}

/* [S2c, N1] A forced disable: the version stays mapped until its sleeper has left. */
static void test_forced_disable(void **state)
{
	stacked_enable(&s, stacked_patch("p1", 1, "f", false));
	stacked_enter(&s, 0, 'f', 1);
	stacked_begin_disable(&s, "p1");
	stacked_must_force(&s, 1);
	stacked_expect_patches(&s, "(p1:left:forced)");
	stacked_call(&s, 1, 'f', 0, 0);
	stacked_nest(&s, 0, 'f', 0);
	stacked_leave(&s, 0, 1, 0);
	stacked_drain(&s);
	stacked_expect_log(&s, "PATCH:p1 IU:p1 SU:p1 FO CU:p1 UC:p1");
}

/* [S2d] Forced on top of a sleeper: taking the lower patch back waits for it, though nothing
 * leads to its version of f any more. */
static void test_lower_is_waited_for(void **state)
{
	stacked_enable(&s, stacked_patch("p1", 1, "fg", false));
	stacked_enter(&s, 0, 'f', 1);
	stacked_begin_enable(&s, stacked_patch("p2", 2, "f", false));
	stacked_must_force(&s, 1);
	stacked_begin_disable(&s, "p1");
	stacked_expect_pending(&s, 1);
	stacked_call(&s, 1, 'f', 2, 0);
	/* What it calls is still the old patch's. */
	stacked_leave(&s, 0, 1, 1);
	stacked_complete(&s);
	stacked_disable(&s, "p2");
	stacked_drain(&s);
}

/* A disable that moves nothing, for another patch is above all of it, can be reversed, too. */
static void test_reverse_of_nothing(void **state)
{
	stacked_enable(&s, stacked_patch("p1", 1, "f", false));
	stacked_enter(&s, 0, 'f', 1);
	stacked_begin_enable(&s, stacked_patch("p2", 2, "f", false));
	stacked_must_force(&s, 1);
	stacked_begin_disable(&s, "p1");
	assert_int_equal(stacked_reverse(&s), 0);
	assert_int_equal(s.report.outcome, UG_DONE);
	stacked_expect_patches(&s, "p1 p2");
	stacked_leave(&s, 0, 1, 0);
	stacked_disable(&s, "p2");
	stacked_call(&s, 0, 'f', 1, 0);
	stacked_disable(&s, "p1");
	stacked_drain(&s);
}

#define STACKED_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		STACKED_TEST(test_stack),
		STACKED_TEST(test_fall_back),
		STACKED_TEST(test_replace),
		STACKED_TEST(test_replace_waits),
		STACKED_TEST(test_busy),
		STACKED_TEST(test_disable_reverses),
		STACKED_TEST(test_reverse_twice),
		STACKED_TEST(test_reverse_replace),
		STACKED_TEST(test_no_transition),
		STACKED_TEST(test_one_two_three),
		STACKED_TEST(test_forced_replace),
		STACKED_TEST(test_forced_disable),
		STACKED_TEST(test_lower_is_waited_for),
		STACKED_TEST(test_reverse_of_nothing),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
