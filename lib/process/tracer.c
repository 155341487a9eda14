// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The process that traces: waiting for tracees, reaping their exits, the watchdog.
 *
 * The reaper. A thread of the target that calls execve waits for all its siblings to be
 * reaped, and their tracer is the one to do it; meanwhile it holds the mutex that a SEIZE of
 * the next thread needs. So exits are reaped by a second thread, whatever the first one is
 * blocked in. It looks every millisecond while there are tracees instead of blocking in
 * waitid(P_ALL): a blocked waiter is woken by *every* stop of every tracee, and walks the
 * list of all of them each time, which is quadratic where a thousand threads are stopped.
 * Without tracees it sleeps on `idle`.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/internal.h"

#define REAP_TICK_NS 1000000
#define SLEEP_MAX_NS 1000000		/* should a SIGCHLD be lost, or be eaten by the host */

/*
 * 1 while the reaper sleeps. Pairs as in Dekker's algorithm: the reaper sets it and then looks
 * for tracees once more; ug_tracer_added has made a tracee and then reads it. Each has a system
 * call between its two steps that takes the kernel's tasklist lock, and the accesses are
 * sequentially consistent: one of the two always sees the other's.
 */
static _Atomic uint32_t idle;
static bool have_watchdog;
static timer_t watchdog;
static struct sched_param relaxed_param;
static int relaxed_policy;
static bool hurrying;

static void futex(uint32_t op, uint32_t val)
{
	(void)syscall(SYS_futex, &idle, op | FUTEX_PRIVATE_FLAG, val, NULL, NULL, 0);
}

/* Reap all that has exited; false when there is no tracee (nor child) at all. */
static bool reap_exits(void)
{
	for (;;) {
		siginfo_t si = { 0 };

		/* WNOWAIT and WEXITED alone: a stop can neither be seen nor taken here. */
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
			return errno != ECHILD;
		if (!si.si_pid)
			return true;
		(void)waitid(P_PID, (id_t)si.si_pid, &si, WEXITED | WNOHANG | __WALL);
	}
}

static void *reaper(void *arg)
{
	const struct timespec tick = { 0, REAP_TICK_NS };

	for (;;) {
		if (reap_exits()) {
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
			continue;
		}
		atomic_store(&idle, 1);
		if (!reap_exits())
			futex(FUTEX_WAIT, 1);
		atomic_store(&idle, 0);
	}
	return arg;
}

void ug_tracer_added(void)
{
	if (atomic_load(&idle)) {
		atomic_store(&idle, 0);
		futex(FUTEX_WAKE, 1);
	}
}

static int start_reaper(struct ug_error *err)
{
	const struct sched_param low = { .sched_priority = 1 };
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, &attr, reaper, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r)
		return ug_err(err, -r, "cannot start the reaping thread: %s", strerror(r));
	(void)pthread_setschedparam(thread, SCHED_FIFO, &low);
	return 0;
}

/* SIGCHLD must be queued: blocked, and neither ignored nor without notice of stops. */
static int take_sigchld(struct ug_error *err)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	r = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (r)
		return ug_err(err, -r, "cannot block SIGCHLD: %s", strerror(r));
	if (sigaction(SIGCHLD, &sa, NULL) < 0)
		return ug_err_errno(err, "cannot reset SIGCHLD");
	return 0;
}

/*
 * Only where no limit applies: under RLIMIT_MEMLOCK later allocations would fail. Pages are
 * locked as they are touched; populating would make a forked worker copy its whole host.
 */
static void lock_memory(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { 0 };

	if (syscall(SYS_capget, &head, caps) == 0 &&
	    (caps[0].effective & CAP_TO_MASK(CAP_IPC_LOCK)))
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

int ug_tracer_init(struct ug_error *err)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	int r = take_sigchld(err);

	if (r < 0)
		return r;
	lock_memory();
	if (timer_create(CLOCK_MONOTONIC, &ev, &watchdog) < 0)
		return ug_err_errno(err, "cannot create the watchdog timer");
	have_watchdog = true;
	return start_reaper(err);
}

void ug_tracer_watchdog(uint64_t ns)
{
	const struct itimerspec when = {
		.it_value = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) },
	};

	if (have_watchdog)
		(void)timer_settime(watchdog, 0, &when, NULL);
}

void ug_tracer_hurry(unsigned int prio)
{
	struct sched_param param = { .sched_priority = prio > 98 ? 99 : (int)prio + 1 };

	if (hurrying)
		return;
	relaxed_policy = sched_getscheduler(0);
	if (relaxed_policy < 0 || sched_getparam(0, &relaxed_param) < 0)
		return;
	hurrying = sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) == 0;
}

void ug_tracer_relax(void)
{
	if (hurrying)
		(void)sched_setscheduler(0, relaxed_policy, &relaxed_param);
	hurrying = false;
}

int ug_tracer_poll(pid_t tid, int *ret_status)
{
	siginfo_t si = { 0 };

	/* WNOWAIT: a signal whose delivery stop is reaped is lost if we die before the detach. */
	if (waitid(P_PID, (id_t)tid, &si, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
		return errno == EINTR ? 0 : -ESRCH;
	if (!si.si_pid)
		return 0;
	if (si.si_code == CLD_TRAPPED || si.si_code == CLD_STOPPED) {
		*ret_status = si.si_status;
		return 1;
	}
	(void)waitid(P_PID, (id_t)tid, &si, WEXITED | WNOHANG | __WALL);
	return -ESRCH;
}

void ug_tracer_sleep(uint64_t until_ns)
{
	uint64_t now = ug_now_ns(), ns = until_ns > now ? until_ns - now : 0;
	struct timespec ts;
	sigset_t set;

	if (ns > SLEEP_MAX_NS)
		ns = SLEEP_MAX_NS;
	ts = (struct timespec){ 0, (long)ns };
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	(void)sigtimedwait(&set, NULL, &ts);
}

bool ug_tracer_alone(void)
{
	siginfo_t si = { 0 };

	return waitid(P_ALL, 0, &si, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 &&
	       errno == ECHILD;
}

int ug_tracer_wait(pid_t tid, uint64_t timeout_us, int *ret_status, struct ug_error *err)
{
	uint64_t deadline = ug_now_ns() + timeout_us * 1000;

	for (;;) {
		int status, r = ug_tracer_poll(tid, &status);

		if (r == 1) {
			*ret_status = status;
			return 0;
		}
		if (r < 0)
			return ug_err(err, r, "thread %d died", tid);
		if (ug_now_ns() >= deadline)
			return ug_err(err, -ETIMEDOUT, "thread %d did not stop in time", tid);
		ug_tracer_sleep(deadline);
	}
}
