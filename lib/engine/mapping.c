/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/search.h"
#include "inject/remote.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U	/* Linux 6.3 */
#endif

static int failed(struct ug_error *err, const char *call, int64_t ret)
{
	if (ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE)
		return ug_err(err, -UG_E_LIMIT, "%s in the process failed (%s): raise its limit of %s",
			      call, strerror((int)-ret), ret == -ENOMEM ?
			      "address space (RLIMIT_AS) or mappings (vm.max_map_count)" :
			      "open files (RLIMIT_NOFILE)");
	return ug_err(err, -UG_E_REMOTE_CALL, "%s in the process failed: %s", call,
		      strerror((int)-ret));
}

/* ---- creating ---- */

/* Kernels before 6.3 refuse the flag they do not know; then without it. */
static int make_memfd(struct ug_remote *r, size_t size, int64_t *ret_fd, struct ug_error *err)
{
	static const char name[] = UG_REG_NAME;
	ug_raddr_t at;
	int64_t fd, ret;
	int e = ug_remote_push(r, name, sizeof(name), &at, err);

	if (e < 0)
		return e;
	e = ug_remote_syscall(r, SYS_memfd_create,
			      (uint64_t[6]){ at, MFD_CLOEXEC | MFD_NOEXEC_SEAL }, &fd, err);
	if (e == 0 && fd == -EINVAL)
		e = ug_remote_syscall(r, SYS_memfd_create, (uint64_t[6]){ at, MFD_CLOEXEC }, &fd, err);
	if (e < 0)
		return e;
	if (fd < 0)
		return failed(err, "memfd_create", fd);
	e = ug_remote_syscall(r, SYS_ftruncate, (uint64_t[6]){ (uint64_t)fd, size }, &ret, err);
	if (e == 0 && ret < 0)
		e = failed(err, "ftruncate", ret);
	if (e < 0) {
		ug_ignore(ug_remote_syscall(r, SYS_close, (uint64_t[6]){ (uint64_t)fd }, &ret, NULL));
		return e;
	}
	*ret_fd = fd;
	return 0;
}

static int map_one(struct ug_remote *r, int64_t fd, const struct ug_mapping *m, size_t off,
		   struct ug_error *err)
{
	int64_t ret;
	int e = ug_remote_syscall(r, SYS_mmap,
				  (uint64_t[6]){ m->addr, m->len, (uint64_t)m->prot,
						 MAP_PRIVATE | MAP_FIXED_NOREPLACE, (uint64_t)fd, off },
				  &ret, err);

	if (e < 0)
		return e;
	if (ret == -EEXIST)
		return ug_err(err, -EEXIST, "the address range was taken meanwhile");
	if (ret < 0)
		return failed(err, "mmap", ret);
	if ((uint64_t)ret == m->addr)
		return 0;
	/* A kernel before 4.17 takes the address for a hint. */
	ug_ignore(ug_remote_unmap(r, (ug_raddr_t)ret, m->len, NULL));
	return ug_err(err, -EEXIST, "the address range was taken meanwhile");
}

static int write_image(struct ug_target *t, const struct ug_mapping *m, struct ug_error *err)
{
	ug_autofree uint8_t *back = NULL;
	int r;

	if (!m->image_len)
		return 0;
	back = malloc(m->image_len);
	if (!back)
		return ug_err(err, -ENOMEM, "out of memory");
	r = ug_proc_write(&t->proc, m->addr, m->image, m->image_len, err);
	if (r == 0)
		r = ug_proc_read(&t->proc, m->addr, back, m->image_len, err);
	if (r == 0 && memcmp(back, m->image, m->image_len) != 0)
		r = ug_err(err, -UG_E_UNWRITABLE, "memory of process %d did not take what was written "
			   "to it", t->proc.pid);
	return r;
}

static int map_all(struct ug_target *t, struct ug_remote *r, int64_t fd, const struct ug_mapping *v,
		   size_t n, struct ug_error *err)
{
	size_t off = 0, done;
	int e = 0;

	for (done = 0; done < n; done++) {
		e = map_one(r, fd, &v[done], off, err);
		if (e < 0)
			break;
		off += v[done].len;
	}
	for (size_t i = 0; e == 0 && i < n; i++)
		e = write_image(t, &v[i], err);
	if (e == 0)
		return 0;
	while (done-- > 0)
		if (ug_remote_unmap(r, v[done].addr, v[done].len, NULL) < 0)
			ug_log_warn("cannot unmap %#llx", (unsigned long long)v[done].addr);
	return e;
}

/*
 * Our memory is a file to the kernel. Growing it over the limit of the process does not only
 * fail: it sends SIGXFSZ, which kills.
 */
static int check_file_size(struct ug_target *t, size_t size, struct ug_error *err)
{
	int fd = openat(t->proc.dirfd, "limits", O_RDONLY | O_CLOEXEC);
	ug_autofclose FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	unsigned long long limit;
	char line[256];

	if (!f) {
		if (fd >= 0)
			close(fd);
		return ug_err(err, -UG_E_GONE, "process %d is gone", t->proc.pid);
	}
	/* "unlimited" is no number */
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Max file size %llu", &limit) == 1 && limit < size)
			return ug_err(err, -UG_E_LIMIT, "process %d may not make files of %zu bytes, as "
				      "which the kernel counts the memory of a patch: raise its "
				      "RLIMIT_FSIZE", t->proc.pid, size);
	return 0;
}

int ug_mapping_create(struct ug_target *t, const struct ug_mapping *v, size_t n,
		      struct ug_error *err)
{
	struct ug_remote *remote;
	size_t size = 0;
	int64_t fd = -1, ret;
	int r, closed;

	for (size_t i = 0; i < n; i++)
		size += v[i].len;
	r = check_file_size(t, size, err);
	if (r == 0)
		r = ug_target_borrow(t, &remote, err);
	if (r < 0)
		return r;
	r = make_memfd(remote, size, &fd, err);
	if (r == 0) {
		r = map_all(t, remote, fd, v, n, err);
		ug_ignore(ug_remote_syscall(remote, SYS_close, (uint64_t[6]){ (uint64_t)fd }, &ret,
					    NULL));
	}
	closed = ug_remote_close(remote, r < 0 ? NULL : err);
	return r < 0 ? r : closed;
}

int ug_mapping_disarm(struct ug_target *t, bool *ret_leaked, struct ug_error *err)
{
	int r;

	*ret_leaked = ug_remote_any_leaked(&t->proc, UG_REG_NAME);
	if (!*ret_leaked && !t->inherited && !ug_search_left(t))
		return 0;
	r = ug_remote_disarm(&t->proc, err);
	if (r == 0)
		t->inherited = false;
	return r;
}

int ug_mapping_remove(struct ug_target *t, const struct ug_reg_area *v, size_t n, bool leaked,
		      struct ug_error *err)
{
	struct ug_remote *remote;
	int r, closed;

	if (!n && !leaked && !ug_search_left(t))
		return 0;
	r = ug_target_borrow(t, &remote, err);
	if (r < 0)
		return r;
	if (leaked)
		r = ug_remote_close_leaked(remote, UG_REG_NAME, err);
	if (r == 0)
		r = ug_search_close_left(t, remote, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = ug_remote_unmap(remote, v[i].addr, v[i].len, err);
	closed = ug_remote_close(remote, r < 0 ? NULL : err);
	return r < 0 ? r : closed;
}

/* ---- garbage ---- */

typedef UG_VEC(struct ug_reg_area) area_vec;

static int compare_areas(const void *a, const void *b)
{
	const struct ug_reg_area *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static int add_area(area_vec *vec, uint64_t addr, uint64_t len, struct ug_error *err)
{
	struct ug_reg_area *a = ug_vec_add(vec);

	if (!a)
		return ug_err(err, -ENOMEM, "out of memory");
	a->addr = addr;
	a->len = len;
	return 0;
}

static int collect_owned(const struct ug_target *t, area_vec *owned, struct ug_error *err)
{
	int r = 0;

	if (t->reg.addr)
		r = add_area(owned, t->reg.addr, UG_REG_SIZE, err);
	for (size_t i = 0; r == 0 && i < t->reg.nsegs; i++) {
		const struct ug_seg *seg = &t->reg.segs[i];

		for (int k = 0; r == 0 && seg->s.ready == 1 && k < UG_REG_AREAS; k++)
			if (seg->meta->areas[k].len)
				r = add_area(owned, seg->meta->areas[k].addr,
					     seg->meta->areas[k].len, err);
	}
	if (r == 0 && owned->n)
		qsort(owned->v, owned->n, sizeof(*owned->v), compare_areas);
	return r;
}

/* What of [start, end) is in none of the sorted areas. */
static int subtract(const area_vec *owned, ug_raddr_t start, ug_raddr_t end, area_vec *ret,
		    struct ug_error *err)
{
	int r = 0;

	ug_vec_for_each(owned, a) {
		if (a->addr + a->len <= start || a->addr >= end)
			continue;
		if (a->addr > start)
			r = add_area(ret, start, a->addr - start, err);
		if (r < 0)
			return r;
		start = a->addr + a->len;
	}
	return start < end ? add_area(ret, start, end - start, err) : r;
}

int ug_mapping_garbage(struct ug_target *t, struct ug_reg_area **ret, size_t *ret_n,
		       struct ug_error *err)
{
	area_vec owned = UG_VEC_INIT, garbage = UG_VEC_INIT;
	int r = collect_owned(t, &owned, err);

	ug_maps_for_each(&t->maps, m) {
		if (r < 0)
			break;
		if (ug_registry_owns_map(m))
			r = subtract(&owned, m->start, m->end, &garbage, err);
	}
	ug_vec_free(&owned);
	if (r < 0) {
		ug_vec_free(&garbage);
		return r;
	}
	*ret = garbage.v;
	*ret_n = garbage.n;
	return 0;
}
