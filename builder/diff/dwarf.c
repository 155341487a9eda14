// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Debug information is only a help here: it says which function a static local belongs to,
 * where things are in the source, and what was inlined. An object without it is compared all
 * the same.
 *
 * libdwfl relocates the debug sections of an unlinked object and lays its sections out at
 * addresses of its own; everything is brought back to section plus offset.
 */
#include <dwarf.h>
#include <errno.h>
#include <stdio.h>

#include "builder/diff/dwarf.h"

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

bool ug_debug_next_cu(const struct ug_debug *d, Dwarf_Off *off, Dwarf_Die *ret)
{
	Dwarf_Off next, die;
	size_t header;

	while (dwarf_nextcu(d->dw, *off, &next, &header, NULL, NULL, NULL) == 0) {
		die = *off + header;
		*off = next;
		if (dwarf_offdie(d->dw, die, ret))
			return true;
	}
	return false;
}

const char *ug_die_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attr));

	return name ? name : "";
}

bool ug_die_udata(Dwarf_Die *die, unsigned int name, Dwarf_Word *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr(die, name, &attr) && dwarf_formudata(&attr, ret) == 0;
}

/* An address as libdwfl laid it out, back to the section. */
static bool to_section(const struct ug_debug *d, Dwarf_Addr addr, uint32_t *section, uint64_t *value)
{
	GElf_Addr a = addr + d->bias, bias;
	Elf_Scn *scn = dwfl_module_address_section(d->mod, &a, &bias);

	if (!scn)
		return false;
	*section = (uint32_t)elf_ndxscn(scn);
	*value = a;
	return true;
}

static bool to_address(const struct ug_debug *d, uint32_t section, uint64_t off, Dwarf_Addr *ret)
{
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(d->mod, &bias);
	Elf_Scn *scn = elf ? elf_getscn(elf, section) : NULL;
	GElf_Shdr sh;

	if (!scn || !gelf_getshdr(scn, &sh))
		return false;
	*ret = sh.sh_addr + bias + off - d->bias;
	return true;
}

struct scope {
	char text[512];			/* "function/block/block" */
	size_t len;
};

static void enter(struct scope *s, const char *name, unsigned int n)
{
	size_t room = sizeof(s->text) - s->len;
	int len = name ? snprintf(s->text + s->len, room, "%s", name) :
			 snprintf(s->text + s->len, room, "/%u", n);

	s->len += len > 0 && (size_t)len < room ? (size_t)len : 0;
}

/* libdw takes file 0 for none; since DWARF 5 it is the source itself, and clang uses it. */
static void note_place(const struct ug_dobj *o, struct ug_item *item, Dwarf_Die *die)
{
	const char *file = dwarf_decl_file(die);
	int line;

	item->file = file ? file : ug_dobj_source(o);
	if (dwarf_decl_line(die, &line) == 0)
		item->line = (unsigned int)line;
}

static struct ug_item *item_of_address(struct ug_dobj *o, Dwarf_Addr addr)
{
	uint32_t section;
	uint64_t value;
	size_t i;

	if (!to_section(o->debug, addr, &section, &value))
		return NULL;
	i = ug_dobj_item_at(o, section, value);
	return i != UG_NO_ITEM && o->items.v[i].value == value ? &o->items.v[i] : NULL;
}

/* A variable at a fixed address. */
static int read_variable(struct ug_dobj *o, Dwarf_Die *die, const struct scope *scope)
{
	Dwarf_Attribute attr;
	struct ug_item *item;
	Dwarf_Op *ops;
	size_t n;

	if (!dwarf_attr(die, DW_AT_location, &attr) ||
	    dwarf_getlocation(&attr, &ops, &n) != 0 || n != 1)
		return 0;
	if (ops[0].atom != DW_OP_addr) {
		Dwarf_Attribute out;

		/* DWARF 5 of clang: an index into .debug_addr. */
		if (ops[0].atom != DW_OP_addrx || dwarf_getlocation_attr(&attr, ops, &out) != 0 ||
		    dwarf_formaddr(&out, &ops[0].number) != 0)
			return 0;
	}
	item = item_of_address(o, ops[0].number);
	if (!item || item->kind == UG_ITEM_FUNC)
		return 0;
	note_place(o, item, die);
	item->var = ug_die_name(die);
	if (!scope->len || item->scope)
		return 0;
	item->scope = strdup(scope->text);
	return item->scope ? 0 : -ENOMEM;
}

static void read_function(struct ug_dobj *o, Dwarf_Die *die)
{
	struct ug_item *item;
	Dwarf_Addr low;

	if (dwarf_lowpc(die, &low) != 0)
		return;
	item = item_of_address(o, low);
	if (item)
		note_place(o, item, die);
}

/* Abstract origin, so that all copies of one function give the same scope. */
static const char *function_name(Dwarf_Die *die)
{
	return ug_die_name(die);
}

static int walk(struct ug_dobj *o, Dwarf_Die *parent, const struct scope *scope, unsigned int depth)
{
	unsigned int block = 0;
	Dwarf_Die die;
	int rc = 0;

	if (depth > 64 || dwarf_child(parent, &die) != 0)
		return 0;
	do {
		struct scope inner = *scope;

		switch (dwarf_tag(&die)) {
		case DW_TAG_subprogram:
			read_function(o, &die);
			inner.len = 0;
			enter(&inner, function_name(&die), 0);
			rc = walk(o, &die, &inner, depth + 1);
			break;
		case DW_TAG_lexical_block:
			enter(&inner, NULL, block++);
			rc = walk(o, &die, &inner, depth + 1);
			break;
		case DW_TAG_variable:
			rc = read_variable(o, &die, scope);
			break;
		case DW_TAG_namespace:
			rc = walk(o, &die, &inner, depth + 1);
			break;
		default:
			break;
		}
	} while (rc == 0 && dwarf_siblingof(&die, &die) == 0);
	return rc;
}

static int read_units(struct ug_dobj *o)
{
	Dwarf_Off off = 0;
	Dwarf_Die cu;

	while (ug_debug_next_cu(o->debug, &off, &cu)) {
		struct scope scope = { .len = 0 };
		int rc = walk(o, &cu, &scope, 0);

		if (rc < 0)
			return rc;
	}
	return 0;
}

int ug_dobj_read_debug(struct ug_dobj *o, struct ug_error *err)
{
	struct ug_debug *d;

	if (!ug_objfile_section(&o->file, ".debug_info"))
		return 0;
	d = calloc(1, sizeof(*d));
	if (!d)
		return ug_err(err, -ENOMEM, "out of memory");
	o->debug = d;
	d->dwfl = dwfl_begin(&callbacks);
	if (!d->dwfl)
		return ug_err(err, -ENOMEM, "out of memory");
	dwfl_report_begin(d->dwfl);
	d->mod = dwfl_report_offline(d->dwfl, "object", o->path, -1);
	dwfl_report_end(d->dwfl, NULL, NULL);
	d->dw = d->mod ? dwfl_module_getdwarf(d->mod, &d->bias) : NULL;
	if (!d->dw) {
		ug_dobj_free_debug(o);
		return 0;
	}
	return read_units(o) < 0 ? ug_err(err, -ENOMEM, "out of memory") : 0;
}

const char *ug_dobj_producer(const struct ug_dobj *o)
{
	const struct ug_debug *d = o->debug;
	const char *text = NULL;
	Dwarf_Attribute attr;
	Dwarf_Off off = 0;
	Dwarf_Die cu;

	while (d && !text && ug_debug_next_cu(d, &off, &cu))
		text = dwarf_formstring(dwarf_attr(&cu, DW_AT_producer, &attr));
	return text ? text : "";
}

void ug_dobj_free_debug(struct ug_dobj *o)
{
	struct ug_debug *d = o->debug;

	if (d && d->dwfl)
		dwfl_end(d->dwfl);
	free(d);
	o->debug = NULL;
}

/* The unit that holds an address; clang writes no .debug_aranges to ask. */
static bool unit_of(const struct ug_debug *d, Dwarf_Addr addr, Dwarf_Die *ret)
{
	Dwarf_Off off = 0;

	while (ug_debug_next_cu(d, &off, ret)) {
		if (dwarf_haspc(ret, addr) == 1)
			return true;
	}
	return false;
}

static void source_line(Dwarf_Die *cu, Dwarf_Addr addr, const char **file, unsigned int *line)
{
	Dwarf_Line *l = dwarf_getsrc_die(cu, addr);
	int n;

	if (!l || dwarf_lineno(l, &n) != 0)
		return;
	*file = dwarf_linesrc(l, NULL, NULL);
	*line = n > 0 ? (unsigned int)n : 0;
}

const char *ug_dobj_inlined_at(const struct ug_dobj *o, uint32_t section, uint64_t off,
			       const char **ret_file, unsigned int *ret_line)
{
	const struct ug_debug *d = o->debug;
	const char *name = NULL;
	Dwarf_Die cu, *scopes = NULL;
	Dwarf_Addr addr;
	int n;

	*ret_file = "";
	*ret_line = 0;
	if (!d || !to_address(d, section, off, &addr) || !unit_of(d, addr, &cu))
		return NULL;
	source_line(&cu, addr, ret_file, ret_line);
	n = dwarf_getscopes(&cu, addr, &scopes);
	for (int i = 0; i < n && !name; i++) {
		if (dwarf_tag(&scopes[i]) == DW_TAG_subprogram)
			break;
		if (dwarf_tag(&scopes[i]) == DW_TAG_inlined_subroutine)
			name = ug_die_name(&scopes[i]);
	}
	free(scopes);
	if (!*ret_file || !**ret_file)
		*ret_file = ug_dobj_source(o);
	return name;
}
