/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls made by a borrowed thread of the target, crash-safe: if the controller dies
 * at any moment the thread restores *itself*.
 *
 * How: rip = an existing `syscall; ret` of the target, rsp = a complete rt_sigframe below
 * the red zone (registers, signal mask, full XSAVE area with its magic words) whose first
 * word is an existing `mov $15,%eax; syscall`: the call returns straight into sigreturn.
 * Nothing is written to text. ss_flags in the frame is an invalid value (7), so that
 * sigreturn leaves the alternate stack alone. An interrupted call is encoded rip -= 2,
 * rax = its own number. Order: SETREGS, SETSIGMASK(all), run, SETSIGMASK(orig),
 * SETREGS(orig) in an event stop or immediately before DETACH. See docs/borrowing.md.
 */
#ifndef UG_INJECT_REMOTE_H
#define UG_INJECT_REMOTE_H

#include "process/maps.h"
#include "process/stop.h"

struct ug_remote;

enum {
	UG_REMOTE_SUSPEND_SECCOMP = 1 << 0,	/* the documented exception from G5 */
};

/* The calls a session may make; the seccomp filters are evaluated for all of them first. */
struct ug_remote_opts {
	unsigned int flags;
	uint64_t timeout_us;	/* to find and stop a thread that can be borrowed; 0: 1 s */
};

/*
 * Choose a thread, stop and borrow it. Preferred: asleep in a plain system call (no class E,
 * no blocking transfer), not in an rseq critical section, enough mapped stack below rsp.
 * -UG_E_SECCOMP, -UG_E_SHADOW_STACK, -UG_E_NO_GADGET (neither found in any executable
 * mapping), -UG_E_NO_THREAD, -UG_E_TRACED, -UG_E_GONE, -EPERM. On failure nothing is held
 * and nothing was changed.
 */
int ug_remote_open(struct ug_proc *p, const struct ug_maps *maps, const struct ug_remote_opts *opts,
		   struct ug_remote **ret, struct ug_error *err) ug_must_check;

/*
 * Make one call. 0: *ret holds what the kernel returned (-4095..-1 are errors of the call,
 * left to the caller); negative: the thread or process died, or would not obey in time.
 */
int ug_remote_syscall(struct ug_remote *r, long nr, const uint64_t args[6], int64_t *ret,
		      struct ug_error *err) ug_must_check;

/* Give the thread back as it was. 0 or -UG_E_GONE. Frees r (also on failure). NULL: 0. */
int ug_remote_close(struct ug_remote *r, struct ug_error *err);

/* Data for the calls (a name, a struct): copied to scratch space on the borrowed stack,
 * valid until ug_remote_close. At most 256 bytes in all. */
int ug_remote_push(struct ug_remote *r, const void *data, size_t len, ug_raddr_t *ret,
		   struct ug_error *err) ug_must_check;

/*
 * mmap of private anonymous memory at exactly addr (MAP_FIXED_NOREPLACE), or anywhere for
 * addr 0. -EEXIST when taken meanwhile. A kernel without MAP_FIXED_NOREPLACE (< 4.17) that
 * maps elsewhere: unmapped again and -EEXIST.
 */
int ug_remote_map(struct ug_remote *r, ug_raddr_t addr, size_t len, int prot, ug_raddr_t *ret,
		  struct ug_error *err) ug_must_check;

/* The same, findable in /proc/PID/maps under `name`: PR_SET_VMA_ANON_NAME where the kernel
 * has it, else a private mapping of a memfd (MFD_CLOEXEC|MFD_NOEXEC_SEAL where known), whose
 * descriptor is closed at once. Read-write. maps shows "[anon:NAME]" or "/memfd:NAME (deleted)". */
int ug_remote_map_named(struct ug_remote *r, ug_raddr_t addr, size_t len, const char *name,
			ug_raddr_t *ret, struct ug_error *err) ug_must_check;

int ug_remote_unmap(struct ug_remote *r, ug_raddr_t addr, size_t len, struct ug_error *err) ug_must_check;

/*
 * Threads that a dead controller has left in front of a call are made to skip it (docs/borrowing.md).
 * To be called before anything is given back that may be of such a controller. Stops the threads
 * that run, one by one. -UG_E_UNSTOPPABLE: one of them would not stop.
 */
int ug_remote_disarm(struct ug_proc *p, struct ug_error *err) ug_must_check;

/* Is there one in the target? Looks only: nothing is borrowed. */
bool ug_remote_any_leaked(struct ug_proc *p, const char *name);

/* Close memfds called `name` that a dead controller left open in the target, after ug_remote_disarm. */
int ug_remote_close_leaked(struct ug_remote *r, const char *name, struct ug_error *err) ug_must_check;

/*
 * A userfaultfd of the process (process/writes.h): created there, taken over, closed there.
 * -UG_E_SECCOMP; -UG_E_REMOTE_CALL: it may not, or has no descriptor left. A controller that
 * dies in between leaves the descriptor: write down that one may be there, before.
 */
int ug_remote_userfault(struct ug_remote *r, int *ret, struct ug_error *err) ug_must_check;

/* Close such descriptors that nobody has begun to use. */
int ug_remote_close_userfault(struct ug_remote *r, struct ug_error *err) ug_must_check;

/* The tid that is borrowed (for messages). */
pid_t ug_remote_tid(const struct ug_remote *r);

#endif
