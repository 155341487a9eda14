/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --no-short-transfers: a thread in the middle of a transfer is not stopped, for the call would
 * return what it has moved so far. Before anything is touched, and before each stop, one waits
 * until nobody is. When the time is up a load or unload that has not committed is refused; what
 * has committed is finished, or taken back, all the same: it cannot be left as it is.
 *
 * Looked at is what /proc tells just before the stop. A transfer that begins between the look
 * and the stop, and has moved a part by then, is cut short; the report counts it.
 */
#ifndef UG_ENGINE_TRANSFERS_H
#define UG_ENGINE_TRANSFERS_H

#include "engine/target.h"
#include "process/task.h"

/* 0 when nobody is in one, or the option is not set; -UG_E_TRANSFER: not before the deadline. */
int ug_transfers_await(struct ug_target *t, struct ug_error *err) ug_must_check;

/* Must this thread be left alone for now? */
bool ug_transfers_spare(struct ug_target *t, pid_t tid);

#endif
