/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log goes to a callback of the host (see ug_set_log in ugraft.h); without one it is
 * dropped. State changes use the kernel's words verbatim and are a contract.
 */
#ifndef UG_BASE_LOG_H
#define UG_BASE_LOG_H

#include "base/error.h"

enum ug_log_level {
	UG_LOG_ERR = 3,		/* the numbers of syslog(3) */
	UG_LOG_WARN = 4,
	UG_LOG_NOTICE = 5,
	UG_LOG_INFO = 6,
	UG_LOG_DEBUG = 7,
};

typedef void (*ug_log_sink_t)(enum ug_log_level level, const char *line, void *ctx);

/* One sink for this process (the worker sets its own right after fork). NULL: drop. */
void ug_log_set_sink(ug_log_sink_t sink, void *ctx);

void ug_log(enum ug_log_level level, const char *fmt, ...) ug_printf(2, 3);

#define ug_log_warn(...) ug_log(UG_LOG_WARN, __VA_ARGS__)
#define ug_log_notice(...) ug_log(UG_LOG_NOTICE, __VA_ARGS__)
#define ug_log_debug(...) ug_log(UG_LOG_DEBUG, __VA_ARGS__)

#endif
