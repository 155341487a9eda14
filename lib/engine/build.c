/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/build.h"
#include "engine/group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/transition.h"
#include "text/gate.h"
#include "text/text.h"

/* Room for threads that are born between the count and the commit stop. */
#define TABLE_SLACK 256

static int count_threads(struct ug_target *t, size_t *ret, struct ug_error *err)
{
	struct ug_tasks tasks = { 0 };
	int r = ug_tasks_list(&t->proc, &tasks, err);

	if (r < 0)
		return r;
	*ret = tasks.n;
	ug_tasks_free(&tasks);
	return 0;
}

int ug_build_init(struct ug_build *b, struct ug_target *t, struct ug_error *err)
{
	size_t threads;
	int r;

	memset(b, 0, sizeof(*b));
	b->t = t;
	b->need_root = t->reg.addr == 0;
	b->id_hook = b->need_root ? 1 : t->reg.h.next_id;
	b->id_sites = b->id_hook + 1;
	b->id_patch = b->id_hook + 2;
	b->id_trans = b->id_hook + 3;
	r = count_threads(t, &threads, err);
	if (r < 0)
		return r;
	b->table_len = ug_align_up(ug_table_size(threads + threads / 4 + TABLE_SLACK), 8);
	return 0;
}

void ug_build_deinit(struct ug_build *b)
{
	ug_vec_for_each(&b->nears, n) {
		free(n->image);
		free(n->rw);
	}
	ug_vec_free(&b->nears);
	ug_vec_free(&b->moves);
	ug_record_free(&b->hook);
	ug_record_free(&b->sites);
	ug_record_free(&b->patch);
	ug_record_free(&b->trans);
}

int ug_build_near(struct ug_build *b, ug_raddr_t addr, size_t *ret, struct ug_error *err)
{
	const struct ug_object *obj = ug_objects_find(&b->t->objects, addr);
	struct ug_near *n;

	if (!obj)
		return ug_err(err, -UG_E_NO_OBJECT, "no object of process %d holds %#llx",
			      b->t->proc.pid, (unsigned long long)addr);
	for (size_t i = 0; i < b->nears.n; i++)
		if (b->nears.v[i].lo == obj->start) {
			*ret = i;
			return 0;
		}
	if (b->nears.n == UG_REG_AREAS - 2)
		return ug_err(err, -UG_E_UNSUPPORTED, "one patch can touch at most %d objects",
			      UG_REG_AREAS - 2);
	n = ug_vec_add(&b->nears);
	if (!n)
		return ug_err(err, -ENOMEM, "out of memory");
	n->lo = obj->start;
	n->hi = obj->end;
	*ret = b->nears.n - 1;
	return 0;
}

int ug_build_move(struct ug_build *b, ug_raddr_t func, ug_raddr_t from, ug_raddr_t to,
		  ug_raddr_t before, struct ug_error *err)
{
	struct ug_new_move *move;
	size_t near;
	int r = ug_build_near(b, func, &near, err);

	if (r < 0)
		return r;
	move = ug_vec_add(&b->moves);
	if (!move)
		return ug_err(err, -ENOMEM, "out of memory");
	move->m = (struct ug_reg_move){ .func = func, .from = from, .to = to, .before = before };
	move->near = near;
	move->gate = b->nears.v[near].ngates++;
	return 0;
}

/* ---- placing ---- */

/* Mark a range as taken in our snapshot, so that the next search does not find it again. */
static int reserve(struct ug_maps *maps, ug_raddr_t addr, size_t len, struct ug_error *err)
{
	struct ug_map *m = ug_vec_add(maps);
	struct ug_map taken = { .start = addr, .end = addr + len };
	size_t i = maps->n - 1;

	if (m)
		taken.name = strdup("");
	if (!m || !taken.name)
		return ug_err(err, -ENOMEM, "out of memory");
	while (i > 0 && maps->v[i - 1].start > addr) {
		maps->v[i] = maps->v[i - 1];
		i--;
	}
	maps->v[i] = taken;
	return 0;
}

static int place(struct ug_build *b, ug_raddr_t lo, ug_raddr_t hi, size_t len, unsigned int attempt,
		 ug_raddr_t *ret, struct ug_error *err)
{
	int r = ug_maps_find_room(&b->t->maps, lo, hi, len, attempt, ret, err);

	return r < 0 ? r : reserve(&b->t->maps, *ret, len, err);
}

static int place_near(struct ug_build *b, struct ug_near *n, unsigned int attempt,
		      struct ug_error *err)
{
	size_t len;
	int r;

	n->gates_len = ug_align_up(n->ngates * UG_GATE_SIZE, UG_PAGE_SIZE);
	n->displaced_len = ug_align_up(n->nsites * UG_DISPLACED_MAX, UG_PAGE_SIZE);
	n->hook_len = n->has_hook ? UG_PAGE_SIZE : 0;
	n->thunks_len = ug_align_up(n->nthunks * 16, UG_PAGE_SIZE);
	n->image_len = n->gates_len + n->displaced_len + n->hook_len + n->thunks_len + n->rx_len;
	len = n->image_len + n->rw_len;
	/* Taking back a patch that is on top of no function needs no gate. */
	if (!len)
		return 0;
	r = place(b, n->lo, n->hi, len, attempt, &n->addr, err);
	if (r < 0)
		return r;
	n->gates = n->addr;
	n->displaced = n->gates + n->gates_len;
	n->hook = n->displaced + n->displaced_len;
	n->thunks = n->hook + n->hook_len;
	n->rx = n->thunks + n->thunks_len;
	free(n->image);
	n->image = calloc(1, n->image_len);
	if (!n->image)
		return ug_err(err, -ENOMEM, "out of memory");
	/* int3 everywhere: what is not code must not be executed by accident. */
	memset(n->image, 0xcc, n->image_len);
	return 0;
}

/* Of the intent of a group. */
static size_t members_len(const struct ug_build *b)
{
	return b->t->intent ? b->t->intent->n * sizeof(struct ug_reg_member) : 0;
}

int ug_build_place(struct ug_build *b, unsigned int attempt, struct ug_error *err)
{
	const struct ug_near *first = b->nears.v;
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->nears.n; i++)
		r = place_near(b, &b->nears.v[i], attempt, err);
	if (r < 0)
		return r;
	b->trans_len = ug_align_up(sizeof(struct ug_reg_trans) +
				   b->moves.n * sizeof(struct ug_reg_move) + members_len(b) + 64 +
				   b->table_len, UG_PAGE_SIZE);
	b->meta_len = (b->need_root ? UG_REG_SIZE : 0) + b->hook_len + b->sites_len + b->patch_len +
		      b->trans_len;
	r = place(b, first->lo, first->hi, b->meta_len, attempt, &b->meta, err);
	if (r < 0)
		return r;
	b->root = b->need_root ? b->meta : b->t->reg.addr;
	b->meta_hook = b->meta + (b->need_root ? UG_REG_SIZE : 0);
	b->meta_sites = b->meta_hook + b->hook_len;
	b->meta_patch = b->meta_sites + b->sites_len;
	b->meta_trans = b->meta_patch + b->patch_len;
	return 0;
}

/* ---- the transition's record and its gates ---- */

static void add_areas(struct ug_build *b, struct ug_reg_meta *meta)
{
	size_t k = 0;

	meta->areas[k++] = (struct ug_reg_area){ b->meta_trans, b->trans_len };
	ug_vec_for_each(&b->nears, n)
		if (n->gates_len)
			meta->areas[k++] = (struct ug_reg_area){ n->gates, n->gates_len };
}

static void encode_gates(struct ug_build *b)
{
	ug_vec_for_each(&b->moves, move) {
		struct ug_near *n = &b->nears.v[move->near];
		struct ug_gate gate = {
			.word = b->meta_trans + offsetof(struct ug_reg_trans, word),
			.from = move->m.from,
			.to = move->m.to,
			.before = move->m.before,
		};
		size_t off = move->gate * UG_GATE_SIZE;

		move->m.gate = n->gates + off;
		ug_gate_encode(&gate, b->t->rdfsbase, n->image + off);
	}
}

static void add_intent(const struct ug_intent *intent, struct ug_reg_trans *trans,
		       struct ug_reg_member *members)
{
	trans->group = intent->group;
	trans->pid_ns = intent->pid_ns;
	trans->nmembers = intent->n;
	memcpy(members, intent->v, intent->n * sizeof(*members));
}

int ug_build_gates(struct ug_build *b, struct ug_error *err)
{
	struct ug_record *rec = &b->trans;
	struct ug_reg_trans *trans;
	struct ug_reg_move *moves;
	uint32_t off, members;
	int r;

	encode_gates(b);
	ug_record_free(rec);
	ug_record_init(rec, sizeof(struct ug_reg_trans));
	off = ug_record_add(rec, b->moves.n * sizeof(struct ug_reg_move));
	members = ug_record_add(rec, members_len(b));
	r = ug_record_finish(rec, b->id_trans, UG_REG_TRANS, err);
	if (r < 0)
		return r;
	moves = ug_record_at(rec, off);
	for (size_t i = 0; i < b->moves.n; i++)
		moves[i] = b->moves.v[i].m;
	trans = ug_record_at(rec, 0);
	trans->word = UG_WORD_ALL;
	trans->patch = b->of_patch;
	trans->parent = b->parent;
	trans->patching = b->patching;
	trans->start_time = ug_realtime_ns();
	trans->nmoves = (uint32_t)b->moves.n;
	trans->moves = off;
	trans->table = b->meta_trans + ug_align_up(rec->len, 8);
	trans->table_len = b->table_len;
	trans->members = members;
	if (b->t->intent)
		add_intent(b->t->intent, trans, ug_record_at(rec, members));
	add_areas(b, &trans->meta);
	return 0;
}

/* ---- mapping and publishing ---- */

static void copy_record(uint8_t *image, ug_raddr_t base, ug_raddr_t at, const struct ug_record *rec)
{
	if (rec->len)
		memcpy(image + (at - base), rec->data, rec->len);
}

static int map_everything(struct ug_build *b, struct ug_error *err)
{
	struct ug_mapping v[2 * UG_REG_AREAS + 1];
	uint8_t *meta = calloc(1, b->meta_len);
	size_t n = 0;
	int r;

	if (!meta)
		return ug_err(err, -ENOMEM, "out of memory");
	copy_record(meta, b->meta, b->meta_hook, &b->hook);
	copy_record(meta, b->meta, b->meta_sites, &b->sites);
	copy_record(meta, b->meta, b->meta_patch, &b->patch);
	copy_record(meta, b->meta, b->meta_trans, &b->trans);
	v[n++] = (struct ug_mapping){ b->meta, b->meta_len, PROT_READ | PROT_WRITE, meta,
				      b->meta_len };
	ug_vec_for_each(&b->nears, near) {
		if (near->image_len)
			v[n++] = (struct ug_mapping){ near->addr, near->image_len,
						      PROT_READ | PROT_EXEC, near->image,
						      near->image_len };
		if (near->rw_len)
			v[n++] = (struct ug_mapping){ near->rx + near->rx_len, near->rw_len,
						      PROT_READ | PROT_WRITE, near->rw,
						      near->rw_len };
	}
	r = ug_mapping_create(b->t, v, n, err);
	free(meta);
	return r;
}

static int publish_one(struct ug_build *b, const struct ug_record *rec, uint32_t id, uint8_t kind,
		       uint8_t state, ug_raddr_t meta, struct ug_error *err)
{
	struct ug_reg_slot slot = {
		.id = id,
		.kind = kind,
		.state = state,
		.meta = meta,
		.meta_len = (uint32_t)rec->len,
		.order = kind == UG_REG_PATCH ? b->t->reg.h.next_order : 0,
		.marks = kind == UG_REG_TRANS && b->t->intent ? UG_REG_MARK_GROUP : 0,
		.code = kind == UG_REG_PATCH ? b->code : 0,
	};

	return ug_registry_publish(&b->t->proc, &b->t->reg, slot, err);
}

/* The transition last: before it there is nothing that anybody would have to finish. */
static int publish(struct ug_build *b, struct ug_error *err)
{
	int r = 0;

	if (b->has_hook)
		r = publish_one(b, &b->hook, b->id_hook, UG_REG_SITES, UG_REG_ENABLED, b->meta_hook,
				err);
	if (r == 0 && b->has_sites)
		r = publish_one(b, &b->sites, b->id_sites, UG_REG_SITES, UG_REG_ENABLED,
				b->meta_sites, err);
	if (r == 0 && b->has_patch)
		r = publish_one(b, &b->patch, b->id_patch, UG_REG_PATCH, UG_REG_PREPARED,
				b->meta_patch, err);
	if (r == 0)
		r = publish_one(b, &b->trans, b->id_trans, UG_REG_TRANS, UG_REG_OPEN, b->meta_trans,
				err);
	return r;
}

static int make_root(struct ug_build *b, struct ug_error *err)
{
	int r;

	if (!b->need_root)
		return 0;
	r = ug_registry_format(&b->t->proc, b->root, err);
	return r < 0 ? r : ug_target_reload(b->t, err);
}

int ug_build_commit(struct ug_build *b, struct ug_error *err)
{
	unsigned int left;
	int r = map_everything(b, err);

	if (r < 0)
		return r;
	r = make_root(b, err);
	if (r == 0)
		r = publish(b, err);
	if (r == 0)
		return ug_target_reload(b->t, err);
	/* Half published: what is there is not referred to by any entry; take it back. */
	if (ug_transition_release(b->t, 0, &left, NULL) < 0)
		ug_log_warn("cannot release what was mapped in process %d", b->t->proc.pid);
	return r;
}
