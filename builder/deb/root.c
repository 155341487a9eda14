// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The chroot, from two archives in the cache: the base system, and that with the build dependencies
 * of one source package (by the content of its debian/control, and the profiles). What is in the cache is as old as
 * the cache: remove it to build with what is newest.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/deb/deb.h"

static int tool(const struct ug_deb_root *r, const char *const *argv, const char *what, struct ug_error *err)
{
	char line[256];
	int rc, status;

	rc = ug_tool_run(&(struct ug_tool){ .argv = argv, .log = r->log }, NULL, &status, err);
	if (rc < 0 || status == 0)
		return rc;
	if (status == 127)
		return ug_err(err, -UG_E_CHROOT, "%s is not installed", argv[0]);
	ug_tool_last_line(r->log, NULL, line, sizeof(line));
	return ug_err(err, -UG_E_CHROOT, "%s: %s", what, line);
}

/* ---- the base system ---- */

/* VERSION_CODENAME of os-release. */
static void codename(char *buf, size_t size)
{
	static const char key[] = "VERSION_CODENAME=";
	ug_autofclose FILE *f = fopen("/etc/os-release", "re");
	char line[256];

	snprintf(buf, size, "stable");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, sizeof(key) - 1)) {
			line[strcspn(line, "\n")] = 0;
			snprintf(buf, size, "%s", line + sizeof(key) - 1);
		}
	}
}

static int bootstrap(const struct ug_deb_root *r, const char *release, const char *archive,
		     struct ug_error *err)
{
	char new[PATH_MAX + 16];
	const char *argv[32] = { "mmdebstrap", "--variant=buildd", "--format=tar", release, new };
	ug_string_vec lines = { 0 };
	size_t n = 5;
	int rc = ug_deb_mirrors("deb", &lines, err);

	snprintf(new, sizeof(new), "%s.%d", archive, (int)getpid());
	for (size_t i = 0; i < lines.n && n < 31; i++)
		argv[n++] = lines.v[i];
	if (rc == 0)
		rc = tool(r, argv, "the base system cannot be made", err);
	if (rc == 0 && rename(new, archive) < 0)
		rc = ug_err_errno(err, "cannot create %s", archive);
	unlink(new);
	ug_strings_free(&lines);
	return rc;
}

static int extract(const struct ug_deb_root *r, const char *archive, struct ug_error *err)
{
	const char *argv[] = { "tar", "--numeric-owner", "-xf", archive, "-C", r->root, NULL };

	if (mkdir(r->root, 0755) < 0 && errno != EEXIST)
		return ug_err_errno(err, "cannot create %s", r->root);
	return tool(r, argv, "the archive cannot be unpacked", err);
}

static int pack(const struct ug_deb_root *r, const char *archive, struct ug_error *err)
{
	char new[PATH_MAX + 16];
	const char *argv[] = { "tar", "--numeric-owner", "-cf", new, "-C", r->root, ".", NULL };
	int rc;

	snprintf(new, sizeof(new), "%s.%d", archive, (int)getpid());
	rc = tool(r, argv, "the chroot cannot be kept", err);
	if (rc == 0 && rename(new, archive) < 0)
		rc = ug_err_errno(err, "cannot create %s", archive);
	unlink(new);
	return rc;
}

/* ---- the build dependencies ---- */

/* Services are not started in it: 101 is what invoke-rc.d asks for. */
static int forbid_services(const struct ug_deb_root *r, struct ug_error *err)
{
	ug_autofclose FILE *f = NULL;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/usr/sbin/policy-rc.d", r->root);
	f = fopen(path, "we");
	if (!f || fputs("#!/bin/sh\nexit 101\n", f) < 0 || fchmod(fileno(f), 0755) < 0)
		return ug_err_errno(err, "cannot create %s", path);
	return 0;
}

/* The one variable of the build that says what it needs. */
static const char *profiles(const struct ug_deb_root *r)
{
	const char *last = UG_DEB_PROFILES;

	for (size_t i = 0; i < r->nenv; i++) {
		if (!strncmp(r->env[i], UG_DEB_PROFILES, strcspn(UG_DEB_PROFILES, "=") + 1))
			last = r->env[i];
	}
	return last;
}

static int in_root(const struct ug_deb_root *r, const char *const *argv, struct ug_error *err)
{
	const char *env[] = { "DEBIAN_FRONTEND=noninteractive", profiles(r), NULL };
	struct ug_sandbox box = { .tree = (char *)(uintptr_t)r->source,
				  .path = (char *)(uintptr_t)r->path,
				  .root = (char *)(uintptr_t)r->root, .mounted = true };
	char line[256];
	int rc, status;

	rc = ug_sandbox_run(&box, &(struct ug_run){ .argv = argv, .cwd = "/", .output = r->log, .env = env },
			    &status, err);
	if (rc < 0 || status == 0)
		return rc;
	ug_tool_last_line(r->log, "E:", line, sizeof(line));
	return ug_err(err, -UG_E_CHROOT, "the build dependencies cannot be installed in the chroot (status "
		      "%d): %s", status, line);
}

static int install(const struct ug_deb_root *r, struct ug_error *err)
{
	const char *update[] = { "apt-get", "-q", "update", NULL };
	const char *depend[] = { "apt-get", "-q", "-y", "--no-install-recommends", "--arch-only",
				 "build-dep", r->path, NULL };
	const char *clean[] = { "apt-get", "clean", NULL };
	char resolv[PATH_MAX];
	const char *copy[] = { "cp", "-f", "-L", "/etc/resolv.conf", resolv, NULL };
	int rc;

	snprintf(resolv, sizeof(resolv), "%s/etc/resolv.conf", r->root);
	rc = tool(r, copy, "the chroot cannot be prepared", err);
	if (rc == 0)
		rc = forbid_services(r, err);
	if (rc == 0)
		rc = in_root(r, update, err);
	if (rc == 0)
		rc = in_root(r, depend, err);
	return rc < 0 ? rc : in_root(r, clean, err);
}

static uint64_t fnv1a(uint64_t hash, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)data[i]) * 0x100000001b3;
	return hash;
}

/* Of what names the build dependencies: debian/control, and the profiles, also ours: they have changed. */
static int hash_needs(const struct ug_deb_root *r, uint64_t *ret, struct ug_error *err)
{
	ug_autofree char *text = NULL;
	char path[PATH_MAX];
	size_t n;

	snprintf(path, sizeof(path), "%s/debian/control", r->source);
	text = ug_load_text(path, &n);
	if (!text)
		return ug_err_errno(err, "cannot read %s: is this a Debian source package?", path);
	*ret = fnv1a(0xcbf29ce484222325, text, n);
	*ret = fnv1a(*ret, profiles(r), strlen(profiles(r)));
	return 0;
}

int ug_deb_make_root(const struct ug_deb_root *r, struct ug_error *err)
{
	char release[256], base[PATH_MAX], archive[PATH_MAX];
	uint64_t hash = 0;
	int rc;

	codename(release, sizeof(release));
	rc = hash_needs(r, &hash, err);
	if (rc < 0)
		return rc;
	snprintf(base, sizeof(base), "%s/base-%s.tar", r->cache, release);
	snprintf(archive, sizeof(archive), "%s/deps-%s-%s-%016llx.tar", r->cache, release, r->name,
		 (unsigned long long)hash);
	if (access(archive, R_OK) == 0)
		return extract(r, archive, err);
	if (access(base, R_OK) < 0)
		rc = bootstrap(r, release, base, err);
	if (rc == 0)
		rc = extract(r, base, err);
	if (rc == 0)
		rc = install(r, err);
	return rc < 0 ? rc : pack(r, archive, err);
}
