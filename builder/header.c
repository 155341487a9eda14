// SPDX-License-Identifier: GPL-2.0-or-later
/* The header travels with the builder: both always agree on the records. */
#include "builder/compile.h"

const char ug_compile_patch_h[] =
#include "patch_h.inc"
	;
