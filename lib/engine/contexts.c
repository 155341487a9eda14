/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/contexts.h"

#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* More resident private memory than this does not fit a stop of 10 ms (about 6 GB/s). */
#define SCAN_MAX (48u << 20)

/* Below a stack pointer lie dead frames, as far down as a stack may have been. */
#define STACK_DEPTH (8u << 20)

#define CHUNK_PAGES 64

/* ---- who can create contexts ---- */

static const char *const creators[] = {
	"makecontext", "swapcontext", "setcontext",
	"make_fcontext", "jump_fcontext", "ontop_fcontext",	/* Boost.Context */
	"coro_transfer", "co_create", "lthread_create",
};

static const char *const alternate[] = { "sigaltstack" };
static const char *const setjmps[] = { "__sigsetjmp", "sigsetjmp", "_setjmp", "setjmp" };
static const char *const longjmps[] = {
	"siglongjmp", "longjmp", "_longjmp", "__longjmp_chk",
};

static const char *const openssl_async[] = {
	"ASYNC_start_job", "ASYNC_init_thread", "SSL_get_all_async_fds", "SSL_waiting_for_async",
};

static bool in_list(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, list[i]) == 0)
			return true;
	return false;
}

static bool section_imports(Elf *elf, Elf_Scn *scn, const char *const *list, size_t n)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	GElf_Shdr shdr;
	GElf_Sym sym;

	if (!data || !gelf_getshdr(scn, &shdr) || !shdr.sh_entsize)
		return false;
	for (size_t i = 1; i < shdr.sh_size / shdr.sh_entsize && gelf_getsym(data, (int)i, &sym); i++) {
		const char *name;

		if (sym.st_shndx != SHN_UNDEF)
			continue;
		name = elf_strptr(elf, shdr.sh_link, sym.st_name);
		if (name && in_list(name, list, n))
			return true;
	}
	return false;
}

static bool imports(const struct ug_object *obj, const char *const *list, size_t n)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	while (obj->elf && (scn = elf_nextscn(obj->elf, scn)))
		if (gelf_getshdr(scn, &shdr) && shdr.sh_type == SHT_DYNSYM)
			return section_imports(obj->elf, scn, list, n);
	return false;
}

/*
 * A handler on an alternate stack leaves a context behind by setjmp, and is jumped back into:
 * how QEMU, GNU Pth and others make coroutines without makecontext. An object that imports all
 * three for other reasons is switched at once in vain.
 */
static bool jumps_between_stacks(const struct ug_object *obj)
{
	return imports(obj, alternate, UG_ARRAY_SIZE(alternate)) &&
	       imports(obj, setjmps, UG_ARRAY_SIZE(setjmps)) &&
	       imports(obj, longjmps, UG_ARRAY_SIZE(longjmps));
}

static bool named(const struct ug_object *obj, const char *prefix)
{
	return strncmp(obj->name, prefix, strlen(prefix)) == 0;
}

static bool uses_openssl_async(const struct ug_target *t)
{
	for (size_t i = 0; i < t->objects.n; i++) {
		const struct ug_object *obj = t->objects.v[i];

		if (!named(obj, "libssl.so") && !named(obj, "libcrypto.so") &&
		    imports(obj, openssl_async, UG_ARRAY_SIZE(openssl_async)))
			return true;
	}
	return false;
}

static const struct ug_object *find_creator(const struct ug_target *t)
{
	for (size_t i = 0; i < t->objects.n; i++) {
		const struct ug_object *obj = t->objects.v[i];

		if (jumps_between_stacks(obj))
			return obj;
		if (!imports(obj, creators, UG_ARRAY_SIZE(creators)))
			continue;
		if (!named(obj, "libcrypto.so") || uses_openssl_async(t))
			return obj;
	}
	return NULL;
}

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
		if (bytes > SCAN_MAX)
			break;
	}
	return bytes;
}

static int check_size(struct ug_target *t, const char *who, struct ug_error *err)
{
	if (count_resident(t) <= SCAN_MAX)
		return 0;
	return ug_err(err, -UG_E_CONTEXTS, "%s can create suspended contexts (coroutines), and the "
		      "process has more than %u MiB of memory to search for them: assert "
		      "--contexts=none if it uses none", who, SCAN_MAX >> 20);
}

int ug_contexts_possible(struct ug_target *t, struct ug_error *err)
{
	const struct ug_object *creator = find_creator(t);
	const char *who = creator ? creator->name : "the program";
	int r;

	if (!creator && !(t->reg.addr && t->reg.h.contexts))
		return 0;
	if (t->flags & UG_OPT_CONTEXTS_NONE) {
		ug_log_notice("%s can create suspended contexts; the administrator asserts that "
			      "there are none", who);
		return 0;
	}
	r = check_size(t, who, err);
	if (r < 0)
		return r;
	ug_log_debug("%s can create suspended contexts: all threads are switched at once", who);
	return 1;
}

/* ---- seen in a stop ---- */

/* A raw clone has its creator's thread pointer, and a stack of its own all its life. */
static bool shares_pointer(const struct ug_run *run, const struct ug_thread_rec *rec)
{
	ug_vec_for_each(&run->threads, other)
		if (other != rec && other->seen && other->pointer == rec->pointer)
			return true;
	return false;
}

static const struct ug_thread_rec *find_foreign(const struct ug_run *run)
{
	ug_vec_for_each(&run->threads, rec)
		if (rec->seen && rec->foreign && !shares_pointer(run, rec))
			return rec;
	return NULL;
}

int ug_contexts_notice(struct ug_run *run, struct ug_error *err)
{
	struct ug_target *t = run->t;
	const struct ug_thread_rec *rec;
	int r;

	if (run->at_once || (t->flags & UG_OPT_CONTEXTS_NONE))
		return 0;
	rec = find_foreign(run);
	if (!rec)
		return 0;
	ug_log_notice("thread %d runs on a stack of its own making: the process has contexts that "
		      "can be suspended, all its threads are switched at once", rec->tid);
	run->at_once = true;
	r = ug_registry_note_contexts(&t->proc, &t->reg, err);
	if (r < 0)
		return r;
	r = check_size(t, "the program", err);
	run->unsearchable = r < 0;
	return r;
}

/* ---- the scan, in a stop ---- */

struct scan {
	struct ug_run *run;
	uint64_t guard;
	uint64_t *buf;			/* one page */
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

static void note_word(struct scan *s, uint64_t word)
{
	const struct ug_rangeset *set = &s->run->cs.ranges;

	if (word < set->lo || word > set->hi)
		return;
	for (size_t i = 0; i < set->n; i++)
		if (points_into(&set->v[i], word) &&
		    (word != set->v[i].end || returns_to_end(s, word)))
			ug_bit_set(s->run->occupied, set->v[i].id);
}

/* glibc mangles the saved PC of a setjmp: xor with a secret at fs:0x30, then rol 17. */
static uint64_t demangle(uint64_t word, uint64_t guard)
{
	return ((word >> 17) | (word << 47)) ^ guard;
}

static void note_page(struct scan *s)
{
	for (size_t i = 0; i < UG_PAGE_SIZE / sizeof(uint64_t); i++) {
		note_word(s, s->buf[i]);
		note_word(s, demangle(s->buf[i], s->guard));
	}
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
			memset(run->occupied, 0xff, run->cs.nwords * sizeof(uint64_t));
			continue;
		}
		r = ug_proc_read(&run->t->proc, page, s->buf, UG_PAGE_SIZE, err);
		if (r < 0)
			return r;
		note_page(s);
	}
	return 0;
}

static int scan_map(struct scan *s, const struct ug_map *m, struct ug_error *err)
{
	int r = 0;

	for (ug_raddr_t a = m->start; r == 0 && a < m->end; a += CHUNK_PAGES * UG_PAGE_SIZE) {
		size_t n = (m->end - a) / UG_PAGE_SIZE;

		r = scan_pages(s, m, a, n < CHUNK_PAGES ? n : CHUNK_PAGES, err);
	}
	return r;
}

int ug_contexts_scan(struct ug_run *run, struct ug_error *err)
{
	ug_autofree uint64_t *buf = NULL;
	struct scan s = { .run = run };
	int r = 0;

	if (run->scanned)
		return 0;
	if (run->unsearchable) {
		memset(run->occupied, 0xff, run->cs.nwords * sizeof(uint64_t));
		run->scanned = true;
		return 0;
	}
	s.buf = buf = malloc(UG_PAGE_SIZE);
	if (!buf)
		return ug_err(err, -ENOMEM, "out of memory");
	if (run->threads.n)
		ug_ignore(ug_proc_read_present(&run->t->proc, run->threads.v[0].pointer + 0x30,
					       &s.guard, sizeof(s.guard), true, NULL));
	ug_maps_for_each(&run->t->maps, m) {
		if (worth_scanning(m))
			r = scan_map(&s, m, err);
		if (r < 0)
			return r;
	}
	run->scanned = true;
	return 0;
}
