// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "builder/reason.h"

static const struct {
	const char *name, *text, *advice;
	bool refuses;
} reasons[] = {
#define X(n, r, t, a) [UG_REASON_##n] = { .name = #n, .text = t, .advice = a, .refuses = r },
	UG_REASONS(X)
#undef X
};

const char *ug_reason_name(enum ug_reason r)
{
	return reasons[r].name;
}

const char *ug_reason_text(enum ug_reason r)
{
	return reasons[r].text;
}

const char *ug_reason_advice(enum ug_reason r)
{
	return reasons[r].advice;
}

bool ug_reason_refuses(enum ug_reason r)
{
	return reasons[r].refuses;
}

bool ug_reason_find(const char *name, enum ug_reason *ret)
{
	for (int i = 0; i < UG_REASONS_END; i++) {
		if (!strcasecmp(reasons[i].name, name)) {
			*ret = (enum ug_reason)i;
			return true;
		}
	}
	return false;
}

bool ug_finding_add(ug_finding_vec *v, enum ug_reason reason, const char *file, unsigned int line,
		    const char *fmt, ...)
{
	struct ug_finding f = { .reason = reason, .line = line }, *slot;
	va_list ap;

	snprintf(f.file, sizeof(f.file), "%s", file);
	va_start(ap, fmt);
	vsnprintf(f.what, sizeof(f.what), fmt, ap);
	va_end(ap);
	ug_vec_for_each(v, other) {
		if (other->reason == reason && !strcmp(other->what, f.what))
			return true;
	}
	slot = ug_vec_add(v);
	if (slot)
		*slot = f;
	return slot != NULL;
}
