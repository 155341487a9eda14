// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The wrapper is this very program under the name of a compiler, in a directory that stands
 * first in PATH. It notes where it was called and how, and becomes the real one. It changes
 * nothing: argv[0] is the full path of the real compiler, by which gcc finds its parts.
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
#include "builder/buf.h"
#include "builder/build.h"
#include "builder/capture/capture.h"

#define ENV_LOG "UGRAFT_RECORD_LOG"
#define ENV_DIR "UGRAFT_RECORD_DIR"

/* ---- the wrapper ---- */

/* The next compiler of that name in PATH. */
static bool find_real(const char *name, const char *skip, char *buf, size_t size)
{
	const char *path = getenv("PATH");

	for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
		size_t len = strcspn(p, ":");

		if (len && (len != strlen(skip) || strncmp(p, skip, len))) {
			snprintf(buf, size, "%.*s/%s", (int)len, p, name);
			if (access(buf, X_OK) == 0)
				return true;
		}
		p += len + (p[len] == ':');
	}
	return false;
}

/* One write to a file opened for appending: records of parallel compiles do not mix. */
static void note(const char *log, const char *real, int argc, char **argv)
{
	ug_autoclose int fd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
	char cwd[PATH_MAX];
	struct ug_buf b = { 0 };
	uint32_t head[2] = { (uint32_t)argc + 1, 0 };

	if (fd < 0 || !getcwd(cwd, sizeof(cwd)))
		return;
	ug_buf_add(&b, head, sizeof(head));
	ug_buf_add(&b, cwd, strlen(cwd) + 1);
	ug_buf_add(&b, real, strlen(real) + 1);
	for (int i = 1; i < argc; i++)
		ug_buf_add(&b, argv[i], strlen(argv[i]) + 1);
	if (!b.failed) {
		head[1] = (uint32_t)(b.n - sizeof(head));
		memcpy(b.v, head, sizeof(head));
		ug_ignore(write(fd, b.v, b.n) < 0 ? -1 : 0);
	}
	ug_buf_free(&b);
}

bool ug_build_wrapper(int argc, char **argv, int *ret)
{
	const char *log = getenv(ENV_LOG), *dir = getenv(ENV_DIR);
	const char *base = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	char real[PATH_MAX];

	if (!log || !dir || !strcmp(base, "ugraft"))
		return false;
	*ret = 127;
	if (!find_real(base, dir, real, sizeof(real))) {
		fprintf(stderr, "%s: not found in PATH\n", base);
		return true;
	}
	note(log, real, argc, argv);
	argv[0] = real;
	execv(real, argv);
	fprintf(stderr, "%s: %s\n", real, strerror(errno));
	return true;
}

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

static int link_all(const char *dir, const char *wrapper, struct ug_error *err)
{
	static const char pattern[] =
		"^([a-z0-9_]+-linux-gnu-)?(gcc|g\\+\\+|cc|c\\+\\+|clang|clang\\+\\+|c89|c99)(-[0-9.]+)?$";
	const char *path = getenv("PATH");
	regex_t re;
	int rc = 0;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return ug_err(err, -ENOMEM, "out of memory");
	for (const char *p = path ? path : "/usr/bin:/bin"; *p && rc == 0;) {
		size_t len = strcspn(p, ":");
		char from[PATH_MAX];

		snprintf(from, sizeof(from), "%.*s", (int)len, p);
		rc = link_names(from, dir, wrapper, &re);
		p += len + (p[len] == ':');
	}
	regfree(&re);
	return rc < 0 ? ug_err(err, rc, "cannot make the compiler wrappers in %s", dir) : 0;
}

/* CC=/usr/bin/gcc would go past PATH. */
static bool add_cc(ug_string_vec *env, const char *name, const char *dir)
{
	const char *value = getenv(name);

	if (!value || value[0] != '/' || strchr(value, ' '))
		return true;
	return ug_strings_add(env, "%s=%s%s", name, dir, strrchr(value, '/'));
}

int ug_record_prepare(const struct ug_sandbox *s, const char *wrapper, ug_string_vec *env,
		      struct ug_error *err)
{
	const char *path = getenv("PATH");
	char dir[PATH_MAX], log[PATH_MAX];
	int fd, rc;

	snprintf(dir, sizeof(dir), "%s/bin", s->work);
	snprintf(log, sizeof(log), "%s/log", s->work);
	fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || close(fd) < 0 || mkdir(dir, 0700) < 0)
		return ug_err_errno(err, "cannot create %s", dir);
	rc = link_all(dir, wrapper, err);
	if (rc < 0)
		return rc;
	if (!ug_strings_add(env, "PATH=%s:%s", dir, path ? path : "/usr/bin:/bin") ||
	    !ug_strings_add(env, ENV_LOG "=%s", log) || !ug_strings_add(env, ENV_DIR "=%s", dir) ||
	    !add_cc(env, "CC", dir) || !add_cc(env, "CXX", dir) || !ug_vec_add(env))
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
