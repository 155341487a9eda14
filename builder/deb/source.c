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

static int write_list(const char *apt, const char *const *lines, size_t n, struct ug_error *err)
{
	ug_autofclose FILE *f = NULL;
	char path[SUB_MAX];

	snprintf(path, sizeof(path), "%s/sources.list", apt);
	f = fopen(path, "we");
	if (!f)
		return ug_err_errno(err, "cannot create %s", path);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s\n", lines[i]);
	return fflush(f) == 0 ? 0 : ug_err_errno(err, "cannot write %s", path);
}

static int prepare(const char *apt, ug_string_vec *ret_places, struct ug_error *err)
{
	static const char *const dirs[] = { "", "/lists", "/lists/partial", "/down" };
	char path[SUB_MAX];
	int rc;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", apt, dirs[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return ug_err_errno(err, "cannot create %s", path);
	}
	rc = ug_deb_mirrors("deb-src", ret_places, err);
	return rc < 0 ? rc : write_list(apt, (const char *const *)ret_places->v, ret_places->n, err);
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

/* Does apt say, behind that place of its log, that there is no such thing? It may have reached nobody. */
static bool says_gone(const char *log, size_t from)
{
	static const char *const gone[] = { " 404  ", "Can not find version", "Unable to find a source package" };
	size_t n;
	ug_autofree char *text = ug_load_text(log, &n);

	for (size_t i = 0; text && n > from && i < sizeof(gone) / sizeof(gone[0]); i++) {
		if (strstr(text + from, gone[i]))
			return true;
	}
	return false;
}

static size_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

/*
 * Of the places that list a version apt asks the first, and nobody else when that has lost a file
 * of it. So each is asked; a file that is there already is not fetched again. why: what failed
 * before, or "".
 */
static int download(const struct ug_deb_package *p, const char *apt, const ug_string_vec *places,
		    const char *log, char *why, size_t size, struct ug_error *err)
{
	char what[512];
	const char *source[] = { "source", "--download-only", what, NULL };

	snprintf(what, sizeof(what), "%s=%s", p->source, p->version);
	ug_vec_for_each(places, place) {
		const char *line = *place;
		size_t from = size_of(log);
		int rc, status = 0;

		rc = write_list(apt, &line, 1, err);
		if (rc == 0)
			rc = run_apt(apt, log, source, &status, err);
		if (rc < 0 || status == 0)
			return rc;
		if (!says_gone(log, from))
			ug_tool_last_line(log, "E:", why, size);
	}
	if (!*why)
		return ug_err(err, -UG_E_SOURCE_GONE, "the source of %s %s, which is what runs, is no longer "
			      "where this machine gets its packages: unpack it yourself and name it with "
			      "--src", p->source, p->version);
	return ug_err(err, -EIO, "apt-get cannot fetch the source of %s %s: %s", p->source, p->version, why);
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

/* One place without lists does not matter when another has the source: why says what failed. */
static int update(const char *apt, const char *log, char *why, size_t size, struct ug_error *err)
{
	const char *words[] = { "update", "-o", "APT::Update::Error-Mode=any", NULL };
	int rc, status;

	rc = run_apt(apt, log, words, &status, err);
	if (rc == 0 && status)
		ug_tool_last_line(log, "E:", why, size);
	return rc;
}

int ug_deb_fetch(const struct ug_deb_package *p, const char *work, const char *dir, const char *log,
		 struct ug_error *err)
{
	char apt[PATH_MAX], down[SUB_MAX], why[256] = "";
	ug_string_vec places = { 0 };
	int rc;

	snprintf(apt, sizeof(apt), "%s/apt", work);
	snprintf(down, sizeof(down), "%s/down", apt);
	rc = prepare(apt, &places, err);
	if (rc == 0)
		rc = update(apt, log, why, sizeof(why), err);
	if (rc == 0)
		rc = download(p, apt, &places, log, why, sizeof(why), err);
	ug_strings_free(&places);
	return rc < 0 ? rc : unpack(down, dir, log, err);
}
