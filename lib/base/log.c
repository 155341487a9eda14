/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static ug_log_sink_t log_sink;
static void *log_ctx;

void ug_log_set_sink(ug_log_sink_t sink, void *ctx)
{
	log_sink = sink;
	log_ctx = ctx;
}

void ug_log(enum ug_log_level level, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (!log_sink)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_sink(level, line, log_ctx);
}
