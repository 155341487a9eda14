/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bisect.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/reader.h"
#include "engine/record.h"
#include "rt/gate_abi.h"

#define RECORD_MAX (64u << 20)
#define RECORDS_MAX (1u << 30)	/* in all: 2 MiB a slot, some ten thousand functions each */

bool ug_registry_owns_map(const struct ug_map *map)
{
	return strcmp(map->name, "/memfd:" UG_REG_NAME " (deleted)") == 0 ||
	       strcmp(map->name, "/memfd:" UG_REG_NAME) == 0 ||
	       strcmp(map->name, "[anon:" UG_REG_NAME "]") == 0;
}

int ug_registry_inner_pid(struct ug_proc *p, pid_t *ret, struct ug_error *err)
{
	int fd = openat(p->dirfd, "status", O_RDONLY | O_CLOEXEC);
	ug_autofclose FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	char line[512];

	if (!f) {
		if (fd >= 0)
			close(fd);
		return ug_err(err, -UG_E_GONE, "process %d is gone", p->pid);
	}
	while (fgets(line, sizeof(line), f)) {
		char *last;

		if (strncmp(line, "NSpid:", 6) != 0)
			continue;
		last = strrchr(line, '\t');
		*ret = last ? (pid_t)atoi(last + 1) : p->pid;
		return 0;
	}
	*ret = p->pid;		/* a kernel without pid namespaces */
	return 0;
}

/* ---- reading ---- */

static int read_header(struct ug_proc *p, ug_raddr_t addr, struct ug_reg_header *h)
{
	if (ug_proc_read(p, addr, h, sizeof(*h), NULL) < 0)
		return -UG_E_UNREADABLE;
	if (h->magic != UG_REG_MAGIC)
		return -UG_E_REGISTRY;
	return 0;
}

/*
 * The root is the mapping of ours that begins with the magic. A root that was never made
 * ready is what a controller left that died while it formatted it: garbage like any other.
 */
static int find_root(struct ug_proc *p, const struct ug_maps *maps, struct ug_registry *reg,
		     struct ug_error *err)
{
	ug_maps_for_each(maps, m) {
		struct ug_reg_header h;

		if (!ug_registry_owns_map(m) || !(m->prot & PROT_WRITE))
			continue;
		if (read_header(p, m->start, &h) < 0 || !h.ready)
			continue;
		if (h.version != UG_REG_VERSION || h.size != UG_REG_SIZE)
			return ug_err(err, -UG_E_REGISTRY,
				      "process %d carries a registry of version %u, this ugraft knows "
				      "version %u: use the ugraft that made it", p->pid, h.version,
				      UG_REG_VERSION);
		reg->addr = m->start;
		reg->h = h;
		return 0;
	}
	return 0;
}

static int check_copy(struct ug_proc *p, struct ug_registry *reg, struct ug_error *err)
{
	pid_t inner;
	int r = ug_registry_inner_pid(p, &inner, err);

	if (r < 0)
		return r;
	reg->is_copy = reg->h.owner_pid != inner || reg->h.owner_start != p->start_time;
	return 0;
}

static int read_segment(struct ug_proc *p, unsigned int index, const struct ug_reg_slot *slot,
			struct ug_seg *seg, struct ug_error *err)
{
	void *record;
	int r;

	if (slot->meta_len < sizeof(struct ug_reg_meta) || slot->meta_len > RECORD_MAX)
		return ug_err(err, -UG_E_REGISTRY, "registry slot %u has a record of %u bytes", index,
			      slot->meta_len);
	record = malloc(slot->meta_len);
	if (!record)
		return ug_err(err, -ENOMEM, "out of memory");
	r = ug_proc_read(p, slot->meta, record, slot->meta_len, err);
	if (r == 0)
		r = ug_record_validate(slot, record, err);
	if (r < 0) {
		free(record);
		return r;
	}
	seg->slot = index;
	seg->s = *slot;
	seg->record = record;
	return 0;
}

/* Slots of a hostile process may name the same large record again and again. */
static int check_size(const struct ug_reg_slot *slots, struct ug_error *err)
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < UG_REG_SLOTS; i++)
		if (slots[i].ready == 1)
			total += slots[i].meta_len;
	if (total > RECORDS_MAX)
		return ug_err(err, -UG_E_REGISTRY, "the registry has records of %llu bytes",
			      (unsigned long long)total);
	return 0;
}

static int read_slots(struct ug_proc *p, struct ug_registry *reg, struct ug_error *err)
{
	ug_autofree struct ug_reg_slot *slots = calloc(UG_REG_SLOTS, sizeof(*slots));
	int r;

	reg->segs = calloc(UG_REG_SLOTS, sizeof(*reg->segs));
	if (!slots || !reg->segs)
		return ug_err(err, -ENOMEM, "out of memory");
	r = ug_proc_read(p, reg->addr + UG_REG_SLOT_OFF, slots, UG_REG_SLOTS * sizeof(*slots), err);
	if (r == 0)
		r = check_size(slots, err);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < UG_REG_SLOTS; i++) {
		if (slots[i].ready != 1)
			continue;
		r = read_segment(p, i, &slots[i], &reg->segs[reg->nsegs], err);
		if (r < 0)
			return r;
		reg->nsegs++;
	}
	return 0;
}

static int by_place(const void *pa, const void *pb)
{
	const struct ug_reg_place *a = pa, *b = pb;

	if (a->func != b->func)
		return a->func < b->func ? -1 : 1;
	if (a->seg != b->seg)
		return a->seg < b->seg ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

/* A site is looked up for each of as many functions: of a hostile process these are millions. */
static int index_sites(struct ug_registry *reg, struct ug_error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < reg->nsegs; i++)
		if (reg->segs[i].s.kind == UG_REG_SITES)
			n += reg->segs[i].sites->nsites;
	reg->places = calloc(n + 1, sizeof(*reg->places));
	if (!reg->places)
		return ug_err(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < reg->nsegs; i++) {
		const struct ug_seg *seg = &reg->segs[i];

		for (uint32_t k = 0; seg->s.kind == UG_REG_SITES && k < seg->sites->nsites; k++)
			reg->places[reg->nplaces++] = (struct ug_reg_place){
				ug_seg_sites(seg)[k].func, (uint32_t)i, k,
			};
	}
	qsort(reg->places, n, sizeof(*reg->places), by_place);
	return 0;
}

int ug_registry_read(struct ug_proc *p, const struct ug_maps *maps, struct ug_registry *ret,
		     struct ug_error *err)
{
	struct ug_registry reg = { 0 };
	int r;

	r = find_root(p, maps, &reg, err);
	if (r < 0)
		return r;
	if (reg.addr) {
		r = check_copy(p, &reg, err);
		if (r == 0)
			r = read_slots(p, &reg, err);
		if (r == 0)
			r = index_sites(&reg, err);
		if (r < 0) {
			ug_registry_free(&reg);
			return r;
		}
	}
	*ret = reg;
	return 0;
}

void ug_registry_free(struct ug_registry *reg)
{
	for (size_t i = 0; i < reg->nsegs; i++)
		free(reg->segs[i].record);
	free(reg->segs);
	free(reg->places);
	memset(reg, 0, sizeof(*reg));
}

/* ---- finding ---- */

struct ug_seg *ug_registry_find(const struct ug_registry *reg, uint32_t id)
{
	for (size_t i = 0; i < reg->nsegs; i++)
		if (reg->segs[i].s.id == id)
			return &reg->segs[i];
	return NULL;
}

/* A patch of that name that is loaded or on its way; one that was left does not count. */
struct ug_seg *ug_registry_patch(const struct ug_registry *reg, const char *name)
{
	for (size_t i = 0; i < reg->nsegs; i++) {
		struct ug_seg *seg = &reg->segs[i];

		if (seg->s.kind == UG_REG_PATCH &&
		    (seg->s.state == UG_REG_PREPARED || seg->s.state == UG_REG_ENABLED) &&
		    strcmp(ug_seg_str(seg, seg->patch->name), name) == 0)
			return seg;
	}
	return NULL;
}

const char *ug_seg_str(const struct ug_seg *seg, uint32_t off)
{
	return (const char *)seg->record + seg->meta->strings + off;
}

struct ug_reg_func *ug_seg_funcs(const struct ug_seg *seg)
{
	return (struct ug_reg_func *)((char *)seg->record + seg->patch->funcs);
}

struct ug_reg_site *ug_seg_sites(const struct ug_seg *seg)
{
	return (struct ug_reg_site *)((char *)seg->record + seg->sites->sites);
}

struct ug_reg_move *ug_seg_moves(const struct ug_seg *seg)
{
	return (struct ug_reg_move *)((char *)seg->record + seg->trans->moves);
}

struct ug_reg_member *ug_seg_members(const struct ug_seg *seg)
{
	return (struct ug_reg_member *)((char *)seg->record + seg->trans->members);
}

struct ug_reg_range *ug_seg_ranges(const struct ug_seg *seg)
{
	uint32_t off = seg->s.kind == UG_REG_PATCH ? seg->patch->ranges : seg->sites->ranges;

	return (struct ug_reg_range *)((char *)seg->record + off);
}

struct ug_reg_symbol *ug_seg_symbols(const struct ug_seg *seg)
{
	return (struct ug_reg_symbol *)((char *)seg->record + seg->patch->symbols);
}

static struct ug_reg_site *find_site(const struct ug_registry *reg, uint8_t state, ug_raddr_t func,
				     struct ug_seg **ret_seg)
{
	size_t i = ug_bisect(0, reg->nplaces, k, reg->places[k].func < func);

	for (; i < reg->nplaces && reg->places[i].func == func; i++) {
		struct ug_seg *seg = &reg->segs[reg->places[i].seg];

		if (seg->s.state != state)
			continue;
		if (ret_seg)
			*ret_seg = seg;
		return &ug_seg_sites(seg)[reg->places[i].index];
	}
	return NULL;
}

struct ug_reg_site *ug_registry_site(const struct ug_registry *reg, ug_raddr_t func,
				     struct ug_seg **ret_seg)
{
	return find_site(reg, UG_REG_ENABLED, func, ret_seg);
}

struct ug_reg_site *ug_registry_usable_site(const struct ug_registry *reg, ug_raddr_t func,
					    struct ug_seg **ret_seg)
{
	struct ug_reg_site *site = ug_registry_site(reg, func, ret_seg);

	return site ? site : find_site(reg, UG_REG_LEFT, func, ret_seg);
}

struct ug_seg *ug_registry_open_trans(const struct ug_registry *reg)
{
	struct ug_seg *newest = NULL;

	for (size_t i = 0; i < reg->nsegs; i++) {
		struct ug_seg *seg = &reg->segs[i];

		if (seg->s.kind == UG_REG_TRANS && seg->s.state == UG_REG_OPEN &&
		    (!newest || seg->s.id > newest->s.id))
			newest = seg;
	}
	return newest;
}

struct ug_seg *ug_registry_running_trans(const struct ug_registry *reg)
{
	struct ug_seg *trans = ug_registry_open_trans(reg);

	/* Its parent is open as long as it is, and was committed before. */
	if (trans && trans->trans->word == UG_WORD_ALL && trans->trans->parent) {
		struct ug_seg *parent = ug_registry_find(reg, trans->trans->parent);

		if (parent && parent->s.kind == UG_REG_TRANS && parent->s.state == UG_REG_OPEN)
			return parent;
	}
	return trans;
}

struct ug_seg *ug_registry_intent(const struct ug_registry *reg)
{
	for (size_t i = 0; i < reg->nsegs; i++)
		if (reg->segs[i].s.kind == UG_REG_TRANS && reg->segs[i].s.marks & UG_REG_MARK_GROUP)
			return &reg->segs[i];
	return NULL;
}

/* ---- storing ---- */

int ug_registry_format(struct ug_proc *p, ug_raddr_t addr, struct ug_error *err)
{
	struct ug_reg_header h = {
		.magic = UG_REG_MAGIC,
		.version = UG_REG_VERSION,
		.size = UG_REG_SIZE,
		.owner_start = p->start_time,
		.next_id = 1,
		.next_order = 1,
	};
	uint8_t one = 1;
	pid_t inner;
	int r;

	r = ug_registry_inner_pid(p, &inner, err);
	if (r < 0)
		return r;
	h.owner_pid = inner;
	r = ug_proc_write(p, addr, &h, sizeof(h), err);
	if (r < 0)
		return r;
	return ug_proc_write(p, addr + offsetof(struct ug_reg_header, ready), &one, 1, err);
}

int ug_registry_note_contexts(struct ug_proc *p, struct ug_registry *reg, struct ug_error *err)
{
	reg->h.contexts = 1;
	return ug_proc_write(p, reg->addr + offsetof(struct ug_reg_header, contexts),
			     &reg->h.contexts, 1, err);
}

int ug_registry_adopt(struct ug_proc *p, struct ug_registry *reg, struct ug_error *err)
{
	struct ug_reg_header *h = &reg->h;
	pid_t inner;
	int r;

	r = ug_registry_inner_pid(p, &inner, err);
	if (r < 0)
		return r;
	h->owner_pid = inner;
	h->owner_start = p->start_time;
	r = ug_proc_write(p, reg->addr + offsetof(struct ug_reg_header, owner_pid), &h->owner_pid,
			  offsetof(struct ug_reg_header, next_id) -
			  offsetof(struct ug_reg_header, owner_pid), err);
	if (r == 0)
		reg->is_copy = false;
	return r;
}

static int find_free_slot(struct ug_proc *p, const struct ug_registry *reg, unsigned int *ret,
			  struct ug_error *err)
{
	for (unsigned int i = 0; i < UG_REG_SLOTS; i++) {
		uint8_t ready;
		ug_raddr_t a = reg->addr + UG_REG_SLOT_OFF + i * sizeof(struct ug_reg_slot);
		int r = ug_proc_read(p, a + offsetof(struct ug_reg_slot, ready), &ready, 1, err);

		if (r < 0)
			return r;
		if (ready != 1) {
			*ret = i;
			return 0;
		}
	}
	return ug_err(err, -ENOSPC,
		      "the registry of process %d is full (%d patches and transitions)", p->pid,
		      UG_REG_SLOTS);
}

static ug_raddr_t slot_field(const struct ug_registry *reg, unsigned int index, size_t field)
{
	return reg->addr + UG_REG_SLOT_OFF + index * sizeof(struct ug_reg_slot) + field;
}

static int bump_counters(struct ug_proc *p, struct ug_registry *reg, const struct ug_reg_slot *slot,
			 struct ug_error *err)
{
	if (slot->id >= reg->h.next_id)
		reg->h.next_id = slot->id + 1;
	if (slot->order >= reg->h.next_order)
		reg->h.next_order = slot->order + 1;
	return ug_proc_write(p, reg->addr + offsetof(struct ug_reg_header, next_id), &reg->h.next_id,
			     2 * sizeof(uint32_t), err);
}

/* Before the slot is ready: the hook looks at no more of them (rt/find_object.S). */
static int use_slot(struct ug_proc *p, struct ug_registry *reg, unsigned int index,
		    struct ug_error *err)
{
	if (index < reg->h.slots_used)
		return 0;
	reg->h.slots_used = index + 1;
	return ug_proc_write(p, reg->addr + offsetof(struct ug_reg_header, slots_used),
			     &reg->h.slots_used, sizeof(reg->h.slots_used), err);
}

int ug_registry_publish(struct ug_proc *p, struct ug_registry *reg, struct ug_reg_slot slot,
			struct ug_error *err)
{
	unsigned int index = 0;
	uint8_t one = 1;
	int r;

	/* The counters first: an id must not be given twice, also if we die in between. */
	r = bump_counters(p, reg, &slot, err);
	if (r == 0)
		r = find_free_slot(p, reg, &index, err);
	if (r < 0)
		return r;
	slot.ready = 0;
	r = ug_proc_write(p, slot_field(reg, index, 0), &slot, sizeof(slot), err);
	if (r == 0)
		r = use_slot(p, reg, index, err);
	if (r < 0)
		return r;
	return ug_proc_write(p, slot_field(reg, index, offsetof(struct ug_reg_slot, ready)), &one, 1,
			     err);
}

/* One byte of a slot, there and in our copy. */
static int store_byte(struct ug_proc *p, const struct ug_registry *reg, struct ug_seg *seg,
		      size_t field, uint8_t value, struct ug_error *err)
{
	int r = ug_proc_write(p, slot_field(reg, seg->slot, field), &value, 1, err);

	if (r == 0)
		((uint8_t *)&seg->s)[field] = value;
	return r;
}

int ug_seg_set_state(struct ug_proc *p, struct ug_registry *reg, struct ug_seg *seg, uint8_t state,
		     struct ug_error *err)
{
	return store_byte(p, reg, seg, offsetof(struct ug_reg_slot, state), state, err);
}

int ug_seg_mark(struct ug_proc *p, struct ug_registry *reg, struct ug_seg *seg, uint8_t mark,
		struct ug_error *err)
{
	return store_byte(p, reg, seg, offsetof(struct ug_reg_slot, marks), seg->s.marks | mark, err);
}

int ug_seg_unmark(struct ug_proc *p, struct ug_registry *reg, struct ug_seg *seg, uint8_t mark,
		  struct ug_error *err)
{
	uint8_t marks = (uint8_t)(seg->s.marks & ~mark);

	return store_byte(p, reg, seg, offsetof(struct ug_reg_slot, marks), marks, err);
}

int ug_seg_retire(struct ug_proc *p, struct ug_registry *reg, struct ug_seg *seg,
		  struct ug_error *err)
{
	return store_byte(p, reg, seg, offsetof(struct ug_reg_slot, ready), 0, err);
}

/* ---- the log ring ---- */

void ug_registry_log(struct ug_proc *p, struct ug_registry *reg, int level, const char *fmt, ...)
{
	char text[UG_REG_LOG_LINE - 16], line[UG_REG_LOG_LINE] = "";
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ug_log((enum ug_log_level)level, "livepatch: %s", text);
	if (!reg->addr)
		return;
	(void)snprintf(line, sizeof(line), "%lld %s", (long long)time(NULL), text);
	if (ug_proc_write(p, reg->addr + UG_REG_LOG_OFF +
			  (reg->h.log_next % UG_REG_LOG_LINES) * UG_REG_LOG_LINE,
			  line, sizeof(line), NULL) < 0)
		return;
	reg->h.log_next++;
	if (ug_proc_write(p, reg->addr + offsetof(struct ug_reg_header, log_next),
			  &reg->h.log_next, sizeof(reg->h.log_next), NULL) < 0)
		reg->h.log_next--;
}

int ug_registry_read_log(struct ug_proc *p, const struct ug_registry *reg,
			 char (**ret)[UG_REG_LOG_LINE], size_t *ret_n, struct ug_error *err)
{
	char (*lines)[UG_REG_LOG_LINE] = calloc(UG_REG_LOG_LINES, UG_REG_LOG_LINE);
	uint32_t n = reg->h.log_next < UG_REG_LOG_LINES ? reg->h.log_next : UG_REG_LOG_LINES;

	if (!lines)
		return ug_err(err, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = (reg->h.log_next - n + i) % UG_REG_LOG_LINES;
		int r = ug_proc_read(p, reg->addr + UG_REG_LOG_OFF + at * UG_REG_LOG_LINE, lines[i],
				     UG_REG_LOG_LINE, err);

		if (r < 0) {
			free(lines);
			return r;
		}
		lines[i][UG_REG_LOG_LINE - 1] = 0;
	}
	*ret = lines;
	*ret_n = n;
	return 0;
}
