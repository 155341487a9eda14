// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * apt fetches, with lists of its own in the working directory: the machine's configuration says
 * where packages come from, it need not ask for sources, and it is not touched.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "builder/deb/deb.h"

#define SUB_MAX (PATH_MAX + 16)		/* a name in a directory of ours */

static bool is_known(const ug_string_vec *lines, const char *line)
{
	ug_vec_for_each(lines, l) {
		if (!strcmp(*l, line))
			return true;
	}
	return false;
}

static int add_mirror(char *text, const char *type, ug_string_vec *ret)
{
	char *uri = strtok(text, "\t"), *suite = strtok(NULL, "\t"), *component = strtok(NULL, "\t");
	char line[PATH_MAX];

	if (!component)
		return 0;
	snprintf(line, sizeof(line), "%s %s %s %s", type, uri, suite, component);
	return is_known(ret, line) || ug_strings_add(ret, "%s", line) ? 0 : -ENOMEM;
}

int ug_deb_mirrors(const char *type, ug_string_vec *ret, struct ug_error *err)
{
	const char *argv[] = { "apt-get", "indextargets", "--format", "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)",
			       "Created-By: Packages", "Origin: Debian", NULL };
	ug_autofree char *text = NULL;
	char *next;
	int rc, status;

	rc = ug_tool_run(&(struct ug_tool){ .argv = argv }, &text, &status, err);
	if (rc < 0)
		return rc;
	for (char *l = text; l && *l; l = next) {
		next = strchr(l, '\n');
		if (next)
			*next++ = 0;
		if (add_mirror(l, type, ret) < 0)
			return ug_err(err, -ENOMEM, "out of memory");
	}
	if (ret->n)
		return 0;
	return ug_err(err, -UG_E_CHROOT, "apt has no package lists of Debian: run 'apt-get update'");
}

static int write_lines(const char *path, const ug_string_vec *lines, struct ug_error *err)
{
	ug_autofclose FILE *f = fopen(path, "we");

	if (!f)
		return ug_err_errno(err, "cannot create %s", path);
	ug_vec_for_each(lines, l)
		fprintf(f, "%s\n", *l);
	return fflush(f) == 0 ? 0 : ug_err_errno(err, "cannot write %s", path);
}

static int prepare(const char *apt, struct ug_error *err)
{
	static const char *const dirs[] = { "", "/lists", "/lists/partial", "/down" };
	ug_string_vec lines = { 0 };
	char path[SUB_MAX];
	int rc;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", apt, dirs[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return ug_err_errno(err, "cannot create %s", path);
	}
	snprintf(path, sizeof(path), "%s/sources.list", apt);
	rc = ug_deb_mirrors("deb-src", &lines, err);
	if (rc == 0)
		rc = write_lines(path, &lines, err);
	ug_strings_free(&lines);
	return rc;
}

static int run_apt(const char *apt, const char *log, const char *const *words, int *status,
		   struct ug_error *err)
{
	const char *argv[24];
	ug_string_vec options = { 0 };
	char down[SUB_MAX];
	size_t n = 0;
	int rc;

	snprintf(down, sizeof(down), "%s/down", apt);
	if (!ug_strings_add(&options, "Dir::Etc::SourceList=%s/sources.list", apt) ||
	    !ug_strings_add(&options, "Dir::Etc::SourceParts=/dev/null") ||
	    !ug_strings_add(&options, "Dir::State::Lists=%s/lists", apt) ||
	    !ug_strings_add(&options, "Dir::Cache=%s", apt) ||
	    /* The working directory is private: apt's own user could not write there. */
	    !ug_strings_add(&options, "APT::Sandbox::User=root")) {
		ug_strings_free(&options);
		return ug_err(err, -ENOMEM, "out of memory");
	}
	argv[n++] = "apt-get";
	argv[n++] = "-q";
	ug_vec_for_each(&options, o) {
		argv[n++] = "-o";
		argv[n++] = *o;
	}
	while (*words)
		argv[n++] = *words++;
	argv[n] = NULL;
	rc = ug_tool_run(&(struct ug_tool){ .argv = argv, .cwd = down, .log = log }, NULL, status, err);
	ug_strings_free(&options);
	return rc;
}

/* Not there, or not reached: only the first is an answer. */
static int cannot_fetch(const struct ug_deb_package *p, const char *log, struct ug_error *err)
{
	static const char *const gone[] = { "404", "Can not find version", "Unable to find a source package" };
	ug_autofree char *text = NULL;
	char line[256];
	size_t n;

	text = ug_load_text(log, &n);
	for (size_t i = 0; text && i < sizeof(gone) / sizeof(gone[0]); i++) {
		if (strstr(text, gone[i]))
			return ug_err(err, -UG_E_SOURCE_GONE, "the source of %s %s, which is what runs, is no "
				      "longer where this machine gets its packages: unpack it yourself and "
				      "name it with --src", p->source, p->version);
	}
	ug_tool_last_line(log, "E:", line, sizeof(line));
	return ug_err(err, -EIO, "apt-get cannot fetch the source of %s %s: %s", p->source, p->version, line);
}

static int find_dsc(const char *dir, char *buf, size_t size)
{
	ug_autoclosedir DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		size_t n = strlen(e->d_name);

		if (n > 4 && !strcmp(e->d_name + n - 4, ".dsc")) {
			snprintf(buf, size, "%s/%s", dir, e->d_name);
			return 0;
		}
	}
	return -ENOENT;
}

static int unpack(const char *down, const char *dir, const char *log, struct ug_error *err)
{
	char dsc[SUB_MAX + NAME_MAX], line[256];
	const char *argv[] = { "dpkg-source", "--no-check", "-x", dsc, dir, NULL };
	int rc, status;

	if (find_dsc(down, dsc, sizeof(dsc)) < 0)
		return ug_err(err, -EIO, "apt-get has fetched no .dsc file; see %s", log);
	rc = ug_tool_run(&(struct ug_tool){ .argv = argv, .log = log }, NULL, &status, err);
	if (rc < 0 || status == 0)
		return rc;
	ug_tool_last_line(log, NULL, line, sizeof(line));
	return ug_err(err, -EIO, "dpkg-source (of dpkg-dev) cannot unpack the source: %s", line);
}

int ug_deb_fetch(const struct ug_deb_package *p, const char *work, const char *dir, const char *log,
		 struct ug_error *err)
{
	char apt[PATH_MAX], down[SUB_MAX], what[512];
	const char *update[] = { "update", NULL };
	const char *source[] = { "source", "--download-only", what, NULL };
	int rc, status = 0;

	snprintf(apt, sizeof(apt), "%s/apt", work);
	snprintf(down, sizeof(down), "%s/down", apt);
	snprintf(what, sizeof(what), "%s=%s", p->source, p->version);
	rc = prepare(apt, err);
	if (rc == 0)
		rc = run_apt(apt, log, update, &status, err);
	if (rc == 0 && status == 0)
		rc = run_apt(apt, log, source, &status, err);
	if (rc < 0)
		return rc;
	return status ? cannot_fetch(p, log, err) : unpack(down, dir, log, err);
}
