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
		"^(([a-z0-9_]+-linux-gnu-)?(gcc|g\\+\\+|cc|c\\+\\+|clang|clang\\+\\+|c89|c99)(-[0-9.]+)?|"
		"ccache|sccache|distcc|icecc)$";
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

/* "/usr/bin/gcc" of "CC=/usr/bin/gcc", where there is a wrapper of that name: its name. */
static const char *compiler_in(const char *assignment, const char *dir)
{
	const char *value = strchr(assignment, '=');
	char path[PATH_MAX];

	if (!value || value[1] != '/' || strpbrk(value, " \t"))
		return NULL;
	snprintf(path, sizeof(path), "%s%s", dir, strrchr(value, '/'));
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? strrchr(value, '/') : NULL;
}

/* CC=/usr/bin/gcc would go past PATH. */
static bool add_redirected(ug_string_vec *v, const char *word, const char *dir)
{
	const char *name = word[0] != '/' ? compiler_in(word, dir) : NULL;

	return name ? ug_strings_add(v, "%.*s%s%s", (int)(strchr(word, '=') + 1 - word), word, dir, name) :
	       ug_strings_add(v, "%s", word);
}

/* A chroot has an environment of its own. */
static bool add_compilers(const struct ug_sandbox *s, ug_string_vec *env, const char *dir)
{
	static const char *const names[] = { "CC", "CXX" };

	for (size_t i = 0; i < 2 && !s->root; i++) {
		const char *value = getenv(names[i]);
		ug_autofree char *word = NULL;

		if (!value)
			continue;
		if (asprintf(&word, "%s=%s", names[i], value) < 0) {
			word = NULL;
			return false;
		}
		if (!add_redirected(env, word, dir))
			return false;
	}
	return true;
}

/* ccache answers with objects it has; a compile that is not made is not recorded. */
static bool add_environment(const struct ug_sandbox *s, ug_string_vec *env, const char *dir, const char *log)
{
	return ug_strings_add(env, "PATH=%s:%s", dir, ug_sandbox_search(s)) &&
	       ug_strings_add(env, UG_RECORD_LOG "=%s", log) &&
	       ug_strings_add(env, UG_RECORD_DIR "=%s", dir) &&
	       ug_strings_add(env, "CCACHE_DISABLE=1") && add_compilers(s, env, dir) && ug_vec_add(env);
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

static bool make_dir(const char *path)
{
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* The log, a directory beside it for what compiles read, a directory for the wrappers. */
static int make_places(const struct ug_sandbox *s, const char *log, const char *dir, bool go_on,
		       struct ug_error *err)
{
	char deps[PATH_MAX + sizeof(UG_RECORD_DEPS)];
	const char *argv[] = { "rm", "-rf", deps, log, NULL };
	struct ug_sandbox bare = { .path = s->work };
	int fd, rc = 0, status;

	snprintf(deps, sizeof(deps), "%s" UG_RECORD_DEPS, log);
	if (!go_on)
		rc = ug_sandbox_run(&bare, &(struct ug_run){ .argv = argv }, &status, err);
	if (rc < 0)
		return rc;
	fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || close(fd) < 0 || !make_dir(deps) || !make_dir(dir))
		return ug_err_errno(err, "cannot create %s", dir);
	return 0;
}

int ug_record_prepare(const struct ug_sandbox *s, const char *wrapper, const char *const *command, bool go_on,
		      ug_string_vec *env, ug_string_vec *ret_command, struct ug_error *err)
{
	char dir[PATH_MAX], log[PATH_MAX], program[PATH_MAX];
	bool ok = true;
	int rc;

	snprintf(dir, sizeof(dir), "%s/bin", s->work);
	snprintf(log, sizeof(log), "%s/log", s->work);
	rc = make_places(s, log, dir, go_on, err);
	if (rc == 0)
		rc = place_wrapper(s, wrapper, program, sizeof(program), err);
	if (rc == 0)
		rc = link_all(s, dir, program, err);
	if (rc < 0)
		return rc;
	for (; *command && ok; command++)
		ok = add_redirected(ret_command, *command, dir);
	if (!ok || !ug_vec_add(ret_command) || !add_environment(s, env, dir, log))
		return ug_err(err, -ENOMEM, "out of memory");
	return 0;
}

/* ---- the log ---- */

/* The next string of a record that ends at `end`; NULL: malformed. */
static const char *next_string(struct ug_reader *r, uint64_t end)
{
	const char *str = r->pos < end ? ug_reader_str(r, r->pos) : NULL;

	if (str)
		r->pos += strlen(str) + 1;
	return str && r->pos <= end ? str : NULL;
}

static int read_strings(struct ug_reader *r, uint64_t end, uint32_t n, ug_string_vec *ret)
{
	for (uint32_t i = 0; i < n; i++) {
		const char *str = next_string(r, end);

		if (!str)
			return -EIO;
		if (!ug_strings_add(ret, "%s", str))
			return -ENOMEM;
	}
	return 0;
}

static int read_record(struct ug_reader *r, ug_record_vec *v)
{
	struct ug_record_head head;
	struct ug_record *rec;
	const char *deps;
	uint64_t end;
	int rc;

	if (!ug_reader_next(r, &head, sizeof(head)) || !ug_reader_check(r, r->pos, head.size))
		return -EIO;
	rec = ug_vec_add(v);
	if (!rec)
		return -ENOMEM;
	end = r->pos + head.size;
	rc = read_strings(r, end, 1, &rec->strings);
	deps = rc == 0 ? next_string(r, end) : NULL;
	if (!deps)
		return rc < 0 ? rc : -EIO;
	rec->deps = deps[0] ? strdup(deps) : NULL;
	rc = deps[0] && !rec->deps ? -ENOMEM : read_strings(r, end, head.args + 1, &rec->strings);
	return rc < 0 ? rc : read_strings(r, end, head.env, &rec->env);
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
	ug_vec_for_each(v, r) {
		ug_strings_free(&r->strings);
		ug_strings_free(&r->env);
		free(r->deps);
	}
	ug_vec_free(v);
}
