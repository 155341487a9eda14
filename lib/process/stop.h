/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stopping threads of a process, and letting them go again, unnoticed.
 *
 * Rules (each established by experiment, see docs/stopping.md):
 *  - PTRACE_SEIZE + PTRACE_INTERRUPT, never ATTACH.
 *  - Stops are observed with waitid(WNOWAIT) only: a reaped signal-delivery stop would lose
 *    its signal if we died. Wait by tid, never by -1.
 *  - Class-E cure in the loop that waits, before anything else: rax == -EINTR, orig_rax in
 *    class E, bytes at rip-2 are 0f 05, cs == 0x33  =>  rax = -514 (-ERESTARTNOHAND).
 *  - Sleepers are stopped first and resumed last; running threads stopped last, resumed first.
 *  - A second thread of the controller reaps the exits of tracees at all times: execve in
 *    the target waits for our zombies while it holds a mutex that blocks our next SEIZE.
 *  - A POSIX timer kills *this process* (SIGKILL) at 20 times the budget during a stop, 200 ms
 *    at the least; of stops that last at once (of several processes) the first that is due.
 *  - A signal-delivery stop is let go with its signal; a group-stopped target is left
 *    group-stopped (detaching reinstates the stop).
 *
 * All of it must be called by one and the same thread of the controller (ptrace belongs to
 * a thread), in a process where SIGCHLD is blocked and nobody else waits for children.
 * ug_tracer_init prepares exactly that and is called once, in the worker.
 */
#ifndef UG_PROCESS_STOP_H
#define UG_PROCESS_STOP_H

#include <sys/user.h>

#include "process/proc.h"
#include "process/task.h"

/*
 * Make this process fit to trace: block SIGCHLD, start the thread that reaps exits of
 * tracees, create the watchdog timer, mlockall and a real-time priority (best effort).
 */
int ug_tracer_init(struct ug_error *err) ug_must_check;

/*
 * May the stopped thread call restart_syscall(2) at pc? Asked in every stop, also one that is
 * given up, of a thread found in poll, nanosleep, futex..., by whoever can tell (inject/). When
 * not, the thread is made to start its own call anew. NULL: it always may.
 */
typedef bool (*ug_may_restart_t)(pid_t tid, uint64_t pc);
void ug_tracer_ask_restart(ug_may_restart_t may);

enum ug_stop_kind {
	UG_STOP_EVENT,		/* PTRACE_EVENT_STOP of our interrupt: registers may be changed */
	UG_STOP_GROUP,		/* the target is group-stopped (SIGSTOP, ...) */
	UG_STOP_SIGNAL,		/* signal-delivery stop: `signo` is passed on at resume */
	UG_STOP_OTHER,		/* another event (clone, exec, exit) */
};

struct ug_thread {
	pid_t tid;
	uint64_t start_time;
	enum ug_stop_kind kind;
	int signo;
	bool was_asleep;	/* was in an interruptible sleep when the stop began */
	bool cured;		/* the class-E cure was applied */
	bool no_restart;	/* restart_syscall(2) is forbidden to it: its call starts anew */
	struct user_regs_struct regs;	/* after the cure */
	void *user;		/* for the caller */
};

struct ug_stop_opts {
	uint64_t budget_us;	/* whole-process stop; 0: 10 ms + 10 us a thread */
	uint64_t hold_us;	/* if longer: how long it may last in all, while other processes are
				 * stopped to be changed with it */
	uint64_t timeout_us;	/* ug_stop_thread: how long to wait for one thread; 0: 100 ms */
};

struct ug_stop_stats {
	uint64_t pause_ns;	/* from the first interrupt of a *running* thread (or, with none, of
				 * any) to the resume of the last running one (of any) */
	uint64_t total_ns;	/* from the first interrupt to the last resume */
	unsigned int threads;
	unsigned int cured;	/* class-E cures */
	unsigned int transfers;	/* threads in calls that may return short */
};

struct ug_stop;

int ug_stop_create(struct ug_proc *p, const struct ug_stop_opts *opts, struct ug_stop **ret,
		   struct ug_error *err) ug_must_check;

/* Lets go of everything still held. Accepts NULL. */
void ug_stop_destroy(struct ug_stop *s);

/*
 * Called once for each thread as soon as it is stopped and its registers are read, sleepers
 * first, while running threads may still run. Must not resume anything. A negative return
 * ends the stop: everything is resumed and the value returned.
 */
typedef int (*ug_stop_visit_t)(struct ug_stop *s, struct ug_thread *t, void *ctx,
			       struct ug_error *err);

/*
 * Stop every thread: seize all (group leader first), interrupt sleepers, then runners, list
 * /proc/PID/task again until stable. On success the whole process is stopped and the
 * watchdog armed; nothing may block until ug_stop_resume. On any failure everything has been
 * resumed and let go.
 * -UG_E_UNSTOPPABLE (budget passed: retry later), -UG_E_TRACED, -UG_E_GONE (exit or exec),
 * -UG_E_VFORK, -EPERM.
 */
int ug_stop_all(struct ug_stop *s, ug_stop_visit_t visit, void *ctx, struct ug_error *err) ug_must_check;

/*
 * Stop one thread (more may be added by further calls). -ESRCH when the thread is gone.
 * On failure this thread is not held; others already held stay.
 */
int ug_stop_thread(struct ug_stop *s, pid_t tid, struct ug_thread **ret, struct ug_error *err) ug_must_check;

/*
 * Let go of one thread, or of all: runners first; signals passed on; options cleared first
 * and task/ listed again until no tracee is ours. Registers of `regs` are written back only
 * when ug_thread_set_regs changed them (by whoever did). Never fails: a thread that cannot
 * be let go has died. Stats of the stop are in ug_stop_stats afterwards.
 */
void ug_stop_release(struct ug_stop *s, struct ug_thread *t);
void ug_stop_resume(struct ug_stop *s);

/*
 * Has the whole process been stopped for longer than the budget already: from the first interrupt
 * of a running thread on, or, with none, from when all slept in their stops? A thread that is
 * late is given up by ug_stop_all; this also sees what visiting took, what other processes took
 * that are stopped with it (hold_us), or a processor lost meanwhile. For whoever can still do
 * without this stop.
 */
bool ug_stop_is_overdue(const struct ug_stop *s);

const struct ug_stop_stats *ug_stop_stats(const struct ug_stop *s);
size_t ug_stop_count(const struct ug_stop *s);
struct ug_thread *ug_stop_at(const struct ug_stop *s, size_t i);
struct ug_proc *ug_stop_proc(const struct ug_stop *s);

#define ug_stop_for_each(s, t)                                                                     \
	for (size_t ug_i_ = 0; ug_i_ < ug_stop_count(s); ug_i_++)                                  \
		for (struct ug_thread *t = ug_stop_at(s, ug_i_); t; t = NULL)

/*
 * Wait until the (already resumed by ptrace(2)) thread `tid` stops again; observed with
 * WNOWAIT. *ret_status is the si_status of waitid (signal | event << 8). -ESRCH: it died,
 * -ETIMEDOUT. For inject/ only.
 */
int ug_tracer_wait(pid_t tid, uint64_t timeout_us, int *ret_status, struct ug_error *err) ug_must_check;

/*
 * Threads that could not be let go: a ptrace interrupt cannot be taken back from a thread
 * which does not stop (D state, a vfork parent). Lets go of those that have stopped since,
 * and returns how many are left. While it is not 0 the caller must call it again often, or
 * exit: the end of the tracer ends it too.
 */
size_t ug_tracer_strays(void);

#endif
