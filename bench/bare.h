/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The yardstick of bench/pause: what stopping the same threads costs when nothing clever is
 * done. Seize all, then interrupt all in the order of the list, wait for all, let all go.
 */
#ifndef UG_BENCH_BARE_H
#define UG_BENCH_BARE_H

#include <stdint.h>
#include <sys/types.h>

/* From the first interrupt to the last detach, in nanoseconds, as the tracer sees it. */
uint64_t bare_stop(pid_t pid);

#endif
