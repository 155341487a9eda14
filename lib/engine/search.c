/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "inject/remote.h"
#include "process/writes.h"

/* Below a stack pointer lie dead frames, as far down as a stack may have been. */
#define STACK_DEPTH (8u << 20)

#define CHUNK_PAGES 64
#define PAGE_WORDS (UG_PAGE_SIZE / sizeof(uint64_t))

/* Looks before a stop, until little is written between two of them. */
#define PASSES 4

#define WRITTEN_MAX 128

struct ug_watch {
	int fd;				/* a userfaultfd of the process */
	UG_VEC(ug_raddr_t) hits;	/* pages that point into a range, or could not be read */
};

/* ---- what is resident ---- */

static bool worth_scanning(const struct ug_map *m)
{
	return (m->prot & PROT_READ) && (m->prot & PROT_WRITE) && !m->shared &&
	       !ug_registry_owns_map(m);
}

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)

/* One entry of pagemap for each page; without the permission everything counts as present. */
static size_t read_pagemap(struct ug_proc *p, ug_raddr_t start, uint64_t *entries, size_t n)
{
	ssize_t got = -1;

	if (p->pagemap_fd >= 0)
		got = pread(p->pagemap_fd, entries, n * sizeof(*entries),
			    (off_t)(start / UG_PAGE_SIZE * sizeof(*entries)));
	if (got >= 0)
		return (size_t)got / sizeof(*entries);
	for (size_t i = 0; i < n; i++)
		entries[i] = PAGEMAP_PRESENT;
	return n;
}

static uint64_t count_resident(struct ug_target *t)
{
	uint64_t entries[512], bytes = 0;

	ug_maps_for_each(&t->maps, m) {
		if (!worth_scanning(m))
			continue;
		for (ug_raddr_t a = m->start; a < m->end; a += UG_ARRAY_SIZE(entries) * UG_PAGE_SIZE) {
			size_t pages = (m->end - a) / UG_PAGE_SIZE, n;

			if (pages > UG_ARRAY_SIZE(entries))
				pages = UG_ARRAY_SIZE(entries);
			n = read_pagemap(&t->proc, a, entries, pages);
			for (size_t i = 0; i < n; i++)
				bytes += entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED) ?
					 UG_PAGE_SIZE : 0;
		}
		if (bytes > UG_SEARCH_MAX)
			break;
	}
	return bytes;
}

bool ug_search_fits(struct ug_target *t)
{
	return count_resident(t) <= UG_SEARCH_MAX;
}

/* ---- words ---- */

/* One look at memory, in a stop or before. */
struct scan {
	struct ug_run *run;
	uint64_t guard;
	uint64_t *occupied;		/* items that are pointed into; the run's, when in a stop */
	uint64_t *buf;			/* CHUNK_PAGES pages */
	uint64_t bytes;			/* read so far */
};

static bool points_into(const struct ug_range *r, uint64_t word)
{
	switch (r->kind) {
	case UG_RANGE_BYTES:
		return false;
	case UG_RANGE_PAD:
		return word >= r->start && word < r->end;
	case UG_RANGE_JUMPED:
		return word >= r->start && word <= r->end;
	default:
		return word > r->start && word <= r->end;
	}
}

/*
 * Can the end of a function be a return address? Only behind a call or a system call. Else it
 * is a pointer to the function that follows: tables of pointers are full of those. The bytes
 * are not decoded: what could be the end of a call counts.
 */
static bool returns_to_end(const struct scan *s, ug_raddr_t end)
{
	uint8_t code[7];		/* the longest indirect call, without prefixes */

	if (ug_proc_read_present(&s->run->t->proc, end - sizeof(code), code, sizeof(code), false,
				 NULL) < 0)
		return true;
	if (code[2] == 0xe8 || (code[5] == 0x0f && code[6] == 0x05))
		return true;
	for (size_t i = 0; i < sizeof(code) - 1; i++)
		if (code[i] == 0xff && (code[i + 1] >> 3 & 7) == 2)
			return true;
	return false;
}

static bool note_word(struct scan *s, uint64_t word)
{
	const struct ug_rangeset *set = &s->run->cs.ranges;
	bool any = false;

	if (word < set->lo || word > set->hi)
		return false;
	for (size_t i = 0; i < set->n; i++) {
		if (!points_into(&set->v[i], word) ||
		    (word == set->v[i].end && !returns_to_end(s, word)))
			continue;
		ug_bit_set(s->occupied, set->v[i].id);
		any = true;
	}
	return any;
}

/* glibc mangles the saved PC of a setjmp: xor with a secret at fs:0x30, then rol 17. */
static uint64_t demangle(uint64_t word, uint64_t guard)
{
	return ((word >> 17) | (word << 47)) ^ guard;
}

/* Does any word of the page point into one of the ranges? They become occupied. */
static bool note_page(struct scan *s, const uint64_t *words)
{
	bool any = false;

	for (size_t i = 0; i < PAGE_WORDS; i++) {
		any |= note_word(s, words[i]);
		any |= note_word(s, demangle(words[i], s->guard));
	}
	return any;
}

/*
 * Dead frames below a stack pointer, or what the stack check has seen above it: within the
 * mapping of that stack only, and only where the thread is on its own stack. A thread may be
 * running a coroutine: around that stack lie those of others, suspended ones among them.
 */
static bool in_stack(const struct ug_run *run, const struct ug_map *m, ug_raddr_t page)
{
	ug_vec_for_each(&run->threads, rec)
		if (rec->sp >= m->start && rec->sp < rec->stack_top && rec->stack_top <= m->end &&
		    page + UG_PAGE_SIZE + STACK_DEPTH > rec->sp && page < rec->stack_top)
			return true;
	return false;
}

static void all_occupied(struct scan *s)
{
	memset(s->occupied, 0xff, s->run->cs.nwords * sizeof(uint64_t));
}

static int begin_scan(struct scan *s, struct ug_run *run, uint64_t *occupied, struct ug_error *err)
{
	*s = (struct scan){ .run = run, .occupied = occupied };
	s->buf = malloc(CHUNK_PAGES * UG_PAGE_SIZE);
	if (!s->buf)
		return ug_err(err, -ENOMEM, "out of memory");
	if (run->threads.n)
		ug_ignore(ug_proc_read_present(&run->t->proc, run->threads.v[0].pointer + 0x30,
					       &s->guard, sizeof(s->guard), true, NULL));
	return 0;
}

/* ---- in a stop ---- */

static int scan_pages(struct scan *s, const struct ug_map *m, ug_raddr_t start, size_t n,
		      struct ug_error *err)
{
	struct ug_run *run = s->run;
	uint64_t entries[CHUNK_PAGES];
	size_t got = read_pagemap(&run->t->proc, start, entries, n);

	for (size_t i = 0; i < got; i++) {
		ug_raddr_t page = start + i * UG_PAGE_SIZE;
		int r;

		if (!(entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) || in_stack(run, m, page))
			continue;
		if (!(entries[i] & PAGEMAP_PRESENT)) {
			/* Swapped out: not known, so nothing is free. */
			all_occupied(s);
			continue;
		}
		r = ug_proc_read(&run->t->proc, page, s->buf, UG_PAGE_SIZE, err);
		if (r < 0)
			return r;
		note_page(s, s->buf);
		s->bytes += UG_PAGE_SIZE;
	}
	return 0;
}

static int scan_range(struct scan *s, const struct ug_map *m, ug_raddr_t start, ug_raddr_t end,
		      struct ug_error *err)
{
	int r = 0;

	for (ug_raddr_t a = start; r == 0 && a < end; a += CHUNK_PAGES * UG_PAGE_SIZE) {
		size_t n = (end - a) / UG_PAGE_SIZE;

		r = scan_pages(s, m, a, n < CHUNK_PAGES ? n : CHUNK_PAGES, err);
	}
	return r;
}

/* What was written to since the last look. */
static int scan_written(struct scan *s, const struct ug_map *m, struct ug_error *err)
{
	struct ug_written v[WRITTEN_MAX];
	ug_raddr_t at = m->start;
	int r = 0;

	while (r == 0 && at < m->end && s->bytes <= UG_SEARCH_MAX) {
		int n = ug_writes_find(&s->run->t->proc, &at, m->end, false, v, WRITTEN_MAX, err);

		if (n < 0)
			return n;
		for (int i = 0; r == 0 && i < n; i++)
			r = scan_range(s, m, v[i].start, v[i].end, err);
	}
	return r;
}

/* And what pointed somewhere when it was last looked at, written to since or not. */
static int scan_hits(struct scan *s, const struct ug_map *m, struct ug_error *err)
{
	int r = 0;

	ug_vec_for_each(&s->run->watch->hits, page)
		if (r == 0 && *page >= m->start && *page < m->end)
			r = scan_pages(s, m, *page, 1, err);
	return r;
}

static int scan_map(struct scan *s, const struct ug_map *m, struct ug_error *err)
{
	int r;

	if (!s->run->watch)
		return scan_range(s, m, m->start, m->end, err);
	r = scan_hits(s, m, err);
	return r < 0 ? r : scan_written(s, m, err);
}

int ug_search_memory(struct ug_run *run, struct ug_error *err)
{
	struct scan s;
	int r;

	if (run->scanned)
		return 0;
	r = begin_scan(&s, run, run->occupied, err);
	if (r < 0)
		return r;
	if (!run->searchable)
		all_occupied(&s);
	ug_maps_for_each(&run->t->maps, m)
		if (r == 0 && run->searchable && worth_scanning(m))
			r = scan_map(&s, m, err);
	/* More than fits: what was not looked at could point anywhere. */
	if (s.bytes > UG_SEARCH_MAX)
		all_occupied(&s);
	free(s.buf);
	run->scanned = r == 0;
	return r;
}

/* ---- before a stop ---- */

/* The page is protected by now: what is written to it from here on is seen in the stop. */
static int look_at_page(struct scan *s, ug_raddr_t page, const uint64_t *words,
			struct ug_error *err)
{
	ug_raddr_t *hit;

	if (words && !note_page(s, words))
		return 0;
	hit = ug_vec_add(&s->run->watch->hits);
	if (!hit)
		return ug_err(err, -ENOMEM, "out of memory");
	*hit = page;
	return 0;
}

static int look_at_range(struct scan *s, ug_raddr_t start, ug_raddr_t end, struct ug_error *err)
{
	int r = 0;

	for (ug_raddr_t a = start; a < end; a += CHUNK_PAGES * UG_PAGE_SIZE) {
		size_t n = (end - a) / UG_PAGE_SIZE;
		bool read;

		n = n < CHUNK_PAGES ? n : CHUNK_PAGES;
		read = ug_proc_read(&s->run->t->proc, a, s->buf, n * UG_PAGE_SIZE, NULL) == 0;
		for (size_t i = 0; r == 0 && i < n; i++)
			r = look_at_page(s, a + i * UG_PAGE_SIZE,
					 read ? &s->buf[i * PAGE_WORDS] : NULL, err);
		s->bytes += n * UG_PAGE_SIZE;
	}
	return r;
}

static int look_at_map(struct scan *s, const struct ug_map *m, struct ug_error *err)
{
	struct ug_written v[WRITTEN_MAX];
	ug_raddr_t at = m->start;
	int r = 0;

	ug_writes_watch(s->run->watch->fd, m->start, m->end);
	while (r == 0 && at < m->end) {
		int n = ug_writes_find(&s->run->t->proc, &at, m->end, true, v, WRITTEN_MAX, err);

		if (n < 0)
			return n;
		for (int i = 0; r == 0 && i < n; i++)
			r = look_at_range(s, v[i].start, v[i].end, err);
	}
	return r;
}

static int by_address(const void *a, const void *b)
{
	const ug_raddr_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* A page can have been looked at more than once. */
static void drop_doubles(struct ug_watch *w)
{
	size_t kept = 0;

	if (w->hits.n)
		qsort(w->hits.v, w->hits.n, sizeof(*w->hits.v), by_address);
	for (size_t i = 0; i < w->hits.n; i++)
		if (!kept || w->hits.v[i] != w->hits.v[kept - 1])
			w->hits.v[kept++] = w->hits.v[i];
	w->hits.n = kept;
}

/* All that was written to since the last pass. *ret_bytes: how much that was. */
static int pass(struct ug_run *run, uint64_t *ret_bytes, struct ug_error *err)
{
	ug_autofree uint64_t *unused = calloc(run->cs.nwords + 1, sizeof(*unused));
	struct scan s;
	int r;

	if (!unused)
		return ug_err(err, -ENOMEM, "out of memory");
	r = begin_scan(&s, run, unused, err);
	ug_maps_for_each(&run->t->maps, m)
		if (r == 0 && worth_scanning(m))
			r = look_at_map(&s, m, err);
	*ret_bytes = s.bytes;
	free(s.buf);
	drop_doubles(run->watch);
	return r;
}

static int note_userfault(struct ug_target *t, uint8_t value, struct ug_error *err)
{
	t->reg.h.userfault = value;
	return ug_proc_write(&t->proc, t->reg.addr + offsetof(struct ug_reg_header, userfault), &value,
			     1, err);
}

static int begin_watch(struct ug_run *run, struct ug_error *err)
{
	struct ug_remote *remote;
	bool left = ug_search_left(run->t);
	int fd = -1, r, closed;

	run->watch = calloc(1, sizeof(*run->watch));
	if (!run->watch)
		return ug_err(err, -ENOMEM, "out of memory");
	run->watch->fd = -1;
	r = note_userfault(run->t, 1, err);
	if (r == 0 && left)
		r = ug_remote_disarm(&run->t->proc, err);
	if (r == 0)
		r = ug_target_borrow(run->t, &remote, err);
	if (r < 0)
		return r;
	/* Without that record an unused one is the target's own. */
	if (left)
		r = ug_remote_close_userfault(remote, err);
	if (r == 0)
		r = ug_remote_userfault(remote, &fd, err);
	run->watch->fd = fd;
	closed = ug_remote_close(remote, r < 0 ? NULL : err);
	if (r == 0)
		r = closed;
	if (r == 0)
		r = note_userfault(run->t, 0, err);
	return r < 0 ? r : ug_writes_begin(fd, err);
}

static int watch(struct ug_run *run, struct ug_error *err)
{
	uint64_t bytes = 0;
	int r = run->watch ? 0 : begin_watch(run, err);

	for (int i = 0; r == 0 && i < PASSES && (i == 0 || bytes > UG_SEARCH_MAX / 4); i++)
		r = pass(run, &bytes, err);
	if (r == 0)
		ug_log_debug("%zu pages of the process point into the functions, %llu KiB were written "
			     "to during the last look", run->watch->hits.n,
			     (unsigned long long)bytes >> 10);
	return r;
}

void ug_search_prepare(struct ug_run *run)
{
	struct ug_error err;

	if (!run->at_once || run->unsearchable.code)
		return;
	run->searchable = !run->watch && ug_search_fits(run->t);
	/* Before the first stop the secret is not known with which saved PCs are mangled. */
	if (run->searchable || !run->threads.n)
		return;
	run->searchable = watch(run, &err) == 0;
	if (!run->searchable)
		ug_err(&run->unsearchable, -UG_E_CONTEXTS, "the process can have suspended contexts "
		       "(coroutines), and its memory cannot be searched for them: %s; assert "
		       "--contexts=none if it uses none", err.message);
}

bool ug_search_pending(const struct ug_run *run)
{
	return run->at_once && !run->searchable && !run->unsearchable.code;
}

int ug_search_close_left(struct ug_target *t, struct ug_remote *remote, struct ug_error *err)
{
	int r;

	if (!ug_search_left(t))
		return 0;
	r = ug_remote_close_userfault(remote, err);
	return r < 0 ? r : note_userfault(t, 0, err);
}

bool ug_search_left(const struct ug_target *t)
{
	return t->reg.addr && t->reg.h.userfault;
}

void ug_search_end(struct ug_run *run)
{
	if (!run->watch)
		return;
	if (run->watch->fd >= 0)
		close(run->watch->fd);
	ug_vec_free(&run->watch->hits);
	free(run->watch);
	run->watch = NULL;
}
