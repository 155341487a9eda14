/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The entries a load needs: planned anew, or already patched. */
#ifndef UG_ENGINE_SITES_H
#define UG_ENGINE_SITES_H

#include "engine/resolve.h"
#include "text/text.h"

struct ug_load_func {
	const struct ug_reg_site *site;	/* it has one already, in force or waiting for release */
	struct ug_seg *site_seg;	/* the record that holds it */
	struct ug_site_plan plan;	/* else */
	bool planned;
	size_t near;			/* index in the build */
	size_t index;			/* among the new sites there */
	size_t thunk;			/* among the thunks there, when far from the body */
	bool far;
};

/* The decoded text of the objects concerned, opened once each. */
struct ug_texts {
	struct ug_object *obj[16];
	struct ug_text *text[16];
	size_t n;
};

void ug_texts_close(struct ug_texts *texts);

/*
 * The site of function i of the match: an existing one, or a plan whose bytes are the ones
 * in memory. Refusals of ug_text_plan, -UG_E_ENTRY_BUSY.
 */
int ug_site_for(struct ug_match *m, size_t i, struct ug_texts *texts, struct ug_load_func *ret,
		struct ug_error *err) ug_must_check;

/* A plan for a function that is not the patch's; there must be no site yet. */
int ug_site_plan_at(struct ug_target *t, struct ug_object *obj, ug_raddr_t addr, uint64_t size,
		    const char *name, struct ug_texts *texts, struct ug_load_func *ret,
		    struct ug_error *err) ug_must_check;

/* Are the bytes in memory those of the plan? -UG_E_ENTRY_BUSY. */
int ug_site_check_plan(struct ug_proc *p, const struct ug_site_plan *plan, const char *name,
		       struct ug_error *err) ug_must_check;

/* What the registry says of a plan: the site, but for names and ranges, and its ranges. */
void ug_site_fill(struct ug_reg_site *s, const struct ug_site_plan *plan, ug_raddr_t displaced,
		  size_t displaced_len);
void ug_site_fill_ranges(struct ug_reg_range *ranges, const struct ug_site_plan *plan);

#endif
