/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct error_info {
	const char *name;
	const char *text;
	int exit_code;
	int number;
};

static const struct error_info infos[] = {
#define X(name, exit_code, number, text)                                                           \
	[UG_E_##name - UG_E_BASE] = { #name, text, UG_EXIT_##exit_code, number },
	UG_ERRORS(X)
#undef X
};

static const struct error_info *find_info(int code)
{
	int i = -code - UG_E_BASE;

	if (i <= 0 || i >= (int)(sizeof(infos) / sizeof(infos[0])))
		return NULL;
	return &infos[i];
}

const char *ug_strerror(int code)
{
	const struct error_info *info = find_info(code);

	if (info)
		return info->text;
	return code < 0 ? strerror(-code) : "success";
}

const char *ug_error_name(int code)
{
	const struct error_info *info = find_info(code);
	const char *name;

	if (info)
		return info->name;
	if (code >= 0)
		return "OK";
	name = strerrorname_np(-code);
	return name ? name : "UNKNOWN";
}

int ug_error_errno(int code)
{
	const struct error_info *info = find_info(code);

	if (info)
		return info->number;
	return code < 0 ? -code : 0;
}

int ug_error_exit(int code)
{
	const struct error_info *info = find_info(code);

	if (code >= 0)
		return UG_EXIT_OK;
	if (info)
		return info->exit_code;
	switch (-code) {
	case EPERM:
	case EACCES:
		return UG_EXIT_PERMISSION;
	case ESRCH:
		return UG_EXIT_ABSENT;
	default:
		return UG_EXIT_FAILED;
	}
}

static ug_printf(3, 0) void set(struct ug_error *err, int code, const char *fmt, va_list ap)
{
	memset(err, 0, sizeof(*err));
	err->code = code;
	(void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
}

int ug_err(struct ug_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	set(err, code, fmt, ap);
	va_end(ap);
	return code;
}

int ug_err_errno(struct ug_error *err, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	size_t len;

	if (!err)
		return -saved;
	va_start(ap, fmt);
	set(err, -saved, fmt, ap);
	va_end(ap);
	len = strlen(err->message);
	(void)snprintf(err->message + len, sizeof(err->message) - len, ": %s", strerror(saved));
	return -saved;
}

void ug_err_where(struct ug_error *err, const char *object, const char *function, uint64_t address)
{
	if (!err)
		return;
	if (object)
		(void)snprintf(err->object, sizeof(err->object), "%s", object);
	if (function)
		(void)snprintf(err->function, sizeof(err->function), "%s", function);
	if (address)
		err->address = address;
}

void ug_err_thread(struct ug_error *err, pid_t pid, pid_t tid)
{
	if (!err)
		return;
	err->pid = pid;
	err->tid = tid;
}
