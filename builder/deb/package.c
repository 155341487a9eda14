// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "builder/deb/deb.h"
#include "builder/symbols.h"

struct row {				/* of dpkg's list; into one text */
	const char *name, *source, *version;
};

typedef UG_VEC(struct row) row_vec;

/* Does `name`, perhaps with ":amd64", name that package? */
static bool is_named(const char *package, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(package, name, n) && (!package[n] || package[n] == ':');
}

static int parse(char *text, row_vec *ret)
{
	char *save = NULL;

	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *field[4] = { 0 }, *p = l;
		struct row *r;

		for (size_t i = 0; i < 4 && p; i++) {
			field[i] = strsep(&p, "\t");
		}
		if (!field[3] || strcmp(field[0], "installed"))
			continue;
		r = ug_vec_add(ret);
		if (!r)
			return -ENOMEM;
		*r = (struct row){ field[1], field[2], field[3] };
	}
	return 0;
}

static int list(char **text, row_vec *ret, struct ug_error *err)
{
	const char *argv[] = { "dpkg-query", "-W", "-f", "${db:Status-Status}\t${binary:Package}\t"
			       "${source:Package}\t${source:Version}\n", NULL };
	int rc, status;

	rc = ug_tool_run(&(struct ug_tool){ .argv = argv }, text, &status, err);
	if (rc < 0)
		return rc;
	if (status)
		return ug_err(err, -UG_E_NO_OBJECT, "dpkg-query fails (status %d): is this a Debian system?",
			      status);
	return parse(*text, ret) < 0 ? ug_err(err, -ENOMEM, "out of memory") : 0;
}

/* "redis-server: /usr/bin/redis-check-rdb": the package. dpkg may know the file by /bin only. */
static char *owner(const char *file, struct ug_error *err)
{
	const char *names[] = { file, !strncmp(file, "/usr/", 5) ? file + 4 : NULL };

	for (size_t i = 0; i < 2 && names[i]; i++) {
		const char *argv[] = { "dpkg-query", "-S", names[i], NULL };
		ug_autofree char *text = NULL;
		int status;

		if (ug_tool_run(&(struct ug_tool){ .argv = argv }, &text, &status, err) < 0)
			return NULL;
		if (status == 0 && strcspn(text, ":\n") < strlen(text))
			return strndup(text, strcspn(text, ":,"));
	}
	ug_err(err, -UG_E_NO_OBJECT, "%s is in no installed package", file);
	return NULL;
}

static bool set_source(struct ug_deb_package *p, const char *source, const char *version)
{
	p->source = strdup(source);
	p->version = strdup(version);
	return p->source && p->version;
}

/* All rows whose package (or source, when by_source) is `name`; one source, one version. */
static int take_rows(const row_vec *rows, const char *name, bool by_source, struct ug_deb_package *p,
		     struct ug_error *err)
{
	ug_vec_for_each(rows, r) {
		if (by_source ? strcmp(r->source, name) : !is_named(r->name, name))
			continue;
		if (!p->source && !set_source(p, r->source, r->version))
			return ug_err(err, -ENOMEM, "out of memory");
		if (strcmp(p->version, r->version))
			return ug_err(err, -UG_E_AMBIGUOUS, "packages of %s are installed in the versions %s "
				      "and %s: name one of the packages", name, p->version, r->version);
		if (!ug_strings_add(&p->binaries, "%s", r->name))
			return ug_err(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static int find_installed(const char *name, const row_vec *rows, struct ug_deb_package *p,
			  struct ug_error *err)
{
	int rc = take_rows(rows, name, false, p, err);

	if (rc == 0 && !p->source)
		rc = take_rows(rows, name, true, p, err);
	if (rc < 0 || p->source)
		return rc;
	return ug_err(err, -UG_E_NO_OBJECT, "no package or source package %s is installed; with "
		      "%s=VERSION and --target it need not be", name, name);
}

/* "NAME=VERSION": the source package is that of the installed package, or NAME itself. */
static int find_version(const char *name, const char *version, const row_vec *rows,
			struct ug_deb_package *p, struct ug_error *err)
{
	const char *source = name;

	ug_vec_for_each(rows, r) {
		if (is_named(r->name, name))
			source = r->source;
	}
	return set_source(p, source, version) ? 0 : ug_err(err, -ENOMEM, "out of memory");
}

int ug_deb_find_package(const char *name, struct ug_deb_package *ret, struct ug_error *err)
{
	ug_autofree char *text = NULL, *own = NULL;
	const char *equal = strchr(name, '=');
	row_vec rows = { 0 };
	int rc;

	if (name[0] == '/') {
		own = owner(name, err);
		if (!own)
			return err ? err->code : -UG_E_NO_OBJECT;
	} else {
		own = strndup(name, equal ? (size_t)(equal - name) : strlen(name));
		if (!own)
			return ug_err(err, -ENOMEM, "out of memory");
	}
	rc = list(&text, &rows, err);
	if (rc == 0)
		rc = equal && name[0] != '/' ? find_version(own, equal + 1, &rows, ret, err) :
		     find_installed(own, &rows, ret, err);
	ug_vec_free(&rows);
	return rc;
}

void ug_deb_package_free(struct ug_deb_package *p)
{
	free(p->source);
	free(p->version);
	ug_strings_free(&p->binaries);
}

/* ---- their programs ---- */

/* A program may be a link to one of another package: what it leads to counts. */
static int add_target(const char *path, ug_string_vec *ret)
{
	ug_autofree char *real = realpath(path, NULL);
	struct ug_build_id id;
	struct stat st;

	if (!real || stat(real, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	ug_linked_build_id(real, &id);
	if (!id.len)
		return 0;
	ug_vec_for_each(ret, known) {
		struct ug_build_id other;

		ug_linked_build_id(*known, &other);
		if (ug_build_id_equal(&id, &other))
			return 0;
	}
	return ug_strings_add(ret, "%s", real) ? 0 : -ENOMEM;
}

int ug_deb_targets(const struct ug_deb_package *p, ug_string_vec *ret, struct ug_error *err)
{
	ug_vec_for_each(&p->binaries, b) {
		const char *argv[] = { "dpkg-query", "-L", *b, NULL };
		ug_autofree char *text = NULL;
		char *save = NULL;
		int rc, status;

		rc = ug_tool_run(&(struct ug_tool){ .argv = argv }, &text, &status, err);
		if (rc < 0)
			return rc;
		for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
			if (add_target(l, ret) < 0)
				return ug_err(err, -ENOMEM, "out of memory");
		}
	}
	if (ret->n)
		return 0;
	return ug_err(err, -UG_E_NO_OBJECT, "no installed file of %s %s is a program or library: name the "
		      "binary with --target", p->source, p->version);
}
