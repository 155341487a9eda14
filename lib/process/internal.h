/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of this layer; nobody else includes it (but its own unit test). */
#ifndef UG_PROCESS_INTERNAL_H
#define UG_PROCESS_INTERNAL_H

#include <sys/types.h>

#include "process/stop.h"

/* ---- /proc files (procfile.c) ---- */

/*
 * Read the start of a small file below directory `dirfd` into buf, NUL-terminated. Returns
 * the number of bytes, or -errno (-ESRCH for everything that means "gone").
 */
ssize_t ug_procfile_read(int dirfd, const char *path, char *buf, size_t size);

/*
 * The value of "Key:\tVALUE" in the text of a status file: a pointer to VALUE, or NULL.
 */
const char *ug_procfile_field(const char *text, const char *key);

/*
 * proc_pid_stat(5): field 3, where the numbers begin, and the name before it; NULL when it is
 * none. The name may hold blanks and brackets: the last ')' ends it.
 */
const char *ug_procfile_stat(const char *text, char *comm, size_t size);

/* A decimal thread or process id that fills the whole of `name`; 0 when it is none. */
pid_t ug_procfile_tid(const char *name);

/* The error for a failed access to /proc/PID/what. */
int ug_procfile_error(struct ug_proc *p, ssize_t code, const char *what, struct ug_error *err);

/* Is the mm of our memory descriptor still in use? Not after exec or the last exit. */
bool ug_proc_mm_alive(const struct ug_proc *p);

/* The TracerPid of a thread, 0 for none, -ESRCH when it is gone. */
pid_t ug_task_tracer(struct ug_proc *p, pid_t tid);

/* The number of entries of task/ as the kernel counts them, without listing; 0: unknown. */
size_t ug_tasks_count(struct ug_proc *p);

/* Does the (not traced) thread wait for the child of a vfork? */
bool ug_task_in_vfork(struct ug_proc *p, pid_t tid);

/* Do two processes share their memory? 1, 0, or -errno of kcmp(2). */
int ug_mm_shared(pid_t a, pid_t b);

/* ---- the tracing thread (tracer.c) ---- */

/* Has `tid` stopped? 1 and *ret_status; 0: not yet; -ESRCH: it exited (reaped), is no tracee. */
int ug_tracer_poll(pid_t tid, int *ret_status);

/* Sleep until something happens to a tracee, or until the time `until_ns`. */
void ug_tracer_sleep(uint64_t until_ns);

/* To be called for each new tracee: its exit is to be reaped. */
void ug_tracer_added(pid_t tid);

/* True when this process has neither tracee nor child. Ends the watch on all. */
bool ug_tracer_alone(void);

/*
 * SIGKILL to ourselves in `ns`; 0 disarms. There is one for each stop, since several processes may
 * be held at once; the earliest counts. All zero: not armed.
 */
struct ug_watchdog {
	uint64_t at_ns;
	struct ug_watchdog *next;
};
void ug_tracer_watchdog(struct ug_watchdog *w, uint64_t ns);

/* SCHED_FIFO at not less than `prio` while stops last (best effort), and back: when no watchdog
 * is armed any more. */
void ug_tracer_hurry(unsigned int prio);
void ug_tracer_relax(void);

/* ---- one tracee (tracee.c) ---- */

enum ug_tracee_state {
	UG_TRACEE_SEIZED,	/* ours, not interrupted */
	UG_TRACEE_WAITING,	/* interrupted, or attached by the kernel at birth: will stop */
	UG_TRACEE_STOPPED,	/* stopped, registers read */
	UG_TRACEE_GONE,		/* exited, or let go */
};

struct ug_tracee {
	struct ug_thread t;	/* first: the public part */
	enum ug_tracee_state state;
	bool running;		/* state R when listed: interrupted last, resumed first */
	bool stranger;		/* a forked child attached by the kernel: not of the thread group */
	int event;		/* PTRACE_EVENT_* of the stop, 0 for none */
};

/*
 * SEIZE. 0; -ESRCH: it is gone or can run no code; -EALREADY: it is our tracee already
 * (attached at birth); -UG_E_TRACED, -EPERM, ...: refused.
 */
int ug_tracee_seize(struct ug_proc *p, pid_t tid, unsigned int options, struct ug_error *err);
int ug_tracee_interrupt(struct ug_tracee *t);

/*
 * Look whether it has stopped (never blocks); if so classify the stop, read the registers and
 * apply the class-E cure. 1 stopped, 0 not yet, -ESRCH it is gone.
 */
int ug_tracee_look(struct ug_tracee *t);

/* Detach a stopped one, with its signal. 0, or -ESRCH: it died, or is not stopped any more. */
int ug_tracee_detach(struct ug_tracee *t);

/* Cleared by a unit test only, which shows that the cure is needed. */
extern bool ug_cure_enabled;

/* ---- a set of tracees (stop.c, seize.c, release.c) ---- */

struct ug_stop {
	struct ug_proc *p;
	struct ug_stop_opts opts;
	UG_VEC(struct ug_tracee *) all;		/* everything ever seized in this stop */
	UG_VEC(struct ug_tracee *) held;	/* the STOPPED threads, in the order they stopped */
	UG_VEC(pid_t) skipped;			/* zombies and kernel workers */
	size_t hint;				/* where ug_stop_find expects the next hit */
	uint64_t first_ns, pause_ns;		/* first interrupt; of a running thread */
	uint64_t asleep_ns;			/* all that slept had stopped */
	struct ug_watchdog watchdog;
	struct ug_stop_stats stats;
};

struct ug_tracee *ug_stop_find(struct ug_stop *s, pid_t tid);
/* A new tracee in the given state; NULL without memory. */
struct ug_tracee *ug_stop_add(struct ug_stop *s, const struct ug_task *task,
			      enum ug_tracee_state state);

/*
 * Seize whatever task/ shows and is not known yet. *ret_new: how many. `options` as for
 * PTRACE_SETOPTIONS.
 */
int ug_stop_seize_new(struct ug_stop *s, unsigned int options, size_t *ret_new,
		      struct ug_error *err);

/* Take the child that a stopped CLONE or FORK event announces. */
int ug_stop_adopt_child(struct ug_stop *s, struct ug_tracee *parent, struct ug_error *err);

/* Let go of everything, stopped or not. */
void ug_stop_let_go(struct ug_stop *s);

/* Let go of one that may not have stopped yet; what cannot be is a stray (ug_tracer_strays). */
void ug_stop_let_go_one(struct ug_stop *s, struct ug_tracee *t);

#endif
