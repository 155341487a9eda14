/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ug_plan and ug_verify: lists of findings, nothing stopped, nothing changed. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/contexts.h"
#include "engine/entry.h"
#include "engine/funcstack.h"
#include "engine/hook.h"
#include "engine/sites.h"
#include "text/gate.h"

static ug_printf(4, 5) void add(struct ug_checks *checks, enum ug_check_verdict verdict,
				const char *what, const char *fmt, ...)
{
	struct ug_check *grown = reallocarray(checks->v, checks->n + 1, sizeof(*grown));
	struct ug_check *c;
	va_list ap;

	if (!grown)
		return;		/* the list is cut; the verdicts in it are still true */
	checks->v = grown;
	c = &checks->v[checks->n++];
	memset(c, 0, sizeof(*c));
	c->verdict = verdict;
	(void)snprintf(c->what, sizeof(c->what), "%s", what);
	va_start(ap, fmt);
	(void)vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
}

static void add_error(struct ug_checks *checks, const char *what, const struct ug_error *e)
{
	size_t n = checks->n;

	add(checks, UG_CHECK_REFUSED, what, "%s", e->message);
	if (checks->n > n)
		checks->v[n].code = e->code;
}

void ug_checks_free(struct ug_checks *checks)
{
	if (!checks)
		return;
	free(checks->v);
	free(checks);
}

/* ---- plan ---- */

struct planning {
	struct ug_target *t;
	struct ug_patch *patch;
	struct ug_match match;
	struct ug_texts texts;
	struct ug_checks *checks;
};

/* A step that either is fine or has its refusal as the finding. */
static bool step(struct planning *p, int r, const char *what, const struct ug_error *e,
		 const char *fine)
{
	if (r < 0)
		add_error(p->checks, what, e);
	else
		add(p->checks, UG_CHECK_OK, what, "%s", fine);
	return r >= 0;
}

static void plan_process(struct planning *p)
{
	struct ug_target *t = p->t;
	struct ug_error e;
	int r = ug_proc_check_untraced(&t->proc, &e);

	(void)step(p, r, "tracer", &e, "nobody traces the process");
	r = ug_proc_check_native(&t->proc, &e);
	(void)step(p, r, "translator", &e, "the processor executes its code itself");
	r = ug_proc_check_sharers(&t->proc, &e);
	(void)step(p, r, "memory", &e, "shared with no other process");
	r = ug_contexts_possible(t, &e);
	if (r > 0)
		add(p->checks, UG_CHECK_WARNING, "suspended contexts",
		    "an object can create coroutines: all threads are switched at once, and memory "
		    "is searched in the stop");
	else
		(void)step(p, r, "suspended contexts", &e, "none possible");
	if (ug_registry_patch(&t->reg, p->patch->name))
		add(p->checks, UG_CHECK_WARNING, "patch", "'%s' is already loaded", p->patch->name);
	if (ug_registry_open_trans(&t->reg))
		add(p->checks, UG_CHECK_WARNING, "transition",
		    "one is open in the process: it is finished or taken back first");
}

static void plan_aliases(struct planning *p, const char *what, const struct ug_load_func *lf)
{
	if (lf->plan.exported)
		add(p->checks, UG_CHECK_WARNING, what,
		    "the function is exported: a uprobe attached to it later would crash the process "
		    "(see UPROBES in ugraft(1))");
	if (lf->plan.naliases)
		add(p->checks, UG_CHECK_WARNING, what, "shares its code with %s", lf->plan.aliases);
}

static void plan_func(struct planning *p, size_t i)
{
	const struct ug_patch_func *pf = &p->patch->funcs[i];
	struct ug_load_func lf;
	struct ug_error e;
	char what[96];
	int r = ug_match_func(&p->match, i, &e);

	(void)snprintf(what, sizeof(what), "function %s", pf->old_name);
	if (r == 0)
		r = ug_site_for(&p->match, i, &p->texts, &lf, &e);
	if (r < 0) {
		add_error(p->checks, what, &e);
		return;
	}
	if (lf.site)
		add(p->checks, UG_CHECK_OK, what, "already patched; this patch stacks on top");
	else
		add(p->checks, UG_CHECK_OK, what, "%s at %#llx, %u bytes overwritten, %zu part%s",
		    lf.plan.form == UG_FORM_JMP2 ? "short jump" : "jump",
		    (unsigned long long)lf.plan.at, lf.plan.len, lf.plan.nparts,
		    lf.plan.nparts == 1 ? "" : "s");
	if (pf->assume_abi)
		add(p->checks, UG_CHECK_WARNING, what, "built with --assume-abi: nobody has checked "
		    "that its callers may rely on the standard calling convention only");
	if (lf.planned) {
		plan_aliases(p, what, &lf);
		ug_site_plan_free(&lf.plan);
	}
}

static bool plan_objects(struct planning *p)
{
	bool ok = true;

	for (size_t i = 0; i < p->patch->nobjects; i++) {
		const char *name = p->patch->objects[i].name;
		struct ug_error e;
		char what[96];
		int r = ug_match_object(&p->match, i, &e);

		(void)snprintf(what, sizeof(what), "object %s", name[0] ? name : "(executable)");
		ok &= step(p, r, what, &e, "the build the patch is made for");
	}
	return ok;
}

/* Can the process unwind through the patch? */
static void plan_unwinding(struct planning *p)
{
	struct ug_load_hook hook = { 0 };
	struct ug_patch_layout layout;
	struct ug_error e;
	uint64_t off, len;

	if (ug_patch_layout(p->patch, &layout, &e) < 0 || !ug_patch_eh_frame(p->patch, &off, &len))
		return;
	if (ug_hook_find(&hook, p->t, &p->match, &p->texts, &e) < 0)
		add(p->checks, UG_CHECK_WARNING, "unwinding", "an exception through the new code would "
		    "end the process: %s", e.message);
	else
		add(p->checks, UG_CHECK_OK, "unwinding", "the process can unwind through the new code");
	if (hook.lf.planned)
		ug_site_plan_free(&hook.lf.plan);
}

/* A link for a made-up address near the object shows whether every reference resolves. */
static void plan_link(struct planning *p)
{
	struct ug_patch_layout layout;
	struct ug_resolver resolver;
	struct ug_error e;
	ug_raddr_t base = 0;
	const struct ug_object *obj = p->match.funcs[0].obj;
	uint8_t *rx = NULL, *rw = NULL;
	int r = ug_patch_layout(p->patch, &layout, &e);

	if (r == 0)
		r = ug_maps_find_room(&p->t->maps, obj->start, obj->end,
				      layout.rx_size + layout.rw_size + 16 * UG_PAGE_SIZE, 0, &base, &e);
	if (r == 0) {
		rx = calloc(1, layout.rx_size);
		rw = calloc(1, layout.rw_size ? layout.rw_size : 1);
		ug_match_resolver(&p->match, &resolver);
		r = rx && rw ? ug_patch_link(p->patch, &resolver, base, rx, rw, &e) :
			       ug_err(&e, -ENOMEM, "out of memory");
	}
	free(rx);
	free(rw);
	(void)step(p, r, "references", &e, "all resolved, all within reach");
}

/* Fixed cost of a stop and its share per thread, measured (bench/pause on 2 cores). */
#define PAUSE_BASE_NS 150000
#define PAUSE_THREAD_NS 12000

static int predict(struct planning *p, struct ug_error *err)
{
	struct ug_tasks tasks = { 0 };
	int r = ug_tasks_list(&p->t->proc, &tasks, err);

	if (r < 0)
		return r;
	p->checks->predicted_pause_ns = PAUSE_BASE_NS + tasks.n * (uint64_t)PAUSE_THREAD_NS;
	ug_tasks_free(&tasks);
	return 0;
}

static int plan_all(struct planning *p, struct ug_error *err)
{
	p->match.t = p->t;
	p->match.patch = p->patch;
	p->match.objects = calloc(p->patch->nobjects + 1, sizeof(*p->match.objects));
	p->match.funcs = calloc(p->patch->nfuncs + 1, sizeof(*p->match.funcs));
	if (!p->match.objects || !p->match.funcs)
		return ug_err(err, -ENOMEM, "out of memory");
	plan_process(p);
	if (plan_objects(p)) {
		for (size_t i = 0; i < p->patch->nfuncs; i++)
			plan_func(p, i);
		if (p->patch->nfuncs && p->match.funcs[0].addr)
			plan_link(p);
		plan_unwinding(p);
	}
	return predict(p, err);
}

int ug_plan(pid_t pid, const char *file, const struct ug_opts *opts, struct ug_checks **ret,
	    struct ug_error *err)
{
	struct ug_checks *checks = calloc(1, sizeof(*checks));
	struct planning p = { .checks = checks };
	struct ug_target t;
	int r = checks ? ug_patch_open(file, &p.patch, err) : ug_err(err, -ENOMEM, "out of memory");

	if (r == 0)
		r = ug_target_open(pid, UG_TARGET_OBJECTS, &t, err);
	if (r < 0)
		goto out;
	t.flags = opts ? opts->flags : 0;
	p.t = &t;
	r = plan_all(&p, err);
	ug_match_deinit(&p.match);
	ug_texts_close(&p.texts);
	ug_target_close(&t);
out:
	ug_patch_close(p.patch);
	if (r < 0)
		ug_checks_free(checks);
	else
		*ret = checks;
	return r;
}

/* ---- verify ---- */

/* What may an entry lead to? The version in force, or a gate of an open transition. */
static bool entry_expected(const struct ug_target *t, const struct ug_reg_site *site, ug_raddr_t now)
{
	if (now == ug_func_top(&t->reg, site->func, NULL))
		return true;
	for (size_t i = 0; i < t->reg.nsegs; i++) {
		const struct ug_seg *seg = &t->reg.segs[i];

		if (seg->s.kind != UG_REG_TRANS || seg->s.state != UG_REG_OPEN)
			continue;
		for (uint32_t k = 0; k < seg->trans->nmoves; k++) {
			const struct ug_reg_move *m = &ug_seg_moves(seg)[k];

			if (m->func == site->func && (now == m->gate || now == m->to ||
						      now == m->before))
				return true;
		}
	}
	return false;
}

static void verify_site(struct ug_target *t, const struct ug_seg *seg, const struct ug_reg_site *site,
			struct ug_checks *checks)
{
	struct ug_error e;
	ug_raddr_t now;
	char what[96];

	(void)snprintf(what, sizeof(what), "entry of %s", ug_seg_str(seg, site->name));
	if (ug_entry_read(&t->proc, site, &now, &e) < 0)
		add_error(checks, what, &e);
	else if (entry_expected(t, site, now))
		add(checks, UG_CHECK_OK, what, "as the registry says");
	else
		add(checks, UG_CHECK_REFUSED, what, "leads to %#llx, which the registry does not know",
		    (unsigned long long)now);
}

static void verify_areas(const struct ug_target *t, const struct ug_seg *seg, struct ug_checks *checks)
{
	char what[96];

	(void)snprintf(what, sizeof(what), "memory of record %u", seg->s.id);
	for (int i = 0; i < UG_REG_AREAS; i++) {
		const struct ug_reg_area *a = &seg->meta->areas[i];
		const struct ug_map *m = a->len ? ug_maps_find(&t->maps, a->addr) : NULL;

		if (!a->len)
			continue;
		if (!m || !ug_registry_owns_map(m)) {
			add(checks, UG_CHECK_REFUSED, what, "%#llx is not mapped by ugraft any more",
			    (unsigned long long)a->addr);
			return;
		}
	}
	add(checks, UG_CHECK_OK, what, "mapped");
}

static void verify_segment(struct ug_target *t, const struct ug_seg *seg, struct ug_checks *checks)
{
	verify_areas(t, seg, checks);
	if (seg->s.kind != UG_REG_SITES || seg->s.state != UG_REG_ENABLED)
		return;
	for (uint32_t i = 0; i < seg->sites->nsites; i++)
		verify_site(t, seg, &ug_seg_sites(seg)[i], checks);
}

int ug_verify(pid_t pid, struct ug_checks **ret, struct ug_error *err)
{
	struct ug_checks *checks = calloc(1, sizeof(*checks));
	struct ug_target t;
	int r = checks ? ug_target_open(pid, 0, &t, err) : ug_err(err, -ENOMEM, "out of memory");

	if (r < 0) {
		ug_checks_free(checks);
		return r;
	}
	if (!t.reg.addr)
		add(checks, UG_CHECK_OK, "registry", "the process is not patched");
	else
		add(checks, UG_CHECK_OK, "registry", "at %#llx, %zu records",
		    (unsigned long long)t.reg.addr, t.reg.nsegs);
	for (size_t i = 0; i < t.reg.nsegs; i++)
		verify_segment(&t, &t.reg.segs[i], checks);
	ug_target_close(&t);
	*ret = checks;
	return 0;
}
