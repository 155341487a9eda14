/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The debug information of an object, relocated by libdwfl: private to builder/diff. */
#ifndef UG_BUILDER_DIFF_DWARF_H
#define UG_BUILDER_DIFF_DWARF_H

#include <elfutils/libdwfl.h>

#include "builder/diff/object.h"

struct ug_debug {
	Dwfl *dwfl;
	Dwfl_Module *mod;
	Dwarf *dw;
	Dwarf_Addr bias;
};

/* The i-th compilation unit's DIE; false behind the last. *off is the state, 0 at first. */
bool ug_debug_next_cu(const struct ug_debug *d, Dwarf_Off *off, Dwarf_Die *ret);
/* Name of a DIE, through its abstract origin; "" for none. */
const char *ug_die_name(Dwarf_Die *die);
/* Unsigned attribute of the DIE itself. */
bool ug_die_udata(Dwarf_Die *die, unsigned int attr, Dwarf_Word *ret);

#endif
