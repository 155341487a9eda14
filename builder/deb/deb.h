/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `ugraft build --deb`: what Debian's tools know and do, asked of them.
 *
 *	package.c	dpkg: which source, which version, which files
 *	source.c	apt: the source package, from where the machine gets its packages
 *	root.c		mmdebstrap and apt: a chroot with the build dependencies
 *	path.c		where the binary was built: it says so itself, more often than not
 *	run.c		programs and their output
 *	deb.c		the whole
 *
 * Nothing is installed on the host: its libraries are what is being patched. Nothing here knows
 * a package by name.
 */
#ifndef UG_BUILDER_DEB_H
#define UG_BUILDER_DEB_H

#include "builder/capture/capture.h"

/*
 * What an installed system does not have: a build that does not compile everything again for the installer.
 * No profile that may change a program, and not nocheck: what tests need is looked for by configure too
 * (postgresql-15 ends there without it).
 */
#define UG_DEB_PROFILES "DEB_BUILD_PROFILES=noudeb"

/* ---- run.c ---- */

struct ug_tool {
	const char *const *argv;	/* ends with NULL */
	const char *cwd;		/* NULL: ours */
	const char *log;		/* appended to, with stderr; NULL: stdout is returned */
};

/*
 * Run it in the C locale. *ret (when log is NULL) is its stdout, malloc'ed. *status: of the program, 127: there is no
 * such program.
 */
int ug_tool_run(const struct ug_tool *tool, char **ret, int *status, struct ug_error *err) ug_must_check;
/* The last line of a log that begins so, or with NULL the last; "" : none. */
void ug_tool_last_line(const char *log, const char *prefix, char *buf, size_t size);

/* ---- package.c ---- */

struct ug_deb_package {
	char *source, *version;		/* of the source package */
	ug_string_vec binaries;		/* installed packages of it that were asked for */
};

/* What `name` means: see ug_build_deb_opts.package. -UG_E_NO_OBJECT. */
int ug_deb_find_package(const char *name, struct ug_deb_package *ret, struct ug_error *err) ug_must_check;
void ug_deb_package_free(struct ug_deb_package *p);
/* Their executables and libraries. */
int ug_deb_targets(const struct ug_deb_package *p, ug_string_vec *ret, struct ug_error *err) ug_must_check;

/* ---- source.c ---- */

/* The lines of a sources.list: "deb" or "deb-src" for what the machine's apt is configured with. */
int ug_deb_mirrors(const char *type, ug_string_vec *ret, struct ug_error *err) ug_must_check;
/* Unpack the source package into dir, which must not exist. -UG_E_SOURCE_GONE. */
int ug_deb_fetch(const struct ug_deb_package *p, const char *work, const char *dir, const char *log,
		 struct ug_error *err) ug_must_check;

/* ---- root.c ---- */

/*
 * Make `root`: the base system of this machine's release with the build dependencies of the
 * source package in `source`, which is at `path` there. Both steps are kept in `cache`.
 */
struct ug_deb_root {
	const char *root, *cache, *source, *path, *log;
	const char *name;		/* of the source package, for the cache */
	const char *const *env;		/* NAME=VALUE of the build: a profile may need other packages */
	size_t nenv;
};
int ug_deb_make_root(const struct ug_deb_root *r, struct ug_error *err) ug_must_check;

/* ---- path.c ---- */

/* Where the source was when the targets were built; malloc'ed, NULL without memory. */
char *ug_deb_build_path(const struct ug_deb_package *p, const char *const *targets, size_t n);

#endif
