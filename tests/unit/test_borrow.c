// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which thread is borrowed? The one that notices least (enum rank in lib/inject/borrow.c), and none
 * on a stack that is not its own. Victims are children of the test; whatever borrows runs in a
 * child of its own and reports by its exit status.
 */
#include "process_help.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <ucontext.h>

#include "inject/inject.h"

#define RUNS (-2)		/* in no system call */
#define ROUNDS 3
#define STOP_MS 20		/* a thread that does not stop within that is passed over */
#define LONG_MS 1000000
#define SHORT_MS 150
#define MS 1000000ULL

#define PATTERN 0xa5
#define AREA_SIZE 0x20000
#define BELOW 0x10000		/* bytes of the area below the small stack: somebody else's */
#define SMALL_STACK 2048	/* less than a frame */

static char **own_argv;
static int wake_fd = -1;

static struct ug_proc proc;
static struct ug_maps maps;
static struct ug_gadgets gadgets;
static struct ug_borrowed borrowed;

/* ---- what threads do, from the best one to borrow to the worst ---- */

static void *wait_for_child(void *arg)
{
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent)
			pause();
		_exit(0);
	}
	for (sh->ready++;;)
		if (waitpid(pid, NULL, 0) == pid)
			_exit(3);
	return arg;
}

static void *in_poll(void *arg)
{
	for (sh->ready++;;)
		(void)poll(NULL, 0, LONG_MS);
	return arg;
}

/* It has ten bytes of a hundred. When it is cut short it begins with ten again. */
static void *in_transfer(void *arg)
{
	char buf[100] = { 0 };
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		_exit(2);
	for (sh->ready++;;)
		if (write(sv[1], buf, 10) != 10 || recv(sv[0], buf, sizeof(buf), MSG_WAITALL) != 10)
			_exit(3);
	return arg;
}

static void *in_epoll_timeout(void *arg)
{
	int fd = epoll_create1(0);
	struct epoll_event ev;

	for (sh->ready++;;)
		note(0, epoll_wait(fd, &ev, 1, LONG_MS) < 0);
	return arg;
}

static const struct role {
	const char *name;
	void *(*live)(void *);
	long nr;		/* what it is in when it is asked for */
} roles[] = {
	{ "asleep", doze, SYS_pause },
	{ "running", spin, RUNS },
	{ "parent", wait_for_child, SYS_wait4 },
	{ "class E", in_epoll, SYS_epoll_wait },
	{ "restarted", in_poll, SYS_restart_syscall },
	{ "transfer", in_transfer, SYS_recvfrom },
	{ "class E with a timeout", in_epoll_timeout, SYS_epoll_wait },
};
#define N_ROLES (sizeof(roles) / sizeof(roles[0]))

static const struct role *of_leader, *of_second;

static void victim_pair(long arg)
{
	thread(of_second->live, &sh->spins[1]);
	of_leader->live(&sh->spins[0]);
}

/* ---- borrowing ---- */

static void open_target(void)
{
	CHECK(ug_tracer_init(&e) == 0);
	CHECK(ug_proc_open(target, &proc, &e) == 0);
	CHECK(ug_maps_read(&proc, &maps, &e) == 0);
	CHECK(ug_gadgets_find(&proc, &maps, &gadgets, &e) == 0);
}

/* Borrow, and give back. The thread, or an error code. */
static pid_t borrow(uint64_t timeout_us)
{
	int r = ug_borrow(&proc, &maps, &gadgets, 0, timeout_us, &borrowed, &e);
	pid_t tid;

	if (r < 0)
		return r;
	tid = borrowed.t->tid;
	ug_stop_destroy(borrowed.stop);
	return tid;
}

static bool is_in(pid_t tid, long nr)
{
	struct ug_task_syscall sc;

	CHECK(ug_task_syscall(&proc, tid, &sc, &e) == 0);
	return sc.running ? nr == RUNS : sc.nr == nr;
}

static void await(pid_t tid, long nr)
{
	for (int i = 0; i < 5000; i++) {
		if (is_in(tid, nr))
			return;
		msleep(1);
	}
	CHECK(!"it comes to be where it is awaited");
}

/* Until it is where its role has it. poll(2) is restarted after a stop. */
static void await_role(pid_t tid, const struct role *role)
{
	static const struct ug_stop_opts patient = { .timeout_us = 2000000 };
	struct ug_thread *t;
	struct ug_stop *s;

	for (int i = 0; role->nr == SYS_restart_syscall && i < 5000 && !is_in(tid, role->nr); i++) {
		if (is_in(tid, SYS_poll)) {
			CHECK(ug_stop_create(&proc, &patient, &s, &e) == 0);
			CHECK(ug_stop_thread(s, tid, &t, &e) == 0);
			ug_stop_destroy(s);
		}
		msleep(1);
	}
	await(tid, role->nr);
}

static pid_t second_thread(void)
{
	struct ug_tasks tasks;
	pid_t tid;

	CHECK(ug_tasks_list(&proc, &tasks, &e) == 0 && tasks.n == 2);
	tid = tasks.v[tasks.v[0].tid == target].tid;
	ug_tasks_free(&tasks);
	return tid;
}

/*
 * One look at all threads, which is what a microsecond allows: no timeout of class E holds
 * anybody back, only the order counts. Where a thread may have been too slow to stop, on a
 * busy machine, nothing is learnt.
 */
static void trace_order(long leader_is_better)
{
	int taken[2] = { 0 };
	pid_t second;

	open_target();
	second = second_thread();
	for (int i = 0; i < 100 && taken[0] < ROUNDS && taken[1] < ROUNDS; i++) {
		uint64_t start;
		pid_t tid;

		await_role(target, of_leader);
		await_role(second, of_second);
		start = ug_now_ns();
		tid = borrow(1);
		CHECK(tid == target || tid == second || tid == -UG_E_NO_THREAD);
		if (tid > 0 && ug_now_ns() - start < STOP_MS * MS)
			taken[(tid == target) == leader_is_better]++;
	}
	if (taken[1] < ROUNDS)
		fprintf(stderr, "# first thread %s, second thread %s: the worse was borrowed %d times, "
			"the better %d times\n", of_leader->name, of_second->name, taken[0], taken[1]);
	CHECK(taken[1] == ROUNDS);
}

static void test_order(void **state)
{
	const struct role *better = *state;

	for (const struct role *worse = better + 1; worse < roles + N_ROLES; worse++)
		for (int leader_is_better = 0; leader_is_better < 2; leader_is_better++) {
			of_leader = leader_is_better ? better : worse;
			of_second = leader_is_better ? worse : better;
			target = spawn_victim(victim_pair, 0, 2);
			run_tracer(trace_order, leader_is_better);
			assert_true(untraced(target));
			end(target);
		}
}

/* ---- alone, in class E with a timeout ---- */

/* Until it is woken: then it is as good as any. */
static void victim_epoll(long ms)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = epoll_create1(0);

	if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, wake_fd, &ev))
		_exit(2);
	for (sh->ready++;;) {
		int n;

		sh->began = ug_now_ns();
		n = epoll_wait(fd, &ev, 1, (int)ms);

		sh->rounds++;
		note(0, n < 0);
		if (n > 0)
			victim_idle(0);
	}
}

/*
 * Not while it is in the call that it is found in; when twice the timeout has passed, if it is
 * not seen between two calls. On a busy machine it may be, for it waits for a processor then.
 */
static void trace_returned(long ms)
{
	const uint64_t timeout = (uint64_t)ms * MS;
	uint64_t took = 0;

	open_target();
	for (int i = 0; i < 10 && (took < 2 * timeout || took >= 4 * timeout); i++) {
		uint64_t start, began;

		await(target, SYS_epoll_wait);
		began = sh->began;
		start = ug_now_ns();
		CHECK(borrow(40 * timeout / 1000) == target);
		took = ug_now_ns() - start;
		CHECK(start + took >= began + timeout);
	}
	CHECK(took >= 2 * timeout && took < 4 * timeout);
}

/* A timeout that is longer than ours: after half of ours. */
static void trace_half(long ms)
{
	pid_t tid = -UG_E_NO_THREAD;

	open_target();
	for (int i = 0; i < 10 && tid == -UG_E_NO_THREAD; i++) {
		uint64_t start;

		await(target, SYS_epoll_wait);
		start = ug_now_ns();
		tid = borrow(2 * (uint64_t)ms * 1000);
		CHECK(ug_now_ns() - start >= (uint64_t)ms * MS);
	}
	CHECK(tid == target && sh->rounds == 0);
}

static void *wake_later(void *arg)
{
	const uint64_t one = 1;

	msleep(SHORT_MS);
	CHECK(write(wake_fd, &one, sizeof(one)) == sizeof(one));
	return arg;
}

/* It has left the call: at once. */
static void trace_left(long ms)
{
	uint64_t start, took;

	open_target();
	await(target, SYS_epoll_wait);
	start = ug_now_ns();
	thread(wake_later, NULL);
	CHECK(borrow(40 * (uint64_t)ms * 1000) == target);
	took = ug_now_ns() - start;
	CHECK(took >= (uint64_t)ms * MS && took < 20 * (uint64_t)ms * MS);
}

static void alone(long timeout_ms, void (*tracer)(long))
{
	wake_fd = eventfd(0, EFD_CLOEXEC);
	assert_true(wake_fd >= 0);
	target = spawn_victim(victim_epoll, timeout_ms, 1);
	run_tracer(tracer, SHORT_MS);
	assert_true(untraced(target));
	assert_int_equal(sh->eintr[0], 0);
	end(target);
	close(wake_fd);
}

static void test_returned(void **state)
{
	alone(SHORT_MS, trace_returned);
}

static void test_half(void **state)
{
	alone(LONG_MS, trace_half);
}

static void test_left(void **state)
{
	alone(LONG_MS, trace_left);
}

/* ---- on a small stack in the midst of other things ---- */

static ug_raddr_t other_things;	/* BELOW bytes of the victim */

/* Without a call: it would not fit. */
static void sleep_on_small_stack(void)
{
	for (;;) {
		long r = SYS_pause;

		__asm__ volatile("syscall" : "+a"(r) : : "rcx", "r11", "memory");
	}
}

/* Pages that adjoin those of the thread pointer from below. */
static unsigned char *below_thread_pointer(void)
{
	ug_raddr_t tp = (ug_raddr_t)(uintptr_t)__builtin_thread_pointer();
	unsigned char *area;
	struct ug_maps own;
	struct ug_proc p;

	if (ug_proc_open(getpid(), &p, &e) || ug_maps_read(&p, &own, &e) || !ug_maps_find(&own, tp))
		_exit(2);
	tp = ug_maps_find(&own, tp)->start;
	area = mmap((void *)(uintptr_t)(tp - AREA_SIZE), AREA_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	return area == MAP_FAILED ? NULL : area;
}

__attribute__((noinline)) static void switch_to(void *stack)
{
	static ucontext_t here, there;

	if (getcontext(&there))
		_exit(2);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = SMALL_STACK;
	makecontext(&there, sleep_on_small_stack, 0);
	(void)swapcontext(&here, &there);
}

/* The new program. Its standard output is the test's. */
static void run_on_small_stack(bool adjoining)
{
	static unsigned char array[AREA_SIZE];
	unsigned char *area = adjoining ? below_thread_pointer() : array;
	const ug_raddr_t below = (uintptr_t)area;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!area)
		_exit(2);
	memset(area, PATTERN, AREA_SIZE);
	if (write(STDOUT_FILENO, &below, sizeof(below)) == sizeof(below))
		switch_to(area + BELOW);
	_exit(2);
}

static bool is_intact(void)
{
	static unsigned char seen[BELOW];

	CHECK(ug_proc_read(&proc, other_things, seen, sizeof(seen), &e) == 0);
	for (size_t i = 0; i < sizeof(seen); i++)
		if (seen[i] != PATTERN)
			return false;
	return true;
}

static void trace_small_stack(long arg)
{
	bool told = false;

	open_target();
	await(target, SYS_pause);
	CHECK(is_intact());
	/* Until the last it has tried has stopped in time. */
	for (int i = 0; i < 20 && !told; i++) {
		CHECK(borrow(50000) == -UG_E_NO_THREAD);
		CHECK(is_intact());
		told = strstr(e.message, "not on its own stack");
	}
	CHECK(told);
}

static void on_small_stack(const char *where)
{
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	target = fork();
	assert_true(target >= 0);
	if (!target) {
		dup2(out[1], STDOUT_FILENO);
		execl("/proc/self/exe", own_argv[0], where, NULL);
		_exit(2);
	}
	close(out[1]);
	assert_int_equal(read(out[0], &other_things, sizeof(other_things)), sizeof(other_things));
	close(out[0]);
	run_tracer(trace_small_stack, 0);
	assert_true(untraced(target));
	assert_int_equal(waitpid(target, NULL, WNOHANG), 0);
	end(target);
}

/* A stack of its own all the same: that of the thread which has forked it. */
static void *fork_and_wait(void *arg)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		victim_idle(0);
	}
	sh->held = pid;
	for (sh->ready++;;)
		pause();
	return arg;
}

static void victim_forking_thread(long arg)
{
	thread(fork_and_wait, NULL);
	victim_idle(0);
}

static void trace_forked(long arg)
{
	open_target();
	await(target, SYS_pause);
	CHECK(borrow(5000000) == target);
}

static void test_forked_by_thread(void **state)
{
	pid_t parent = spawn_victim(victim_forking_thread, 0, 3);

	target = sh->held;
	run_tracer(trace_forked, 0);
	assert_true(untraced(target));
	end(parent);
}

static void test_small_stack(void **state)
{
	on_small_stack("array");
}

static void test_adjoining_stack(void **state)
{
	on_small_stack("adjoining");
}

int main(int argc, char **argv)
{
#define ORDER(i)                                                                                   \
	{                                                                                          \
		.name = roles[i].name, .test_func = test_order,                                    \
		.initial_state = (void *)(uintptr_t)&roles[i]                                      \
	}
	const struct CMUnitTest tests[] = {
		ORDER(0), ORDER(1), ORDER(2), ORDER(3), ORDER(4), ORDER(5),
		cmocka_unit_test(test_returned),
		cmocka_unit_test(test_half),
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_small_stack),
		cmocka_unit_test(test_adjoining_stack),
		cmocka_unit_test(test_forked_by_thread),
	};

	own_argv = argv;
	if (argc > 1)
		run_on_small_stack(!strcmp(argv[1], "adjoining"));
	return map_shared() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
