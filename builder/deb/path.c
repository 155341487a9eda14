// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The directory of a build gets into binaries: in __FILE__, in the text of a configure line. It
 * ends with "source-upstreamversion", the directory a source package unpacks to. Where a binary
 * says nothing it does not depend on the path, and any will do.
 */
#include <stdio.h>

#include "base/cleanup.h"
#include "builder/deb/deb.h"

/* "5:7.0.15-1~deb12u10": 7.0.15 */
static char *directory(const struct ug_deb_package *p)
{
	const char *colon = strchr(p->version, ':'), *v = colon ? colon + 1 : p->version;
	const char *dash = strrchr(v, '-');
	char *name;

	return asprintf(&name, "%s-%.*s", p->source, dash ? (int)(dash - v) : (int)strlen(v), v) < 0 ?
	       NULL : name;
}

static bool is_path(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("/._+~-", c));
}

/* The absolute path that ends with the `len` bytes at data[at]. */
static char *path_before(const char *data, size_t at, size_t len)
{
	size_t start = at;

	while (start > 0 && is_path(data[start - 1]))
		start--;
	while (start < at && data[start] != '/')
		start++;
	if (start + 1 >= at || data[at - 1] != '/')
		return NULL;
	return strndup(data + start, at + len - start);
}

static char *search(const char *file, const char *name)
{
	ug_autofree char *data = NULL;
	size_t n, len = strlen(name);
	const char *p;

	data = ug_load_text(file, &n);
	for (p = data; p && (p = memmem(p, n - (size_t)(p - data), name, len)); p++) {
		char *path = path_before(data, (size_t)(p - data), len);

		if (path)
			return path;
	}
	return NULL;
}

char *ug_deb_build_path(const struct ug_deb_package *p, const char *const *targets, size_t n)
{
	ug_autofree char *name = directory(p);
	char *path = NULL;

	for (size_t i = 0; name && i < n && !path; i++)
		path = search(targets[i], name);
	/* Where Debian's builders build, at this writing. */
	if (!path && (!name || asprintf(&path, "/build/reproducible-path/%s", name) < 0))
		return NULL;
	return path;
}
