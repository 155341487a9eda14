/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program that uses the library, and has children, a SIGCHLD handler and a thread in
 * waitpid(-1) of its own: what it patches is not its tracee, so none of these takes a stop away
 * from who waits for it, and none of its children is taken away from it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/scenario.h"
#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define VISITS 20
#define OWN_STATUS 7

static struct scenario_victim victim;
static const char *patch;

/* What the host's own waiting has seen. */
static atomic_bool enough;
static atomic_uint stops, own_ends, other_ends, chld;
static atomic_int own_child;

static void note_chld(int sig)
{
	chld++;
}

/* Stops too, as a shell or a debugger would. */
static void *wait_for_anybody(void *arg)
{
	int status;

	while (!enough) {
		pid_t pid = waitpid(-1, &status, WUNTRACED | WCONTINUED | __WALL);

		if (pid < 0) {
			nap_us(200);
			continue;
		}
		if (WIFSTOPPED(status) || WIFCONTINUED(status))
			stops++;
		else if (pid == own_child && WIFEXITED(status) && WEXITSTATUS(status) == OWN_STATUS)
			own_ends++;
		else
			other_ends++;
	}
	return arg;
}

static void have_child(void)
{
	unsigned int ends = own_ends;
	int go[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		(void)!read(go[0], &c, 1);
		_exit(OWN_STATUS);
	}
	assert_true(pid > 0);
	own_child = pid;
	close(go[0]);
	close(go[1]);
	for (int i = 0; i < 10000 && own_ends == ends; i++)
		nap_us(1000);
	assert_int_equal(own_ends, ends + 1);
}

static void change(bool unload)
{
	struct ug_error err = { 0 };
	int r = unload ? ug_unload(victim.pid, "leaver-fix", NULL, NULL, &err) :
			 ug_load(victim.pid, patch, NULL, NULL, &err);

	if (r < 0)
		fail_msg("%s: %s", unload ? "unload" : "load", err.message);
}

/*
 * Told to cancel when it is about to answer, the helper process ends with a message that it has not
 * read, which the kernel tells the host before it hands over the answer.
 */
static void test_cancelled_at_the_end(void **state)
{
	const int cancel = 1;
	const struct ug_opts opts = { .sz = sizeof(opts), .cancel = &cancel };

	for (int i = 0; i < VISITS * 10; i++) {
		struct ug_error err = { 0 };
		int r = ug_unload(victim.pid, "no-such-patch", &opts, NULL, &err);

		if (r != -UG_E_NO_PATCH)
			fail_msg("visit %d: %d, %s", i, r, err.message);
	}
}

static void test_waits_itself(void **state)
{
	const struct sigaction sa = { .sa_handler = note_chld, .sa_flags = SA_RESTART };
	struct sigaction after;
	struct victim_state before;
	sigset_t mask, mask_after;
	pthread_t waiter;
	char why[512];

	if (victim_snapshot(victim.pid, &before, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	assert_int_equal(sigaction(SIGCHLD, &sa, NULL), 0);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	assert_int_equal(pthread_create(&waiter, NULL, wait_for_anybody, NULL), 0);
	for (int i = 0; i < VISITS; i++) {
		change(false);
		have_child();
		change(true);
	}
	assert_int_equal(own_ends, VISITS);
	assert_int_equal(stops, 0);
	print_message("# %u children of the host, %u of the library reaped by it, %u SIGCHLD\n",
		      (unsigned int)own_ends, (unsigned int)other_ends, (unsigned int)chld);
	assert_true(chld > 0);
	assert_int_equal(sigaction(SIGCHLD, NULL, &after), 0);
	assert_true(after.sa_handler == note_chld);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask_after), 0);
	for (int sig = 1; sig < NSIG; sig++)
		assert_int_equal(sigismember(&mask, sig), sigismember(&mask_after, sig));
	if (victim_compare(victim.pid, &before, VICTIM_CLEAN, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	victim_state_free(&before);
	enough = true;
	/* It waits for a child, of which the victim is the last. */
	scenario_stop(&victim);
	pthread_join(waiter, NULL);
}

static int set_up(void **state)
{
	const char *argv[] = { scenario_bin("tests/victims/leaver"), NULL };

	alarm(100);	/* a hang is a failure, too */
	patch = scenario_build(scenario_src("tests/scenarios/leaver_fix.c"), argv[0], NULL);
	scenario_start(&victim, argv);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancelled_at_the_end),
		cmocka_unit_test(test_waits_itself),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
