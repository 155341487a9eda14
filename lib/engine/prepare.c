/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/prepare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "engine/build.h"
#include "engine/funcstack.h"
#include "engine/hook.h"
#include "engine/sites.h"
#include "engine/transition.h"
#include "text/hook.h"

#define THUNK_SIZE 16

struct load {
	struct ug_build b;
	struct ug_match *match;
	struct ug_patch *patch;
	struct ug_load_func *funcs;
	struct ug_texts texts;
	struct ug_patch_layout layout;
	size_t main;			/* near area of the patch's code */
	struct ug_load_hook hook;
};

/* Two functions of the patch at one address would fight for one entry. */
static int check_distinct(const struct load *l, size_t i, struct ug_error *err)
{
	for (size_t k = 0; k < i; k++)
		if (l->match->funcs[k].addr == l->match->funcs[i].addr)
			return ug_err(err, -EEXIST, "%s and %s are one function in %s: patch it once",
				      l->patch->funcs[k].old_name, l->patch->funcs[i].old_name,
				      l->match->funcs[i].obj->name);
	return 0;
}

/* An entry that waits to be released has its original bytes and its displaced copy: it is as
 * good as a new one, and is taken back into use. */
static int revive_site(struct load *l, struct ug_load_func *lf, struct ug_error *err)
{
	if (!lf->site || lf->site_seg->s.state != UG_REG_LEFT)
		return 0;
	return ug_seg_set_state(&l->b.t->proc, &l->b.t->reg, lf->site_seg, UG_REG_ENABLED, err);
}

static int plan_funcs(struct load *l, struct ug_error *err)
{
	for (size_t i = 0; i < l->patch->nfuncs; i++) {
		struct ug_load_func *lf = &l->funcs[i];
		struct ug_near *near;
		int r = check_distinct(l, i, err);

		if (r == 0)
			r = ug_site_for(l->match, i, &l->texts, lf, err);
		if (r == 0)
			r = revive_site(l, lf, err);
		if (r == 0)
			r = ug_build_near(&l->b, l->match->funcs[i].addr, &lf->near, err);
		if (r < 0)
			return r;
		near = &l->b.nears.v[lf->near];
		if (!lf->site)
			lf->index = near->nsites++;
		lf->far = lf->near != l->main;
		if (lf->far)
			lf->thunk = near->nthunks++;
	}
	return 0;
}

/* The body lies near the first function's object; others reach it by a thunk. */
static int plan_images(struct load *l, struct ug_error *err)
{
	struct ug_near *main;
	int r = ug_patch_layout(l->patch, &l->layout, err);

	if (r < 0)
		return r;
	main = &l->b.nears.v[l->main];
	main->rx_len = l->layout.rx_size;
	main->rw_len = l->layout.rw_size;
	if (!main->rw_len)
		return 0;
	main->rw = calloc(1, main->rw_len);
	return main->rw ? 0 : ug_err(err, -ENOMEM, "out of memory");
}

static ug_raddr_t displaced_at(const struct load *l, const struct ug_load_func *lf)
{
	return lf->site ? lf->site->displaced :
			  l->b.nears.v[lf->near].displaced + lf->index * UG_DISPLACED_MAX;
}

/* Where entries and gates jump to for the new version of function i. */
static ug_raddr_t version_entry(const struct load *l, size_t i)
{
	const struct ug_load_func *lf = &l->funcs[i];
	uint64_t off, size;
	bool jumped;

	if (lf->far)
		return l->b.nears.v[lf->near].thunks + lf->thunk * THUNK_SIZE;
	ug_patch_func_range(l->patch, i, 0, &off, &size, &jumped);
	return l->b.nears.v[l->main].rx + off;
}

static void set_range(struct ug_record *rec, uint32_t at, uint32_t i, ug_raddr_t start,
		      ug_raddr_t end, enum ug_range_kind kind)
{
	struct ug_reg_range *r = (struct ug_reg_range *)ug_record_at(rec, at) + i;

	r->start = start;
	r->end = end;
	r->kind = kind;
}

/* ---- the record of the sites ---- */

static uint32_t count_part_ranges(const struct load *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->patch->nfuncs; i++)
		if (!l->funcs[i].site)
			n += l->funcs[i].plan.nparts;
	return (uint32_t)n;
}

/* Encode the displaced copy into the image; before the addresses are chosen there is none. */
static int displace(struct load *l, const struct ug_load_func *lf, size_t *ret_len,
		    struct ug_error *err)
{
	struct ug_near *near = &l->b.nears.v[lf->near];
	uint8_t code[UG_DISPLACED_MAX];
	int r;

	*ret_len = UG_DISPLACED_MAX;
	if (!near->image)
		return 0;
	r = ug_text_displace(&lf->plan, displaced_at(l, lf), code, ret_len, err);
	if (r == 0)
		memcpy(near->image + (displaced_at(l, lf) - near->addr), code, *ret_len);
	return r;
}

static int add_site(struct load *l, size_t i, uint32_t sites, uint32_t *k, uint32_t ranges,
		    uint32_t *next_range, struct ug_error *err)
{
	struct ug_record *rec = &l->b.sites;
	const struct ug_site_plan *plan = &l->funcs[i].plan;
	uint32_t name = ug_record_string(rec, l->patch->funcs[i].old_name);
	uint32_t object = ug_record_string(rec, l->match->funcs[i].obj->name);
	struct ug_reg_site *s;
	size_t len;
	int r = displace(l, &l->funcs[i], &len, err);

	if (r < 0)
		return r;
	s = (struct ug_reg_site *)ug_record_at(rec, sites) + (*k)++;
	ug_site_fill(s, plan, displaced_at(l, &l->funcs[i]), len);
	s->name = name;
	s->object = object;
	s->range = *next_range;
	s->nranges = (uint32_t)plan->nparts;
	ug_site_fill_ranges((struct ug_reg_range *)ug_record_at(rec, ranges) + *next_range, plan);
	*next_range += (uint32_t)plan->nparts;
	return 0;
}

static int build_sites(struct load *l, struct ug_error *err)
{
	struct ug_record *rec = &l->b.sites;
	uint32_t nranges = count_part_ranges(l), nsites = 0, k = 0, next = 0, sites, ranges;
	struct ug_reg_sites *head;
	size_t area = 1;
	int r = 0;

	for (size_t i = 0; i < l->patch->nfuncs; i++)
		nsites += !l->funcs[i].site;
	ug_record_free(rec);
	ug_record_init(rec, sizeof(*head));
	sites = ug_record_add(rec, nsites * sizeof(struct ug_reg_site));
	ranges = ug_record_add(rec, nranges * sizeof(struct ug_reg_range));
	for (size_t i = 0; r == 0 && !rec->failed && i < l->patch->nfuncs; i++)
		if (!l->funcs[i].site)
			r = add_site(l, i, sites, &k, ranges, &next, err);
	if (r == 0)
		r = ug_record_finish(rec, l->b.id_sites, UG_REG_SITES, err);
	if (r < 0)
		return r;
	head = ug_record_at(rec, 0);
	head->nsites = nsites;
	head->sites = sites;
	head->nranges = nranges;
	head->ranges = ranges;
	head->meta.areas[0] = (struct ug_reg_area){ l->b.meta_sites, l->b.sites_len };
	ug_vec_for_each(&l->b.nears, n)
		if (n->displaced_len)
			head->meta.areas[area++] =
				(struct ug_reg_area){ n->displaced, n->displaced_len };
	l->b.has_sites = nsites > 0;
	return 0;
}

/* ---- the record of the patch ---- */

static uint32_t count_patch_ranges(const struct load *l)
{
	size_t n = ug_patch_other_ranges(l->patch);

	for (size_t i = 0; i < l->patch->nfuncs; i++)
		n += ug_patch_func_ranges(l->patch, i) + l->funcs[i].far;
	return (uint32_t)n;
}

static uint32_t add_func_ranges(struct load *l, size_t i, uint32_t at, uint32_t next)
{
	ug_raddr_t base = l->b.nears.v[l->main].rx;
	size_t n = ug_patch_func_ranges(l->patch, i);

	for (size_t k = 0; k < n; k++) {
		uint64_t off, size;
		bool jumped;

		ug_patch_func_range(l->patch, i, k, &off, &size, &jumped);
		set_range(&l->b.patch, at, next++, base + off, base + off + size,
			  jumped ? UG_RANGE_JUMPED : UG_RANGE_CALLED);
	}
	if (l->funcs[i].far) {
		ug_raddr_t thunk = version_entry(l, i);

		set_range(&l->b.patch, at, next++, thunk, thunk + THUNK_SIZE, UG_RANGE_JUMPED);
	}
	return next;
}

static uint32_t add_func(struct load *l, size_t i, uint32_t funcs, uint32_t ranges, uint32_t next)
{
	struct ug_record *rec = &l->b.patch;
	uint32_t name = ug_record_string(rec, l->patch->funcs[i].old_name);
	uint32_t object = ug_record_string(rec, l->match->funcs[i].obj->name);
	uint32_t end;
	struct ug_reg_func *f;

	if (rec->failed)
		return next;
	end = add_func_ranges(l, i, ranges, next);
	f = (struct ug_reg_func *)ug_record_at(rec, funcs) + i;
	f->func = l->match->funcs[i].addr;
	f->entry = version_entry(l, i);
	f->name = name;
	f->object = object;
	f->range = next;
	f->nranges = end - next;
	return end;
}

static uint32_t add_other_ranges(struct load *l, uint32_t ranges, uint32_t next)
{
	ug_raddr_t base = l->b.nears.v[l->main].rx;
	size_t n = ug_patch_other_ranges(l->patch);

	for (size_t k = 0; k < n; k++) {
		uint64_t off, size;

		ug_patch_other_range(l->patch, k, &off, &size);
		set_range(&l->b.patch, ranges, next++, base + off, base + off + size,
			  UG_RANGE_JUMPED);
	}
	return next;
}

static void add_symbols(struct load *l, uint32_t symbols)
{
	struct ug_record *rec = &l->b.patch;
	ug_raddr_t base = l->b.nears.v[l->main].rx;
	size_t n = ug_patch_symbols(l->patch);

	for (size_t i = 0; !rec->failed && i < n; i++) {
		uint64_t off, size;
		uint32_t name = ug_record_string(rec, ug_patch_symbol(l->patch, i, &off, &size));

		((struct ug_reg_symbol *)ug_record_at(rec, symbols))[i] = (struct ug_reg_symbol){
			.addr = base + off, .size = size, .name = name,
		};
	}
}

/* The last function of the patch; its code is the site's. */
static void add_hook_func(struct load *l, uint32_t funcs)
{
	struct ug_record *rec = &l->b.patch;
	uint32_t name = ug_record_string(rec, UG_HOOK_FUNCTION);
	uint32_t object = ug_record_string(rec, l->hook.object);
	struct ug_reg_func *f;

	if (rec->failed)
		return;
	f = (struct ug_reg_func *)ug_record_at(rec, funcs) + l->patch->nfuncs;
	f->func = l->hook.func;
	f->entry = ug_hook_entry(&l->hook, &l->b);
	f->name = name;
	f->object = object;
	f->flags = UG_REG_FUNC_HOOK;
}

static void patch_areas(struct load *l, struct ug_reg_meta *meta)
{
	const struct ug_near *main = &l->b.nears.v[l->main];
	size_t k = 0;

	meta->areas[k++] = (struct ug_reg_area){ l->b.meta_patch, l->b.patch_len };
	/* Thunks of the main object are none; its rx and rw adjoin: one area. */
	meta->areas[k++] = (struct ug_reg_area){ main->rx, main->rx_len + main->rw_len };
	ug_vec_for_each(&l->b.nears, n)
		if (n->thunks_len)
			meta->areas[k++] = (struct ug_reg_area){ n->thunks, n->thunks_len };
}

static void fill_patch(struct load *l, struct ug_reg_patch *p)
{
	unsigned int flags = l->patch->flags;
	uint64_t off, len;

	p->flags = flags & UG_PATCH_ESCAPES && !(flags & UG_PATCH_UNLOADABLE) ? UG_REG_PATCH_PINS : 0;
	p->replace = flags & UG_PATCH_REPLACE ? UG_REG_REPLACE_ALL : UG_REG_REPLACE_NONE;
	p->nfuncs = (uint32_t)(l->patch->nfuncs + l->hook.wanted);
	p->base = l->b.nears.v[l->main].rx;
	p->rx_len = l->layout.rx_size;
	p->rw_len = l->layout.rw_size;
	p->code_len = l->layout.code_size;
	if (ug_patch_eh_frame(l->patch, &off, &len)) {
		p->eh_frame = p->base + off;
		p->eh_frame_len = len;
		l->b.code = ug_hook_code(p->base, p->rx_len);
	}
	p->load_time = (uint64_t)time(NULL);
	patch_areas(l, &p->meta);
}

static int build_patch(struct load *l, struct ug_error *err)
{
	struct ug_record *rec = &l->b.patch;
	uint32_t nranges = count_patch_ranges(l), nsymbols = (uint32_t)ug_patch_symbols(l->patch);
	uint32_t funcs, ranges, symbols, next = 0, other, strings[3];
	struct ug_reg_patch *p;
	int r;

	ug_record_free(rec);
	ug_record_init(rec, sizeof(*p));
	funcs = ug_record_add(rec, (l->patch->nfuncs + l->hook.wanted) * sizeof(struct ug_reg_func));
	ranges = ug_record_add(rec, nranges * sizeof(struct ug_reg_range));
	symbols = ug_record_add(rec, nsymbols * sizeof(struct ug_reg_symbol));
	strings[0] = ug_record_string(rec, l->patch->name);
	strings[1] = ug_record_string(rec, l->patch->description);
	strings[2] = ug_record_string(rec, l->patch->cves);
	for (size_t i = 0; i < l->patch->nfuncs; i++)
		next = add_func(l, i, funcs, ranges, next);
	if (l->hook.wanted)
		add_hook_func(l, funcs);
	other = next;
	if (!rec->failed)
		next = add_other_ranges(l, ranges, next);
	add_symbols(l, symbols);
	r = ug_record_finish(rec, l->b.id_patch, UG_REG_PATCH, err);
	if (r < 0)
		return r;
	p = ug_record_at(rec, 0);
	p->name = strings[0];
	p->description = strings[1];
	p->cves = strings[2];
	p->funcs = funcs;
	p->ranges = ranges;
	p->nranges = nranges;
	p->other = other;
	p->nother = next - other;
	p->nsymbols = nsymbols;
	p->symbols = symbols;
	fill_patch(l, p);
	l->b.has_patch = true;
	return 0;
}

/* ---- putting a load together ---- */

/* jmp *0(%rip); .quad target */
static void encode_thunks(struct load *l)
{
	const struct ug_near *main = &l->b.nears.v[l->main];

	for (size_t i = 0; i < l->patch->nfuncs; i++) {
		const struct ug_load_func *lf = &l->funcs[i];
		struct ug_near *near = &l->b.nears.v[lf->near];
		uint8_t thunk[THUNK_SIZE] = { 0xff, 0x25, 0, 0, 0, 0 };
		uint64_t off, size, target;
		bool jumped;

		if (!lf->far)
			continue;
		ug_patch_func_range(l->patch, i, 0, &off, &size, &jumped);
		target = main->rx + off;
		memcpy(thunk + 6, &target, sizeof(target));
		memcpy(near->image + (version_entry(l, i) - near->addr), thunk, sizeof(thunk));
	}
}

static int link_patch(struct load *l, struct ug_error *err)
{
	struct ug_near *main = &l->b.nears.v[l->main];
	struct ug_resolver resolver;

	ug_match_resolver(l->match, &resolver);
	return ug_patch_link(l->patch, &resolver, main->rx, main->image + (main->rx - main->addr),
			     main->rw, err);
}

/* The records' sizes do not depend on addresses: build once to know them, place, build
 * again with the addresses. */
static int measure(struct load *l, struct ug_error *err)
{
	int r = ug_hook_record(&l->hook, &l->b, err);

	if (r == 0)
		r = build_sites(l, err);
	if (r == 0)
		r = build_patch(l, err);
	if (r < 0)
		return r;
	l->b.hook_len = l->b.has_hook ? ug_align_up(l->b.hook.len, UG_PAGE_SIZE) : 0;
	l->b.sites_len = l->b.has_sites ? ug_align_up(l->b.sites.len, UG_PAGE_SIZE) : 0;
	l->b.patch_len = ug_align_up(l->b.patch.len, UG_PAGE_SIZE);
	return 0;
}

static bool has_move(const struct load *l, ug_raddr_t func)
{
	ug_vec_for_each(&l->b.moves, move)
		if (move->m.func == func)
			return true;
	return false;
}

/*
 * A replace patch takes over from all that are enabled: a function of theirs that it does
 * not have itself goes back to the original. Such a move is the kernel's nop.
 */
static int add_nops(struct load *l, const struct ug_seg *old, struct ug_error *err)
{
	for (uint32_t i = 0; i < old->patch->nfuncs; i++) {
		ug_raddr_t func = ug_seg_funcs(old)[i].func;
		const struct ug_reg_site *site;
		ug_raddr_t top;
		int r;

		if (has_move(l, func) || (l->hook.wanted && func == l->hook.func))
			continue;
		site = ug_registry_site(&l->b.t->reg, func, NULL);
		if (!site)
			return ug_err(err, -UG_E_REGISTRY, "the entry of %s is missing in the registry",
				      ug_seg_str(old, ug_seg_funcs(old)[i].name));
		top = ug_func_top(&l->b.t->reg, func, NULL);
		r = ug_build_move(&l->b, func, top, site->displaced, top, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Own functions first, at their index; the addresses follow when they are chosen. */
static int add_moves(struct load *l, struct ug_error *err)
{
	const struct ug_registry *reg = &l->b.t->reg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->patch->nfuncs; i++)
		r = ug_build_move(&l->b, l->match->funcs[i].addr, 0, 0, 0, err);
	if (r == 0 && l->hook.moves)
		r = ug_build_move(&l->b, l->hook.func, 0, 0, 0, err);
	if (!(l->patch->flags & UG_PATCH_REPLACE))
		return r;
	for (size_t i = 0; r == 0 && i < reg->nsegs; i++)
		if (reg->segs[i].s.kind == UG_REG_PATCH && reg->segs[i].s.state == UG_REG_ENABLED)
			r = add_nops(l, &reg->segs[i], err);
	return r;
}

static void set_addresses(struct load *l)
{
	for (size_t i = 0; i < l->patch->nfuncs; i++) {
		struct ug_reg_move *m = &l->b.moves.v[i].m;

		m->from = l->funcs[i].site ? ug_func_top(&l->b.t->reg, m->func, NULL) :
					     displaced_at(l, &l->funcs[i]);
		m->to = version_entry(l, i);
		m->before = m->from;
	}
}

static int place_once(struct load *l, unsigned int attempt, struct ug_error *err)
{
	int r = ug_build_place(&l->b, attempt, err);

	if (r < 0)
		return r;
	set_addresses(l);
	r = ug_hook_record(&l->hook, &l->b, err);
	if (r == 0)
		r = build_sites(l, err);
	if (r == 0)
		r = build_patch(l, err);
	if (r == 0)
		r = ug_hook_encode_all(&l->hook, &l->b, err);
	if (r == 0)
		r = link_patch(l, err);
	if (r < 0)
		return r;
	encode_thunks(l);
	r = ug_build_gates(&l->b, err);
	return r < 0 ? r : ug_build_commit(&l->b, err);
}

static int place_and_commit(struct load *l, struct ug_error *err)
{
	int r = add_moves(l, err);

	for (unsigned int attempt = 0; r == 0 && attempt < UG_PLACE_TRIES; attempt++) {
		r = ug_maps_read(&l->b.t->proc, &l->b.t->maps, err);
		if (r == 0)
			r = place_once(l, attempt, err);
		if (r != -EEXIST)
			return r;
		ug_maps_free(&l->b.t->maps);
		r = 0;
	}
	return r < 0 ? r : ug_err(err, -UG_E_NO_ROOM, "every address range chosen was taken by the "
				  "process meanwhile");
}

static int load_init(struct load *l, struct ug_target *t, struct ug_match *match,
		     struct ug_error *err)
{
	int r;

	memset(l, 0, sizeof(*l));
	l->match = match;
	l->patch = match->patch;
	if (!l->patch->nfuncs)
		return ug_err(err, -UG_E_BAD_PATCH, "the patch replaces no function");
	r = ug_build_init(&l->b, t, err);
	if (r < 0)
		return r;
	l->b.patching = true;
	l->b.of_patch = l->b.id_patch;
	l->funcs = calloc(l->patch->nfuncs, sizeof(*l->funcs));
	if (!l->funcs)
		return ug_err(err, -ENOMEM, "out of memory");
	return ug_build_near(&l->b, match->funcs[0].addr, &l->main, err);
}

static void load_deinit(struct load *l)
{
	for (size_t i = 0; l->funcs && i < l->patch->nfuncs; i++)
		if (l->funcs[i].planned)
			ug_site_plan_free(&l->funcs[i].plan);
	if (l->hook.lf.planned)
		ug_site_plan_free(&l->hook.lf.plan);
	free(l->funcs);
	ug_texts_close(&l->texts);
	ug_build_deinit(&l->b);
}

static void log_enabling(struct ug_target *t, const struct ug_patch *patch)
{
	ug_registry_log(&t->proc, &t->reg, UG_LOG_NOTICE, "enabling patch '%s'", patch->name);
	ug_registry_log(&t->proc, &t->reg, UG_LOG_DEBUG, "'%s': initializing patching transition",
			patch->name);
}

/* A site that belongs to somebody else: the kernel finds out in the midst of enabling. */
static void log_busy(struct ug_target *t, const struct ug_patch *patch, const struct ug_error *err)
{
	if (err)
		ug_registry_log(&t->proc, &t->reg, UG_LOG_WARN, "failed to patch object '%s'",
				err->object);
	ug_log_failed_load(t, patch->name);
}

int ug_prepare_load(struct ug_target *t, struct ug_match *match, uint32_t *ret_id,
		    struct ug_error *err)
{
	struct load l;
	int r;

	r = load_init(&l, t, match, err);
	if (r == 0)
		r = plan_funcs(&l, err);
	if (r == 0)
		r = plan_images(&l, err);
	if (r == 0)
		r = ug_hook_plan(&l.hook, &l.b, match, &l.texts, err);
	if (r == 0)
		r = measure(&l, err);
	if (r == 0)
		r = place_and_commit(&l, err);
	if (r == 0)
		*ret_id = l.b.id_trans;
	if (r == 0 || r == -UG_E_ENTRY_BUSY)
		log_enabling(t, match->patch);
	if (r == -UG_E_ENTRY_BUSY)
		log_busy(t, match->patch, err);
	load_deinit(&l);
	return r;
}
