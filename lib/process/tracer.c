// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The process that traces: waiting for tracees, reaping their exits, the watchdog.
 *
 * The reaper. A thread of the target that calls execve waits for all its siblings to be
 * reaped, and their tracer is the one to do it; meanwhile it holds the mutex that a SEIZE of
 * the next thread needs. So exits are reaped by a second thread, whatever the first one is
 * blocked in.
 *
 * It asks for one tid after the other, a slice of them each millisecond. waitid(P_ALL,
 * WEXITED) would not do: the kernel reports the stops of tracees whatever the options say
 * (kernel/exit.c, wait_task_stopped), so that a stopped one hides the exits behind it, and a
 * reaping form takes a stop away from the thread that waits for it. And a waiter blocked on
 * all of them is woken by every stop and walks the list each time, which is quadratic. With
 * nothing to watch it sleeps.
 */
#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/internal.h"

#define REAP_TICK_NS 1000000
#define REAP_SLICE 64			/* some 20 us of work */
#define SLEEP_MAX_NS 1000000		/* should a SIGCHLD be lost, or be eaten by the host */

/*
 * The tids to watch, under `lock`. Main adds; the reaper removes what is no tracee any more.
 * A tid that is let go and seized again meanwhile is there twice, which does no harm.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER;
static UG_VEC(pid_t) watched = UG_VEC_INIT;

static bool have_watchdog;
static timer_t watchdog;
static struct ug_watchdog *armed;	/* in no order: there are as many as stops at once */
static struct sched_param relaxed_param;
static int relaxed_policy;
static bool hurrying;

/* Reap it when it has exited; false when it is no tracee of ours (any more). */
static bool reap(pid_t tid)
{
	siginfo_t si = { 0 };

	if (waitid(P_PID, (id_t)tid, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
		return errno != ECHILD;
	if (!si.si_pid || si.si_code == CLD_TRAPPED || si.si_code == CLD_STOPPED)
		return true;
	(void)waitid(P_PID, (id_t)tid, &si, WEXITED | WNOHANG | __WALL);
	return false;
}

static void unwatch(size_t at, pid_t tid)
{
	pthread_mutex_lock(&lock);
	if (at < watched.n && watched.v[at] == tid)
		watched.v[at] = watched.v[--watched.n];
	pthread_mutex_unlock(&lock);
}

/* Look at up to REAP_SLICE tids below index `at`; returns where to go on, 0: from the end. */
static size_t reap_slice(size_t at)
{
	pid_t tids[REAP_SLICE];
	size_t n;

	pthread_mutex_lock(&lock);
	while (!watched.n)
		pthread_cond_wait(&not_empty, &lock);
	if (!at || at > watched.n)
		at = watched.n;
	n = at < REAP_SLICE ? at : REAP_SLICE;
	memcpy(tids, &watched.v[at - n], n * sizeof(tids[0]));
	pthread_mutex_unlock(&lock);
	/* Downwards: removing moves the last entry into the gap, which has been seen. */
	for (size_t i = n; i-- > 0;)
		if (!reap(tids[i]))
			unwatch(at - n + i, tids[i]);
	return at - n;
}

static void *reaper(void *arg)
{
	const struct timespec tick = { 0, REAP_TICK_NS };

	for (size_t at = 0;;) {
		at = reap_slice(at);
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
	}
	return arg;
}

void ug_tracer_added(pid_t tid)
{
	pid_t *slot;

	pthread_mutex_lock(&lock);
	slot = ug_vec_add(&watched);
	if (slot)
		*slot = tid;
	pthread_cond_signal(&not_empty);
	pthread_mutex_unlock(&lock);
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

static void unlink_watchdog(struct ug_watchdog *w)
{
	for (struct ug_watchdog **at = &armed; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
}

void ug_tracer_watchdog(struct ug_watchdog *w, uint64_t ns)
{
	struct itimerspec when = { 0 };
	uint64_t first = 0;

	unlink_watchdog(w);
	if (ns) {
		*w = (struct ug_watchdog){ ug_now_ns() + ns, armed };
		armed = w;
	}
	for (const struct ug_watchdog *at = armed; at; at = at->next)
		if (!first || at->at_ns < first)
			first = at->at_ns;
	when.it_value = (struct timespec){ (time_t)(first / 1000000000u), (long)(first % 1000000000u) };
	if (have_watchdog)
		(void)timer_settime(watchdog, TIMER_ABSTIME, &when, NULL);
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
	if (armed)
		return;
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

	if (waitid(P_ALL, 0, &si, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 ||
	    errno != ECHILD)
		return false;
	pthread_mutex_lock(&lock);
	watched.n = 0;
	pthread_mutex_unlock(&lock);
	return true;
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
