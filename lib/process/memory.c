// SPDX-License-Identifier: LGPL-2.1-or-later
/* The memory of the target, through the one descriptor opened by ug_proc_open. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "process/proc.h"

/* Entries of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define PAGE_PRESENT (1ULL << 63)
#define PAGE_SWAPPED (1ULL << 62)

#define PAGEMAP_CHUNK 512

static int fail(struct ug_proc *p, int code, const char *what, ug_raddr_t addr, size_t len,
		struct ug_error *err)
{
	(void)ug_err(err, code, "cannot %s %zu bytes at %#llx of process %d", what, len,
		     (unsigned long long)addr, p->pid);
	if (err) {
		err->pid = p->pid;
		err->address = addr;
	}
	return code;
}

static int gone(struct ug_proc *p, struct ug_error *err)
{
	(void)ug_err(err, -UG_E_GONE, "process %d is gone or runs another program", p->pid);
	if (err)
		err->pid = p->pid;
	return -UG_E_GONE;
}

/* An offset is signed: the upper half holds no user memory. */
static bool range_ok(ug_raddr_t addr, size_t len)
{
	return addr <= INT64_MAX && len <= INT64_MAX - addr;
}

int ug_proc_read(struct ug_proc *p, ug_raddr_t addr, void *buf, size_t len, struct ug_error *err)
{
	size_t done = 0;

	if (!range_ok(addr, len))
		return fail(p, -UG_E_UNREADABLE, "read", addr, len, err);
	while (done < len) {
		ssize_t n = pread(p->mem_fd, (char *)buf + done, len - done,
				  (off_t)(addr + done));

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno == ESRCH)
			return gone(p, err);
		else if (errno != EINTR)
			return fail(p, -UG_E_UNREADABLE, "read", addr, len, err);
	}
	return 0;
}

int ug_proc_write(struct ug_proc *p, ug_raddr_t addr, const void *buf, size_t len,
		  struct ug_error *err)
{
	size_t done = 0;

	if (!range_ok(addr, len))
		return fail(p, -UG_E_UNWRITABLE, "write", addr, len, err);
	while (done < len) {
		ssize_t n = pwrite(p->mem_fd, (const char *)buf + done, len - done,
				   (off_t)(addr + done));

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno == ESRCH)
			return gone(p, err);
		else if (errno != EINTR)
			return fail(p, -UG_E_UNWRITABLE, "write", addr, len, err);
	}
	return 0;
}

enum page_kind { PAGE_READ, PAGE_ZERO, PAGE_DOUBT };

static enum page_kind page_kind(uint64_t entry, bool anon)
{
	if (entry & PAGE_PRESENT)
		return PAGE_READ;
	return anon && !(entry & PAGE_SWAPPED) ? PAGE_ZERO : PAGE_DOUBT;
}

/* The bytes of [addr, addr + len), whose pages begin at entry 0, run by run of equal kind. */
static int read_runs(struct ug_proc *p, const uint64_t *entries, ug_raddr_t addr, char *buf,
		     size_t len, bool anon, struct ug_error *err)
{
	ug_raddr_t first = ug_align_down(addr, UG_PAGE_SIZE), end = addr + len, at = addr;

	while (at < end) {
		enum page_kind kind = page_kind(entries[(at - first) / UG_PAGE_SIZE], anon);
		ug_raddr_t to = ug_align_down(at, UG_PAGE_SIZE) + UG_PAGE_SIZE;
		int r = 0;

		while (to < end && page_kind(entries[(to - first) / UG_PAGE_SIZE], anon) == kind)
			to += UG_PAGE_SIZE;
		if (to > end)
			to = end;
		if (kind == PAGE_DOUBT)
			r = fail(p, -UG_E_UNREADABLE, "read without waiting", at, to - at, err);
		else if (kind == PAGE_ZERO)
			memset(buf + (at - addr), 0, to - at);
		else
			r = ug_proc_read(p, at, buf + (at - addr), to - at, err);
		if (r < 0)
			return r;
		at = to;
	}
	return 0;
}

int ug_proc_read_present(struct ug_proc *p, ug_raddr_t addr, void *buf, size_t len, bool anon,
			 struct ug_error *err)
{
	uint64_t entries[PAGEMAP_CHUNK];
	ug_raddr_t at = addr;

	if (p->pagemap_fd < 0)
		return ug_proc_read(p, addr, buf, len, err);
	if (!range_ok(addr, len))
		return fail(p, -UG_E_UNREADABLE, "read", addr, len, err);
	while (at < addr + len) {
		ug_raddr_t first = ug_align_down(at, UG_PAGE_SIZE);
		ug_raddr_t to = first + PAGEMAP_CHUNK * UG_PAGE_SIZE;
		size_t want;
		int r;

		if (to > addr + len)
			to = addr + len;
		want = (ug_align_up(to, UG_PAGE_SIZE) - first) / UG_PAGE_SIZE * sizeof(entries[0]);
		if (pread(p->pagemap_fd, entries, want,
			  (off_t)(first / UG_PAGE_SIZE * sizeof(entries[0]))) != (ssize_t)want)
			return fail(p, -UG_E_UNREADABLE, "look up", at, to - at, err);
		r = read_runs(p, entries, at, (char *)buf + (at - addr), to - at, anon, err);
		if (r < 0)
			return r;
		at = to;
	}
	return 0;
}

int ug_proc_read_str(struct ug_proc *p, ug_raddr_t addr, char *buf, size_t size,
		     struct ug_error *err)
{
	size_t done = 0;

	/* Page by page: the string may end just before an unreadable one. */
	while (done < size) {
		ug_raddr_t at = addr + done;
		size_t n = UG_PAGE_SIZE - at % UG_PAGE_SIZE;
		int r;

		if (n > size - done)
			n = size - done;
		r = ug_proc_read(p, at, buf + done, n, err);
		if (r < 0)
			return r;
		if (memchr(buf + done, '\0', n))
			return 0;
		done += n;
	}
	return fail(p, -UG_E_UNREADABLE, "read a string of", addr, size, err);
}
