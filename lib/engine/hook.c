/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/hook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/funcstack.h"
#include "text/hook.h"

#define LIBRARY "libc.so.6"

/* Within the page of the site: the displaced original, then the hook. */
#define HOOK_OFF ug_align_up(UG_DISPLACED_MAX, UG_HOOK_ALIGN)

/*
 * libc.so.6 exports it. A static program has it among its own symbols, unless it is stripped;
 * there is no other way to know it then.
 */
static struct ug_object *find_function(struct ug_target *t, struct ug_symbol *ret)
{
	struct ug_object *libc = ug_objects_by_name(&t->objects, LIBRARY);
	struct ug_object *exe = t->objects.n ? t->objects.v[0] : NULL;

	if (libc)
		return ug_object_exported(libc, UG_HOOK_FUNCTION, ret) ? libc : NULL;
	if (!exe || !exe->is_static || ug_object_symtab(exe, NULL) < 0 ||
	    ug_symbol_find(exe, UG_HOOK_FUNCTION, 0, ret, NULL) < 0)
		return NULL;
	return exe;
}

/*
 * In libc.so.6 it is `mov _rtld_global_ro(%rip),%rax; jmp *N(%rax)` and nothing else: nobody
 * can jump into the midst of that. To plan it in the ordinary way means to decode all of
 * libc, which takes longer than the rest of a load.
 */
static bool plan_shim(const struct ug_object *obj, const struct ug_symbol *sym,
		      struct ug_site_plan *ret)
{
	static const uint8_t endbr[4] = { 0xf3, 0x0f, 0x1e, 0xfa };
	uint8_t code[32];
	size_t skip = 0;

	if (sym->size < 13 || sym->size > sizeof(code) ||
	    ug_object_read_file(obj, sym->addr, code, sym->size, NULL) < 0)
		return false;
	if (memcmp(code, endbr, sizeof(endbr)) == 0)
		skip = sizeof(endbr);
	if (sym->size != skip + 13 || memcmp(code + skip, "\x48\x8b\x05", 3) != 0 ||
	    memcmp(code + skip + 7, "\xff\xa0", 2) != 0 ||
	    (sym->addr + skip) % UG_PAGE_SIZE > UG_PAGE_SIZE - 5)
		return false;
	*ret = (struct ug_site_plan){
		.func = sym->addr, .size = sym->size, .at = sym->addr + skip, .form = UG_FORM_JMP5,
		.len = 5, .moved = 7, .exported = true, .nparts = 1,
		.parts = calloc(1, sizeof(struct ug_range)),
	};
	if (!ret->parts)
		return false;
	memcpy(ret->orig, code + skip, 7);
	ret->parts[0] = (struct ug_range){
		.start = sym->addr, .end = sym->addr + sym->size, .kind = UG_RANGE_CALLED,
	};
	return true;
}

static int plan_entry(struct ug_load_hook *hook, struct ug_target *t, struct ug_object *obj,
		      const struct ug_symbol *sym, struct ug_texts *texts, struct ug_error *err)
{
	struct ug_load_func *lf = &hook->lf;

	lf->site = ug_registry_usable_site(&t->reg, sym->addr, &lf->site_seg);
	if (lf->site)
		return lf->site->hook ? 0 : ug_err(err, -UG_E_ENTRY_BUSY, "a patch replaces it");
	if (!plan_shim(obj, sym, &lf->plan))
		return ug_site_plan_at(t, obj, sym->addr, sym->size, UG_HOOK_FUNCTION, texts, lf, err);
	lf->planned = true;
	return ug_site_check_plan(&t->proc, &lf->plan, UG_HOOK_FUNCTION, err);
}

static bool replaced_by_patch(const struct ug_match *match, ug_raddr_t func)
{
	for (size_t i = 0; i < match->patch->nfuncs; i++)
		if (match->funcs[i].addr == func)
			return true;
	return false;
}

static int take_site(struct ug_load_hook *hook, struct ug_build *b, struct ug_error *err)
{
	struct ug_load_func *lf = &hook->lf;
	struct ug_target *t = b->t;
	int r = 0;

	if (lf->site && lf->site_seg->s.state == UG_REG_LEFT)
		r = ug_seg_set_state(&t->proc, &t->reg, lf->site_seg, UG_REG_ENABLED, err);
	hook->moves = !lf->site || ug_func_top(&t->reg, hook->func, NULL) != lf->site->hook;
	if (r == 0 && hook->moves)
		r = ug_build_near(b, hook->func, &lf->near, err);
	if (r == 0 && !lf->site)
		b->nears.v[lf->near].has_hook = b->has_hook = true;
	return r;
}

int ug_hook_find(struct ug_load_hook *hook, struct ug_target *t, const struct ug_match *match,
		 struct ug_texts *texts, struct ug_error *err)
{
	struct ug_symbol sym;
	struct ug_object *obj = find_function(t, &sym);

	if (!obj)
		return ug_err(err, -UG_E_NO_SYMBOL, "it has no " UG_HOOK_FUNCTION
			      " (glibc 2.35), or none that a symbol table names");
	if (replaced_by_patch(match, sym.addr))
		return ug_err(err, -UG_E_ENTRY_BUSY, "the patch replaces " UG_HOOK_FUNCTION " itself");
	hook->func = sym.addr;
	hook->object = obj->name;
	return plan_entry(hook, t, obj, &sym, texts, err);
}

int ug_hook_plan(struct ug_load_hook *hook, struct ug_build *b, const struct ug_match *match,
		 struct ug_texts *texts, struct ug_error *err)
{
	uint64_t off, len;
	struct ug_error why;

	if (!ug_patch_eh_frame(match->patch, &off, &len) || b->nears.n == UG_REG_AREAS - 2)
		return 0;
	if (ug_hook_find(hook, b->t, match, texts, &why) < 0) {
		ug_log_notice("process %d cannot unwind through the patch: %s", b->t->proc.pid,
			      why.message);
		return 0;
	}
	hook->wanted = true;
	return take_site(hook, b, err);
}

ug_raddr_t ug_hook_entry(const struct ug_load_hook *hook, const struct ug_build *b)
{
	return hook->lf.site ? hook->lf.site->hook : b->nears.v[hook->lf.near].hook + HOOK_OFF;
}

int ug_hook_record(const struct ug_load_hook *hook, struct ug_build *b, struct ug_error *err)
{
	const struct ug_site_plan *plan = &hook->lf.plan;
	struct ug_record *rec = &b->hook;
	uint32_t sites, ranges, name, object;
	const struct ug_near *near;
	struct ug_reg_sites *head;
	struct ug_reg_site *s;
	int r;

	if (!b->has_hook)
		return 0;
	near = &b->nears.v[hook->lf.near];
	ug_record_free(rec);
	ug_record_init(rec, sizeof(*head));
	sites = ug_record_add(rec, sizeof(*s));
	ranges = ug_record_add(rec, plan->nparts * sizeof(struct ug_reg_range));
	name = ug_record_string(rec, UG_HOOK_FUNCTION);
	object = ug_record_string(rec, hook->object);
	r = ug_record_finish(rec, b->id_hook, UG_REG_SITES, err);
	if (r < 0)
		return r;
	head = ug_record_at(rec, 0);
	head->nsites = 1;
	head->sites = sites;
	head->nranges = (uint32_t)plan->nparts;
	head->ranges = ranges;
	head->meta.areas[0] = (struct ug_reg_area){ b->meta_hook, b->hook_len };
	head->meta.areas[1] = (struct ug_reg_area){ near->hook, near->hook_len };
	s = ug_record_at(rec, sites);
	ug_site_fill(s, plan, near->hook, UG_DISPLACED_MAX);
	s->hook = ug_hook_entry(hook, b);
	s->hook_len = UG_HOOK_CODE;
	s->name = name;
	s->object = object;
	s->nranges = (uint32_t)plan->nparts;
	ug_site_fill_ranges(ug_record_at(rec, ranges), plan);
	return 0;
}

static int encode(const struct ug_load_hook *hook, struct ug_build *b, struct ug_error *err)
{
	struct ug_near *near = &b->nears.v[hook->lf.near];
	const struct ug_hook code = { .root = b->root, .self = hook->func, .original = near->hook };
	struct ug_reg_site *s = ug_record_at(&b->hook, ((struct ug_reg_sites *)
							ug_record_at(&b->hook, 0))->sites);
	uint8_t *image = near->image + (near->hook - near->addr), displaced[UG_DISPLACED_MAX];
	size_t len;
	int r = ug_text_displace(&hook->lf.plan, near->hook, displaced, &len, err);

	if (r < 0)
		return r;
	memcpy(image, displaced, len);
	s->displaced_len = (uint32_t)len;
	ug_hook_encode(&code, image + HOOK_OFF);
	return 0;
}

static void set_move(const struct ug_load_hook *hook, struct ug_build *b)
{
	ug_vec_for_each(&b->moves, move) {
		if (move->m.func != hook->func)
			continue;
		move->m.from = hook->lf.site ? ug_func_top(&b->t->reg, hook->func, NULL) :
					       b->nears.v[hook->lf.near].hook;
		move->m.to = ug_hook_entry(hook, b);
		move->m.before = move->m.from;
	}
}

int ug_hook_encode_all(const struct ug_load_hook *hook, struct ug_build *b, struct ug_error *err)
{
	if (!hook->wanted || !hook->moves)
		return 0;
	set_move(hook, b);
	return b->has_hook ? encode(hook, b, err) : 0;
}

uint32_t ug_hook_others(const struct ug_seg *patch)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < patch->patch->nfuncs; i++)
		n += !(ug_seg_funcs(patch)[i].flags & UG_REG_FUNC_HOOK);
	return n;
}

uint32_t ug_hook_other_moves(const struct ug_registry *reg, const struct ug_seg *trans)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < trans->trans->nmoves; i++) {
		const struct ug_reg_site *site = ug_registry_site(reg, ug_seg_moves(trans)[i].func,
								  NULL);

		n += !site || !site->hook;
	}
	return n;
}
