// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "builder/deb/deb.h"
#include "builder/report.h"

struct deb {
	const struct ug_build_deb_opts *opts;
	struct ug_patch_report *report;
	struct ug_error *err;
	struct ug_deb_package package;
	ug_string_vec targets;		/* when none were named */
	char *work, *source, *root, *log, *cache;	/* owned */
	char *path;			/* of the build */
	bool keep;
	double seconds;			/* for all before the build */
};

static int no_memory(const struct deb *d)
{
	return ug_err(d->err, -ENOMEM, "out of memory");
}

/* ---- directories ---- */

static int make_dirs(const char *path, struct ug_error *err)
{
	ug_autofree char *copy = strdup(path);

	if (!copy)
		return ug_err(err, -ENOMEM, "out of memory");
	for (char *p = copy; (p = strchr(p + 1, '/'));) {
		*p = 0;
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return ug_err_errno(err, "cannot create %s", copy);
		*p = '/';
	}
	if (mkdir(copy, 0755) < 0 && errno != EEXIST)
		return ug_err_errno(err, "cannot create %s", copy);
	return 0;
}

static int find_cache(struct deb *d)
{
	const char *xdg = getenv("XDG_CACHE_HOME");
	ug_autofree char *path = NULL;
	int rc;

	if (d->opts->cache)
		path = strdup(d->opts->cache);
	else if (asprintf(&path, "%s/ugraft", xdg && *xdg ? xdg : "/var/cache") < 0)
		path = NULL;
	if (!path)
		return no_memory(d);
	rc = make_dirs(path, d->err);
	if (rc < 0)
		return rc;
	d->cache = realpath(path, NULL);
	return d->cache ? 0 : ug_err_errno(d->err, "cannot open %s", path);
}

static int make_work(struct deb *d)
{
	const char *tmp = getenv("TMPDIR"), *named = d->opts->tree.work;
	ug_autofree char *path = NULL;

	if (named) {
		d->keep = true;
		path = strdup(named);
		if (path && mkdir(path, 0755) < 0 && errno != EEXIST)
			return ug_err_errno(d->err, "cannot create %s", path);
	} else if (asprintf(&path, "%s/ugraft-deb-XXXXXX", tmp && *tmp ? tmp : "/var/tmp") < 0) {
		path = NULL;
	} else if (!mkdtemp(path)) {
		return ug_err_errno(d->err, "cannot make a temporary directory");
	}
	if (!path)
		return no_memory(d);
	d->work = realpath(path, NULL);
	if (!d->work || asprintf(&d->source, "%s/source", d->work) < 0 ||
	    asprintf(&d->root, "%s/root", d->work) < 0 || asprintf(&d->log, "%s/deb.log", d->work) < 0)
		return no_memory(d);
	return 0;
}

static void remove_work(struct deb *d)
{
	const char *argv[] = { "rm", "-rf", "--one-file-system", d->work, NULL };
	int status;

	if (d->work && !d->keep)
		ug_ignore(ug_tool_run(&(struct ug_tool){ .argv = argv }, NULL, &status, NULL));
}

/* ---- the steps ---- */

/* What was named with --target, or all programs of the package. */
static int find_targets(struct deb *d)
{
	int rc;

	rc = ug_deb_find_package(d->opts->package, &d->package, d->err);
	if (rc < 0 || d->opts->tree.ntargets || d->opts->tree.to == UG_STAGE_BUILD ||
	    d->opts->tree.to == UG_STAGE_COPY)
		return rc;
	if (!d->package.binaries.n)
		return ug_err(d->err, -UG_E_NO_OBJECT, "%s need not be what is installed: name the binary "
			      "with --target", d->opts->package);
	return ug_deb_targets(&d->package, &d->targets, d->err);
}

static const char *const *target_list(const struct deb *d, size_t *n)
{
	*n = d->opts->tree.ntargets ? d->opts->tree.ntargets : d->targets.n;
	return d->opts->tree.ntargets ? d->opts->tree.targets : (const char *const *)d->targets.v;
}

static int get_source(struct deb *d)
{
	if (d->opts->tree.from > UG_STAGE_COPY)
		return 0;
	if (d->opts->tree.src) {
		free(d->source);
		d->source = realpath(d->opts->tree.src, NULL);
		return d->source ? 0 : ug_err_errno(d->err, "cannot open %s", d->opts->tree.src);
	}
	return ug_deb_fetch(&d->package, d->work, d->source, d->log, d->err);
}

static int get_root(struct deb *d)
{
	size_t n;
	const char *const *targets = target_list(d, &n);

	d->path = ug_deb_build_path(&d->package, targets, n);
	if (!d->path)
		return no_memory(d);
	if (d->opts->tree.from > UG_STAGE_COPY)
		return 0;
	return ug_deb_make_root(&(struct ug_deb_root){
		.root = d->root, .cache = d->cache, .source = d->source, .path = d->path, .log = d->log,
		.name = d->package.source, .env = d->opts->env, .nenv = d->opts->nenv }, d->err);
}

static size_t processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
}

/*
 * The package's own build of what depends on the architecture, or what the user has said; archives need no
 * compression. Of two values of a variable env takes the last.
 */
static bool make_command(const struct deb *d, ug_string_vec *v)
{
	static const char *const whole[] = { "dpkg-buildpackage", "-B", "-uc", "-us", NULL };
	const char *const *said = d->opts->tree.command, *const *command = said && *said ? said : whole;
	bool ok = ug_strings_add(v, "env") &&
		  ug_strings_add(v, "DEB_BUILD_OPTIONS=nocheck parallel=%zu", processors()) &&
		  ug_strings_add(v, UG_DEB_PROFILES) && ug_strings_add(v, "DPKG_DEB_COMPRESSOR_TYPE=none");

	for (size_t i = 0; i < d->opts->nenv && ok; i++)
		ok = ug_strings_add(v, "%s", d->opts->env[i]);
	for (; *command && ok; command++)
		ok = ug_strings_add(v, "%s", *command);
	return ok && ug_vec_add(v);
}

static int build_with(struct deb *d, const char *const *command)
{
	char work[PATH_MAX];
	struct ug_build_tree_opts o = d->opts->tree;
	int rc;

	snprintf(work, sizeof(work), "%s/build", d->work);
	o.pick_target = !o.ntargets;
	o.targets = target_list(d, &o.ntargets);
	o.src = d->source;
	o.root = d->root;
	o.path = d->path;
	o.command = command;
	o.work = work;
	rc = ug_build_tree(&o, d->report, d->err);
	if (rc == -UG_E_COMPILE)
		d->keep = true;		/* the message names a file in it */
	if (ug_note(d, "%s %s, at %s; prepared in %.1f s", d->package.source, d->package.version, d->path,
		 d->seconds) < 0)
		return -ENOMEM;
	return rc;
}

static int build(struct deb *d)
{
	ug_string_vec command = { 0 };
	int rc;

	rc = make_command(d, &command) ? build_with(d, (const char *const *)command.v) : no_memory(d);
	ug_strings_free(&command);
	return rc;
}

static int run(struct deb *d)
{
	uint64_t start = ug_now_ns();
	int rc;

	if (geteuid() != 0)
		return ug_err(d->err, -UG_E_CHROOT, "making a chroot needs root's rights");
	rc = find_targets(d);
	if (rc == 0)
		rc = find_cache(d);
	if (rc == 0)
		rc = make_work(d);
	if (rc == 0)
		rc = get_source(d);
	if (rc == 0)
		rc = get_root(d);
	d->seconds = (double)(ug_now_ns() - start) / 1e9;
	return rc < 0 ? rc : build(d);
}

int ug_build_deb(const struct ug_build_deb_opts *opts, struct ug_patch_report *report,
		 struct ug_error *err)
{
	struct deb d = { .opts = opts, .report = report, .err = err, .keep = opts->tree.keep };
	int rc;

	memset(report, 0, sizeof(*report));
	rc = run(&d);
	remove_work(&d);
	ug_deb_package_free(&d.package);
	ug_strings_free(&d.targets);
	free(d.work);
	free(d.source);
	free(d.root);
	free(d.log);
	free(d.cache);
	free(d.path);
	return rc;
}
