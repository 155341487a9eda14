/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ug-plan-table [-v] FILE...: plan the redirect of every function that a file exports and
 * print a Markdown table of what can be patched and what is refused why (docs/patchable.md).
 * -v: a line for each refusal. -s: also every function symbol, not only exported ones.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "text/text.h"

struct count {
	unsigned int total, jmp5, jmp2, nop, parts;
	unsigned int refused[UG_E_END - UG_E_BASE];
	uint64_t ns_max, ns;
};

static bool verbose, all;

static void refused(struct count *c, const char *name, int ret, const struct ug_error *err)
{
	if (-ret > UG_E_BASE && -ret < UG_E_END)
		c->refused[-ret - UG_E_BASE]++;
	if (verbose)
		printf("%s: %s: %s\n", name, ug_error_name(ret), err->message);
}

static void plan_one(struct ug_text *text, const struct ug_symbol *sym, struct count *c)
{
	struct ug_site_plan plan;
	struct ug_error err = { 0 };
	uint64_t then = ug_now_ns(), ns;
	int ret = ug_text_plan(text, sym->addr, sym->size, sym->name, UG_PLAN_ALIASES_OK, &plan,
			       &err);

	ns = ug_now_ns() - then;
	c->total++;
	c->ns += ns;
	c->ns_max = ns > c->ns_max ? ns : c->ns_max;
	if (ret < 0) {
		refused(c, sym->name, ret, &err);
		return;
	}
	c->jmp5 += plan.form == UG_FORM_JMP5;
	c->jmp2 += plan.form == UG_FORM_JMP2;
	c->nop += plan.is_nop;
	c->parts += plan.nparts > 1;
	ug_site_plan_free(&plan);
}

static void print_count(const char *file, const struct count *c)
{
	printf("| %s | %u | %u | %u | %u | %u |", file, c->total, c->jmp5, c->jmp2, c->nop,
	       c->parts);
	for (int i = 1; i < UG_E_END - UG_E_BASE; i++) {
		if (c->refused[i])
			printf(" %s %u", ug_error_name(-(UG_E_BASE + i)), c->refused[i]);
	}
	printf(" | %.2f | %.1f |\n", c->total ? (double)c->ns / c->total / 1e6 : 0,
	       (double)c->ns_max / 1e6);
}

static int plan_file(const char *file)
{
	struct ug_object *obj = NULL;
	struct ug_text *text = NULL;
	struct ug_error err = { 0 };
	struct count c = { 0 };
	ug_raddr_t last = 0;

	if (ug_object_open_file(file, &obj, &err) < 0 || ug_text_open(obj, &text, &err) < 0) {
		fprintf(stderr, "%s: %s\n", file, err.message);
		return 1;
	}
	for (size_t i = 0; i < ug_symtab_count(obj); i++) {
		const struct ug_symbol *sym = ug_symtab_at(obj, i);

		/* One name an address: the aliases have the same answer. */
		if (sym->type != STT_FUNC || sym->addr == last || (!sym->dynamic && !all))
			continue;
		last = sym->addr;
		plan_one(text, sym, &c);
	}
	print_count(obj->name, &c);
	ug_text_close(text);
	ug_object_close(obj);
	return 0;
}

int main(int argc, char **argv)
{
	int ret = 0;

	printf("| object | functions | 5-byte jump | short jump | of these NOPs | several parts | "
	       "refused | ms mean | ms max |\n|---|---|---|---|---|---|---|---|---|\n");
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-v") == 0)
			verbose = true;
		else if (strcmp(argv[i], "-s") == 0)
			all = true;
		else
			ret |= plan_file(argv[i]);
	}
	return ret;
}
