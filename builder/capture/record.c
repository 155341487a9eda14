// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The directory of compiler wrappers, and the log they write (wrapper.c). The wrappers are
 * links to one program; in a chroot that is a static one, copied in, because the libraries of
 * the host are not there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <regex.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/reader.h"
#include "builder/capture/capture.h"
#include "builder/capture/wrapper.h"

/* ---- its directory ---- */

static int link_names(const char *from, const char *dir, const char *wrapper, const regex_t *re)
{
	ug_autoclosedir DIR *d = opendir(from);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		ug_autofree char *path = NULL;

		if (regexec(re, e->d_name, 0, NULL, 0) != 0)
			continue;
		if (asprintf(&path, "%s/%s", dir, e->d_name) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		if (symlink(wrapper, path) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int link_all(const struct ug_sandbox *s, const char *dir, const char *wrapper,
		    struct ug_error *err)
{
	static const char pattern[] =
		"^([a-z0-9_]+-linux-gnu-)?(gcc|g\\+\\+|cc|c\\+\\+|clang|clang\\+\\+|c89|c99)(-[0-9.]+)?$";
	const char *path = ug_sandbox_search(s);
	regex_t re;
	int rc = 0;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return ug_err(err, -ENOMEM, "out of memory");
	for (const char *p = path; *p && rc == 0;) {
		size_t len = strcspn(p, ":");
		char from[PATH_MAX];

		snprintf(from, sizeof(from), "%s%.*s", s->root ? s->root : "", (int)len, p);
		rc = link_names(from, dir, wrapper, &re);
		p += len + (p[len] == ':');
	}
	regfree(&re);
	return rc < 0 ? ug_err(err, rc, "cannot make the compiler wrappers in %s", dir) : 0;
}

/* CC=/usr/bin/gcc would go past PATH. A chroot has an environment of its own. */
static bool add_cc(const struct ug_sandbox *s, ug_string_vec *env, const char *name, const char *dir)
{
	const char *value = getenv(name);

	if (s->root || !value || value[0] != '/' || strchr(value, ' '))
		return true;
	return ug_strings_add(env, "%s=%s%s", name, dir, strrchr(value, '/'));
}

/* The program the wrappers link to, as the build sees it. */
static int place_wrapper(const struct ug_sandbox *s, const char *wrapper, char *buf, size_t size,
			 struct ug_error *err)
{
	const char *argv[] = { "cp", "-f", wrapper, buf, NULL };
	struct ug_sandbox bare = { .path = s->work };
	int rc, status;

	snprintf(buf, size, "%s", wrapper);
	if (!s->root)
		return 0;
	snprintf(buf, size, "%s/recorder", s->work);
	rc = ug_sandbox_run(&bare, &(struct ug_run){ .argv = argv }, &status, err);
	if (rc < 0)
		return rc;
	return status ? ug_err(err, -EIO, "cannot copy %s", wrapper) : 0;
}

int ug_record_prepare(const struct ug_sandbox *s, const char *wrapper, ug_string_vec *env,
		      struct ug_error *err)
{
	char dir[PATH_MAX], log[PATH_MAX], program[PATH_MAX];
	int fd, rc;

	snprintf(dir, sizeof(dir), "%s/bin", s->work);
	snprintf(log, sizeof(log), "%s/log", s->work);
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || close(fd) < 0 || (mkdir(dir, 0700) < 0 && errno != EEXIST))
		return ug_err_errno(err, "cannot create %s", dir);
	rc = place_wrapper(s, wrapper, program, sizeof(program), err);
	if (rc == 0)
		rc = link_all(s, dir, program, err);
	if (rc < 0)
		return rc;
	if (!ug_strings_add(env, "PATH=%s:%s", dir, ug_sandbox_search(s)) ||
	    !ug_strings_add(env, UG_RECORD_LOG "=%s", log) ||
	    !ug_strings_add(env, UG_RECORD_DIR "=%s", dir) ||
	    !add_cc(s, env, "CC", dir) || !add_cc(s, env, "CXX", dir) || !ug_vec_add(env))
		return ug_err(err, -ENOMEM, "out of memory");
	return 0;
}

/* ---- the log ---- */

static int read_record(struct ug_reader *r, ug_record_vec *v)
{
	struct ug_record *rec;
	uint32_t head[2];
	uint64_t at, end;

	if (!ug_reader_next(r, head, sizeof(head)) || !ug_reader_check(r, r->pos, head[1]))
		return -EIO;
	rec = ug_vec_add(v);
	if (!rec)
		return -ENOMEM;
	at = r->pos;
	end = at + head[1];
	for (uint32_t i = 0; i < head[0] && at < end; i++) {
		const char *str = ug_reader_str(r, at);

		if (!str)
			return -EIO;
		if (!ug_strings_add(&rec->strings, "%s", str))
			return -ENOMEM;
		at += strlen(str) + 1;
	}
	r->pos = end;
	return 0;
}

int ug_record_read(const struct ug_sandbox *s, ug_record_vec *ret, struct ug_error *err)
{
	ug_autofree char *data = NULL;
	char log[PATH_MAX];
	struct ug_reader r;
	size_t n;

	snprintf(log, sizeof(log), "%s/log", s->work);
	data = ug_load_text(log, &n);
	if (!data)
		return ug_err_errno(err, "cannot read the log of the build");
	ug_reader_init(&r, data, n);
	while (r.pos < r.size) {
		int rc = read_record(&r, ret);

		if (rc < 0)
			return ug_err(err, rc, "the log of the build cannot be used");
	}
	return 0;
}

void ug_records_free(ug_record_vec *v)
{
	ug_vec_for_each(v, r)
		ug_strings_free(&r->strings);
	ug_vec_free(v);
}
