/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ug_patch_code, ug_perf_map: what debuggers and profilers are told of the code of patches. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/own.h"

/* ---- for debuggers ---- */

static int fill_code(struct ug_target *t, const struct ug_seg *seg, struct ug_patch_code *ret,
		     struct ug_error *err)
{
	const struct ug_reg_patch *p = seg->patch;

	(void)snprintf(ret->name, sizeof(ret->name), "%s", ug_seg_str(seg, p->name));
	ret->address = p->base;
	ret->bytes = p->code_len;
	return ug_own_image(t, seg, &ret->image, &ret->image_size, err);
}

static int fill_codes(struct ug_target *t, struct ug_patch_codes *codes, struct ug_error *err)
{
	int r = 0;

	codes->v = calloc(t->reg.nsegs + 1, sizeof(*codes->v));
	if (!codes->v)
		return ug_err(err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < t->reg.nsegs; i++)
		if (ug_own_has_code(&t->reg.segs[i]))
			r = fill_code(t, &t->reg.segs[i], &codes->v[codes->n++], err);
	return r;
}

int ug_patch_code(pid_t pid, struct ug_patch_codes **ret, struct ug_error *err)
{
	struct ug_patch_codes *codes = calloc(1, sizeof(*codes));
	struct ug_target t;
	int r = codes ? ug_target_open(pid, 0, &t, err) : ug_err(err, -ENOMEM, "out of memory");

	if (r == 0) {
		r = fill_codes(&t, codes, err);
		ug_target_close(&t);
	}
	if (r < 0)
		ug_patch_code_free(codes);
	else
		*ret = codes;
	return r;
}

void ug_patch_code_free(struct ug_patch_codes *codes)
{
	if (!codes)
		return;
	for (size_t i = 0; i < codes->n; i++)
		free(codes->v[i].image);
	free(codes->v);
	free(codes);
}

/* ---- for profilers ---- */

/*
 * perf looks for it where the target would have written it: in its /tmp, under the number it
 * has itself. That directory is anybody's: no link is followed, nothing but a plain file with
 * one name is written to, and a file that is there already is added to, because a program
 * that makes code at run time keeps its own lines in it.
 */
static int open_map(struct ug_target *t, char *path, size_t size, struct ug_error *err)
{
	char name[64];
	struct stat st;
	pid_t inner;
	int r = ug_registry_inner_pid(&t->proc, &inner, err), tmp, fd;

	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "perf-%d.map", inner);
	(void)snprintf(path, size, "/proc/%d/root/tmp/%s", t->proc.pid, name);
	tmp = openat(t->proc.dirfd, "root/tmp", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (tmp < 0)
		return ug_err_errno(err, "cannot open the /tmp of process %d", t->proc.pid);
	fd = openat(tmp, name, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST)
		fd = openat(tmp, name, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	r = fd < 0 ? ug_err_errno(err, "cannot write %s", path) : fd;
	close(tmp);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)) {
		close(fd);
		return ug_err(err, -EPERM, "%s is not a plain file", path);
	}
	return r;
}

/* All of it, from malloc; it ends with a NUL. */
static char *read_all(FILE *f)
{
	char *text = NULL;
	size_t cap = 0;

	rewind(f);
	if (getdelim(&text, &cap, 0, f) >= 0)
		return text;
	free(text);
	return ferror(f) ? NULL : calloc(1, 1);
}

static bool has_line(const char *text, const char *line)
{
	const char *at = text;

	while ((at = strstr(at, line)) && at != text && at[-1] != '\n')
		at++;
	return at;
}

/* The names are the target's words: a line ends where we say. */
static void add_line(FILE *f, const char *there, const struct ug_seg *seg,
		     const struct ug_reg_symbol *sym, size_t *ret_n)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%llx %llx %.200s [%.64s]\n",
			 (unsigned long long)sym->addr, (unsigned long long)sym->size,
			 ug_seg_str(seg, sym->name), ug_seg_str(seg, seg->patch->name));

	for (int i = 0; i < n - 1; i++)
		if ((unsigned char)line[i] < ' ')
			line[i] = '?';
	if (!sym->size || has_line(there, line))
		return;
	(void)fputs(line, f);
	(*ret_n)++;
}

static int write_map(struct ug_target *t, char *path, size_t size, size_t *ret_n,
		     struct ug_error *err)
{
	int fd = open_map(t, path, size, err);
	ug_autofclose FILE *f = fd >= 0 ? fdopen(fd, "a+") : NULL;
	ug_autofree char *there = NULL;

	if (fd < 0)
		return fd;
	if (!f) {
		close(fd);
		return ug_err(err, -ENOMEM, "out of memory");
	}
	there = read_all(f);
	if (!there)
		return ug_err_errno(err, "cannot read %s", path);
	(void)fseek(f, 0, SEEK_END);
	for (size_t i = 0; i < t->reg.nsegs; i++) {
		const struct ug_seg *seg = &t->reg.segs[i];

		for (uint32_t k = 0; ug_own_has_code(seg) && k < seg->patch->nsymbols; k++)
			add_line(f, there, seg, &ug_seg_symbols(seg)[k], ret_n);
	}
	if (fflush(f) != 0 || ferror(f))
		return ug_err_errno(err, "cannot write %s", path);
	return 0;
}

int ug_perf_map(pid_t pid, char *path, size_t size, size_t *ret_n, struct ug_error *err)
{
	struct ug_target t;
	int r = ug_target_open(pid, 0, &t, err);

	if (r < 0)
		return r;
	*ret_n = 0;
	if (!t.reg.addr)
		r = ug_err(err, -UG_E_NO_PATCH, "process %d is not patched", pid);
	else
		r = write_map(&t, path, size, ret_n, err);
	ug_target_close(&t);
	return r;
}
