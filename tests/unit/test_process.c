// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lib/process. Victims are children of the test; whatever traces runs in a child of its own,
 * as in production, and reports by its exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/clock.h"
#include "process/internal.h"
#include "process/maps.h"

#define MAX_THREADS 128

static struct shared {
	_Atomic unsigned long spins[MAX_THREADS];
	_Atomic int ready;
	_Atomic int eintr[4];
	_Atomic int handled;
	_Atomic int rounds;
	_Atomic int held;
	_Atomic int quit;
} *sh;

static char **own_argv;

/* In a child: say where, and fail. */
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "# line %d: %s (%s)\n", __LINE__, #cond, e.message);       \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void msleep(unsigned int ms)
{
	usleep(ms * 1000);
}

static pid_t spawn(void (*body)(long), long arg)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	body(arg);
	_exit(0);
}

static pid_t spawn_victim(void (*body)(long), long arg, int ready)
{
	pid_t pid;

	memset(sh, 0, sizeof(*sh));
	pid = spawn(body, arg);
	for (int i = 0; i < 5000 && sh->ready < ready; i++)
		msleep(1);
	assert_true(sh->ready >= ready);
	msleep(5);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Run the tracing side and require that it exits with 0 in time. */
static void run_tracer(void (*body)(long), long arg)
{
	pid_t pid = spawn(body, arg);
	int status = -1;

	for (int i = 0; i < 15000 && waitpid(pid, &status, WNOHANG) == 0; i++)
		msleep(1);
	if (status == -1)
		end(pid);
	assert_int_equal(status, 0);
}

static char state_of(pid_t pid, pid_t tid)
{
	char path[64], buf[512], *close_bracket;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (!fgets(buf, sizeof(buf), f))
		buf[0] = '\0';
	fclose(f);
	close_bracket = strrchr(buf, ')');
	return close_bracket ? close_bracket[2] : 0;
}

static bool untraced(pid_t pid)
{
	struct ug_proc p;
	struct ug_tasks tasks;
	bool free_of_tracers = true;

	if (ug_proc_open(pid, &p, NULL) < 0)
		return false;
	assert_int_equal(ug_tasks_list(&p, &tasks, NULL), 0);
	for (size_t i = 0; i < tasks.n; i++)
		free_of_tracers = free_of_tracers && ug_task_tracer(&p, tasks.v[i].tid) <= 0;
	ug_tasks_free(&tasks);
	ug_proc_close(&p);
	return free_of_tracers;
}

/* ---- victims ---- */

static void *spin(void *arg)
{
	_Atomic unsigned long *count = arg;

	sh->ready++;
	for (;;)
		(*count)++;
	return NULL;
}

static void *doze(void *arg)
{
	sh->ready++;
	for (;;)
		pause();
	return arg;
}

static void thread(void *(*body)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, body, arg))
		_exit(2);
	pthread_detach(t);
}

/* n threads: the leader counts, and every 16th; the others sleep. */
static void victim_mixed(long n)
{
	for (long i = 1; i < n; i++)
		thread(i % 16 ? doze : spin, &sh->spins[i]);
	spin(&sh->spins[0]);
}

static void victim_idle(long arg)
{
	sh->ready++;
	for (;;)
		pause();
}

static void note(int i, bool failed)
{
	if (failed && errno == EINTR)
		sh->eintr[i]++;
}

static void *in_epoll(void *arg)
{
	int fd = epoll_create1(0);
	struct epoll_event ev;

	for (sh->ready++;;)
		note(0, epoll_wait(fd, &ev, 1, -1) < 0);
	return arg;
}

static void *in_semop(void *arg)
{
	int id = semget(IPC_PRIVATE, 1, 0600);
	struct sembuf op = { 0, -1, 0 };

	for (sh->ready++;;) {
		note(1, semop(id, &op, 1) < 0);
		if (sh->quit) {
			semctl(id, 0, IPC_RMID);
			sh->rounds++;
			pause();
		}
	}
	return arg;
}

static void *in_sigtimedwait(void *arg)
{
	struct timespec ts = { 1000, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	for (sh->ready++;;)
		note(2, sigtimedwait(&set, NULL, &ts) < 0);
	return arg;
}

static void *in_recv(void *arg)
{
	struct timeval tv = { 1000, 0 };
	int sv[2];
	char c;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) ||
	    setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)))
		_exit(2);
	for (sh->ready++;;)
		note(3, recv(sv[0], &c, 1, 0) < 0);
	return arg;
}

static void victim_class_e(long arg)
{
	thread(in_epoll, NULL);
	thread(in_semop, NULL);
	thread(in_sigtimedwait, NULL);
	thread(in_recv, NULL);
	victim_idle(0);
}

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

static void *nothing(void *arg)
{
	return arg;
}

static void *create_and_join(void *arg)
{
	pthread_t t;

	for (sh->ready++;; sh->rounds++)
		if (pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL))
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

static struct ug_error e;

static struct ug_stop *open_stop(pid_t victim, struct ug_proc *p, uint64_t budget_us)
{
	struct ug_stop_opts opts = { .budget_us = budget_us };
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

static pid_t target;	/* of the tracer bodies */

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

static void trace_storm(long ms)
{
	struct ug_proc p;
	struct ug_stop *s = open_stop(target, &p, 100000);
	uint64_t until = ug_now_ns() + (uint64_t)ms * 1000000;

	while (ug_now_ns() < until) {
		int before;

		stop_patiently(s);
		before = sh->rounds;
		usleep(300);
		CHECK(sh->rounds == before);
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

/* ---- tests: looking ---- */

static void test_open_errors(void **state)
{
	struct ug_proc p;
	pid_t pid = spawn(victim_idle, 0);

	assert_int_equal(ug_proc_open(pid, &p, &e), 0);
	assert_int_equal(ug_proc_check(&p, &e), 0);
	assert_int_equal(ug_proc_check_shadow_stack(&p, &e), 0);
	end(pid);
	assert_int_equal(ug_proc_check(&p, &e), -UG_E_GONE);
	ug_proc_close(&p);
	assert_int_equal(ug_proc_open(pid, &p, &e), -UG_E_GONE);
	assert_int_equal(ug_proc_open(2, &p, &e), -EINVAL);	/* kthreadd */
	assert_int_equal(ug_proc_open(-1, &p, &e), -EINVAL);
}

static void test_memory(void **state)
{
	static const char text[] = "a string";
	size_t page = UG_PAGE_SIZE;
	char *m = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char buf[3 * UG_PAGE_SIZE];
	ug_raddr_t a = (ug_raddr_t)(uintptr_t)m;
	struct ug_proc p;
	pid_t pid;

	assert_true(m != MAP_FAILED);
	memset(m, 0x5a, page);
	memcpy(m + page - sizeof(text), text, sizeof(text));
	memset(m + 2 * page, 0x33, page);
	mprotect(m, page, PROT_READ);
	munmap(m + 4 * page, page);
	pid = spawn(victim_idle, 0);
	msleep(20);
	assert_int_equal(ug_proc_open(pid, &p, &e), 0);

	assert_int_equal(ug_proc_write(&p, a + 8, "xyz", 3, &e), 0);
	assert_int_equal(ug_proc_read(&p, a + 7, buf, 5, &e), 0);
	assert_memory_equal(buf, "Zxyz\x5a", 5);
	assert_int_equal(m[8], 0x5a);
	assert_int_equal(ug_proc_read(&p, a + 4 * page - 2, buf, 4, &e), -UG_E_UNREADABLE);
	assert_int_equal(ug_proc_write(&p, a + 4 * page, buf, 4, &e), -UG_E_UNWRITABLE);
	assert_int_equal(ug_proc_read(&p, ~0ULL - 4, buf, 4, &e), -UG_E_UNREADABLE);

	assert_int_equal(ug_proc_read_str(&p, a + page - sizeof(text), buf, sizeof(buf), &e), 0);
	assert_string_equal(buf, text);
	assert_int_equal(ug_proc_read_str(&p, a + page - sizeof(text), buf, 4, &e),
			 -UG_E_UNREADABLE);

	memset(buf, 1, sizeof(buf));
	assert_int_equal(ug_proc_read_present(&p, a + page / 2, buf, 2 * page, true, &e), 0);
	assert_int_equal(buf[0], 0x5a);
	assert_int_equal(buf[page / 2], 0);		/* absent: zero */
	assert_int_equal(buf[page + page / 2], 0x33);
	assert_int_equal(ug_proc_read_present(&p, a + page / 2, buf, 2 * page, false, &e),
			 -UG_E_UNREADABLE);
	end(pid);
	assert_int_equal(ug_proc_read(&p, a, buf, 4, &e), -UG_E_GONE);
	ug_proc_close(&p);
	munmap(m, 8 * page);
}

static void test_maps(void **state)
{
	char dir[] = "/tmp/ug-maps-XXXXXX", path[64];
	size_t page = UG_PAGE_SIZE;
	const struct ug_map *m;
	struct ug_maps maps;
	struct ug_proc p;
	ug_raddr_t a;
	char *mem;
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a\nb c", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0 && ftruncate(fd, (off_t)(4 * page)) == 0);
	mem = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(mem != MAP_FAILED);
	mprotect(mem + page, page, PROT_READ);
	mprotect(mem + 3 * page, page, PROT_NONE);
	a = (ug_raddr_t)(uintptr_t)mem;

	assert_int_equal(ug_proc_open(getpid(), &p, &e), 0);
	assert_int_equal(ug_maps_read(&p, &maps, &e), 0);
	m = ug_maps_find(&maps, a + page + 5);
	assert_non_null(m);
	assert_int_equal(m->start, a + page);
	assert_int_equal(m->end, a + 2 * page);
	assert_int_equal(m->offset, page);
	assert_int_equal(m->prot, PROT_READ);
	assert_true(m->shared && m->inode != 0);
	assert_string_equal(m->name, path);
	assert_int_equal(ug_maps_readable_end(&maps, a + 10), a + 3 * page);
	assert_int_equal(ug_maps_readable_start(&maps, a + 2 * page), a);
	assert_int_equal(ug_maps_readable_end(&maps, a + 3 * page), a + 3 * page);
	assert_null(ug_maps_find(&maps, 16));
	for (size_t i = 1; i < maps.n; i++)
		assert_true(maps.v[i].start >= maps.v[i - 1].end);
	ug_maps_free(&maps);
	ug_proc_close(&p);
	munmap(mem, 4 * page);
	close(fd);
	unlink(path);
	rmdir(dir);
}

#define GIB (1ULL << 30)

static void test_room(void **state)
{
	char none[] = "", heap[] = "[heap]", stack[] = "[stack]";
	struct ug_map pie[] = {
		{ .start = 0x550000000000, .end = 0x550000010000, .name = none },
		{ .start = 0x550000020000, .end = 0x550000030000, .name = heap },
		{ .start = 0x7ffff0000000, .end = 0x7ffff0010000, .name = stack },
	};
	struct ug_map exec[] = {
		{ .start = 0x400000, .end = 0x500000, .name = none },
		{ .start = 0x600000, .end = 0x700000, .name = heap },
		{ .start = 2 * GIB - 0x3000, .end = 2 * GIB, .name = none },
	};
	struct ug_map full[] = { { .start = 65536, .end = 0x7ffffffff000, .name = none } };
	struct ug_maps maps = { .v = pie, .n = 3 };
	ug_raddr_t at, next;

	assert_int_equal(ug_maps_find_room(&maps, pie[0].start, pie[0].end, 0x2000, 0, &at, &e), 0);
	assert_int_equal(at, pie[0].start - 0x2000);
	assert_int_equal(ug_maps_find_room(&maps, pie[0].start, pie[0].end, 0x2000, 1, &next, &e),
			 0);
	assert_true(next + 0x2000 <= at);
	for (unsigned int i = 0; i < 40; i++) {
		if (ug_maps_find_room(&maps, pie[0].start, pie[0].end, 0x2000, i, &at, &e) < 0)
			break;
		assert_true(at != pie[1].end);
		assert_true(at + 0x2000 <= pie[0].start + 2 * GIB - 65536);
		assert_true(at >= pie[0].end - 2 * GIB + 65536);
	}
	maps = (struct ug_maps){ .v = exec, .n = 3 };
	assert_int_equal(ug_maps_find_room(&maps, 0x400000, 0x500000, 0x1000, 0, &at, &e), 0);
	assert_int_equal(at, 2 * GIB - 0x4000);
	maps = (struct ug_maps){ .v = full, .n = 1 };
	assert_int_equal(ug_maps_find_room(&maps, 65536, 131072, 0x1000, 0, &at, &e),
			 -UG_E_NO_ROOM);
}

static void hold_lock(long arg)
{
	struct ug_proc p;

	CHECK(ug_proc_open(target, &p, &e) == 0);
	CHECK(ug_proc_lock(&p, &e) == 0);
	sh->held = 1;
	for (;;)
		pause();
}

static void test_lock(void **state)
{
	char dir[] = "/tmp/ug-lock-XXXXXX";
	struct ug_proc p, q;
	pid_t owner;

	assert_non_null(mkdtemp(dir));
	setenv("UGRAFT_RUNTIME_DIR", dir, 1);
	target = spawn_victim(victim_idle, 0, 1);
	owner = spawn(hold_lock, 0);
	for (int i = 0; i < 2000 && !sh->held; i++)
		msleep(1);
	assert_int_equal(ug_proc_open(target, &p, &e), 0);
	assert_int_equal(ug_proc_open(target, &q, &e), 0);
	assert_int_equal(ug_proc_lock(&p, &e), -UG_E_LOCKED);
	end(owner);
	assert_int_equal(ug_proc_lock(&p, &e), 0);
	assert_int_equal(ug_proc_lock(&p, &e), 0);
	assert_int_equal(ug_proc_lock(&q, &e), -UG_E_LOCKED);
	assert_true(rmdir(dir) < 0);
	ug_proc_unlock(&p);
	assert_int_equal(ug_proc_lock(&q, &e), 0);
	ug_proc_close(&q);
	ug_proc_close(&p);
	assert_int_equal(mkdir(dir, 0777), -1);
	chmod(dir, 0777);
	assert_int_equal(ug_proc_open(target, &p, &e), 0);
	assert_int_equal(ug_proc_lock(&p, &e), -EPERM);
	ug_proc_close(&p);
	unsetenv("UGRAFT_RUNTIME_DIR");
	assert_int_equal(rmdir(dir), 0);
	end(target);
}

static void test_task(void **state)
{
	struct ug_task_syscall sc;
	struct ug_tasks tasks;
	struct ug_proc p;
	int in_e = 0, with_timeout = 0;

	target = spawn_victim(victim_class_e, 0, 5);
	assert_int_equal(ug_proc_open(target, &p, &e), 0);
	assert_int_equal(ug_tasks_list(&p, &tasks, &e), 0);
	assert_int_equal(tasks.n, 5);
	assert_int_equal(ug_tasks_count(&p), 5);
	for (size_t i = 0; i < tasks.n; i++) {
		uint64_t before, after, ms = 0;

		assert_int_equal(tasks.v[i].state, 'S');
		assert_false(ug_task_skipped(&tasks.v[i]));
		assert_int_equal(ug_task_switches(&p, tasks.v[i].tid, &before, &e), 0);
		assert_int_equal(ug_task_syscall(&p, tasks.v[i].tid, &sc, &e), 0);
		assert_int_equal(ug_task_switches(&p, tasks.v[i].tid, &after, &e), 0);
		assert_true(before == after && !sc.running && sc.nr >= 0);
		in_e += ug_syscall_class_e(sc.nr, sc.args[1]);
		if (ug_syscall_timeout(&p, &sc, &ms)) {
			assert_int_equal(ms, 1000000);
			with_timeout++;
		}
	}
	assert_int_equal(in_e, 4);
	assert_int_equal(with_timeout, 2);	/* sigtimedwait; recv by its socket's option */
	assert_false(ug_syscall_class_e(SYS_close, 0));
	assert_false(ug_syscall_class_e(SYS_io_uring_enter, 1));
	assert_true(ug_syscall_transfer(SYS_write));
	ug_tasks_free(&tasks);
	ug_proc_close(&p);
	end(target);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_errors),  cmocka_unit_test(test_memory),
		cmocka_unit_test(test_maps),	     cmocka_unit_test(test_room),
		cmocka_unit_test(test_lock),	     cmocka_unit_test(test_task),
		cmocka_unit_test(test_stop_1),	     cmocka_unit_test(test_stop_8),
		cmocka_unit_test(test_stop_100),     cmocka_unit_test(test_single),
		cmocka_unit_test(test_no_eintr),     cmocka_unit_test(test_signals),
		cmocka_unit_test(test_group_stop),   cmocka_unit_test(test_storm),
		cmocka_unit_test(test_exec),	     cmocka_unit_test(test_tracer_killed),
		cmocka_unit_test(test_watchdog),     cmocka_unit_test(test_traced),
		cmocka_unit_test(test_vfork),	     cmocka_unit_test(test_sharer),
		cmocka_unit_test(test_dead_leader),
	};

	own_argv = argv;
	if (argc > 1 && !strcmp(argv[1], "exec-loop"))
		exec_again();
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
