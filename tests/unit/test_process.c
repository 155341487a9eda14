// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stopping and resuming. Victims are children of the test; whatever traces runs in a child of
 * its own, as in production, and reports by its exit status.
 */
#include "process_help.h"

static char **own_argv;

static void count_signal(int sig)
{
	sh->handled++;
}

static void victim_signals(long arg)
{
	struct sigaction sa = { .sa_handler = count_signal };

	sigaction(SIGRTMIN, &sa, NULL);
	thread(doze, NULL);
	thread(in_epoll, NULL);
	spin(&sh->spins[0]);
}

static void *tell_and_epoll(void *arg)
{
	sh->held = (int)gettid();
	return in_epoll(arg);
}

static void victim_one_in_epoll(long arg)
{
	thread(tell_and_epoll, NULL);
	victim_idle(0);
}

/* Who is created runs for a while: it is not stopped when its creator is. */
static void *live_shortly(void *arg)
{
	for (int i = 0; i < 2000; i++)
		sh->spins[1]++;
	return arg;
}

static void *create_and_join(void *arg)
{
	pthread_t t;

	for (sh->ready++;; sh->rounds++)
		if (pthread_create(&t, NULL, live_shortly, NULL) || pthread_join(t, NULL))
			_exit(3);
	return arg;
}

static void victim_storm(long arg)
{
	thread(create_and_join, NULL);
	thread(create_and_join, NULL);
	for (sh->ready++;;) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			_exit(3);
	}
}

static void victim_exec(long arg)
{
	execl("/proc/self/exe", own_argv[0], "exec-loop", NULL);
}

/* Entered by main of the new program: threads, a little life, and again. */
static void exec_again(void)
{
	static struct shared local;

	sh = &local;
	for (int i = 0; i < 10; i++)
		thread(doze, NULL);
	msleep(3);
	victim_exec(0);
	_exit(4);
}

static void *exec_on_demand(void *arg)
{
	for (sh->ready++; !sh->quit;)
		msleep(1);
	execl("/bin/sleep", "sleep", "100", NULL);
	_exit(4);
	return arg;
}

static void victim_exec_on_demand(long n)
{
	thread(exec_on_demand, NULL);
	victim_sleepers(n - 1);
}

static void victim_vfork(long ms)
{
	sh->ready++;
	if (vfork() == 0) {
		usleep((useconds_t)ms * 1000);
		_exit(0);
	}
	victim_idle(0);
}

static int share_memory(void *arg)
{
	victim_idle(0);
	return 0;
}

static void victim_sharer(long arg)
{
	static char stack[65536];

	if (clone(share_memory, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL) < 0)
		_exit(2);
	victim_idle(0);
}

static void *exit_leader_watch(void *arg)
{
	msleep(20);
	sh->ready++;
	for (;;)
		sh->spins[0]++;
	return arg;
}

static void victim_dead_leader(long arg)
{
	thread(exit_leader_watch, NULL);
	pthread_exit(NULL);
}

/* ---- tracers ---- */

static struct ug_stop *open_stop(pid_t victim, struct ug_proc *p, uint64_t budget_us)
{
	struct ug_stop_opts opts = { .budget_us = budget_us, .timeout_us = budget_us };
	struct ug_stop *s;

	CHECK(ug_tracer_init(&e) == 0);
	CHECK(ug_proc_open(victim, p, &e) == 0);
	CHECK(ug_stop_create(p, &opts, &s, &e) == 0);
	return s;
}

/* The budget is a matter of a busy test machine: what counts is that a retry gets there. */
static void stop_patiently(struct ug_stop *s)
{
	int r = -1;

	for (int i = 0; i < 20 && r < 0; i++) {
		r = ug_stop_all(s, NULL, NULL, &e);
		CHECK(r == 0 || r == -UG_E_UNSTOPPABLE);
	}
	CHECK(r == 0);
}

static unsigned long total_spins(void)
{
	unsigned long sum = 0;

	for (int i = 0; i < MAX_THREADS; i++)
		sum += sh->spins[i];
	return sum;
}

static void trace_mixed(long n)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 100000);

	for (int i = 0; i < 20; i++) {
		unsigned long before;

		stop_patiently(s);
		CHECK(ug_stop_count(s) == (size_t)n);
		before = total_spins();
		msleep(1);
		CHECK(total_spins() == before);
		ug_stop_for_each(s, t)
			CHECK(t->regs.cs == 0x33 && t->kind == UG_STOP_EVENT);
		ug_stop_resume(s);
		CHECK(ug_stop_stats(s)->threads == (unsigned int)n);
		CHECK(ug_tracer_alone());
		msleep(1);
	}
	msleep(20);
	for (int i = 0; i < n; i += 16) {
		unsigned long before = sh->spins[i];

		for (int j = 0; j < 2000 && sh->spins[i] == before; j++)
			msleep(1);
		CHECK(sh->spins[i] != before);
	}
	ug_stop_destroy(s);
	ug_proc_close(&p);
}

static void trace_often(long n)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 100000);

	for (long i = 0; i < n; i++) {
		stop_patiently(s);
		ug_stop_resume(s);
		usleep(3000);
	}
	ug_stop_destroy(s);
}

static void trace_uncured(long n)
{
	ug_cure_enabled = false;
	trace_often(n);
}

static void trace_group_stopped(long n)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 100000);

	stop_patiently(s);
	CHECK(ug_stop_count(s) == (size_t)n);
	ug_stop_for_each(s, t)
		CHECK(t->kind == UG_STOP_GROUP);
	ug_stop_destroy(s);
}

static void trace_overdue(long n)
{
	struct ug_proc p, q;
	struct ug_stop *s = open_stop(target, &p, 100000);
	struct ug_stop *patient;

	CHECK(!ug_stop_is_overdue(s));
	stop_patiently(s);
	CHECK(ug_stop_count(s) == (size_t)n);
	msleep(110);
	CHECK(ug_stop_is_overdue(s));
	ug_stop_destroy(s);
	patient = open_stop(target, &q, 60000000);
	stop_patiently(patient);
	msleep(110);
	CHECK(!ug_stop_is_overdue(patient));
	ug_stop_destroy(patient);
}

#define SLEEPERS 600
#define LAST 300

struct span {
	uint64_t first_ns, last_ns;
	bool any_running;	/* then the budget begins later */
};

/* The first take their time, in which others stop; the last must be waited for. */
static int note_span(struct ug_stop *s, struct ug_thread *t, void *ctx, struct ug_error *err)
{
	struct span *shown = ctx;

	if (ug_stop_count(s) + LAST < SLEEPERS)
		usleep(150);
	shown->any_running |= !t->was_asleep;
	shown->last_ns = ug_now_ns();
	if (!shown->first_ns)
		shown->first_ns = shown->last_ns;
	return 0;
}

/*
 * Was it stopped in time, though the first stood for twice as long before the last did? 1, 0;
 * -1: some thread ran.
 */
static int is_patient_with_sleepers(struct ug_proc *p, size_t n, uint64_t budget_us)
{
	const struct ug_stop_opts opts = { .budget_us = budget_us };
	struct span shown = { 0 };
	struct ug_stop *s;
	bool in_time;
	int r;

	CHECK(ug_stop_create(p, &opts, &s, &e) == 0);
	r = ug_stop_all(s, note_span, &shown, &e);
	in_time = r == 0 && !ug_stop_is_overdue(s);
	CHECK(r == -UG_E_UNSTOPPABLE || (r == 0 && ug_stop_count(s) == n));
	ug_stop_destroy(s);
	if (shown.any_running)
		return -1;
	return in_time && shown.last_ns - shown.first_ns > 2 * budget_us * 1000;
}

/*
 * A budget that would not do to stop them one after the other: only runners would wait. It does
 * four times of six; once it may be luck. On a busy machine the last ones need a larger one.
 */
static void trace_sleepers(long n)
{
	struct ug_proc p;
	int patient = 0;

	ug_stop_destroy(open_stop(target, &p, 0));
	for (uint64_t us = 2000; us <= 32000 && patient < 4; us *= 2) {
		int impatient = 0;

		patient = 0;
		for (int i = 0; i < 15 && patient < 4 && impatient < 3; i++) {
			int r = is_patient_with_sleepers(&p, (size_t)n, us);

			patient += r == 1;
			impatient += r == 0;
		}
	}
	CHECK(patient == 4);
	ug_proc_close(&p);
}

static void trace_storm(long ms)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 100000);
	uint64_t until = ug_now_ns() + (uint64_t)ms * 1000000;

	while (ug_now_ns() < until) {
		unsigned long spins;
		int before;

		stop_patiently(s);
		before = sh->rounds;
		spins = sh->spins[1];
		usleep(300);
		CHECK(sh->rounds == before && sh->spins[1] == spins);
		ug_stop_resume(s);
		CHECK(ug_tracer_strays() == 0);
		usleep(2000);
	}
	ug_stop_destroy(s);
}

static void trace_exec(long ms)
{
	uint64_t until = ug_now_ns() + (uint64_t)ms * 1000000;
	int stopped = 0, refused = 0;

	CHECK(ug_tracer_init(&e) == 0);
	while (ug_now_ns() < until) {
		struct ug_stop *s;
		struct ug_proc p;
		int r = ug_proc_open(target, &p, &e);

		if (r < 0) {
			refused++;
			continue;
		}
		CHECK(ug_stop_create(&p, NULL, &s, &e) == 0);
		r = ug_stop_all(s, NULL, NULL, &e);
		CHECK(r == 0 || r == -UG_E_GONE || r == -UG_E_UNSTOPPABLE);
		stopped += r == 0;
		refused += r < 0;
		ug_stop_destroy(s);
		ug_proc_close(&p);
		usleep(500);
	}
	CHECK(stopped > 0);
}

/* The exec waits until the thread that we hold, and that it has killed, is reaped; meanwhile it
 * has the mutex that the next SEIZE needs. */
static void trace_exec_held(long n)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 100000);
	struct ug_thread *t;
	struct ug_tasks tasks;

	CHECK(ug_tasks_list(&p, &tasks, &e) == 0 && tasks.n == (size_t)n);
	CHECK(ug_stop_thread(s, tasks.v[n - 1].tid, &t, &e) == 0);
	sh->quit = 1;
	msleep(100);
	CHECK(ug_stop_all(s, NULL, NULL, &e) == -UG_E_GONE);
	CHECK(ug_tracer_alone());
	ug_stop_destroy(s);
}

static void trace_and_hold(long stop_self)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, stop_self ? 10000 : 100000);

	stop_patiently(s);
	sh->held = 1;
	if (stop_self)
		raise(SIGSTOP);
	for (;;)
		pause();
}

static void trace_refused(long code)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 0);

	CHECK(ug_stop_all(s, NULL, NULL, &e) == code);
	CHECK(ug_stop_count(s) == 0);
	ug_stop_destroy(s);
}

static void trace_single(long n)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 0);
	struct ug_thread *t, *again;
	struct ug_tasks tasks;

	CHECK(ug_tasks_list(&p, &tasks, &e) == 0 && tasks.n == (size_t)n);
	CHECK(ug_stop_thread(s, tasks.v[1].tid, &t, &e) == 0);
	CHECK(t->tid == tasks.v[1].tid && ug_stop_count(s) == 1);
	CHECK(ug_stop_thread(s, t->tid, &again, &e) == 0 && again == t);
	CHECK(ug_stop_thread(s, tasks.v[0].tid, &again, &e) == 0);
	CHECK(state_of(target, target) == 't');
	ug_stop_release(s, again);
	CHECK(state_of(target, target) != 't' && ug_stop_count(s) == 1);
	/* A whole stop takes over what is held. */
	stop_patiently(s);
	CHECK(ug_stop_count(s) == (size_t)n);
	ug_stop_resume(s);
	CHECK(ug_stop_thread(s, 1, &t, &e) == -ESRCH);
	CHECK(ug_tracer_alone());
	ug_stop_destroy(s);
}

static int veto(struct ug_stop *s, struct ug_thread *t, void *ctx, struct ug_error *err)
{
	return ++*(int *)ctx == 2 ? -EDOM : 0;
}

static void trace_veto(long n)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 100000);
	int calls = 0;

	CHECK(ug_stop_all(s, veto, &calls, &e) == -EDOM);
	CHECK(calls == 2 && ug_stop_count(s) == 0 && ug_tracer_alone());
	ug_stop_destroy(s);
}

/*
 * Shown first is who was held before: then the one in epoll_wait is seized, but not interrupted
 * yet. A traced thread is woken by signals it ignores, too, and stops for this one.
 */
static int send_ignored(struct ug_stop *s, struct ug_thread *t, void *ctx, struct ug_error *err)
{
	const int *sig = ctx;

	if (t->tid == sh->held) {
		sh->handled += t->kind == UG_STOP_SIGNAL && t->signo == *sig;
		return 0;
	}
	CHECK(syscall(SYS_tgkill, target, sh->held, *sig) == 0);
	for (int i = 0; i < 5000 && state_of(target, sh->held) != 't'; i++)
		msleep(1);
	return 0;
}

static void await_epoll(struct ug_proc *p)
{
	struct ug_task_syscall sc = { .running = true };

	for (int i = 0; i < 5000 && (sc.running || sc.nr != SYS_epoll_wait); i++) {
		CHECK(ug_task_syscall(p, sh->held, &sc, &e) == 0);
		msleep(1);
	}
	CHECK(!sc.running && sc.nr == SYS_epoll_wait);
}

static void trace_ignored(long cure)
{
	static int ignored[] = { SIGURG, SIGWINCH, SIGCHLD };
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 10000000);
	struct ug_thread *t;

	ug_cure_enabled = cure;
	for (int i = 0; i < 20; i++) {
		await_epoll(&p);
		CHECK(ug_stop_thread(s, target, &t, &e) == 0);
		CHECK(ug_stop_all(s, send_ignored, &ignored[i % 3], &e) == 0);
		ug_stop_resume(s);
		CHECK(sh->handled == i + 1);
	}
	await_epoll(&p);
	ug_stop_destroy(s);
	ug_proc_close(&p);
}

/* ---- tests: stopping ---- */

static void stop_n(long n)
{
	target = spawn_victim(victim_mixed, n, (int)n);
	run_tracer(trace_mixed, n);
	end(target);
}

static void test_stop_1(void **state)
{
	stop_n(1);
}

static void test_stop_8(void **state)
{
	stop_n(8);
}

static void test_stop_100(void **state)
{
	stop_n(100);
}

static void test_single(void **state)
{
	target = spawn_victim(victim_mixed, 4, 4);
	run_tracer(trace_single, 4);
	run_tracer(trace_veto, 4);
	assert_true(untraced(target));
	end(target);
}

static void test_no_eintr(void **state)
{
	target = spawn_victim(victim_class_e, 0, 5);
	run_tracer(trace_often, 50);
	for (int i = 0; i < 4; i++)
		assert_int_equal(sh->eintr[i], 0);
	/* The same without the cure shows that these calls need it. */
	sh->quit = 1;
	run_tracer(trace_uncured, 3);
	for (int i = 0; i < 4; i++)
		assert_true(sh->eintr[i] > 0);
	end(target);
}

static void test_ignored(void **state)
{
	for (int cure = 0; cure < 2; cure++) {
		target = spawn_victim(victim_one_in_epoll, 0, 2);
		run_tracer(trace_ignored, cure);
		if (cure)
			assert_int_equal(sh->eintr[0], 0);
		else
			assert_int_equal(sh->eintr[0], 20);
		end(target);
	}
}

static void test_signals(void **state)
{
	union sigval v = { 0 };
	int sent = 0, status;
	pid_t tracer;

	target = spawn_victim(victim_signals, 0, 3);
	tracer = spawn(trace_often, 200);
	while (waitpid(tracer, &status, WNOHANG) == 0) {
		assert_int_equal(sigqueue(target, SIGRTMIN, v), 0);
		sent++;
		msleep(1);
	}
	assert_int_equal(status, 0);
	assert_true(sent > 200);
	for (int i = 0; i < 2000 && sh->handled < sent; i++)
		msleep(1);
	assert_int_equal(sh->handled, sent);
	end(target);
}

static void test_group_stop(void **state)
{
	unsigned long before;

	target = spawn_victim(victim_mixed, 4, 4);
	kill(target, SIGSTOP);
	assert_int_equal(waitpid(target, NULL, WUNTRACED), target);
	run_tracer(trace_group_stopped, 4);
	msleep(20);
	assert_int_equal(state_of(target, target), 'T');
	before = sh->spins[0];
	msleep(20);
	assert_true(sh->spins[0] == before);
	kill(target, SIGCONT);
	for (int i = 0; i < 2000 && sh->spins[0] == before; i++)
		msleep(1);
	assert_true(sh->spins[0] != before);
	end(target);
}

static void test_overdue(void **state)
{
	target = spawn_victim(victim_mixed, 4, 4);
	run_tracer(trace_overdue, 4);
	end(target);
}

static void test_sleepers(void **state)
{
	target = spawn_victim(victim_sleepers, SLEEPERS, SLEEPERS);
	run_tracer(trace_sleepers, SLEEPERS);
	end(target);
}

static void test_storm(void **state)
{
	int before;

	target = spawn_victim(victim_storm, 0, 3);
	run_tracer(trace_storm, 1500);
	before = sh->rounds;
	for (int i = 0; i < 2000 && sh->rounds == before; i++)
		msleep(1);
	assert_true(sh->rounds > before);
	assert_int_equal(waitpid(target, NULL, WNOHANG), 0);
	end(target);
}

static void test_exec(void **state)
{
	memset(sh, 0, sizeof(*sh));
	target = spawn(victim_exec, 0);
	msleep(20);
	run_tracer(trace_exec, 1500);
	assert_int_equal(waitpid(target, NULL, WNOHANG), 0);
	end(target);
}

static void test_exec_held(void **state)
{
	target = spawn_victim(victim_exec_on_demand, 6, 6);
	run_tracer(trace_exec_held, 6);
	assert_int_equal(waitpid(target, NULL, WNOHANG), 0);
	end(target);
}

static void test_tracer_killed(void **state)
{
	unsigned long before;
	pid_t tracer;

	target = spawn_victim(victim_signals, 0, 3);
	tracer = spawn(trace_and_hold, 0);
	for (int i = 0; i < 5000 && !sh->held; i++)
		msleep(1);
	assert_true(sh->held);
	before = sh->spins[0];
	assert_true(sh->spins[0] == before);
	end(tracer);
	for (int i = 0; i < 2000 && sh->spins[0] == before; i++)
		msleep(1);
	assert_true(sh->spins[0] != before);
	assert_int_equal(sh->eintr[0], 0);
	assert_true(untraced(target));
	end(target);
}

static void test_watchdog(void **state)
{
	unsigned long before;
	int status = -1;
	pid_t tracer;

	target = spawn_victim(victim_mixed, 4, 4);
	tracer = spawn(trace_and_hold, 1);
	for (int i = 0; i < 3000 && waitpid(tracer, &status, WNOHANG) == 0; i++)
		msleep(1);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(sh->held);
	before = sh->spins[0];
	for (int i = 0; i < 2000 && sh->spins[0] == before; i++)
		msleep(1);
	assert_true(sh->spins[0] != before);
	end(target);
}

static void test_traced(void **state)
{
	struct ug_proc p;
	pid_t tracer;

	target = spawn_victim(victim_mixed, 2, 2);
	tracer = spawn(trace_and_hold, 0);
	for (int i = 0; i < 5000 && !sh->held; i++)
		msleep(1);
	run_tracer(trace_refused, -UG_E_TRACED);
	assert_int_equal(ug_proc_open(target, &p, NULL), 0);
	assert_int_equal(ug_proc_check_untraced(&p, &e), -UG_E_TRACED);
	assert_non_null(strstr(e.message, "traced by process"));
	end(tracer);
	assert_int_equal(ug_proc_check_untraced(&p, &e), 0);
	ug_proc_close(&p);
	end(target);
}

static void trace_vfork(long ms)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 20000);

	CHECK(ug_stop_all(s, NULL, NULL, &e) == -UG_E_VFORK);
	CHECK(ug_tracer_alone());
	CHECK(ug_proc_check_sharers(&p, &e) == -UG_E_VFORK);
	msleep((unsigned int)ms);
	stop_patiently(s);
	ug_stop_resume(s);
	CHECK(ug_proc_check_sharers(&p, &e) == 0);
	ug_stop_destroy(s);
}

static void test_vfork(void **state)
{
	target = spawn_victim(victim_vfork, 400, 1);
	run_tracer(trace_vfork, 500);
	end(target);
}

static void test_sharer(void **state)
{
	struct ug_proc p;

	target = spawn_victim(victim_sharer, 0, 2);
	assert_int_equal(ug_proc_open(target, &p, NULL), 0);
	assert_int_equal(ug_proc_check_sharers(&p, &e), -UG_E_SHARED_MM);
	ug_proc_close(&p);
	/* kill its child as well: the one that shares the memory */
	sh->quit = 1;
	{
		char path[64];
		FILE *f;
		int child = 0;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", target, target);
		f = fopen(path, "r");
		assert_non_null(f);
		assert_int_equal(fscanf(f, "%d", &child), 1);
		fclose(f);
		kill(child, SIGKILL);
	}
	end(target);
}

static void trace_dead_leader(long arg)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 100000);
	struct ug_maps maps;

	stop_patiently(s);
	CHECK(ug_stop_count(s) == 1 && ug_stop_at(s, 0)->tid != target);
	CHECK(ug_maps_read(&p, &maps, &e) == 0 && maps.n > 3);
	ug_maps_free(&maps);
	ug_stop_destroy(s);
	CHECK(ug_tracer_alone());
}

static void test_dead_leader(void **state)
{
	target = spawn_victim(victim_dead_leader, 0, 1);
	run_tracer(trace_dead_leader, 0);
	end(target);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_1),	     cmocka_unit_test(test_stop_8),
		cmocka_unit_test(test_stop_100),     cmocka_unit_test(test_single),
		cmocka_unit_test(test_no_eintr),     cmocka_unit_test(test_signals),
		cmocka_unit_test(test_group_stop),   cmocka_unit_test(test_storm),
		cmocka_unit_test(test_exec),	     cmocka_unit_test(test_exec_held),
		cmocka_unit_test(test_tracer_killed),
		cmocka_unit_test(test_watchdog),     cmocka_unit_test(test_traced),
		cmocka_unit_test(test_vfork),	     cmocka_unit_test(test_sharer),
		cmocka_unit_test(test_dead_leader),  cmocka_unit_test(test_overdue),
		cmocka_unit_test(test_sleepers),     cmocka_unit_test(test_ignored),
	};

	own_argv = argv;
	if (argc > 1 && !strcmp(argv[1], "exec-loop"))
		exec_again();
	return map_shared() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
