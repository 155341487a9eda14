/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Would the seccomp filters of a stopped thread let these calls pass? The filters are read
 * (PTRACE_SECCOMP_GET_FILTER) and evaluated by a small interpreter of classic BPF as the
 * kernel restricts it for seccomp; an unknown instruction counts as "forbidden".
 */
#ifndef UG_INJECT_SECCOMP_H
#define UG_INJECT_SECCOMP_H

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "process/stop.h"

/* Run one filter; returns the SECCOMP_RET_* word, SECCOMP_RET_KILL_PROCESS when malformed. */
uint32_t ug_seccomp_run(const struct sock_filter *prog, size_t len, const struct seccomp_data *data);

/*
 * Every call we inject (mmap with our protections, munmap, memfd_create, ftruncate, close,
 * prctl), and rt_sigreturn and restart_syscall: all allowed => 0; else -UG_E_SECCOMP naming
 * the call. Strict mode (SECCOMP_MODE_STRICT): -UG_E_SECCOMP. `tid` must be in a ptrace stop.
 * Without the privilege to read filters (CAP_SYS_ADMIN): -UG_E_SECCOMP saying so.
 */
int ug_seccomp_check(struct ug_proc *p, pid_t tid, struct ug_error *err) ug_must_check;

/*
 * From now on a thread whose filters do not let restart_syscall(2) pass survives our stops
 * (no_restart in process/stop.h). It is still better not stopped: the error that says so.
 */
void ug_seccomp_spare_restarts(void);
int ug_seccomp_refuse_restart(struct ug_error *err, pid_t pid, pid_t tid);

#endif
