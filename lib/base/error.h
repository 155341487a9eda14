/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Setting errors: one line sets and returns.
 *
 *	return ug_err(err, -UG_E_GONE, "process %d is gone", pid);
 *
 * `err` may be NULL everywhere. A message is made where the failure is understood, once;
 * callers pass it on, or add what only they know (ug_err_where).
 */
#ifndef UG_BASE_ERROR_H
#define UG_BASE_ERROR_H

#include "ugraft/error.h"

#define ug_must_check __attribute__((warn_unused_result))
/* A result that may be ignored, on purpose: best effort, or an undo that cannot do better. */
#define ug_ignore(expr) do { if ((expr) < 0) { } } while (0)
#define ug_printf(f, a) __attribute__((format(printf, f, a)))

/* Fill *err and return code. Clears the place (pid, tid, object, function, address). */
int ug_err(struct ug_error *err, int code, const char *fmt, ...) ug_printf(3, 4);

/* The same for a failed system call: appends ": strerror(errno)", returns -errno. */
int ug_err_errno(struct ug_error *err, const char *fmt, ...) ug_printf(2, 3);

/*
 * Add the place to an error already set; NULL leaves a field alone. No code is returned: where err
 * is NULL only the caller has it.
 */
void ug_err_where(struct ug_error *err, const char *object, const char *function, uint64_t address);

/* Add the thread. */
void ug_err_thread(struct ug_error *err, pid_t pid, pid_t tid);

#endif
