// SPDX-License-Identifier: GPL-2.0-or-later
/* The result of a comparison as plain data, for the program. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "builder/build.h"
#include "builder/report.h"

#define COPY(dst, src) snprintf(dst, sizeof(dst), "%s", src)

int ug_report_changes(const struct ug_diff *d, ug_change_vec *to)
{
	ug_vec_for_each(&d->changes, c) {
		struct ug_build_change *copy = ug_vec_add(to);

		if (!copy)
			return -ENOMEM;
		copy->verdict = ug_diff_verdict_name(c->verdict);
		copy->kind = ug_kind_name(c->kind);
		COPY(copy->name, c->name);
		COPY(copy->reason, c->reason);
		COPY(copy->detail, c->detail);
		COPY(copy->file, c->file);
		copy->line = c->line;
		copy->kept = c->after != UG_NO_ITEM && d->kept[c->after];
	}
	return 0;
}

int ug_report_findings(const struct ug_diff *d, ug_finding_vec *to)
{
	ug_vec_for_each(&d->findings, f) {
		if (!ug_finding_add(to, f->reason, f->file, f->line, "%s", f->what))
			return -ENOMEM;
	}
	return 0;
}

int ug_report_note(struct ug_patch_report *r, struct ug_error *err, const char *fmt, ...)
{
	struct ug_note *n = ug_vec_add(&r->notes);
	va_list ap;

	if (!n)
		return ug_err(err, -ENOMEM, "out of memory");
	va_start(ap, fmt);
	vsnprintf(n->text, sizeof(n->text), fmt, ap);
	va_end(ap);
	return 0;
}

int ug_build_diff(const char *before, const char *after, struct ug_diff_report *ret,
		  struct ug_error *err)
{
	struct ug_diff *d;
	int rc;

	memset(ret, 0, sizeof(*ret));
	rc = ug_diff_open(before, after, NULL, &d, err);
	if (rc < 0)
		return rc;
	ret->functions = d->ncompared;
	rc = ug_report_changes(d, &ret->changes);
	if (rc == 0)
		rc = ug_report_findings(d, &ret->findings);
	ug_diff_close(d);
	if (rc < 0) {
		ug_diff_report_free(ret);
		return ug_err(err, rc, "out of memory");
	}
	return 0;
}

void ug_diff_report_free(struct ug_diff_report *r)
{
	ug_vec_free(&r->changes);
	ug_vec_free(&r->findings);
}
