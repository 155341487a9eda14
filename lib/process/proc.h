/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pinned reference to a process, and its memory.
 *
 * A pid is never passed around bare: struct ug_proc pins the process by pidfd, /proc
 * directory descriptor and start time, so that a recycled pid is noticed (the directory
 * descriptor of a dead process gives ESRCH). Everything below /proc/PID is opened relative
 * to that descriptor.
 *
 * Memory goes through one /proc/PID/mem descriptor opened at the start: it stays with the
 * mm it was opened for, also across an execve of the target (an exec'ed target is then
 * noticed as -UG_E_GONE, and nothing is ever written into the new program).
 */
#ifndef UG_PROCESS_PROC_H
#define UG_PROCESS_PROC_H

#include "base/error.h"
#include "base/types.h"

struct ug_proc {
	pid_t pid;
	uint64_t start_time;	/* field 22 of /proc/PID/stat, clock ticks since boot */
	int pidfd;
	int dirfd;		/* /proc/PID */
	int mem_fd;		/* /proc/PID/mem, O_RDWR */
	int pagemap_fd;		/* /proc/PID/pagemap, -1 without permission */
	int lock_fd;		/* -1: not locked */
	int lock_dirfd;		/* directory of the lock file; valid with lock_fd */
	unsigned int rt_priority;	/* highest of the threads last listed, or seized since; 0: none */
};

/*
 * Pin process `pid` (a thread group leader). Not yet traced or touched.
 * Errors: -UG_E_GONE, -EPERM/-EACCES, -UG_E_FOREIGN_CODE (a 32-bit program: ELF class of
 * /proc/PID/exe), -EINVAL for a kernel thread (no exe, no maps) or a tid that is no leader.
 */
int ug_proc_open(pid_t pid, struct ug_proc *ret, struct ug_error *err) ug_must_check;
void ug_proc_close(struct ug_proc *p);

/* 0 while it is the same live process with the same mm; else -UG_E_GONE (zombies are gone). */
int ug_proc_check(struct ug_proc *p, struct ug_error *err) ug_must_check;

/*
 * Open /proc/PID/name (dirfd: of /proc/PID), a file about memory, descriptors or root; that of a
 * thread that lives when the group leader has exited, which then has none of them. -1 and errno,
 * ESRCH when nobody has.
 */
int ug_proc_open_mm_file(int dirfd, const char *name, int flags);

/*
 * Tracer of any thread of it other than this process: -UG_E_TRACED naming the tracer, else 0.
 */
int ug_proc_check_untraced(struct ug_proc *p, struct ug_error *err) ug_must_check;

/* -UG_E_UNSUPPORTED when valgrind or qemu-user translates its code: a patch would not be seen. */
int ug_proc_check_native(struct ug_proc *p, struct ug_error *err) ug_must_check;

/* -UG_E_SHADOW_STACK when a thread of it has a user shadow stack (status: shstk), else 0. */
int ug_proc_check_shadow_stack(struct ug_proc *p, struct ug_error *err) ug_must_check;

/*
 * Sharers of the mm outside the thread group (CLONE_VM without CLONE_THREAD, vfork): looked
 * for among all visible processes by kcmp(KCMP_VM), descendants first. 0: none.
 * -UG_E_VFORK when a thread of the target waits for a vfork child (transient: retry),
 * -UG_E_SHARED_MM naming the other process.
 */
int ug_proc_check_sharers(struct ug_proc *p, struct ug_error *err) ug_must_check;

/*
 * Exclusive lock between controllers: F_OFD_SETLK on a file named after pid and start time in
 * $UGRAFT_RUNTIME_DIR, or /run/ugraft when we may write there, else $XDG_RUNTIME_DIR/ugraft,
 * else /tmp/ugraft-UID (owner and mode checked). Released by ug_proc_close and by our death.
 * -UG_E_LOCKED when another controller holds it. The file is removed on unlock.
 */
int ug_proc_lock(struct ug_proc *p, struct ug_error *err) ug_must_check;
/* Does a controller hold it? Asked without taking it: whoever looks hinders nobody. */
bool ug_proc_locked(const struct ug_proc *p);
/* Also done by ug_proc_close. Nothing when not locked. */
void ug_proc_unlock(struct ug_proc *p);

/*
 * Read or write all `len` bytes, or fail (-UG_E_UNREADABLE, -UG_E_UNWRITABLE, -UG_E_GONE).
 * May block (swap, userfaultfd, FUSE): never while the target is stopped as a whole.
 * Writing ignores page protection (FOLL_FORCE): text and read-only pages become private.
 */
int ug_proc_read(struct ug_proc *p, ug_raddr_t addr, void *buf, size_t len,
		 struct ug_error *err) ug_must_check;
int ug_proc_write(struct ug_proc *p, ug_raddr_t addr, const void *buf, size_t len,
		  struct ug_error *err) ug_must_check;

/*
 * Read without ever blocking, for use in a stop: pagemap is consulted, present pages are
 * read, absent pages of anonymous memory count as zeros when `anon` says the range is
 * anonymous; a swapped page, or an absent file page, gives -UG_E_UNREADABLE. Without
 * pagemap (no permission) it reads plainly.
 */
int ug_proc_read_present(struct ug_proc *p, ug_raddr_t addr, void *buf, size_t len, bool anon,
			 struct ug_error *err) ug_must_check;

/* Read a NUL-terminated string of at most size - 1 bytes; -UG_E_UNREADABLE when unterminated. */
int ug_proc_read_str(struct ug_proc *p, ug_raddr_t addr, char *buf, size_t size,
		     struct ug_error *err) ug_must_check;

#endif
